"""Executions done twice, to see that nothing but the schedule decides what they do.

Some random executions, then each again by its schedule, then all once more from the last to the
first.  Whatever an execution depends on must be in the arena, which each begins with anew: what
lived elsewhere would be there the second time, or would come from another predecessor.  Never
judges what an execution shows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from z3fold_stress.explore.world import World
from z3fold_stress.layout import Layout

__all__ = ["Differing", "twice"]

FOREVER = 10**15
"""Nanoseconds."""


@dataclass(frozen=True, slots=True)
class Differing:
    """An execution that was not the same twice."""

    execution: int
    before: tuple[Any, ...]
    after: tuple[Any, ...]


def _shown(outcome: dict[str, Any]) -> tuple[Any, ...]:
    verdict = outcome["verdict"] or {}
    return outcome["ending"], verdict.get("kind"), verdict.get("where"), verdict.get("text")


def _again(world: World, schedule: Any) -> tuple[Any, ...]:
    """What a replay shows: its end, its events, and the memory that it leaves."""
    outcome = world.simulator.replay(schedule, False, 1)
    layout = Layout(world.simulator.memory)
    memory = hashlib.sha256(layout.buffer[: layout.arena("tasks")]).hexdigest()
    return *_shown(outcome), outcome["hash"], memory


def twice(world: World, executions: int, seed: int) -> list[Differing]:
    """Those that differ, of so many."""
    simulator = world.simulator
    schedules, first = [], []
    for number in range(executions):
        simulator.begin("random", seed, number)
        if simulator.explore(1, FOREVER) == "exhausted":
            break
        outcome = simulator.outcome()
        if outcome["ending"] == "steps":
            continue  # where it was cut is no part of its schedule
        schedules.append(outcome["schedule"])
        first.append(_shown(outcome))
    forwards = [_again(world, schedule) for schedule in schedules]
    backwards = [_again(world, schedule) for schedule in reversed(schedules)][::-1]
    return [
        Differing(number, before, after)
        for number, (shown, before, after) in enumerate(
            zip(first, forwards, backwards, strict=True)
        )
        if before != after or shown != before[: len(shown)]
    ]
