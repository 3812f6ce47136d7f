"""Scenario files, the library, and the scenarios that come with the package."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scenarios_of import full, named

from z3fold_stress.defects import DEFECTS
from z3fold_stress.scenario import (
    Scenario,
    ScenarioError,
    all_scenarios,
    built_in_folder,
    compile_scenario,
    library,
    load,
    load_file,
)
from z3fold_stress.scenario.value import walk

STORY = '''"""The first line.

The rest.
"""
from z3fold_stress.scenario import Scenario, op
'''


# files


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


GOOD = STORY + 'scenario = Scenario(actors={"one": [op.audit()]})\n'


def test_a_file_gives_a_scenario_its_name_and_its_story(tmp_path: Path) -> None:
    (scenario,) = load_file(write(tmp_path / "two_words.py", GOOD))
    assert scenario.name == "two-words"
    assert scenario.story == "The first line.\n\nThe rest."


def test_what_a_scenario_says_itself_stays(tmp_path: Path) -> None:
    text = GOOD.replace("Scenario(a", 'Scenario(name="own", story="Own.", a')
    (scenario,) = load_file(write(tmp_path / "x.py", text))
    assert (scenario.name, scenario.story) == ("own", "Own.")


def test_a_file_may_hold_several(tmp_path: Path) -> None:
    text = STORY + (
        'scenarios = [Scenario(name=name, actors={"one": [op.audit()]}) for name in ("", "b", "")]'
    )
    made = load_file(write(tmp_path / "some.py", text))
    assert [scenario.name for scenario in made] == ["some-1", "b", "some-3"]
    assert {scenario.story for scenario in made} == {"The first line.\n\nThe rest."}


def test_a_json_file_holds_a_scenario_or_a_finding(tmp_path: Path) -> None:
    data = full().to_json()
    assert load_file(write(tmp_path / "a.json", json.dumps(data))) == [full()]
    finding = {"finding": 1, "scenario": data, "seed": 3}
    assert load_file(write(tmp_path / "b.json", json.dumps(finding))) == [full()]
    unnamed = {**data, "name": ""}
    (scenario,) = load_file(write(tmp_path / "c_d.json", json.dumps(unnamed)))
    assert scenario.name == "c-d"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (\n", r"x\.py, line 1: SyntaxError: '\(' was never closed"),
        ("\n\n1 / 0\n", r"x\.py, line 3: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit('no')\n", r"x\.py, line 2: SystemExit: no"),
        (
            STORY + "def f():\n    return op.load('X', 'r', 'aquire')\nf()\n",
            r"x\.py, line 7: load: order cannot be 'aquire'",
        ),
        (STORY + "scenario = Scenario(\n    actors={},\n)", r"x\.py, line 6: .* no actors"),
        (STORY, "x.py defines neither of 'scenario' and 'scenarios'"),
        (GOOD + "scenarios = [scenario]\n", "x.py defines both"),
        ("scenario = 5", "x.py: 5 is no Scenario"),
        ("scenarios = 5", "x.py: 'scenarios' is 5: make it a list"),
        (
            GOOD + 'del scenario\nscenarios = [Scenario(name="n", actors={f"a{i}": [op.audit()]}) '
            "for i in range(2)]",
            "x.py: two scenarios are named 'n'",
        ),
        ("\0", "x.py: .*null bytes"),
        ("raise KeyboardInterrupt", ""),
    ],
    ids=lambda value: value[-40:],
)
def test_a_python_file_that_fails_says_where(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "x.py", text)
    if not message:
        with pytest.raises(KeyboardInterrupt):
            load_file(path)
        return
    with pytest.raises(ScenarioError, match=message) as caught:
        load_file(path)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "x.json is not JSON"),
        ("[" * 100_000, "x.json is not JSON"),
        ("\xff", "x.json is not JSON"),
        ("[]", "x.json: .* is no scenario"),
        ('{"scenario": 1, "scenario": 1}', "the key 'scenario' is twice in one object"),
        ('{"scenario": {"scenario": 9}}', "x.json: the scenario is of version 9"),
        ('{"scenario": 1, "actors": []}', "x.json: the scenario has no actors"),
    ],
    ids=lambda value: value[:40],
)
def test_a_json_file_that_fails_says_why(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ScenarioError, match=message):
        load_file(path)


def test_a_file_of_another_kind_or_none_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"give a file that ends in \.py or \.json"):
        load_file(tmp_path / "x.txt")
    with pytest.raises(ScenarioError, match=r"cannot read .*x\.py: No such file"):
        load_file(tmp_path / "x.py")
    with pytest.raises(ScenarioError, match=r"cannot be named 'a b'.*rename the file"):
        load_file(write(tmp_path / "a b.py", GOOD))


# the library


@pytest.fixture
def built_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small library in the place of the built-in one."""
    folder = tmp_path / "built_in"
    write(folder / "__init__.py", "")
    write(folder / "group" / "__init__.py", "")
    write(folder / "group" / "z_first.py", GOOD)
    write(folder / "group" / "pair.py", GOOD.replace("scenario = ", "scenarios = 2 * [") + "]")
    write(folder / "other" / "a_second.py", GOOD)
    monkeypatch.setattr(library, "built_in_folder", lambda: folder)
    return folder


