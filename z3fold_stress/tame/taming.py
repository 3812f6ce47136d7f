"""Tames a wild failure: looks for a scenario of the sim world that fails in the same way.

Owns the budget, and what is kept.  Candidates are explored in worker processes: a subject that
crashes or hangs costs its batch, and nothing else.  The earliest candidate wins, whoever is ready
first, so that a dump and a seed give the same scenario with any number of processes, as long as
the time suffices.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from z3fold_stress import stopping
from z3fold_stress.campaign.crew import CrewError, run_jobs
from z3fold_stress.designs import resolve
from z3fold_stress.errors import SettingsError
from z3fold_stress.findings import Finding
from z3fold_stress.tame.attempt import Attempt, Batch, attempt, shrunk
from z3fold_stress.tame.candidates import Candidate, candidates
from z3fold_stress.tame.likeness import Likeness
from z3fold_stress.tame.wild import Wild
from z3fold_stress.verdicts import Verdict

__all__ = ["Taming", "tame"]

PROCESSES = 2
FIRST_BATCHES = (2, 4, 8)
BATCH = 16
"""Candidates a turn; the first turns are shorter, for what is likely comes first."""
MOST_LOST = 8
"""Crashed or hung batches after which it is given up."""
MOST_SHOWN = 3
"""Defects of a design that are few enough for a scenario to be about them."""
SEEN_SOONER = (Verdict.DATA_RACE, Verdict.USE_AFTER_FREE)
"""What an exploration with all checks on may see of the same failure before."""
STALLED = "a stall is a matter of time, and the sim world has no clock: it shows who waits for ever"


@dataclass(slots=True)
class Taming:
    """What came of it."""

    wild: Wild
    seed: int
    seconds: float = 0.0
    found_after: float = 0.0
    """Seconds until what was kept was found: the rest made it small."""
    cpu_seconds: float = 0.0
    """Of the processes that explored: what counts on a machine that others use too."""
    candidates: int = 0
    executions: int = 0
    likeness: Likeness | None = None
    """Of the best that was found; None: nothing failed."""
    finding: Finding | None = None
    origin: str = ""
    """Which kind of candidate it was."""
    interrupted: bool = False
    lost: int = 0
    """Batches whose worker crashed or hung."""
    reason: str = ""
    """Why it cannot succeed, where that is known."""
    saved: list[str] = field(default_factory=list)

    @property
    def tamed(self) -> bool:
        return self.likeness is Likeness.SAME

    def to_json(self) -> dict[str, Any]:
        return {
            "tamed": self.tamed,
            "likeness": None if self.likeness is None else str(self.likeness),
            "verdict": str(self.wild.verdict),
            "where": self.wild.where,
            "design": self.wild.design,
            "page": self.wild.page,
            "seed": self.seed,
            "cpu_seconds": round(self.cpu_seconds, 2),
            "candidates": self.candidates,
            "executions": self.executions,
            "seconds": round(self.seconds, 2),
            "found_after": round(self.found_after, 2),
            "interrupted": self.interrupted,
            "lost": self.lost,
            "reason": self.reason,
            "origin": self.origin,
            "finding": None if self.finding is None else self.finding.to_json(),
            "saved": list(self.saved),
        }


def tame(
    wild: Wild,
    *,
    seconds: float,
    most: int | None = None,
    seed: int = 0,
    cpu_seconds: float | None = None,
    shrink_seconds: float = 10.0,
    tell: Callable[[Taming], None] | None = None,
) -> Taming:
    """Until the same failure was found, the time is used up, or ``most`` candidates were tried.

    ``cpu_seconds``: of the processes that explore, for measuring on a machine that others use too.

    A failure that is only akin, or another one of the design, is kept and told as such.
    KeyboardInterrupt ends it with what there is.  Raises SettingsError for a time that is none.
    """
    if not seconds > 0:
        raise SettingsError(f"{seconds:g} seconds tame nothing: it must be more than 0")
    began = time.monotonic()
    result = Taming(wild, seed)
    try:
        with stopping.interruptible():
            _search(result, began, seconds, cpu_seconds, most, tell)
            if result.finding is not None:
                left = max(1.0, seconds - (time.monotonic() - began))
                _make_small(result, min(shrink_seconds, left))
    except KeyboardInterrupt:
        result.interrupted = True
    result.seconds = time.monotonic() - began
    if wild.verdict is Verdict.STALL and result.likeness is not Likeness.AKIN:
        result.reason = STALLED
    if result.finding is not None:
        result.finding = _told(result.finding, result)
    return result


def _search(
    result: Taming,
    began: float,
    seconds: float,
    cpu_seconds: float | None,
    most: int | None,
    tell: Callable[[Taming], None] | None,
) -> None:
    supply = islice(candidates(result.wild, result.seed), most)
    best: tuple[int, int, int] | None = None  # what is less alike, or later, loses
    decided: int | None = None  # the batch that has the same failure: earlier ones may still win
    number = 0

    def batches() -> Iterator[Batch]:
        nonlocal number
        while decided is None and (left := seconds - (time.monotonic() - began)) > 0:
            if cpu_seconds is not None and result.cpu_seconds >= cpu_seconds:
                return
            size = FIRST_BATCHES[number] if number < len(FIRST_BATCHES) else BATCH
            chosen = tuple(islice(supply, size))
            if not chosen:
                return
            yield Batch(number, result.wild, chosen, result.seed, left, result.likeness)
            number += 1

    source = batches()
    while True:
        out: dict[int, Batch] = {}

        def jobs(out: dict[int, Batch] = out) -> Iterator[Batch]:
            for batch in source:
                out[batch.number] = batch
                yield batch

        try:
            for batch, done in run_jobs(attempt, jobs(), PROCESSES):
                del out[batch.number]
                result.candidates += done.candidates
                result.executions += done.executions
                result.cpu_seconds += done.cpu_seconds
                rank = _rank(done)
                if rank is not None and (best is None or rank < best):
                    best = rank
                    _keep(result, batch, done)
                    result.found_after = time.monotonic() - began
                if done.best is Likeness.SAME:
                    decided = min(done.number, done.number if decided is None else decided)
                if tell is not None:
                    tell(result)
                if decided is not None and not any(n < decided for n in out):
                    return
            return
        except CrewError:
            result.lost += 1
            if decided is not None or result.lost >= MOST_LOST:
                return


def _rank(done: Attempt) -> tuple[int, int, int] | None:
    return None if done.best is None else (-done.best, done.number, done.at)


def _keep(result: Taming, batch: Batch, done: Attempt) -> None:
    candidate: Candidate = batch.candidates[done.at]
    result.likeness = done.best
    result.origin = candidate.origin
    result.finding = Finding.from_json(done.finding)


def _make_small(result: Taming, seconds: float) -> None:
    """In a process of its own, for the subject is at work there; what crashes stays as it was."""
    assert result.finding is not None
    try:
        jobs = [(result.finding.to_json(), seconds)]
        for _, value in run_jobs(shrunk, jobs, PROCESSES):
            result.finding = Finding.from_json(value)
    except CrewError:
        result.lost += 1


def _told(finding: Finding, result: Taming) -> Finding:
    """The same finding, its scenario told: name, story and expectation are no part of what is
    executed."""
    assert result.likeness is not None
    shows = tuple(sorted(resolve(result.wild.design).defects))
    few = 0 < len(shows) <= MOST_SHOWN
    scenario = replace(
        finding.scenario,
        name=f"{_NAMES[result.likeness]}-{result.wild.seed}",
        story=_story(result),
        shows=shows if few else (),
        expect=frozenset({finding.verdict, *SEEN_SOONER}) if few else frozenset(),
        tags=("tamed",),
    )
    return replace(finding, scenario=scenario)


_NAMES = {Likeness.SAME: "tamed", Likeness.AKIN: "akin", Likeness.OTHER: "other"}


def _story(result: Taming) -> str:
    """Where the scenario comes from."""
    wild = result.wild
    page = "" if wild.page is None else f", page {wild.page}"
    how = {
        Likeness.SAME: "Here it fails in the same way.",
        Likeness.AKIN: "Here it ends with the same verdict, given at another place.",
        Likeness.OTHER: "Here the same design fails in another way.",
        None: "",
    }[result.likeness]
    return (
        f"A soak of {wild.design}, seed {wild.seed}, failed{page}.\n\n"
        f"It ended with {wild.verdict} in {wild.where}: {wild.text}.\n"
        f"{how} A {result.origin} candidate of tame, seed {result.seed}."
    )
