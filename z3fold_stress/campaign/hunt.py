"""Hunts through scenarios with one design, within a budget of time, on all CPUs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from z3fold_stress import stopping
from z3fold_stress.campaign.crew import CrewError, run_jobs
from z3fold_stress.designs import Design, resolve
from z3fold_stress.explore.benign import seen_races
from z3fold_stress.explore.explorer import Budget, Exploration, Status, explore_world
from z3fold_stress.explore.portfolio import Arm, arms_of
from z3fold_stress.explore.world import MAX_STEPS, World
from z3fold_stress.findings import Finding
from z3fold_stress.findings.finding import make_finding
from z3fold_stress.scenario import Scenario
from z3fold_stress.verdicts import Verdict

__all__ = ["Hunt", "HuntSettings", "Trail", "explore_one", "hunt"]


@dataclass(frozen=True, slots=True)
class HuntSettings:
    """How each scenario is explored."""

    design: str
    strategy: str = "portfolio"
    bound: int | None = None
    seed: int = 0
    executions: int | None = None
    """Of each scenario."""
    seconds: float | None = None
    """For each scenario."""
    most: int = 1
    races: bool = True
    every_access: bool = False
    release_sequence: str = "c11"
    max_steps: int = MAX_STEPS
    strict_order: bool = False
    """Whether an order of locks that could deadlock is a failure."""
    wanted: tuple[str, ...] = ()
    """Verdicts that end it; before one of them, ``most`` others."""
    exhaustive: bool = True
    """Whether strategies that need no seed take part: where the seeds of one scenario are shared
    out, once is enough."""


@dataclass(slots=True)
class Trail:
    """What came of one scenario: plain values, for it travels between processes."""

    scenario: str
    status: str
    executions: int
    distinct: int
    """Of those, no repeats of others."""
    distinct_exactly: bool
    steps: int
    deaths: int
    limited: int
    seconds: float
    claims: list[str]
    left: dict[str, float]
    by_arm: dict[str, int]
    findings: list[dict[str, Any]] = field(default_factory=list)
    unrepeated: list[dict[str, Any]] = field(default_factory=list)
    """Findings that doing the same again did not show: no accusation, and no pass."""
    warnings: list[dict[str, Any]] = field(default_factory=list)
    """Findings that are no failure: orders of locks that could deadlock."""
    order_given_up: int = 0
    benign: list[str] = field(default_factory=list)
    interrupted: bool = False
    setup: str = ""
    """What goes wrong in the set-up already, if it does."""
    setup_verdict: str = ""
    promoted: int = 0
    unordered: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "scenario": self.scenario,
            "status": self.status,
            "executions": self.executions,
            "distinct": self.distinct,
            "distinct_exactly": self.distinct_exactly,
            "steps": self.steps,
            "deaths": self.deaths,
            "limited": self.limited,
            "unordered": self.unordered,
            "seconds": round(self.seconds, 3),
            "claims": self.claims,
            "left": self.left,
            "by_arm": self.by_arm,
            "findings": self.findings,
            "unrepeated": self.unrepeated,
            "warnings": self.warnings,
            "order_given_up": self.order_given_up,
            "benign": self.benign,
            "interrupted": self.interrupted,
            "setup": self.setup,
        }


def explore_one(
    scenario: Scenario,
    settings: HuntSettings,
    tell: Callable[[Exploration], None] | None = None,
    *,
    world_of: Callable[..., World] = World,
    arms: tuple[Arm, ...] = (),
) -> Trail:
    """Explore one scenario here, and make findings of what is met. ``arms``: instead of those
    that the strategy's name stands for."""
    design = resolve(settings.design)
    with world_of(
        scenario,
        design,
        races=settings.races,
        every_access=settings.every_access,
        release_sequence=settings.release_sequence,
        max_steps=settings.max_steps,
    ) as world:
        tally = explore_world(
            world,
            arms or _arms(settings),
            budget=Budget(settings.executions, settings.seconds),
            seed=settings.seed,
            most=settings.most,
            wanted=frozenset(map(Verdict, settings.wanted)) or None,
            strict_order=settings.strict_order,
            tell=tell,
        )
        trail = _trail(tally)
        if tally.failed_setup is not None:
            trail.setup = tally.failed_setup["verdict"]["text"]
            trail.setup_verdict = str(tally.found[0].verdict)
            trail.status = "setup-failed"
            return trail
        trail.benign = [str(race) for race in seen_races(world)]
        with world.by_coroutines():
            for found in tally.found:
                finding, _ = make_finding(world, found, seed=settings.seed)
                kept = trail.findings if finding.repeated else trail.unrepeated
                kept.append(finding.to_json())
            for found in tally.warnings:
                finding, _ = make_finding(world, found, seed=settings.seed)
                kept = trail.warnings if finding.repeated else trail.unrepeated
                kept.append(finding.to_json())
    if trail.unrepeated and not trail.findings:
        trail.status = str(Status.INCONCLUSIVE)
    return trail