def test_all_are_sorted_by_name(built_in: Path) -> None:
    assert named(all_scenarios()) == ["a-second", "pair-1", "pair-2", "z-first"]


def test_scenarios_are_found_by_name_file_folder_and_group(built_in: Path) -> None:
    assert named(load(["z-first"])) == ["z-first"]
    assert named(load(["pair-2"])) == ["pair-2"]
    assert named(load([str(built_in / "other" / "a_second.py")])) == ["a-second"]
    assert named(load([str(built_in / "group")])) == ["pair-1", "pair-2", "z-first"]
    assert named(load(["group"])) == ["pair-1", "pair-2", "z-first"]
    assert named(load(["z-first", "group", "a-second"])) == [
        *("z-first", "pair-1", "pair-2", "a-second"),
    ]
    assert load([]) == []


def test_a_name_that_is_not_there_is_told_the_nearest(built_in: Path, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no scenario is named 'z-fist'; the nearest is 'z-fir"):
        load(["z-fist"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ScenarioError, match="no scenario is in"):
        load([str(tmp_path / "empty")])


def test_two_scenarios_of_one_name_are_refused(built_in: Path) -> None:
    write(built_in / "other" / "z_first.py", GOOD.replace("op.audit()", "op.drain()"))
    with pytest.raises(ScenarioError, match="two scenarios are named 'z-first'"):
        all_scenarios()


def test_a_broken_file_does_not_hide_the_others(built_in: Path) -> None:
    write(built_in / "other" / "broken.py", "1 / 0")
    assert named(load(["a-second"])) == ["a-second"]
    with pytest.raises(ScenarioError, match=r"broken\.py, line 1"):
        all_scenarios()


# the scenarios that come with the package


def test_the_built_in_scenarios_load_compile_and_round_trip() -> None:
    assert (built_in_folder() / "textbook" / "abba.py").is_file()
    everything = all_scenarios()
    assert {"abba", "lost-update"} <= {scenario.name for scenario in everything}
    for scenario in everything:
        assert scenario.story, f"{scenario.name} tells no story"
        assert scenario.tags, f"{scenario.name} has no tag"
        compile_scenario(scenario)
        assert Scenario.from_json(json.loads(json.dumps(scenario.to_json()))) == scenario


def test_what_a_built_in_scenario_expects_is_of_its_defects() -> None:
    for scenario in all_scenarios():
        for defect in scenario.shows:
            assert scenario.expect & set(DEFECTS[defect].verdicts), scenario.name


def test_the_scenarios_to_try_it_with() -> None:
    abba, lost_update = load(["abba", "lost-update"])
    assert abba.expected("sound") == {"deadlock", "lock-order"}
    assert compile_scenario(abba).words == ("A", "B")
    assert lost_update.expected("sound") == {"data-race", "invariant"}
    assert [each.name for each in walk(lost_update.finish)] == ["load", "expect"]
