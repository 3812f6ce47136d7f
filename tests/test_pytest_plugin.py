"""The pytest plugin, by runs of pytest of their own: what is collected, found, shared and told."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugin_runs import HEAD, TESTS, outcomes, run

import z3fold_stress
from z3fold_stress.designs import resolve
from z3fold_stress.explore.explorer import Budget, explore_world
from z3fold_stress.explore.portfolio import PORTFOLIO
from z3fold_stress.explore.world import World
from z3fold_stress.findings import load_finding
from z3fold_stress.findings.finding import make_finding
from z3fold_stress.findings.store import Store
from z3fold_stress.pytest_plugin.handover import hand_over
from z3fold_stress.pytest_plugin.hunting import plans, pursue
from z3fold_stress.pytest_plugin.marker import Wish, plan_of
from z3fold_stress.pytest_plugin.options import Settings, settle
from z3fold_stress.pytest_plugin.recognise import Recogniser
from z3fold_stress.pytest_plugin.seeds import MOST_BLOCKS, SEEDS, blocks
from z3fold_stress.scenario import Scenario, built_in_folder, load, op

pytest_plugins = ["pytester"]

# What is loaded, and what is collected


def test_a_run_without_anything_of_ours_loads_no_engine(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_modules():
            ours = [name for name in sys.modules if name.startswith("z3fold_stress")]
            assert "z3fold_stress.pytest_plugin" in ours
            assert all("pytest_plugin" in name for name in ours if name != "z3fold_stress"), ours
            assert not {"click", "rich", "multiprocess", "psutil"} & set(sys.modules)
        """
    )
    result = run(pytester, "-p", "no:xdist", "-p", "no:randomly")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["race hunts: --hunt-seed=*"])
    assert "explorations" not in result.stdout.str()


def test_public_names_load_when_asked_for() -> None:
    for name in z3fold_stress.__all__:
        assert getattr(z3fold_stress, name) is not None
        assert name in dir(z3fold_stress)
    with pytest.raises(AttributeError, match="no attribute 'Arean'"):
        z3fold_stress.Arean  # noqa: B018


def test_scenarios_of_the_package_from_anywhere(pytester: pytest.Pytester) -> None:
    result = run(pytester, "-v", "--pyargs", "z3fold_stress.scenarios", "-k", "abba or putback")
    assert result.parseoutcomes()["passed"] == 3
    result.stdout.fnmatch_lines(
        [
            "*putback_forgets_unbuddied.py::putback-forgets-unbuddied?found? PASSED*",
            "*putback_forgets_unbuddied.py::putback-forgets-unbuddied?sound? PASSED*",
            "*abba.py::abba?found? PASSED*",
            "3 explorations, * executions, base seed *",
            "2 found what is expected of them",
        ],
        consecutive=False,
    )


@pytest.fixture
def recognise(pytester: pytest.Pytester) -> Iterator[Recogniser]:
    pytester.makeini("[pytest]\nhunt_files = races/*.py hunt_*.py\n")
    config = pytester.parseconfig()
    yield Recogniser(config)
    config._ensure_unconfigure()


def test_a_scenario_is_told_by_its_place_its_name_or_its_look(
    recognise: Recogniser, pytester: pytest.Pytester
) -> None:
    text = HEAD + "scenario = Scenario(actors=AB)"

    def is_one(name: str, source: str = text, *, given: bool) -> bool:
        path = pytester.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
        return recognise.is_scenario(path, given)

    assert is_one("races/ab.py", given=False)
    assert is_one("races/ab.py", "anything", given=False)
    assert is_one("hunt_ab.py", given=False)
    assert not is_one("races/ab.txt", given=True)
    assert not is_one("races/__init__.py", given=True)
    assert not is_one("ab.py", given=False)
    assert is_one("ab.py", given=True)
    assert is_one("ab.py", text.replace("scenario =", "scenarios: list ="), given=True)
    assert not is_one("ab.py", text.replace("scenario =", "other ="), given=True)
    assert not is_one("ab.py", "scenario = 1", given=True)
    assert not is_one("ab.py", text + "\nthis is no Python", given=True)
    assert not is_one("test_ab.py", given=True)
    assert is_one("ab.json", '{"scenario": 1}', given=True)
    assert not is_one("ab.json", "[1]", given=True)
    assert recognise.is_scenario(Path(load_path("abba")), given=False)


