"""The findings store: each different failure once, counted, with the smallest replay seen.

    from z3fold_stress.findings import store

    store.record(finding, origin="pytest")

One SQLite file, for any number of writers at once.  Dates are in it, for a store is not replayed;
the findings in it are.
"""

from __future__ import annotations

import difflib
import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from z3fold_stress import _sim
from z3fold_stress.findings.database import StoreError, default_path, examine, read, write
from z3fold_stress.findings.entry import Entry, entry_of
from z3fold_stress.findings.finding import Finding, FindingError
from z3fold_stress.findings.size import Size

__all__ = ["ORIGINS", "Kept", "Recorded", "Sighting", "Store", "StoreError", "record"]

ORIGINS = ("explore", "hunt", "fuzz", "museum", "shrink", "replay", "soak", "pytest")
DAY = 86400.0
_SIGNATURE = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Sighting:
    """How often a failure was met in one way.  Dates are seconds since 1970."""

    origin: str
    design: str
    scenario: str
    count: int
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Kept:
    """What a store knows of one failure.  Design, scenario and text are those of what is kept:
    the smallest replay."""

    signature: str
    verdict: str
    text: str
    design: str
    scenario: str
    """Empty for a verdict of soaks."""
    replays: bool
    """False for a soak's, and for what did not repeat."""
    size: Size
    build: str
    sightings: tuple[Sighting, ...]

    @property
    def count(self) -> int:
        return sum(sighting.count for sighting in self.sightings)

    @property
    def first(self) -> float:
        return min(sighting.first for sighting in self.sightings)

    @property
    def last(self) -> float:
        return max(sighting.last for sighting in self.sightings)

    @property
    def origins(self) -> dict[str, int]:
        """How often by whom."""
        counts: dict[str, int] = {}
        for sighting in self.sightings:
            counts[sighting.origin] = counts.get(sighting.origin, 0) + sighting.count
        return counts


@dataclass(frozen=True, slots=True)
class Recorded:
    """What came of recording."""

    store: Path
    signature: str
    new: bool
    """Nobody had told the store of this failure."""
    kept: bool
    """This replay is the one that the store has now."""


