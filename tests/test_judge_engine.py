"""The engine's exhaustive searches and the judge (test_judge.py) agree, both ways, on programs
made up from a seed; on programs of the allocator the searches agree with each other. The same for
many more programs: ``python -m judge``, from this directory.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from judge import allocator, compare, generate, shrink
from judge.compare import Question
from judge.program import program_of
from judge.ratio import MOST_RATIO, Ratio, measure
from judge.search import TooLarge, ask

from z3fold_stress import Scenario, op
from z3fold_stress.scenario.library import load_file

HERE = Path(__file__).parent


def test_words() -> None:
    tally = compare.Tally()
    for number in range(150):
        try:
            compare.compare(generate.generate(9, number), tally, 2000)
        except TooLarge:
            continue
    assert not tally.disagreements, "\n".join(map(str, tally.disagreements))
    assert tally.programs > 140
    assert tally.found > 300
    assert tally.searches - tally.found - tally.cut > 300


def test_allocator() -> None:
    tally = allocator.Tally()
    for number in range(16):
        allocator.compare(allocator.generate(1, number), tally, bool(number % 3), 400)
    assert not tally.contradictions, "\n".join(map(str, tally.contradictions))
    assert tally.checked > 8
    assert tally.found > 1


def test_executions_for_each_class() -> None:
    ratio = Ratio()
    for number in range(150):
        measure(generate.generate(3, number), ratio)
    print(ratio)
    assert ratio.programs > 100
    assert ratio.average <= MOST_RATIO, ratio


# The comparison itself: it complains when there is reason to.


def asked(possible: set[str], *, races: bool = True) -> Question:
    racy = {"a": [op.store("w", 1)], "b": [op.store("w", 2)]}
    return Question("x", Scenario(actors=racy, finish=[]), races, frozenset(possible))


@pytest.mark.parametrize(
    ("possible", "races", "says"),
    [
        ({"data-race"}, True, None),
        ({"data-race", "deadlock"}, True, None),
        (set(), True, "found data-race"),
        ({"deadlock"}, True, "found data-race"),
        (set(), False, None),
        ({"invariant"}, False, "complete after 2 executions"),
    ],
)
def test_a_wrong_answer_is_seen(possible: set[str], races: bool, says: str | None) -> None:
    question = asked(possible, races=races)
    assert compare.complaint(question, compare.search(question, "dfs", True)) == says


def test_a_search_without_an_end_is_no_claim() -> None:
    adds = {name: [op.fetch_add("w", 1)] * 4 for name in "abcd"}
    question = Question("x", Scenario(actors=adds, finish=[]), True, frozenset({"deadlock"}))
    assert compare.complaint(question, compare.search(question, "dfs", True, 100)) is None


def test_each_final_state_is_asked_for() -> None:
    adds = {"a": [op.load("w", "r", "relaxed"), op.store("v", "r")], "b": [op.fetch_add("w", 1)]}
    scenario = Scenario(actors=adds, finish=[])
    answer = ask(program_of(scenario))
    made = {one.about: one for one in compare.questions(scenario, answer, ())}
    assert {"final state w=1, v=0", "final state w=1, v=1", "other final states"} <= set(made)
    for about, one in made.items():
        verdicts = ask(program_of(one.scenario)).verdicts
        assert verdicts == one.possible, about
        if about == "other final states":
            wrong = {"a": adds["a"], "b": [op.fetch_add("w", 2)]}
            other = Scenario(actors=wrong, finish=one.scenario.finish)
            assert ask(program_of(other)).verdicts == {"invariant"}


def test_searches_that_contradict_each_other() -> None:
    """Made to: one is asked about less than the other."""
    race = Scenario(actors={"a": [op.store("w", 1)], "b": [op.store("w", 2)]}, finish=[])
    blind = allocator.search(race, "dfs", True, races=False, most=100)
    seeing = allocator.search(race, "dpor", True, races=True, most=100)
    assert blind.complete
    assert not seeing.complete
    assert allocator.found_by(seeing.exploration) == {"data-race"}


def test_what_is_shrunk_still_shows_it_and_can_be_written_down(tmp_path: Path) -> None:
    scenario = Scenario(
        setup=[op.alloc("o", 600)],
        actors={
            "a": [op.set("r", 1), op.repeat(2, [op.when("r", [op.store("w", 1), op.wake("s")])])],
            "b": [op.fetch_add("v", 1), op.load("w", "r"), op.migrate_pages(op.page_of("o"))],
            "c": [op.lock("L"), op.unlock("L")],
        },
        words={"w": 3},
        faults={"page": 1},
    )

    def shows(one: Scenario) -> bool:
        return "store w 1" in str(one.actors) and "load w -> r" in str(one.actors)

    least = shrink.shrink(scenario, shows)
    assert dict(least.actors) == {"a": (op.store("w", 1),), "b": (op.load("w", "r"),)}
    assert (least.setup, least.words, least.faults) == ((), {}, {})
    for number, one in enumerate((scenario, least, *map(allocator_of, range(30)))):
        path = tmp_path / f"s{number}.py"
        path.write_text(shrink.text_of(one, one.story), encoding="utf-8")
        (again,) = load_file(path)
        assert again.content_hash() == one.content_hash()


def allocator_of(number: int) -> Scenario:
    return allocator.generate(4, number)


def test_the_command() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "judge", "words", "--programs", "3", "--features", "atomics"],
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "3 programs (0 too large for the judge)" in told.stdout, told.stderr


@pytest.mark.soak
def test_a_hundred_thousand_programs() -> None:
    tally = compare.Tally()
    large = 0
    for number in range(100_000):
        try:
            compare.compare(generate.generate(1, number), tally, 5_000)
        except TooLarge:
            large += 1
    print(tally.programs, "programs,", large, "too large,", tally.searches, "searches")
    assert not tally.disagreements, "\n".join(map(str, tally.disagreements[:20]))


@pytest.mark.soak
def test_an_hour_of_the_allocator() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "judge", "allocator", "--programs", "1000000", "--seconds", "3600"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    print(told.stdout)
    assert told.returncode == 0, told.stdout + told.stderr
