"""The museum: every known fault, found again, and every cure shown to hold.

A scenario is a piece of the museum.  With its defect set (and those that it needs to bite) one of
the expected verdicts must come; without it, nothing may.  A textbook piece has no defect: what it
expects must come, and where it expects nothing, nothing may.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from z3fold_stress import stopping
from z3fold_stress.campaign.crew import CrewError, run_jobs
from z3fold_stress.defects import DEFECTS
from z3fold_stress.designs import Design, resolve
from z3fold_stress.explore.explorer import Budget, Exploration, Status, explore_world
from z3fold_stress.explore.portfolio import PORTFOLIO
from z3fold_stress.explore.world import World
from z3fold_stress.findings.finding import make_finding
from z3fold_stress.findings.shrink import shrink_schedule
from z3fold_stress.scenario import Scenario

__all__ = ["CONTROL", "FIND", "Exhibit", "Museum", "as_expected", "bent", "museum"]

FIND = Budget(executions=400_000, seconds=20.0)
CONTROL = Budget(executions=1500)
SHRINK_SECONDS = 1.0


@dataclass(slots=True)
class Exhibit:
    """One piece: what was found of it."""

    scenario: str
    defect: str
    expected: list[str]
    found: str = ""
    strategy: str = ""
    executions: int = 0
    seconds: float = 0.0
    switches: int | None = None
    """Interventions that are left after shrinking."""
    control: str = ""
    """Without the defect: ``clean``, or what came up."""
    control_executions: int = 0

    @property
    def good(self) -> bool:
        return as_expected(self.expected, self.found) and self.control in ("clean", "-")

    def to_json(self) -> dict[str, Any]:
        return {
            "scenario": self.scenario,
            "defect": self.defect or None,
            "expected": self.expected,
            "found": self.found or None,
            "as_expected": self.good,
            "strategy": self.strategy or None,
            "executions": self.executions,
            "seconds": round(self.seconds, 3),
            "switches": self.switches,
            "control": self.control,
            "control_executions": self.control_executions,
        }


@dataclass(slots=True)
class Museum:
    """All of it."""

    asked: int
    exhibits: list[Exhibit] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False
    error: str = ""
    """Why it ended early, other than by request."""

    @property
    def good(self) -> bool:
        return len(self.exhibits) == self.asked and all(piece.good for piece in self.exhibits)


def bent(scenario: Scenario, base: str = "sound") -> Design:
    """The design in which a scenario shows its defects: they, and those that they need to bite."""
    needs = [name for defect in scenario.shows for name in DEFECTS[defect].needs]
    return resolve(base, [*scenario.shows, *needs])


def as_expected(expected: Collection[str], found: str) -> bool:
    """Whether what was found (empty: nothing) is what the scenario expects."""
    return found in expected if expected else not found


def _explored(world: World, budget: Budget, **stop: Any) -> Exploration:
    tally = explore_world(world, PORTFOLIO, budget=budget, seed=1, **stop)
    if tally.interrupted:
        raise KeyboardInterrupt
    return tally


def _show(scenario: Scenario) -> Exhibit:
    defect = scenario.shows[0] if scenario.shows else ""
    piece = Exhibit(scenario.name, defect, sorted(scenario.expect))
    with World(scenario, bent(scenario)) as world:
        if not scenario.expect:
            tally = _explored(world, CONTROL)
            piece.found = ", ".join(sorted(tally.verdicts))
            piece.executions, piece.seconds, piece.control = tally.executions, tally.seconds, "-"
            if tally.status is Status.INCONCLUSIVE:
                piece.control = "inconclusive"
            return piece
        tally = _explored(world, FIND, wanted=scenario.expect, most=9)
        piece.executions, piece.seconds = tally.executions, tally.seconds
        if tally.failed_setup is not None:
            piece.found, piece.strategy, piece.switches = tally.found[0].verdict, "setup", 0
        else:
            right = [found for found in tally.found if found.verdict in scenario.expect]
            if right:
                best = right[0]
                finding, _ = make_finding(world, best, seed=1)
                piece.found, piece.strategy = best.verdict, best.arm.name
                piece.executions, piece.seconds = best.execution, best.seconds
                if finding.repeated:
                    piece.switches = shrink_schedule(world, finding, seconds=SHRINK_SECONDS)
                else:
                    piece.found += " (did not repeat)"
            elif tally.found:
                piece.found = ", ".join(sorted(tally.verdicts))
    piece.control = "-"
    if defect:
        _control(scenario, piece)
    return piece


def _control(scenario: Scenario, piece: Exhibit) -> None:
    """The same with the correct protocol."""
    with World(scenario, resolve("sound")) as world:
        tally = _explored(world, CONTROL)
    piece.control_executions = tally.executions
    piece.control = ", ".join(sorted(tally.verdicts)) or str(tally.status)
    if tally.status is Status.COMPLETE:
        piece.control = "clean"


def museum(
    scenarios: Sequence[Scenario],
    *,
    processes: int,
    tell: Callable[[Museum, Exhibit], None] | None = None,
) -> Museum:
    """Show all pieces; see Museum.good."""
    began = time.monotonic()
    result = Museum(len(scenarios))
    try:
        with stopping.interruptible():
            for _, piece in run_jobs(_show, scenarios, processes):
                with stopping.undisturbed():
                    result.exhibits.append(piece)
                    if tell is not None:
                        tell(result, piece)
    except KeyboardInterrupt:
        result.interrupted = True
    except CrewError as error:
        result.error = str(error)
    order = {scenario.name: number for number, scenario in enumerate(scenarios)}
    result.exhibits.sort(key=lambda piece: order[piece.scenario])
    result.seconds = time.monotonic() - began
    return result