class Store:
    """The store in a file; nothing is opened, or made, before it is used.

    Every method raises StoreError for a file that is no store, is damaged, or is of a later
    version; those that write, also where it cannot be written.
    """

    def __init__(self, path: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self.path = default_path() if path is None else path
        self.clock = clock

    def check(self) -> None:
        """Raises StoreError if there is a file and it is no store of ours."""
        read(self.path, lambda connection: None, None)

    def record(self, finding: Finding | Entry, *, origin: str, times: int = 1) -> Recorded:
        """Count a failure, met ``times`` times more, and keep its replay if it is the best: see
        _compare.

        With 0 times a smaller replay of a known failure is told; a new one counts as once.
        """
        if origin not in ORIGINS or times < 0:
            raise ValueError(f"recorded by {origin!r}, {times} times")
        entry = entry_of(finding) if isinstance(finding, Finding) else finding
        if not _SIGNATURE.fullmatch(entry.signature):
            raise StoreError(f"{entry.signature!r} is no signature: this finding is not stored")
        now = self.clock()

        def work(connection: sqlite3.Connection) -> Recorded:
            new, keep = _compare(connection, entry)
            if keep:
                _keep(connection, entry)
            _count(connection, entry, origin, max(1, times) if new else times, now)
            return Recorded(self.path, entry.signature, new, keep)

        return write(self.path, work)

    def entries(self) -> list[Kept]:
        """All failures, the last seen first."""

        def work(connection: sqlite3.Connection) -> list[Kept]:
            kept = _all(connection)
            return sorted(kept, key=lambda one: (-one.last, one.signature))

        return read(self.path, work, [])

    def lookup(self, prefix: str) -> Kept:
        """The one failure whose signature begins so."""
        known = {kept.signature: kept for kept in self.entries()}
        matching = sorted(name for name in known if prefix and name.startswith(prefix))
        if prefix in known:
            return known[prefix]
        if len(matching) == 1:
            return known[matching[0]]
        if matching:
            raise StoreError(
                f"{len(matching)} findings of {self.path} begin with {prefix!r}: "
                f"{_few(matching)}; give more of it"
            )
        near = difflib.get_close_matches(prefix, known, n=3, cutoff=0.0)
        hint = f"; the nearest: {_few(near)}" if near else ": there is none in it"
        raise StoreError(f"no finding of {self.path} begins with {prefix!r}{hint}")

    def body(self, kept: Kept) -> dict[str, Any]:
        """All that is kept of a failure: a finding as JSON, or what a soak told."""

        def work(connection: sqlite3.Connection) -> str | None:
            row = connection.execute(
                "SELECT body FROM finding WHERE signature = ?", (kept.signature,)
            ).fetchone()
            return None if row is None else str(row[0])

        text = read(self.path, work, None)
        if text is None:
            raise StoreError(f"finding {kept.signature} is no longer in {self.path}: it was pruned")
        try:
            body = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise StoreError(f"finding {kept.signature} in {self.path}: {error}") from None
        if not isinstance(body, dict) or body.get("signature") != kept.signature:
            raise StoreError(f"finding {kept.signature} in {self.path} is another: it is damaged")
        return body

    def finding(self, kept: Kept) -> Finding:
        """The smallest replay.  Raises StoreError for a verdict of soaks: it has none."""
        body = self.body(kept)
        if not kept.replays and "finding" in body:
            raise StoreError(
                f"finding {kept.signature} did not repeat: it is told, and there is no replay"
            )
        if not kept.replays:
            raise StoreError(
                f"finding {kept.signature} was met by soaks only, which are not replayed; "
                f"run it again: {body.get('command')}"
            )
        try:
            return Finding.from_json(body)
        except FindingError as error:
            raise StoreError(f"finding {kept.signature} in {self.path}: {error}") from None

    def prune(
        self,
        *,
        older_than: float | None = None,
        verdict: str | None = None,
        keep: int | None = None,
        dry_run: bool = False,
    ) -> list[Kept]:
        """Forget what all conditions speak of, and say what that was: not seen for ``older_than``
        days, of this verdict, and of those all but the ``keep`` last seen."""
        before = None if older_than is None else self.clock() - older_than * DAY

        def chosen(connection: sqlite3.Connection) -> list[Kept]:
            found = [
                kept
                for kept in _all(connection)
                if (before is None or kept.last < before)
                and (verdict is None or kept.verdict == verdict)
            ]
            return sorted(found, key=lambda one: (-one.last, one.signature))[keep or 0 :]

        def work(connection: sqlite3.Connection) -> list[Kept]:
            gone = chosen(connection)
            for table in ("sighting", "finding"):
                connection.executemany(
                    f"DELETE FROM {table} WHERE signature = ?", [(one.signature,) for one in gone]
                )
            return gone

        if dry_run or not examine(self.path):
            return read(self.path, chosen, [])
        return write(self.path, work)


def record(
    finding: Finding | Entry, *, origin: str, times: int = 1, path: Path | None = None
) -> Recorded:
    """Store a finding in the user's store, or that in ``path``.  Raises StoreError where that
    cannot be: what found it goes on."""
    return Store(path).record(finding, origin=origin, times=times)


def _few(names: Iterable[str], most: int = 4) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _compare(connection: sqlite3.Connection, entry: Entry) -> tuple[bool, bool]:
    """Whether it is new, and whether it takes the place of what is kept.

    A replay is better than none; one that this build made is better than that of another, which
    may not fit any more; then the smaller.  Of soaks the last is kept.
    """
    row = connection.execute(
        "SELECT replays, switches, operations, build FROM finding WHERE signature = ?",
        (entry.signature,),
    ).fetchone()
    if row is None:
        return True, True
    replays, switches, operations, build = row
    old = (not replays, build != _sim.BUILD, Size(switches, operations))
    new = (not entry.replays, entry.build != _sim.BUILD, entry.size)
    return False, new < old or (new == old and not entry.replays)


def _keep(connection: sqlite3.Connection, entry: Entry) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO finding (signature, verdict, text, design, scenario, replays, "
        "switches, operations, build, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(entry.signature, entry.verdict, entry.text, entry.design, entry.scenario),
            *(int(entry.replays), *entry.size, entry.build),
            json.dumps(entry.body, separators=(",", ":")),
        ),
    )


def _count(
    connection: sqlite3.Connection, entry: Entry, origin: str, times: int, now: float
) -> None:
    connection.execute(
        "INSERT INTO sighting (signature, origin, design, scenario, first, last, count) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET first = min(first, excluded.first),"
        " last = max(last, excluded.last), count = count + excluded.count",
        (entry.signature, origin, entry.design, entry.scenario, now, now, times),
    )


def _all(connection: sqlite3.Connection) -> list[Kept]:
    sightings: dict[str, list[Sighting]] = {}
    for signature, *rest in connection.execute(
        "SELECT signature, origin, design, scenario, count, first, last FROM sighting "
        "ORDER BY signature, first, origin, design, scenario"
    ):
        sightings.setdefault(signature, []).append(Sighting(*rest))
    rows = connection.execute(
        "SELECT signature, verdict, text, design, scenario, replays, switches, operations, build "
        "FROM finding ORDER BY signature"
    )
    return [
        Kept(
            *(signature, verdict, text, design, scenario, bool(replays)),
            Size(switches, operations),
            build,
            tuple(sightings.get(signature, ())),
        )
        for signature, verdict, text, design, scenario, replays, switches, operations, build in rows
        if signature in sightings
    ]
