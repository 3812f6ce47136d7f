"""What the processes of a checked soak saw of their accesses: how much was looked at, and each
access that was at fault, with its source line, its callers and the locks held.

Reads what the engine left beside the arena (pyx/sim/watch.c), once, at the end of a run.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from z3fold_stress import _live, _sim
from z3fold_stress.arena import Arena
from z3fold_stress.explore.benign import REASONS
from z3fold_stress.explore.sites import Site, resolve, subject_site
from z3fold_stress.judgement import Judgement
from z3fold_stress.layout import class_name

__all__ = ["AccessChecks", "AccessFault", "AccessSide", "read_checks"]

_HELD = struct.Struct("=" + _live.RECORDS["held"])
MOST_CALLERS = 4
_SIDES = {"race": "A data race", "changed": "A data race, the other side unseen"}


@dataclass(frozen=True, slots=True)
class AccessSide:
    """One access: who did what, where in the source, holding which locks."""

    site: str
    """``z3fold/map.pxi:41 z3fold_map``"""
    callers: list[str]
    kind: str
    """``load``, ``store``, ``atomic load`` or ``atomic store``"""
    size: int
    offset: int
    """In the arena."""
    task: int
    process: str
    holds: list[str]

    @property
    def atomic(self) -> bool:
        return self.kind.startswith("atomic")

    def __str__(self) -> str:
        holds = ", ".join(self.holds) or "no lock"
        return (
            f"{self.site}  {self.kind} of {self.size} bytes at 0x{self.offset:x} by task "
            f"{self.task}, {self.process} (holds: {holds})"
        )

    def lines(self) -> list[str]:
        lines = [f"  {self}"]
        if self.callers:
            lines.append("      called from " + " < ".join(self.callers))
        return lines


@dataclass(frozen=True, slots=True)
class AccessFault:
    """An access at fault: ``race`` (two sides), ``changed`` (the other was not seen), ``freed``
    or ``outside`` the object."""

    number: int
    fault: str
    times: int
    side: AccessSide
    other: AccessSide | None
    value: tuple[int, int] | None
    """``changed``: what was there before and after."""

    def lines(self) -> list[str]:
        often = f", {self.times} times" if self.times > 1 else ""
        lines = [f"{_SIDES.get(self.fault, 'The access')}{often}:", *self.side.lines()]
        if self.other is not None:
            lines += self.other.lines()
        if self.value is not None:
            lines.append(f"  the value changed from 0x{self.value[0]:x} to 0x{self.value[1]:x}")
        return lines


@dataclass(frozen=True, slots=True)
class AccessChecks:
    """All tasks of a soak together."""

    accesses: int
    """Of the arena, each looked at."""
    watchpoints: int
    """Set: so often an access waited for another to conflict with it."""
    crowded: int
    """Not set, for the place in the table was taken."""
    races: int
    delays: int
    benign: list[str]
    """Races that the source marks as known, with how often each was met."""
    faults: list[AccessFault]

    def told(self, judgement: Judgement) -> Judgement:
        """The engine's verdict on access number N, with lines of source for its numbers."""
        for fault in self.faults:
            if judgement.where == f"access {fault.number}":
                text = judgement.text
                if fault.other is not None:
                    text = f"{_short(fault.side)} races with {_short(fault.other)}"
                return replace(judgement, where=fault.side.site, text=text)
        return judgement

    def lines(self) -> list[str]:
        """Each access at fault, both sides of races."""
        return [line for fault in self.faults for line in fault.lines()]

    def evidence(self) -> list[str]:
        """What a pass rests on."""
        lines = [
            f"Checked: {self.accesses:,} accesses, {self.watchpoints:,} watchpoints set, "
            f"{self.races:,} races, {self.delays:,} delays"
        ]
        return lines + [f"  known benign: {line}" for line in self.benign]


def _short(side: AccessSide) -> str:
    article = "an" if side.atomic else "a"
    return f"{article} {side.kind} of {side.size} bytes at {side.site} by task {side.task}"


def read_checks(arena: Arena, names: Mapping[int, str]) -> AccessChecks:
    """What was seen so far; ``names``: of the processes, by task."""
    totals = _sim.access_totals(arena.memory)
    reports = _sim.access_reports(arena.memory)
    benign: dict[int, tuple[int, int]] = totals.pop("benign")
    sides = [side for r in reports for side in (r["side"], r["other"]) if side is not None]
    pcs = [pc for side in sides for pc in (side["pc"], *side["calls"])]
    sites = resolve([*pcs, *(pc for _, pc in benign.values())])
    return AccessChecks(
        **totals,
        benign=[
            f"{subject_site(sites[pc])} ({times:,}x): {REASONS[reason]}"
            for reason, (times, pc) in sorted(benign.items())
        ],
        faults=[
            AccessFault(
                number=r["number"],
                fault=r["fault"],
                times=r["times"],
                side=_side(r["side"], sites, names),
                other=None if r["other"] is None else _side(r["other"], sites, names),
                value=(r["before"], r["after"]) if r["fault"] == "changed" else None,
            )
            for r in reports
        ],
    )


def _side(
    side: Mapping[str, Any], sites: Mapping[int, tuple[Site, ...]], names: Mapping[int, str]
) -> AccessSide:
    chain = [sites[side["pc"]], *(sites[pc] for pc in side["calls"])]
    site, callers = _call_chain(chain)
    kind = "store" if side["writes"] else "load"
    return AccessSide(
        site=site,
        callers=callers,
        kind=f"atomic {kind}" if side["atomic"] else kind,
        size=side["size"],
        offset=side["object"],
        task=side["task"],
        process=names.get(side["task"], f"task {side['task']}"),
        holds=_locks(side["held"]),
    )


def _call_chain(frames: Iterable[tuple[Site, ...]]) -> tuple[str, list[str]]:
    """The innermost line of the subject, and those that called it, the innermost first."""
    sites = tuple(site for frame in frames for site in frame if "/" in site.file)
    if not sites:
        return "?", []
    innermost = subject_site(sites)
    callers = [s for s in sites[sites.index(innermost) + 1 :] if not s.file.startswith("face/")]
    return str(innermost), [str(site) for site in callers[:MOST_CALLERS]]


def _locks(held: bytes) -> list[str]:
    """Outermost first: the class and the offset of each."""
    return [
        f"{class_name(lock_class)} 0x{lock:x}{' for reading' if reader else ''}"
        for lock, lock_class, reader, *_ in _HELD.iter_unpack(held)
        if lock
    ]
