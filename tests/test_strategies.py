"""What holds of every strategy: it finds what is there and nothing else, follows from its seed,
and its schedules replay."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
from sampling import (
    BOTH,
    FOREVER,
    LOCKED_UPDATE,
    LOST_UPDATE,
    SOUND,
    execution,
    failures,
    numbered,
    outcomes,
    schedule_of,
    sharing,
    touching,
    world,
)

from z3fold_stress.explore.explorer import Budget, Status, explore
from z3fold_stress.explore.world import World
from z3fold_stress.scenario import Scenario, op
from z3fold_stress.verdicts import Verdict

SAMPLERS = ("random", "pct", "pos", "surw")
ALL = (*SAMPLERS, "dfs")
RETRY = {
    "one": [
        op.repeat(3, [op.load("y", "n"), op.when("n", "==", 0, touching("x", 2))]),
        *LOCKED_UPDATE,
        op.store("y", 1),
    ],
    "two": [*LOCKED_UPDATE, op.load("x", "n"), op.when("n", ">", 1, touching("y", 3))],
    "three": [op.trylock("L", "t"), op.when("t", [op.store("x", 3), op.unlock("L")])],
}
"""How long it is depends on the order, and which objects a task touches."""


@pytest.mark.parametrize("depth", [3, 10])
@pytest.mark.parametrize("strategy", SAMPLERS)
def test_an_execution_follows_from_its_seed_and_number(strategy: str, depth: int) -> None:
    """Whichever came before it, in this world or another, of this strategy or another."""
    numbers = (0, 1, 7, 63, 64, 100, 299)
    with world(RETRY) as here:
        here.simulator.begin(strategy, 5, depth=depth)
        every = outcomes(here, strategy, 1000, seed=5, depth=depth)
        sequence = [schedule_of(outcome) for outcome in islice(numbered(here, every), 300)]
        assert len(set(sequence)) > 50
        for number in reversed(numbers):
            for other in SAMPLERS:
                execution(here, other, number + 3, seed=6)
            again = execution(here, strategy, number, seed=5, depth=depth)
            assert schedule_of(again) == sequence[number], number
    for number in numbers:
        with world(RETRY) as here:
            alone = execution(here, strategy, number, seed=5, depth=depth)
        assert schedule_of(alone) == sequence[number], number


@pytest.mark.parametrize("strategy", SAMPLERS)
def test_an_execution_follows_from_its_seed_and_number_and_the_points(strategy: str) -> None:
    """Where accesses become points as they are seen to conflict, what was done before decides
    which they are; and nothing else."""

    def after(warm: str, number: int) -> tuple[Any, int]:
        with World(ALLOCATOR, SOUND) as here:
            here.simulator.begin(warm, 9)
            here.simulator.explore(12_000, FOREVER)
            before = here.simulator.totals()["promoted"]
            outcome = execution(here, strategy, number, seed=5)
            assert here.simulator.totals()["promoted"] == before, "no more were found"
            return schedule_of(outcome), before

    for number in (0, 9, 200):
        seen = {after(warm, number) for warm in ("random", "pos", "surw")}
        assert len({points for _, points in seen}) == len(seen) == 1


def test_profiling_executions_are_judged() -> None:
    """They have no number, but count as executions, and what they find is found."""
    wrong = {"a": [op.store("x", 1)], "b": [op.load("x", "r"), op.expect("r", "==", 2, "never")]}
    for strategy in ("pct", "surw"):
        with world(wrong) as here:
            here.simulator.begin(strategy, 1)
            assert here.simulator.explore(10, FOREVER) == "found"
            totals = here.simulator.totals()
        assert (totals["executions"], totals["execution"]) == (1, 0)


@pytest.mark.parametrize("strategy", ALL)
def test_finds_what_is_there(strategy: str) -> None:
    with world({"one": LOST_UPDATE, "two": LOST_UPDATE}, finish=BOTH) as here:
        here.simulator.begin(strategy, 3, depth=2)
        assert here.simulator.explore(1000, FOREVER) == "found"
        found = here.simulator.outcome()
        assert here.verdict(found) is Verdict.INVARIANT
        again = here.simulator.replay(found["schedule"], strict=True)
    assert here.verdict(again) is Verdict.INVARIANT
    assert again["clocks"] == found["clocks"]
    assert again["unused"] == 0


@pytest.mark.parametrize("strategy", ALL)
def test_each_schedule_replays(strategy: str) -> None:
    """Also where the switch is at the end of a task, and not before its last operation."""
    with world(sharing(2, 2, 2)) as here:
        for outcome in list(outcomes(here, strategy, 60, depth=1)):
            again = here.simulator.replay(outcome["schedule"], strict=True)
            for same in ("schedule", "steps", "switches", "preemptions", "clocks"):
                assert again[same] == outcome[same]


@pytest.mark.parametrize("strategy", ALL)
def test_finds_a_deadlock(strategy: str) -> None:
    ab = [op.lock("A"), op.lock("B"), op.unlock("B"), op.unlock("A")]
    ba = [op.lock("B"), op.lock("A"), op.unlock("A"), op.unlock("B")]
    with world({"ab": ab, "ba": ba}) as here:
        seen = outcomes(here, strategy, 1000, depth=2)
        assert any(here.verdict(outcome) is Verdict.DEADLOCK for outcome in seen)


@pytest.mark.parametrize("strategy", ALL)
def test_finds_nothing_in_what_is_right(strategy: str) -> None:
    with world({"one": LOCKED_UPDATE, "two": LOCKED_UPDATE}, finish=BOTH) as here:
        here.simulator.begin(strategy, 3, depth=2)
        stop = here.simulator.explore(2000, FOREVER)
        assert stop == ("exhausted" if strategy == "dfs" else "executions")
        assert here.simulator.totals()["limited"] == 0


ALLOCATOR = Scenario(
    setup=[op.alloc("a", 1200), op.fill("a")],
    actors={
        "user": [op.map("a"), op.check("a"), op.unmap("a"), op.free("a")],
        "migrator": [op.migrate_pages(op.page_of("a"))],
        "kworker": [op.kworker("compact")],
    },
)


@pytest.mark.parametrize("strategy", SAMPLERS)
def test_nobody_starves_in_the_allocator(strategy: str) -> None:
    """Its loops of tries wait for each other: who never lets others go on finds a livelock."""
    with World(ALLOCATOR, SOUND) as here:
        here.simulator.begin(strategy, 3)
        assert here.simulator.explore(1500, FOREVER) == "executions", here.simulator.outcome()
        assert here.simulator.totals()["limited"] == 0


@pytest.mark.parametrize("strategy", SAMPLERS)
def test_a_seed_is_a_sequence_of_executions(strategy: str) -> None:
    def sequence(seed: int) -> list[Any]:
        with world(sharing(4, 4, 4)) as here:
            return [schedule_of(each) for each in outcomes(here, strategy, 40, seed=seed)]

    first = sequence(5)
    assert sequence(5) == first
    assert sequence(6) != first
    assert len(set(first)) > 10


@pytest.mark.parametrize("strategy", ALL)
def test_injected_failures_are_searched(strategy: str) -> None:
    """One may fail, and never two."""
    tries = [
        *(op.trylock("L", "got"), op.when("got", [op.unlock("L")])),
        *(op.trylock("M", "too"), op.when("too", [op.unlock("M")])),
        op.add("got", "too"),
    ]
    for least, found in ((2, True), (1, False)):
        actors = {"a": [*tries, op.expect("got", ">=", least, "taken")], "b": touching("x", 1)}
        with world(actors, faults={"trylock": 1}) as here:
            seen = list(outcomes(here, strategy, 500, depth=-1 if strategy == "dfs" else 3))
            assert any(each["verdict"] for each in seen) is found
            failed = [sum(0 < choice[2] < 32 for choice in each["schedule"]) for each in seen]
            assert set(failed) == {0, 1}


@pytest.mark.parametrize("strategy", ALL)
def test_deaths_are_searched(strategy: str) -> None:
    actors = {"mortal": LOCKED_UPDATE, "other": LOCKED_UPDATE}
    with world(actors, deaths=["mortal"]) as here:
        seen = list(outcomes(here, strategy, 400, depth=2))
        verdicts = {here.verdict(outcome) for outcome in seen}
        dead = {here.simulator.totals()["deaths"] > 0}
    assert verdicts == {None, Verdict.ORPHANED_LOCK}
    assert dead == {True}
    with world(actors) as here:
        assert failures(here, strategy, 200, depth=2) == 0


@pytest.mark.parametrize("strategy", ["portfolio", *ALL])
def test_explore_by_name(strategy: str) -> None:
    lost = Scenario(actors={"one": LOST_UPDATE, "two": LOST_UPDATE}, finish=BOTH, name="lost")
    tally = explore(
        lost,
        SOUND,
        strategy=strategy,
        budget=Budget(executions=2000),
        races=False,
        every_access=True,
    )
    assert tally.status is Status.FOUND
    assert tally.verdicts == {Verdict.INVARIANT}
