"""How large a replay is: of two findings of one failure the smaller is simpler to read."""

from __future__ import annotations

from typing import NamedTuple

from z3fold_stress._vocabulary import Decision
from z3fold_stress.findings.evidence import Schedule
from z3fold_stress.findings.finding import Finding
from z3fold_stress.scenario import Scenario

__all__ = ["START", "Size", "operations", "size_of", "switches"]

START = Decision.DECIDE_START
"""The decision of an intervention that only says who begins."""


class Size(NamedTuple):
    """Ordered: fewest switches first, then fewest operations."""

    switches: int
    """Interventions of all its schedules, without who begins."""
    operations: int


def operations(scenario: Scenario) -> int:
    return sum(len(ops) for ops in (scenario.setup, *scenario.actors.values(), scenario.finish))


def switches(schedule: Schedule) -> int:
    return sum(decision != START for _, _, decision, _ in schedule)


def size_of(finding: Finding) -> Size:
    schedules = (*finding.lead, finding.schedule)
    return Size(sum(map(switches, schedules)), operations(finding.scenario))
