"""Small scenarios looked at by the sim world."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from z3fold_stress import _sim
from z3fold_stress.designs import Design, resolve
from z3fold_stress.explore.explorer import Budget, Exploration, Status, explore
from z3fold_stress.explore.world import World
from z3fold_stress.scenario import Op, Scenario, op
from z3fold_stress.verdicts import Verdict

SOUND = resolve("sound")
FOREVER = 10**15
DIES = 32
"""Of a choice; below are failures, 1 + the number of the kind, and 0 is a switch."""


PASSED = (Status.CLEAN, Status.COMPLETE)
"""Where the space is small the portfolio sees all of it."""


Actors = Mapping[str, Sequence[Op]]
Outcome = dict[str, Any]


def look(
    actors: Actors | Scenario,
    design: Design = SOUND,
    *,
    executions: int = 2000,
    races: bool = True,
    every_access: bool = False,
    most: int = 1,
    max_steps: int = 20_000,
    strategy: str = "portfolio",
    **fields: Any,
) -> Exploration:
    """Explore with a budget in executions."""
    scenario = actors if isinstance(actors, Scenario) else Scenario(actors=actors, **fields)
    return explore(
        scenario,
        design,
        strategy=strategy,
        budget=Budget(executions=executions),
        seed=1,
        most=most,
        races=races,
        every_access=every_access,
        max_steps=max_steps,
    )


def told(tally: Exploration, verdict: Verdict) -> dict[str, Any]:
    """The engine's words for a verdict that was found."""
    (found,) = [found for found in tally.found if found.verdict is verdict]
    said: dict[str, Any] = found.outcome["verdict"]
    return said


def outcomes(world: World, strategy: str, executions: int, **parameters: Any) -> Iterator[Outcome]:
    """What each of so many executions showed."""
    world.simulator.begin(strategy, 1, **parameters)
    for _ in range(executions):
        if world.simulator.explore(1, FOREVER) == "exhausted":
            return
        yield world.simulator.outcome()


def first(world: World, verdict: Verdict, words: str = "") -> Outcome:
    """The first execution that shows this verdict, told with these words."""
    for strategy in ("random", "pos", "pct"):
        for outcome in outcomes(world, strategy, 4000):
            said = outcome["verdict"] or {"where": "", "text": ""}
            if world.verdict(outcome) is verdict and words in (said["where"] + said["text"]):
                return outcome
    raise AssertionError(f"no execution shows {verdict} {words}")


def word_at(world: World, word: str) -> int:
    """Where a word lies."""
    scratch: int = _sim.fields()["arena"][1]["scratch"][0]
    return scratch + 64 * world.compiled.words.index(word)


def under(word: str, *ops: Op) -> list[Op]:
    return [op.lock(word), *ops, op.unlock(word)]