def _arms(settings: HuntSettings) -> tuple[Arm, ...]:
    arms = arms_of(settings.strategy, settings.bound)
    return arms if settings.exhaustive else tuple(arm for arm in arms if not arm.exhaustive)


def _trail(tally: Exploration) -> Trail:
    return Trail(
        tally.scenario.name,
        str(tally.status),
        tally.executions,
        tally.distinct,
        tally.distinct_exactly,
        tally.steps,
        tally.deaths,
        tally.limited,
        tally.seconds,
        tally.claims,
        tally.left,
        tally.by_arm,
        interrupted=tally.interrupted,
        promoted=tally.promoted,
        unordered=tally.unordered,
        order_given_up=tally.order_given_up,
    )


def _work(job: tuple[Scenario, HuntSettings]) -> Trail:
    return explore_one(*job)


@dataclass(slots=True)
class Hunt:
    """All trails of a hunt."""

    design: Design
    seed: int
    asked: int
    """Scenarios that were to be explored."""
    trails: list[Trail] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False
    error: str = ""

    @property
    def findings(self) -> list[Finding]:
        """One for each signature."""
        by_signature: dict[str, Finding] = {}
        for trail in self.trails:
            for value in trail.findings:
                finding = Finding.from_json(value)
                by_signature.setdefault(finding.signature, finding)
        return list(by_signature.values())

    @property
    def unrepeated(self) -> list[Finding]:
        """What did not repeat, as it was met."""
        return [Finding.from_json(value) for trail in self.trails for value in trail.unrepeated]

    @property
    def executions(self) -> int:
        return sum(trail.executions for trail in self.trails)

    @property
    def distinct(self) -> int:
        """Of those, no repeats of others of their scenario."""
        return sum(trail.distinct for trail in self.trails)

    @property
    def distinct_exactly(self) -> bool:
        return all(trail.distinct_exactly for trail in self.trails)

    @property
    def status(self) -> Status:
        if any(trail.findings for trail in self.trails):
            return Status.FOUND
        unfinished = self.interrupted or self.error or len(self.trails) < self.asked
        if (
            unfinished
            or not self.executions
            or any(trail.status in ("inconclusive", "setup-failed") for trail in self.trails)
        ):
            return Status.INCONCLUSIVE
        if all(trail.status == "complete" for trail in self.trails):
            return Status.COMPLETE
        return Status.CLEAN


def _go_on(
    scenarios: Sequence[Scenario],
    settings: HuntSettings,
    result: Hunt,
    deadline: float,
    processes: int,
    tell: Callable[[Hunt, Trail], None] | None,
) -> None:
    """What others left of the time goes to those that did not see all, from the beginning."""
    todo = [s for s in scenarios if _unfinished(result, s)]
    left = deadline - time.monotonic() - 0.5
    if not todo or left < 1.0:
        return
    share = left * processes / len(todo)
    jobs = [
        (scenario, replace(settings, seconds=share, seed=settings.seed + 1)) for scenario in todo
    ]
    for _, trail in run_jobs(_work, jobs, processes):
        if trail.interrupted:
            raise KeyboardInterrupt
        old = next(t for t in result.trails if t.scenario == trail.scenario)
        if not old.findings:
            trail.warnings = list(
                {w["signature"]: w for w in old.warnings + trail.warnings}.values()
            )
            with stopping.undisturbed():
                result.trails.remove(old)
                result.trails.append(trail)
                if tell is not None:
                    tell(result, trail)


def _unfinished(result: Hunt, scenario: Scenario) -> bool:
    return any(t.scenario == scenario.name and t.status == "clean" for t in result.trails)


def hunt(
    scenarios: Sequence[Scenario],
    settings: HuntSettings,
    *,
    seconds: float,
    processes: int,
    tell: Callable[[Hunt, Trail], None] | None = None,
) -> Hunt:
    """Each scenario gets the same share of ``seconds`` (of all processes together)."""
    began = time.monotonic()
    share = max(0.05, (seconds - 0.5) * processes / max(1, len(scenarios)))
    each = replace(settings, seconds=share)
    result = Hunt(resolve(settings.design), settings.seed, len(scenarios))
    try:
        with stopping.interruptible():
            jobs = [(scenario, each) for scenario in scenarios]
            for _, trail in run_jobs(_work, jobs, processes):
                with stopping.undisturbed():
                    result.trails.append(trail)
                    if tell is not None:
                        tell(result, trail)
                if trail.interrupted:  # it was explored here, and a signal met it there
                    raise KeyboardInterrupt
            _go_on(scenarios, settings, result, began + seconds, processes, tell)
    except KeyboardInterrupt:
        result.interrupted = True
    except CrewError as error:
        result.error = str(error)
    result.trails.sort(key=lambda trail: trail.scenario)
    result.seconds = time.monotonic() - began
    return result
