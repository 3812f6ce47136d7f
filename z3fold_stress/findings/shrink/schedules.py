"""Makes a schedule short: ddmin (Zeller) over its interventions, then single ones until none can
go, then as the engine writes it.

What fails is asked of the shrinker.  Also carries a schedule over to a scenario of fewer actors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from z3fold_stress._vocabulary import NO_TASK
from z3fold_stress.findings.evidence import Schedule

__all__ = ["renumbered", "shortest"]

BEGINNING = NO_TASK
"""The task of an intervention before any has run."""


def shortest(
    schedule: Schedule, fails: Callable[[Schedule], bool], over: Callable[[], bool]
) -> Schedule:
    """``fails``: whether it still shows the failure; ``over``: whether the time is used up."""
    schedule = _ddmin(schedule, fails, over)
    changed = True
    while changed and not over():
        changed = False
        for i in range(len(schedule)):
            fewer = schedule[:i] + schedule[i + 1 :]
            if fails(fewer):
                schedule, changed = fewer, True
                break
    return schedule


def _ddmin(
    schedule: Schedule, fails: Callable[[Schedule], bool], over: Callable[[], bool]
) -> Schedule:
    parts = 2
    while len(schedule) >= 2 and not over():
        size = max(1, len(schedule) // parts)
        for start in range(0, len(schedule), size):
            fewer = schedule[:start] + schedule[start + size :]
            if fails(fewer):
                schedule = fewer
                parts = max(parts - 1, 2)
                break
        else:
            if size == 1:
                break
            parts = min(parts * 2, len(schedule))
    return schedule


def renumbered(schedule: Schedule, old: Sequence[str], new: Sequence[str]) -> Schedule:
    """For the actors ``new``, some of ``old``: without the interventions of those that are gone."""
    number = {old.index(name): new.index(name) for name in new}
    number[BEGINNING] = BEGINNING
    return tuple(
        (number[task], clock, decision, number[to])
        for task, clock, decision, to in schedule
        if task in number and to in number
    )
