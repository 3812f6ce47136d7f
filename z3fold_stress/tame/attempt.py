"""One worker's share of a taming: explores some candidates, and judges what each of them shows.

Knows the wild failure only as something to compare with.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from z3fold_stress.designs import resolve
from z3fold_stress.errors import ScenarioError
from z3fold_stress.explore.explorer import Budget, Exploration, Found, explore_world
from z3fold_stress.explore.portfolio import PORTFOLIO, Arm
from z3fold_stress.explore.world import MAX_STEPS, World
from z3fold_stress.findings.finding import Finding, make_finding
from z3fold_stress.findings.shrink import shrink
from z3fold_stress.scenario import Scenario
from z3fold_stress.tame.candidates import Candidate
from z3fold_stress.tame.likeness import WAITS, Likeness, likeness, wanted, words
from z3fold_stress.tame.wild import Wild
from z3fold_stress.verdicts import Verdict

__all__ = ["Attempt", "Batch", "attempt", "shrunk"]

AGAIN = (Arm("random"), Arm("pos"), Arm("pct", depth=3))
RETRIES = 3
"""When the verdict is right and the place is not: so many other seeds."""
STEPS = 4000
"""Of an execution: candidates are short, and what goes on for longer goes round in a circle."""
SEEN_AT_ACCESS = (Verdict.USE_AFTER_FREE, Verdict.CORRUPTION)
"""What the sim world's eyes on memory see as well, and sooner."""
LOOKED_INTO = 3
"""Times that an akin failure is done again to see the functions it was in: that takes long."""
HANGS = 30
"""CPU seconds after which a batch is taken to hang in the subject: it takes one or two."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Candidates for one turn of one worker."""

    number: int
    wild: Wild
    candidates: tuple[Candidate, ...]
    seed: int
    seconds: float
    beyond: Likeness | None = None
    """What was found already: only what is more alike need be told."""


@dataclass(slots=True)
class Attempt:
    """What a batch came to: plain values."""

    number: int
    candidates: int = 0
    executions: int = 0
    cpu_seconds: float = 0.0
    best: Likeness | None = None
    at: int = 0
    """Which candidate of the batch, from 0."""
    finding: dict[str, Any] = field(default_factory=dict)
    seen: dict[tuple[str, str], int] = field(default_factory=dict)
    """How often each akin failure was met, by place and words."""


def attempt(batch: Batch) -> Attempt:
    """Explore until the same failure came, or all candidates had their turn."""
    result = Attempt(batch.number, best=batch.beyond)
    began, spent = time.monotonic(), time.process_time()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, HANGS)
    try:
        for at, candidate in enumerate(batch.candidates):
            left = batch.seconds - (time.monotonic() - began)
            if left <= 0:
                break
            _one(batch, at, candidate, left, result)
            if result.best is Likeness.SAME:
                break
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    result.cpu_seconds = time.process_time() - spent
    if result.best is batch.beyond:
        result.best = None
    return result


def _one(batch: Batch, at: int, candidate: Candidate, left: float, result: Attempt) -> None:
    result.candidates += 1
    try:
        world = _world(batch.wild, candidate.scenario)
    except ScenarioError:
        return  # its set-up does not end
    with world:
        if world.failed is not None:
            return  # the set-up is not by the design: what fails there is not its doing
        for tally in _tallies(world, batch, candidate, left):
            result.executions += tally.executions
            for found in tally.found:
                _judge(world, batch, at, found, result)
            if result.best is Likeness.SAME or wanted(batch.wild).isdisjoint(tally.verdicts):
                return


def _world(wild: Wild, scenario: Scenario) -> World:
    """With the checks that the real run had: an execution ends at its first verdict, and the sim
    world's own eyes would see most failures before the subject's checks do."""
    return World(
        scenario,
        resolve(wild.design),
        races=wild.verdict is Verdict.DATA_RACE,
        lifetimes=wild.verdict in SEEN_AT_ACCESS,
        max_steps=MAX_STEPS if wild.verdict in WAITS else STEPS,
    )


def _tallies(
    world: World, batch: Batch, candidate: Candidate, left: float
) -> Iterator[Exploration]:
    verdicts = wanted(batch.wild)
    budget = Budget(executions=candidate.executions, seconds=left)
    yield _explored(world, PORTFOLIO, budget, batch.seed, verdicts)
    for again in range(RETRIES):
        yield _explored(world, AGAIN, budget, batch.seed + 1 + again, verdicts)


def _explored(
    world: World, arms: tuple[Arm, ...], budget: Budget, seed: int, wanted: frozenset[Verdict]
) -> Exploration:
    tally = explore_world(world, arms, budget=budget, seed=seed, most=9, wanted=wanted)
    if tally.interrupted:
        raise KeyboardInterrupt
    return tally


def _judge(world: World, batch: Batch, at: int, found: Found, result: Attempt) -> None:
    """Keep what is more alike than all before."""
    if found.verdict is Verdict.LOCK_ORDER and batch.wild.verdict is not Verdict.LOCK_ORDER:
        return  # no execution went wrong
    best = result.best or 0
    raw = found.outcome["verdict"] or {"where": "", "text": ""}
    told = (batch.wild, found.verdict, raw["where"], raw["text"])
    alike = likeness(*told)
    if alike is Likeness.AKIN:
        key = (raw["where"], words(raw["text"]))
        result.seen[key] = result.seen.get(key, 0) + 1
        if result.seen[key] > LOOKED_INTO:
            return
    elif alike <= best:
        return
    finding, _ = make_finding(world, found, seed=batch.seed)
    if not finding.repeated:
        return
    alike = max(alike, likeness(*told, _functions(finding)))
    if alike > best:
        result.best, result.at, result.finding = alike, at, finding.to_json()


def _functions(finding: Finding) -> Iterator[str]:
    """Names of the functions that took part (``z3fold/free.pxi:46 z3fold_free``), and of the
    operations in which somebody waits (``waits in destroy_pool 1``)."""
    for side in finding.sides:
        if side["what"].startswith("waits in "):
            yield str(side["what"]).split()[2]
        for site in (side["site"], *side["chain"]):
            yield str(site).split(" ")[-1]


def shrunk(job: tuple[dict[str, Any], float]) -> dict[str, Any]:
    """The finding made small, within so many seconds, and its scenario's story kept."""
    value, seconds = job
    finding = Finding.from_json(value)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds + HANGS)
    try:
        return shrink(finding, seconds=seconds).finding.to_json()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
