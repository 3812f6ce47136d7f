"""Executions of a strategy, and whether they come as often as they should."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import factorial
from typing import Any

from z3fold_stress.designs import resolve
from z3fold_stress.explore.world import World
from z3fold_stress.scenario import Op, Scenario, op

SOUND = resolve("sound")
FOREVER = 10**15
Outcome = dict[str, Any]


def world(actors: Mapping[str, Sequence[Op]], **fields: Any) -> World:
    """Each access is a point, and races are no verdict: the programs here race on purpose."""
    fields.setdefault("finish", [])
    return World(Scenario(actors=actors, **fields), SOUND, races=False, every_access=True)


def outcomes(
    here: World, strategy: str, executions: int, seed: int = 1, **parameters: Any
) -> Iterator[Outcome]:
    """What each execution showed, until there are so many or the strategy has no more."""
    here.simulator.begin(strategy, seed, **parameters)
    for _ in range(executions):
        if here.simulator.explore(1, FOREVER) == "exhausted":
            return
        yield here.simulator.outcome()


def schedule_of(outcome: Outcome) -> tuple[tuple[int, ...], ...]:
    return tuple(outcome["schedule"])


def failures(here: World, strategy: str, executions: int, **parameters: Any) -> int:
    """How many of so many executions ended with a verdict."""
    found = outcomes(here, strategy, executions, **parameters)
    return sum(outcome["verdict"] is not None for outcome in found)


def touching(word: str, times: int) -> list[Op]:
    return [op.store(word, n + 1) for n in range(times)]


def sharing(*times: int) -> dict[str, list[Op]]:
    """Tasks that only touch one word, so many times each."""
    return {f"task{n}": touching("x", each) for n, each in enumerate(times)}


def interleavings(*times: int) -> int:
    cases = factorial(sum(times))
    for each in times:
        cases //= factorial(each)
    return cases


LOST_UPDATE = [op.load("x", "n"), op.add("n", 1), op.store("x", "n")]
LOCKED_UPDATE = [op.lock("L"), *LOST_UPDATE, op.unlock("L")]
BOTH = [op.load("x", "n"), op.expect("n", "==", 2, "both additions are there")]


def numbered(here: World, executions: Iterator[Outcome]) -> Iterator[Outcome]:
    """Those that are not there to profile the program."""
    before = 0
    for outcome in executions:
        now = here.simulator.totals()["execution"]
        if now != before:
            yield outcome
        before = now


def execution(here: World, strategy: str, number: int, seed: int = 1, depth: int = 3) -> Outcome:
    """The execution of this number, and no other before it but those that profile the program."""
    here.simulator.begin(strategy, seed, number, depth)
    while here.simulator.totals()["execution"] == number:
        here.simulator.explore(1, FOREVER)
    outcome: Outcome = here.simulator.outcome()
    return outcome