def load_path(name: str) -> str:
    return str(built_in_folder() / "textbook" / f"{name}.py")


def test_a_file_given_and_one_that_is_damaged(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("ab.py").write_text(
        HEAD + "scenario = Scenario(actors=AB, expect={'deadlock'})"
    )
    (scenario,) = load([load_path("counter")])
    pytester.path.joinpath("counter.json").write_text(json.dumps(scenario.to_json()))
    pytester.path.joinpath("bad.py").write_text(HEAD + "scenario = Scenario(actors={})")
    result = run(
        pytester, "-v", "ab.py", "counter.json", "bad.py", "--continue-on-collection-errors"
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        ["ab.py::ab?found? PASSED*", "counter.json::counter?sound? PASSED*"]
    )
    result.stdout.fnmatch_lines(["*bad.py, line *: the scenario has no actors*"])
    assert "Traceback" not in result.stdout.str()


# Seeds


@given(st.integers(1, 10**9), st.integers(0, SEEDS - 1))
def test_blocks_share_the_seeds_without_overlap_or_gap(executions: int, base: int) -> None:
    shares = blocks(executions)
    assert 1 <= len(shares) <= MOST_BLOCKS
    assert sum(share.executions for share in shares) == executions
    assert all(share.executions > 0 for share in shares)
    assert [share.seed(base) for share in shares] == [
        (base + number) % SEEDS for number in range(len(shares))
    ]
    assert [share.exhaustive for share in shares] == [True] + [False] * (len(shares) - 1)


def test_the_same_findings_with_any_number_of_workers(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nhunt_files = hunt_*.py\n")
    pytester.makepyfile(
        hunt_ab=HEAD + "scenario = Scenario(actors=AB)",
        hunt_add=HEAD
        + """scenarios = [
            Scenario(name="lost", actors={"a": ADD, "b": ADD, "c": ADD}, finish=LOST,
                     expect={"data-race"}),
            Scenario(name="safe", actors={"a": SAFE, "b": SAFE}, finish=LOST),
        ]""",
        test_marked=TESTS
        + """
@hunt(executions=3000, blocks=3, strategy="pct")
def test_shared():
    return Scenario(actors={"a": ADD, "b": ADD}, finish=LOST)
""",
    )
    told = {}
    for workers in (0, 2, 4):
        result = run(
            pytester, "-n", workers, "--hunt-seed=11", "--hunt-executions=100_001",
            f"--junit-xml=j{workers}.xml",
        )  # fmt: skip
        assert result.ret == 1
        result.stdout.fnmatch_lines(
            ["race hunts: --hunt-seed=11, executions 100001", "FOUND data-race: *, 3 times"]
        )
        told[workers] = outcomes(pytester.path / f"j{workers}.xml")
    assert told[0] == told[2] == told[4]
    states = {name.rpartition("::")[2]: kind for name, (kind, _) in told[0].items()}
    assert states == {
        **{f"hunt-ab[sound-seeds{n}]": "failure" for n in range(3)},
        "lost[found]": "passed",
        **{f"safe[sound-seeds{n}]": "passed" for n in range(3)},
        **{f"test_shared[seeds{n}]": "failure" for n in range(3)},
    }
    shared = [dict(told[0][name][1]) for name in told[0] if "shared" in name]
    assert sorted(one["hunt_seed"] for one in shared) == ["11", "12", "13"]
    safe = [dict(told[0][name][1]) for name in told[0] if "::safe" in name]
    done, *sampled = sorted((int(one["hunt_executions"]), one["hunt_status"]) for one in safe)
    assert done[1] == "complete", "one block has the strategies that see all"
    assert done[0] < 1000
    assert {status for _, status in sampled} == {"clean"}
    assert sum(executions for executions, _ in sampled) in (66_667, 66_668)
    line = shared[0]["hunt_replay"]
    assert load_finding(line).verdict == "data-race"


def test_what_a_scenario_claims() -> None:
    (shows,) = load(["putback-forgets-unbuddied"])
    (clean,) = load([load_path("counter")])
    found, sound = plans(shows, Settings(7, "r"))
    assert (found.label, found.hunt.design) == ("found", "sound+putback-forgets-unbuddied")
    assert found.expected == tuple(sorted(shows.expect))
    assert (sound.label, sound.expected, sound.hunt.seed) == ("sound", (), 7)
    (hunted,) = plans(shows, Settings(7, "r", design="as-posted"))
    assert (hunted.label, hunted.hunt.design, hunted.expected) == ("as-posted", "as-posted", ())
    assert [plan.label for plan in plans(clean, Settings(7, "r", design="as-posted"))] == ["sound"]
    found, sound = plans(shows, Settings(7, "r", seconds=3.0))
    assert (found.hunt.seconds, sound.hunt.seconds, sound.hunt.executions) == (None, 3.0, None)
    many = plans(clean, Settings(7, "r", executions=120_000))
    assert [plan.block for plan in many] == ["-seeds0", "-seeds1", "-seeds2"]
    assert len(plans(clean, Settings(7, "r", executions=120_000, strategy="dfs"))) == 1


@pytest.mark.parametrize("seconds", [None, 2.0])
def test_blocks_of_a_marker_have_seeds_of_their_own(seconds: float | None) -> None:
    (clean,) = load([load_path("counter")])
    settings = Settings(SEEDS - 1, "r", seconds=seconds, budget_typed=seconds is not None)
    hunts = [
        plan_of(clean, Wish(executions=100, blocks=3), settings, number).hunt for number in range(3)
    ]
    assert [hunt.seed for hunt in hunts] == [SEEDS - 1, 0, 1]
    assert [hunt.exhaustive for hunt in hunts] == [True, False, False]
    assert [hunt.seconds for hunt in hunts] == [seconds] * 3
    assert [hunt.executions for hunt in hunts] == ([34, 33, 33] if seconds is None else [None] * 3)


@pytest.mark.soak
def test_the_package_finds_the_same_with_any_number_of_workers(pytester: pytest.Pytester) -> None:
    told = {}
    for workers in (0, 2, 4):
        result = run(
            pytester, "-n", workers, "--hunt-seed=11", f"--junit-xml=j{workers}.xml",
            "--pyargs", "z3fold_stress.scenarios",
        )  # fmt: skip
        assert result.ret == 0
        told[workers] = outcomes(pytester.path / f"j{workers}.xml")
    assert len(told[0]) >= 151
    assert told[0] == told[2] == told[4]


@pytest.mark.parametrize(
    "how",
    [
        ("--dist=each", "--tx=2*popen"),
        pytest.param(("--dist=worksteal", "-n2"), marks=pytest.mark.soak),
        pytest.param(("--dist=loadgroup", "-n2"), marks=pytest.mark.soak),
    ],
    ids=lambda how: how[0].removeprefix("--dist="),
)
def test_every_way_to_share(pytester: pytest.Pytester, how: tuple[str, ...]) -> None:
    pytester.makepyfile(
        TESTS
        + """
@hunt(executions=500, blocks=3)
def test_shared():
    return Scenario(actors={"a": SAFE, "b": SAFE}, finish=LOST)
"""
    )
    result = run(pytester, *how)
    times = 2 if "--dist=each" in how else 1
    result.assert_outcomes(passed=3 * times)
    result.stdout.fnmatch_lines([f"{3 * times} explorations, *"])


# What a test may say


def test_markers(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        TESTS
        + """
import unittest

@hunt(expect={"deadlock"})
def test_expected():
    return Scenario(actors=AB)

@hunt(expect={"leak"}, executions=50)
def test_not_the_expected():
    return Scenario(actors=AB)

@hunt
def test_its_own_expectation():
    return [Scenario(actors=AB, expect={"deadlock"}, name="one"),
            Scenario(actors={"a": SAFE}, name="two")]

@hunt(shown=True)
def test_shown(tmp_path):
    from z3fold_stress.scenario import Scenario, built_in_folder, load, op
    return load(["putback-forgets-unbuddied"])

@hunt
def test_found():
    return Scenario(actors=AB)

@hunt
def test_nothing():
    pass

@hunt
async def test_coroutine():
    return Scenario(actors=AB)

class TestCase(unittest.TestCase):
    @hunt
    def test_method(self):
        return Scenario(actors=AB)
"""
    )
    result = run(pytester, "--hunt-save=found", "-v")
    result.assert_outcomes(passed=3, failed=3, errors=2)
    result.stdout.fnmatch_lines(
        [
            "*marker z3fold_stress: a coroutine cannot return a scenario*",
            "*marker z3fold_stress: a method of unittest.TestCase cannot return a scenario*",
            "expected leak, which did not come",
            "DEADLOCK in scenario found, design sound",
            "Replay: z3fold-stress replay *found/found-deadlock-*.json",
            "*the test returned None, so nothing was explored*",
        ]
    )
    result.stdout.fnmatch_lines(
        ["FOUND deadlock: * (not-the-expected, sound)", "  z3fold-stress replay *"]
    )
    saved = {load_finding(str(path)).verdict for path in pytester.path.glob("found/*.json")}
    assert {"deadlock"} <= saved
    assert not list(pytester.path.glob("found/one-*")), "what was expected is no failure"


def test_the_examples_of_the_documentation(pytester: pytest.Pytester) -> None:
    path = Path(__file__).parents[1] / "docs" / "pytest.md"
    blocks_of_code = re.findall(r"(?m)(?:^(?: {4}.*)?\n)+", path.read_text())
    code = [textwrap.dedent(one) for one in blocks_of_code if "    def test_" in one]
    pytester.makepyfile("\n".join(code))
    result = run(pytester)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["1 found what is expected of them"])


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("steps=3", "it has no 'steps': there are executions"),
        ("3", "it takes keywords only, and has 3"),
        ("executions=0", "executions is 0: it is a number from 1"),
        ("executions=True", "executions is True"),
        ("seconds=-1", "-1 seconds shows nothing"),
        ("seconds=1, blocks=2", "blocks are shares of executions"),
        ("strategy='luck'", "no strategy is named 'luck'"),
        ("design='suond'", "no design is named 'suond'; the nearest is 'sound'"),
        ("expect={'deadlok'}", "no verdict is named 'deadlok'"),
    ],
)
def test_what_a_marker_cannot_say(pytester: pytest.Pytester, said: str, told: str) -> None:
    pytester.makepyfile(TESTS + f"@hunt({said})\ndef test_it():\n    return Scenario(actors=AB)\n")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:xdist")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"test_it: marker z3fold_stress: *{told}*"])
    assert "Traceback" not in result.stdout.str()


