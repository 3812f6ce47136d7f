"""How simple a replay is: the one order that the store and the shrinker share."""

from __future__ import annotations

import json
from typing import NamedTuple

from z3fold_stress._vocabulary import Decision
from z3fold_stress.findings.evidence import Schedule
from z3fold_stress.findings.finding import Finding
from z3fold_stress.scenario import Scenario
from z3fold_stress.scenario.scenario import ARENA
from z3fold_stress.scenario.value import walk

__all__ = ["START", "Size", "operations", "size_of", "sort_key", "switches"]

START = Decision.DECIDE_START
"""The decision of an intervention that only says who begins."""

_WORDED = frozenset(("value", "expected", "new", "n", "first"))
"""Arguments that are values of the program, not amounts of something."""


class Size(NamedTuple):
    """What counts most, in this order."""

    switches: int
    """Interventions of all its schedules, without who begins."""
    operations: int
    """Those inside blocks, and the blocks, included."""


def operations(scenario: Scenario) -> int:
    programs = (scenario.setup, *scenario.actors.values(), scenario.finish)
    return sum(1 for ops in programs for _ in walk(ops))


def switches(schedule: Schedule) -> int:
    return sum(decision != START for _, _, decision, _ in schedule)


def size_of(finding: Finding) -> Size:
    schedules = (*finding.lead, finding.schedule)
    return Size(sum(map(switches, schedules)), operations(finding.scenario))


def sort_key(scenario: Scenario, schedule: Schedule) -> tuple[int | str, ...]:
    """The smaller, the simpler; total: two replays with one key are the same.

    First what a reader has to follow (switches, operations, actors), then what may go wrong by
    choice (deaths, failures), then amounts (loops, sizes, values at the start, places); at last
    anything, so that no two are alike.
    """
    programs = (scenario.setup, *scenario.actors.values(), scenario.finish)
    amounts = [
        value
        for ops in programs
        for op in walk(ops)
        for name, value in op.named.items()
        if isinstance(value, int) and not isinstance(value, bool) and name not in _WORDED
    ]
    arena = {name: value for name, value in scenario.arena.items() if name != "cpus"}
    text = json.dumps([scenario.to_json(), schedule], sort_keys=True)
    return (
        switches(schedule),
        operations(scenario),
        len(scenario.actors),
        len(scenario.deaths["actors"])
        + scenario.deaths["budget"] * bool(scenario.deaths["actors"]),
        sum(scenario.faults.values()),
        sum(amounts),
        sum(map(abs, scenario.words.values())),
        sum(scenario.cpus.values()),
        sum(value != ARENA[name] for name, value in arena.items()),
        len(schedule),
        sum(clock for _, clock, _, _ in schedule),
        len(text),
        text,
    )
