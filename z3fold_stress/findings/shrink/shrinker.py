"""Tries the passes on a failure, and takes what is simpler and fails in the same way.

Same means the same signature, seen twice: what fails once only is not taken.  A failure that needs
a choice (an interruption, a death, an injected failure) is not made into one that needs none: a
program that fails whatever happens, or in another way without the choice, has another fault.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from z3fold_stress import stopping
from z3fold_stress.errors import ScenarioError
from z3fold_stress.explore.explorer import Budget, explore_world
from z3fold_stress.explore.portfolio import Arm
from z3fold_stress.explore.world import World
from z3fold_stress.findings.evidence import Evidence, Schedule, gather
from z3fold_stress.findings.finding import Finding, finding_of, world_of
from z3fold_stress.findings.shrink.flip import Flip, decisive
from z3fold_stress.findings.shrink.passes import PASSES, Pass, changed
from z3fold_stress.findings.shrink.schedules import renumbered, shortest
from z3fold_stress.findings.size import operations, sort_key, switches
from z3fold_stress.scenario import Scenario
from z3fold_stress.verdicts import Verdict

__all__ = ["Shrunk", "shrink", "shrink_schedule"]

SEARCH = Budget(executions=3000, seconds=0.5)
"""What a simpler scenario may cost before it is taken not to fail."""
SEARCH_ARMS = (Arm("dfs", depth=0), Arm("dfs", depth=1), Arm("random"), Arm("dfs", depth=2))
PLAIN = Budget(executions=200, seconds=1.0)
"""Executions that tell whether a choice is needed at all."""
CONFIRMATIONS = 10


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
    """The simplest failure so far."""

    def __init__(self, finding: Finding, deadline: float) -> None:
        self.finding = finding
        self.scenario = finding.scenario
        self.schedule = finding.schedule
        self.signature = finding.signature
        self.deadline = deadline
        self.tried = 0
        self.plain: frozenset[Verdict] = frozenset()
        """What it shows without any choice; nothing simpler may show more."""
        self.seen = {finding.scenario.content_hash()}

    def over(self) -> bool:
        return time.monotonic() > self.deadline or stopping.asked() is not None

    def fails(self, world: World, schedule: Schedule) -> bool:
        """In the same way, twice."""
        self.tried += 1
        outcome = world.simulator.replay(list(schedule), False, 1)
        if world.verdict(outcome) is not self.finding.verdict:
            return False
        return gather(world, schedule).signature == self.signature

    def shorten(self, world: World, schedule: Schedule) -> Schedule:
        """As short as it can be, and as the engine writes it: what never came up is gone."""
        schedule = shortest(schedule, lambda fewer: self.fails(world, fewer), self.over)
        outcome = world.simulator.replay(list(schedule), False, 1)
        written: Schedule = tuple(map(tuple, outcome["schedule"]))
        shorter = written != schedule and len(written) <= len(schedule)
        return written if shorter and self.fails(world, written) else schedule

    def plain_verdicts(self, scenario: Scenario) -> frozenset[Verdict]:
        """What whole programs show, one after the other, with nobody interrupted, no death and no
        failure."""
        (plain,) = changed(scenario, deaths=None, faults=None)
        with world_of(self.finding, plain) as world:
            tally = explore_world(world, (Arm("dfs", depth=0),), budget=PLAIN, most=9)
        return tally.verdicts - {Verdict.LOCK_ORDER}

    def run(self) -> None:
        """Round after round of all passes, until one changes nothing."""
        self.plain = self.plain_verdicts(self.scenario)
        simplest = None
        while simplest is not self.scenario and not self.over():
            simplest = self.scenario
            for one in PASSES:
                self._exhaust(one)

    def _exhaust(self, one: Pass) -> None:
        """One pass, again from its beginning for as long as it makes something simpler."""
        while any(self._take(candidate) for candidate in one(self.scenario)):
            pass

    def _take(self, candidate: Scenario) -> bool:
        """Whether this is the simplest failure now."""
        content = candidate.content_hash()
        if self.over() or content in self.seen:
            return False
        self.seen.add(content)
        if sort_key(candidate, ()) >= sort_key(self.scenario, ()):
            return False
        try:
            if not self.plain_verdicts(candidate) <= self.plain:
                return False
            world = world_of(self.finding, candidate)
        except ScenarioError:  # its set-up takes for ever
            return False
        with world:
            schedule = None if world.failed is not None else self._failing(world)
            if schedule is None:
                return False
            if switches(schedule) > switches(self.schedule):
                schedule = self.shorten(world, schedule)
        if sort_key(candidate, schedule) >= sort_key(self.scenario, self.schedule):
            return False
        self.scenario, self.schedule = candidate, schedule
        return True

    def _failing(self, world: World) -> Schedule | None:
        """A schedule by which this scenario fails: the one there is, or what a search finds."""
        old = renumbered(self.schedule, list(self.scenario.actors), list(world.scenario.actors))
        if self.fails(world, old):
            return old
        self.tried += 1
        tally = explore_world(
            world,
            SEARCH_ARMS,
            budget=SEARCH,
            seed=1,
            wanted=frozenset({self.finding.verdict}),
            most=4,
        )
        for found in tally.found:
            schedule: Schedule = tuple(map(tuple, found.outcome["schedule"]))
            if found.verdict is self.finding.verdict and self.fails(world, schedule):
                return schedule
        return None


def shrink(finding: Finding, *, seconds: float = 20.0) -> Shrunk:
    """The simplest failure with the same signature that was found in the time; the finding as it
    is, where what was made of it does not come again ten times of ten.

    A lock-order finding, which several executions make, keeps its scenario.
    """
    shrinker = _Shrinker(finding, time.monotonic() + seconds)
    if not finding.lead:
        with world_of(finding) as world:
            # Other rules may have signed it: what these say of it is what must stay.
            shrinker.signature = gather(world, finding.schedule).signature
            shrinker.schedule = shrinker.shorten(world, finding.schedule)
        shrinker.run()
    with world_of(finding, shrinker.scenario) as world:
        if not finding.lead and not shrinker.over():
            shrinker.schedule = shrinker.shorten(world, shrinker.schedule)
        evidence = gather(world, shrinker.schedule, finding.lead, text=finding.text)
        if _comes_again(world, shrinker, evidence):
            return _told(world, shrinker, evidence)
    shrinker.scenario, shrinker.schedule = finding.scenario, finding.schedule
    with world_of(finding) as world:
        return _told(
            world, shrinker, gather(world, finding.schedule, finding.lead, text=finding.text)
        )


def _comes_again(world: World, shrinker: _Shrinker, first: Evidence) -> bool:
    lead = shrinker.finding.lead
    if (first.verdict, first.signature) != (shrinker.finding.verdict, shrinker.signature):
        return bool(lead) and first.verdict is shrinker.finding.verdict
    others = (
        gather(world, shrinker.schedule, lead, text=shrinker.finding.text, record=1)
        for _ in range(CONFIRMATIONS)
    )
    return all((one.verdict, one.hash) == (first.verdict, first.hash) for one in others)


def _told(world: World, shrinker: _Shrinker, evidence: Evidence) -> Shrunk:
    """The failure as it is now."""
    old, schedule = shrinker.finding, shrinker.schedule
    new = old
    if evidence.verdict is old.verdict:
        new = finding_of(world, evidence, old.lead, dict(old.found))
    return Shrunk(
        new,
        evidence,
        None if old.lead else decisive(world, schedule),
        (operations(old.scenario), operations(world.scenario)),
        (len(old.scenario.actors), len(world.scenario.actors)),
        (switches(old.schedule), switches(schedule)),
        shrinker.tried,
        not shrinker.over(),
    )


def shrink_schedule(world: World, finding: Finding, *, seconds: float) -> int:
    """Interventions that cannot be left out, in the scenario as it is."""
    if finding.lead:
        return switches(finding.schedule)
    shrinker = _Shrinker(finding, time.monotonic() + seconds)
    return switches(shrinker.shorten(world, finding.schedule))
