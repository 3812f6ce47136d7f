"""Fuzzing: scenarios made up, kept where they show orders that none showed before, changed, and
explored again.

Coverage is that of interleavings: ordered pairs of conflicting lines that two tasks ran one after
the other on the same memory (KRACE's alias coverage).  A program that adds to it joins the corpus;
half of the later ones are mutants of the corpus.  Schedules are mutated too: the last one of a
program that showed something new, an intervention less or elsewhere.  With a number of programs
as the limit the same seed does the same on any machine and with any number of processes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from z3fold_stress import _sim, stopping
from z3fold_stress.campaign.crew import CrewError, run_jobs, tell_early
from z3fold_stress.campaign.generate import generate, mutate
from z3fold_stress.designs import resolve
from z3fold_stress.explore.explorer import Budget, Found, explore_world
from z3fold_stress.explore.portfolio import Arm
from z3fold_stress.explore.world import World
from z3fold_stress.findings import Finding, shrink
from z3fold_stress.findings.finding import make_finding
from z3fold_stress.scenario import Scenario
from z3fold_stress.verdicts import Verdict

__all__ = ["Fuzz", "FuzzSettings", "Round", "fuzz"]

ARMS = (
    Arm("dfs", depth=0),
    Arm("random"),
    Arm("pos"),
    Arm("surw"),
    Arm("pct", depth=3),
    Arm("dfs", depth=1),
)
PROGRAMS = 24
"""Of a round: what a process does before it tells."""
FIRST_LOOK = Budget(executions=400)
SECOND_LOOK = Budget(executions=1600)
LAG = 12
"""A round builds on the corpus of rounds so long ago that they are over, whoever did them."""
MUTANTS = 12
CORPUS = 200
SHRINK_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class FuzzSettings:
    design: str
    seed: int
    known: tuple[str, ...] = ()
    """Signatures that need not be told again."""
    release_sequence: str = "c11"
    strict_order: bool = False
    """Whether an order of locks that could deadlock is a failure."""


@dataclass(slots=True)
class Round:
    """What one round did: plain values."""

    number: int
    programs: int = 0
    executions: int = 0
    distinct: int = 0
    """Of those, no repeats of others of their program."""
    distinct_exactly: bool = True
    limited: int = 0
    unordered: int = 0
    setups: list[str] = field(default_factory=list)
    coverage: int = 0
    findings: list[dict[str, Any]] = field(default_factory=list)
    unrepeated: list[dict[str, Any]] = field(default_factory=list)
    """Findings that doing the same again did not show."""
    warnings: list[dict[str, Any]] = field(default_factory=list)
    """Orders of locks that could deadlock: no failures."""
    interesting: list[dict[str, Any]] = field(default_factory=list)


def _schedule_mutants(
    schedule: list[tuple[int, int, int, int]], tasks: int, choose: random.Random
) -> Iterator[list[tuple[int, int, int, int]]]:
    for _ in range(MUTANTS):
        mutant = list(schedule)
        if not mutant:
            return
        at = choose.randrange(len(mutant))
        task, clock, decision, to = mutant[at]
        match choose.randrange(3):
            case 0:
                del mutant[at]
            case 1:
                mutant[at] = (task, max(0, clock + choose.randint(-6, 6)), decision, to)
            case _:
                mutant[at] = (task, clock, decision, choose.randrange(tasks))
        yield mutant


def _explore(
    scenario: Scenario, settings: FuzzSettings, number: int, result: Round, known: set[str]
) -> None:
    with World(
        scenario,
        resolve(settings.design),
        coverage=True,
        release_sequence=settings.release_sequence,
    ) as world:
        if world.failed is not None:  # by the correct protocol, which set-ups are run by
            result.setups.append(f"{scenario.name}: {world.failed['verdict']['text']}")
            return
        covered, seen = _sim.coverage_total(), _sim.Distinct()
        look, gained = FIRST_LOOK, 0
        for again in range(3):
            tally = explore_world(
                world,
                ARMS,
                budget=look,
                seed=settings.seed + number * 7 + again,
                most=1,
                strict_order=settings.strict_order,
                distinct=seen,
            )
            if tally.interrupted:
                raise KeyboardInterrupt
            result.executions += tally.executions
            result.distinct += tally.distinct
            result.distinct_exactly &= tally.distinct_exactly
            result.limited += tally.limited
            result.unordered += tally.unordered
            for found in (*tally.found, *tally.warnings):
                _note(world, found, settings, result, known)
            if tally.found:
                return
            fresh = _sim.coverage_total() - covered
            if not fresh:
                break
            covered += fresh
            gained += fresh
            look = SECOND_LOOK
        if gained:
            result.interesting.append(scenario.to_json())
            _mutate_schedules(world, settings, number, result, known, seen)


def _mutate_schedules(
    world: World,
    settings: FuzzSettings,
    number: int,
    result: Round,
    known: set[str],
    seen: _sim.Distinct,
) -> None:
    choose = random.Random(f"z3fold-stress schedule {settings.seed} {number}")
    last = world.simulator.outcome()["schedule"]
    for mutant in _schedule_mutants(last, len(world.scenario.actors), choose):
        before = seen.count
        outcome = world.simulator.replay(mutant, False, 0, seen)
        result.executions += 1
        result.distinct += seen.count > before
        verdict = world.verdict(outcome)
        if verdict is not None:
            _note(
                world,
                Found(verdict, outcome, Arm("mutant"), result.executions, 0.0),
                settings,
                result,
                known,
            )
            return


def _note(
    world: World, found: Found, settings: FuzzSettings, result: Round, known: set[str]
) -> None:
    finding, _ = make_finding(world, found, seed=settings.seed)
    if finding.signature in known:
        return
    known.add(finding.signature)
    if not finding.repeated:
        kept = result.unrepeated
    elif found.verdict is Verdict.LOCK_ORDER and not settings.strict_order:
        kept = result.warnings
    else:
        kept = result.findings
        tell_early(finding.to_json())
    kept.append(finding.to_json())


Job = tuple[int, FuzzSettings, list[dict[str, Any]], float | None, int]
"""Number of the round, settings, corpus, seconds that are left, programs at most."""


def _round(job: Job) -> Round:
    number, settings, corpus, left, most = job
    began = time.monotonic()
    result = Round(number)
    known = set(settings.known)
    parents = [Scenario.from_json(value) for value in corpus]
    _sim.coverage_forget()
    for i in range(most):
        if left is not None and time.monotonic() - began > left:
            break
        index = number * PROGRAMS + i
        choose = random.Random(f"z3fold-stress {settings.seed} choice {index}")
        if parents and choose.random() < 0.5:
            scenario = mutate(choose.choice(parents), choose.choice(parents), settings.seed, index)
        else:
            scenario = generate(settings.seed, index)
        _explore(scenario, settings, index, result, known)
        result.programs += 1
    result.coverage = _sim.coverage_total()
    return result


@dataclass(slots=True)
class Fuzz:
    """All rounds together."""

    design: str
    seed: int
    programs: int = 0
    executions: int = 0
    distinct: int = 0
    """Of those, no repeats of others of their program."""
    distinct_exactly: bool = True
    limited: int = 0
    unordered: int = 0
    setups: list[str] = field(default_factory=list)
    """Scenarios whose set-up fails by itself, and how."""
    coverage: int = 0
    """The most that one round covered: pairs of lines."""
    seconds: float = 0.0
    findings: dict[str, Finding] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)
    """How many rounds met a signature."""
    unrepeated: dict[str, Finding] = field(default_factory=dict)
    """What did not repeat: no accusation, and no pass."""
    warnings: dict[str, Finding] = field(default_factory=dict)
    """Orders of locks that could deadlock, by signature: no failures."""
    interrupted: bool = False
    error: str = ""
    """Why it ended early, other than by request."""
    corpus: int = 0


def fuzz(
    settings: FuzzSettings,
    *,
    seconds: float | None,
    programs: int | None,
    processes: int,
    most: int | None = None,
    tell: Callable[[Fuzz, Round], None] | None = None,
    tell_found: Callable[[Finding], None] | None = None,
) -> Fuzz:
    """Until the time or the number of programs is used up, or ``most`` signatures were found."""
    began = time.monotonic()
    result = Fuzz(settings.design, settings.seed)
    corpus: dict[int, list[dict[str, Any]]] = {}
    first: dict[str, int] = {}  # the earliest round that met it: whoever is ready first

    told: set[str] = set()

    def early(value: dict[str, Any]) -> None:
        """A round is not over, and found something: none waits for the rest of it."""
        finding = Finding.from_json(value)
        if tell_found is not None and finding.signature not in told:
            tell_found(finding)
        told.add(finding.signature)

    def jobs() -> Iterator[Job]:
        number = 0
        while True:
            if seconds is not None and time.monotonic() - began > seconds:
                return
            if programs is not None and number * PROGRAMS >= programs:
                return
            if most is not None and len(result.findings) >= most:
                return
            old = [value for n in sorted(corpus) if n <= number - LAG for value in corpus[n]]
            left = None if seconds is None else seconds - (time.monotonic() - began)
            todo = PROGRAMS if programs is None else min(PROGRAMS, programs - number * PROGRAMS)
            yield number, settings, old[-CORPUS:], left, todo
            number += 1

    def take(done: Round) -> None:
        corpus[done.number] = done.interesting
        result.programs += done.programs
        result.executions += done.executions
        result.distinct += done.distinct
        result.distinct_exactly &= done.distinct_exactly
        result.limited += done.limited
        result.unordered += done.unordered
        result.setups += done.setups
        result.coverage = max(result.coverage, done.coverage)
        result.corpus += len(done.interesting)
        for value in done.findings:
            finding = Finding.from_json(value)
            result.times[finding.signature] = result.times.get(finding.signature, 0) + 1
            if done.number < first.get(finding.signature, done.number + 1):
                first[finding.signature] = done.number
                result.findings[finding.signature] = finding
        for value in done.unrepeated:
            finding = Finding.from_json(value)
            result.unrepeated.setdefault(finding.signature, finding)
        for value in done.warnings:
            warning = Finding.from_json(value)
            result.warnings.setdefault(warning.signature, warning)
        if tell is not None:
            tell(result, done)

    try:
        with stopping.interruptible():
            for _, done in run_jobs(_round, jobs(), processes, early):
                with stopping.undisturbed():
                    take(done)
    except KeyboardInterrupt:
        result.interrupted = True
    except CrewError as error:
        result.error = str(error)
    result.findings = {name: result.findings[name] for name in sorted(first, key=first.__getitem__)}
    result.seconds = time.monotonic() - began
    return result


def shrink_all(result: Fuzz, seconds: float) -> None:
    """Make what was found small, within this time."""
    deadline = time.monotonic() + seconds
    try:
        with stopping.interruptible():
            for signature, finding in result.findings.items():
                left = min(SHRINK_SECONDS, deadline - time.monotonic())
                if left <= 0:
                    return
                result.findings[signature] = shrink(finding, seconds=left).finding
    except KeyboardInterrupt:
        result.interrupted = True