@pytest.mark.parametrize(
    ("how", "args"), [("failed", ()), ("skipped", ("-o", "hunt_inconclusive=skip"))]
)
def test_no_pass_without_evidence(
    pytester: pytest.Pytester, how: str, args: tuple[str, ...]
) -> None:
    pytester.makepyfile(
        TESTS
        + """
@hunt(max_steps=100)
def test_cut():
    return Scenario(actors={"a": [op.repeat(300, SAFE)], "b": SAFE})
"""
    )
    result = run(pytester, "-rs", *args)
    result.assert_outcomes(**{how: 1})
    result.stdout.fnmatch_lines(
        ["*inconclusive: 1,500 of 1,500 executions were cut at the step limit*"]
    )
    result.stdout.fnmatch_lines(
        [
            "inconclusive: *::test_cut",
            "degraded: cut, sound: * executions were cut at 100 steps*",
        ]
    )


def test_a_set_up_that_fails_is_found() -> None:
    setup = [op.set("r", 1), op.expect("r", "==", 2, "no way")]
    scenario = Scenario(name="never", setup=setup, actors={"a": [op.set("r", 1)]})
    settings = Settings(1, "r")
    (plan,) = plans(scenario, settings)
    record, text = pursue(plan, settings)
    assert (record.outcome, record.executions) == ("bad", 0)
    assert "the set-up fails by itself: invariant" in text
    (plan,) = plans(replace(scenario, expect={"invariant"}), settings)
    assert pursue(plan, settings)[0].outcome == "good"


