"""Makes a failure small: fewest operations, then actors, then switches; and names the flip pair.

A total order of simplicity, as Hypothesis has: fewer operations, fewer interventions, fewer
preemptions.  Every step is checked by doing it: only the same signature counts.  Interventions are
removed by ddmin (Zeller); operations one by one, with a search for a schedule of the smaller
scenario where the old one no longer fits (what a removal shifts, a few executions find again).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from z3fold_stress.errors import ScenarioError
from z3fold_stress.explore.explorer import Budget, explore_world
from z3fold_stress.explore.portfolio import Arm
from z3fold_stress.explore.world import World
from z3fold_stress.findings.evidence import Evidence, Schedule, gather
from z3fold_stress.findings.finding import Finding, finding_of, world_of
from z3fold_stress.findings.size import START, operations, switches
from z3fold_stress.scenario import Op, Scenario

__all__ = ["Flip", "Shrunk", "shrink", "shrink_schedule"]

SEARCH = Budget(executions=3000, seconds=0.5)
"""What a scenario with an operation less may cost before it is taken not to fail."""
SEARCH_ARMS = (Arm("dfs", depth=0), Arm("dfs", depth=1), Arm("random"), Arm("dfs", depth=2))
SERIAL = 200
"""Executions that tell whether an interruption is needed at all."""
CONFIRMATIONS = 10


@dataclass(frozen=True, slots=True)
class Flip:
    """The last intervention without which all goes well: two steps whose order decides."""

    task: str
    clock: int
    to: str
    without: str
    """What happens when it is left out."""


@dataclass(frozen=True, slots=True)
class Shrunk:
    finding: Finding
    evidence: Evidence
    flip: Flip | None
    operations: tuple[int, int]
    """Before and after; likewise below."""
    actors: tuple[int, int]
    interventions: tuple[int, int]
    tried: int
    """Candidates that were looked at."""
    finished: bool
    """False: the time was used up, and more may be possible."""


class _Shrinker:
    def __init__(self, finding: Finding, deadline: float) -> None:
        self.finding = finding
        self.signature = finding.signature
        self.deadline = deadline
        self.tried = 0
        self.serial = False  # whether it fails when nobody is interrupted

    def fails_serially(self, world: World) -> bool:
        """Some order of whole programs, without a preemption, shows it already."""
        tally = explore_world(
            world,
            (Arm("dfs", depth=0),),
            budget=Budget(executions=SERIAL),
            wanted=frozenset({self.finding.verdict}),
            most=9,
        )
        return self.finding.verdict in tally.verdicts

    @property
    def over(self) -> bool:
        return time.monotonic() > self.deadline

    # schedules

    def fails(self, world: World, schedule: Schedule) -> bool:
        self.tried += 1
        outcome = world.simulator.replay(list(schedule), False, 1)
        if world.verdict(outcome) is not self.finding.verdict:
            return False
        return gather(world, schedule).signature == self.signature

    def schedule(self, world: World, schedule: Schedule) -> Schedule:
        """ddmin over interventions, then single ones until none can go."""
        schedule = self._ddmin(world, schedule)
        changed = True
        while changed and not self.over:
            changed = False
            for i in range(len(schedule)):
                fewer = schedule[:i] + schedule[i + 1 :]
                if self.fails(world, fewer):
                    schedule, changed = fewer, True
                    break
        return self._canonical(world, schedule)

    def _ddmin(self, world: World, schedule: Schedule) -> Schedule:
        parts = 2
        while len(schedule) >= 2 and not self.over:
            size = max(1, len(schedule) // parts)
            for start in range(0, len(schedule), size):
                fewer = schedule[:start] + schedule[start + size :]
                if self.fails(world, fewer):
                    schedule = fewer
                    parts = max(parts - 1, 2)
                    break
            else:
                if size == 1:
                    break
                parts = min(parts * 2, len(schedule))
        return schedule

    def _canonical(self, world: World, schedule: Schedule) -> Schedule:
        """As the engine writes it: what never came up is gone."""
        outcome = world.simulator.replay(list(schedule), False, 1)
        written = tuple(map(tuple, outcome["schedule"]))
        if len(written) <= len(schedule) and self.fails(world, written):
            return written
        return schedule

    # scenarios

    def scenario(self, scenario: Scenario, schedule: Schedule) -> tuple[Scenario, Schedule]:
        changed = True
        while changed and not self.over:
            changed = False
            for smaller in _smaller(scenario):
                if self.over:
                    break
                found = self._fails_somehow(smaller, schedule)
                if found is not None:
                    scenario, schedule, changed = smaller, found, True
                    break
        return scenario, schedule

    def _fails_somehow(self, scenario: Scenario, schedule: Schedule) -> Schedule | None:
        self.tried += 1
        try:
            world = world_of(self.finding, scenario)
        except ScenarioError:
            return None
        with world:
            if world.failed is not None:
                return None
            if not self.serial and self.fails_serially(world):
                return None  # it fails for another reason: nobody need interrupt
            if len(scenario.actors) == len(self.finding.scenario.actors) and self.fails(
                world, schedule
            ):
                return schedule
            tally = explore_world(
                world,
                SEARCH_ARMS,
                budget=SEARCH,
                seed=1,
                wanted=frozenset({self.finding.verdict}),
                most=4,
            )
            for found in tally.found:
                candidate: Schedule = tuple(map(tuple, found.outcome["schedule"]))
                if found.verdict is self.finding.verdict and self.fails(world, candidate):
                    return candidate
        return None


def _without(ops: Sequence[Op], i: int) -> tuple[Op, ...]:
    return tuple(ops[:i]) + tuple(ops[i + 1 :])


def _smaller(scenario: Scenario) -> Iterator[Scenario]:
    """Scenarios with one thing less, the largest cuts first; only those that make sense."""
    for changes in _cuts(scenario):
        try:
            yield replace(scenario, **changes)
        except (ScenarioError, ValueError):
            continue


def _cuts(scenario: Scenario) -> Iterator[dict[str, Any]]:
    """What to replace: actors, then pairs that belong together, then single operations."""
    actors = scenario.actors
    for name in actors:
        if len(actors) > 1:
            yield {
                "actors": {other: ops for other, ops in actors.items() if other != name},
                "cpus": {other: cpu for other, cpu in scenario.cpus.items() if other != name},
            }
    for name, ops in actors.items():
        for i, opening in enumerate(ops):
            for j in range(i + 1, len(ops)):
                if _pairs(opening, ops[j]) and len(ops) > 2:
                    yield {"actors": {**actors, name: _without(_without(ops, j), i)}}
        for i in range(len(ops) if len(ops) > 1 else 0):
            yield {"actors": {**actors, name: _without(ops, i)}}
    for field in ("setup", "finish"):
        ops = getattr(scenario, field)
        for i in range(len(ops)):
            yield {field: _without(ops, i)}


_BRACKETS = {
    "map": "unmap",
    "lock": "unlock",
    "isolate": "putback",
    "alloc": "free",
    "read_lock": "read_unlock",
    "write_lock": "write_unlock",
}


def _pairs(opening: Op, closing: Op) -> bool:
    """Two operations that go together, as a map and its unmap."""
    return _BRACKETS.get(opening.name) == closing.name


def shrink(finding: Finding, *, seconds: float = 20.0) -> Shrunk:
    """The smallest failure with the same signature that was found in the time.

    Verified ten times at the end.  A lock-order finding, which several executions make, keeps
    its scenario: only its verdict is confirmed.
    """
    shrinker = _Shrinker(finding, time.monotonic() + seconds)
    scenario, schedule = finding.scenario, finding.schedule
    if not finding.lead:
        with world_of(finding, scenario) as world:
            shrinker.serial = shrinker.fails_serially(world)
            schedule = shrinker.schedule(world, schedule)
        scenario, schedule = shrinker.scenario(scenario, schedule)
    with world_of(finding, scenario) as world:
        if not finding.lead:
            schedule = shrinker.schedule(world, schedule)
        evidence = gather(world, schedule, finding.lead, text=finding.text)
        for _ in range(CONFIRMATIONS):
            again = gather(world, schedule, finding.lead, text=finding.text, record=1)
            if (again.verdict, again.hash) != (evidence.verdict, evidence.hash):
                raise RuntimeError("a shrunk schedule does not replay: the engine is at fault")
        smaller = finding_of(world, evidence, finding.lead, dict(finding.found))
        flip = None if finding.lead else _flip(world, schedule)
    return Shrunk(
        smaller,
        evidence,
        flip,
        (operations(finding.scenario), operations(scenario)),
        (len(finding.scenario.actors), len(scenario.actors)),
        (switches(finding.schedule), switches(schedule)),
        shrinker.tried,
        not shrinker.over,
    )


def _flip(world: World, schedule: Schedule) -> Flip | None:
    """Leave out the last intervention: if all is well then, its two sides are what matters."""
    for i in range(len(schedule) - 1, -1, -1):
        task, clock, decision, to = schedule[i]
        if decision == START:
            continue
        outcome = world.simulator.replay(list(schedule[:i] + schedule[i + 1 :]), False, 1)
        verdict = world.verdict(outcome)
        without = "all goes well" if verdict is None else f"it ends with {verdict} instead"
        name = "the beginning" if task == 0xFFFF else world.actor(task)
        return Flip(name, clock, world.actor(to), without)
    return None


def shrink_schedule(world: World, finding: Finding, *, seconds: float) -> int:
    """Interventions that cannot be left out, in the scenario as it is."""
    if finding.lead:
        return switches(finding.schedule)
    shrinker = _Shrinker(finding, time.monotonic() + seconds)
    return switches(shrinker.schedule(world, finding.schedule))