# Usage


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--hunt-seed=x"], "--hunt-seed: 'x' is no whole number"),
        (["--hunt-seed=-1"], "--hunt-seed: -1 is out of range"),
        (["--hunt-executions=0"], "--hunt-executions: 0 is out of range"),
        (["--hunt-seconds=nan"], "--hunt-seconds: nan seconds show nothing"),
        (["--hunt-seconds=soon"], "--hunt-seconds: 'soon' is no number"),
        (["--hunt-design=suond"], "--hunt-design: no design is named 'suond'"),
        (["--hunt-design=sound+x"], "--hunt-design: no defect is named 'x'"),
        (["--hunt-strategy=luck"], "--hunt-strategy: no strategy is named 'luck'"),
        (["--hunt-save=file/x"], "--hunt-save: */file is no folder"),
        (["--hunt-store=file"], "--hunt-store: */file*"),
        (["--hunt-inconclusive=shrug"], "--hunt-inconclusive: 'shrug' is none of fail"),
        (["-o", "hunt_seed=y"], "ini setting hunt_seed: 'y' is no whole number"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_what_an_option_cannot_be(pytester: pytest.Pytester, args: list[str], told: str) -> None:
    pytester.path.joinpath("file").write_text("neither a folder nor a store")
    with pytest.raises(pytest.UsageError) as caught:
        settle(pytester.parseconfig(*args))
    pytest.LineMatcher([str(caught.value)]).fnmatch_lines([f"{told}*"])


def test_a_usage_error_ends_the_run(pytester: pytest.Pytester) -> None:
    result = run(pytester, "-n2", "--hunt-design=suond")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in result.stderr.str() + result.stdout.str()
    result.stderr.fnmatch_lines(["ERROR: --hunt-design: no design is named 'suond'*"])


def test_the_command_line_wins_over_the_ini_file(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nhunt_seed = 5\nhunt_executions = 7\nhunt_save = found\n")
    settings = settle(pytester.parseconfig("--hunt-seed=6"))
    assert (settings.seed, settings.executions, settings.budget_typed) == (6, 7, False)
    assert settings.save == str(pytester.path / "found")
    assert settle(pytester.parseconfig("--hunt-seconds=2")).budget_typed


def test_what_fails_tests_is_counted_in_the_store(pytester: pytest.Pytester) -> None:
    """By all workers at once; a finding that was expected is no failure, and is not."""
    pytester.makepyfile(
        TESTS
        + """
@hunt
@pytest.mark.parametrize("number", range(4))
def test_abba(number):
    return Scenario(name="abba", actors=AB)

@pytest.mark.z3fold_stress(expect="deadlock")
def test_expected():
    return Scenario(name="expected", actors=AB)
"""
    )
    run(pytester, "-n2", "--hunt-store=found.db").assert_outcomes(failed=4, passed=1)
    kept = Store(pytester.path / "found.db").entries()
    assert kept
    assert {one.scenario for one in kept} == {"abba"}
    assert sum(one.origins["pytest"] for one in kept) >= 4
    run(pytester, "--hunt-store=off").assert_outcomes(failed=4, passed=1)
    assert Store(pytester.path / "found.db").entries() == kept


def test_a_store_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (scenario,) = load([load_path("abba")])
    folder = tmp_path / "file"
    folder.touch()
    lost = Settings(1, "r", store=str(folder / "found.db"))
    (plan,) = plans(replace(scenario, expect=()), lost)
    record, text = pursue(plan, lost)
    assert record.degraded[-1].startswith("a finding was not counted in the store: ")
    assert "zs1:" in text


def test_a_finding_that_cannot_be_saved_is_told(tmp_path: Path) -> None:
    (scenario,) = load([load_path("abba")])
    with World(scenario, resolve("sound")) as world:
        tally = explore_world(world, PORTFOLIO, budget=Budget(executions=100), seed=1)
        finding, _ = make_finding(world, tally.found[-1])
    path = hand_over(finding, Settings(1, "r", save=str(tmp_path)))
    assert load_finding(path) == finding
    assert [one.name for one in tmp_path.iterdir()] == [Path(path).name]
    assert hand_over(finding, Settings(1, "r")) == ""
    lost = Settings(1, "r", save=f"{path}/below")
    (plan,) = plans(replace(scenario, expect=()), lost)
    record, text = pursue(plan, lost)
    assert record.degraded[-1].startswith("a finding was not saved, it is told as a line: ")
    assert [load_finding(line.split()[-1]).verdict for line in text.splitlines() if "zs1:" in line]
