"""Traces: reading a recorded sequence of operations, and playing it in an arena of its own.

Compares with what was recorded, and measures density on the way. Knows nothing of commands.
"""

from __future__ import annotations

import errno
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from z3fold_stress import _live
from z3fold_stress.arena import Arena
from z3fold_stress.designs import Design
from z3fold_stress.errors import VerdictError
from z3fold_stress.judgement import AuditFinding, Judgement
from z3fold_stress.layout import PAGE_SIZE
from z3fold_stress.pool import Handle, Pool
from z3fold_stress.settings import ArenaSettings

__all__ = ["Density", "Difference", "Row", "TraceError", "TraceResult", "play", "read"]

ALLOC, FREE, DRAIN = "A", "F", "D"
REQUIRED = ("op", "id", "size")
COLUMNS = (*REQUIRED, "cpu", "ret", "pages_nr")
LONGEST_LINE = 1000
SPARE_FRAMES = 8
SAMPLES = 10


class TraceError(ValueError):
    """A trace that cannot be played; the message has the line and what is wrong there."""


@dataclass(frozen=True, slots=True)
class Row:
    """One operation; ``ret`` and ``pages_nr`` are None where nothing was recorded."""

    line: int
    op: str
    id: int
    size: int
    cpu: int
    ret: int | None
    pages_nr: int | None

    def __str__(self) -> str:
        if self.op == DRAIN:
            return f"drain on CPU {self.cpu}"
        what = f"alloc of {self.size} bytes" if self.op == ALLOC else "free"
        return f"{what}, object {self.id}, on CPU {self.cpu}"


# reading


def read(path: Path | str) -> list[Row]:
    """The rows of a trace. Raises TraceError for a file that is not one."""
    try:
        with open(path, "rb") as file:
            lines = _lines(path, file)
            columns = _header(path, lines)
            rows = list(_rows(path, lines, columns))
    except OSError as error:
        raise TraceError(
            f"cannot read the trace {path}: {error.strerror}; give a readable file"
        ) from error
    if not rows:
        raise TraceError(f"{path} has no operations, only a header; add rows")
    return rows


def _lines(path: Path | str, file: Any) -> Iterator[tuple[int, list[str]]]:
    """The fields of each line that has any, and its number."""
    number = 0
    while raw := file.readline(LONGEST_LINE):
        number += 1
        if len(raw) == LONGEST_LINE:
            raise TraceError(f"{path}, line {number} is too long: this is no trace")
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8", "backslashreplace").strip()
        if text and not text.startswith("#"):
            yield number, [field.strip().strip('"') for field in text.split(",")]


def _header(path: Path | str, lines: Iterator[tuple[int, list[str]]]) -> list[str]:
    number, columns = next(lines, (0, []))
    expected = f"it begins with a line of column names: {','.join(REQUIRED)}[,cpu][,ret][,pages_nr]"
    if not columns:
        raise TraceError(f"{path} is empty: this is no trace; {expected}")
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise TraceError(
            f"{path}, line {number}: no column {', '.join(missing)}: this is no trace; {expected}"
        )
    for name in columns:
        if name not in COLUMNS:
            raise TraceError(
                f"{path}, line {number}: unknown column {name[:24]!r}; the columns are "
                f"{','.join(COLUMNS)}"
            )
        if columns.count(name) > 1:
            raise TraceError(f"{path}, line {number}: two columns are named {name}")
    return columns


def _rows(
    path: Path | str, lines: Iterator[tuple[int, list[str]]], columns: list[str]
) -> Iterator[Row]:
    """Each row, checked by itself and against those before it."""
    live: dict[int, int] = {}
    gone: dict[int, str] = {}
    for number, fields in lines:
        where = f"{path}, line {number}"
        if len(fields) > len(columns):
            raise TraceError(
                f"{where} has {len(fields)} fields, the header only {len(columns)}; "
                "remove what is too much"
            )
        row = _row(where, number, dict(zip(columns, fields, strict=False)))
        if row.op == ALLOC:
            if row.id in live:
                raise TraceError(
                    f"{where}: object {row.id} is allocated again; it lives since line "
                    f"{live[row.id]}, free it before"
                )
            if row.ret:
                gone[row.id] = f"its allocation on line {number} is recorded as failed"
            else:
                live[row.id] = number
        elif row.op == FREE:
            if row.id not in live:
                why = gone.get(row.id, "it was never allocated")
                raise TraceError(f"{where}: free of object {row.id}: {why}")
            del live[row.id]
            gone[row.id] = f"it was freed before, on line {number}"
        yield row


def _row(where: str, number: int, fields: dict[str, str]) -> Row:
    op = fields.get("op", "")
    if op not in (ALLOC, FREE, DRAIN):
        raise TraceError(f"{where}: unknown op {op[:24]!r}; it is A (alloc), F (free) or D (drain)")
    ret = _number(where, fields, "ret", -4095, 4095)
    last_cpu = int(_live.LIMITS["cpus"]) - 1
    return Row(
        line=number,
        op=op,
        id=0 if op == DRAIN else _number(where, fields, "id", 0, 2**63, required=True) or 0,
        size=_number(where, fields, "size", 0, 2**64 - 1, required=True) or 0 if op == ALLOC else 0,
        cpu=_number(where, fields, "cpu", 0, last_cpu) or 0,
        ret=None if ret is None else -abs(ret),
        pages_nr=_number(where, fields, "pages_nr", 0, 2**32),
    )


def _number(
    where: str, fields: dict[str, str], name: str, low: int, high: int, *, required: bool = False
) -> int | None:
    """The number in a field; None for an empty one that is not required."""
    text = fields.get(name, "")
    if not text and not required:
        return None
    if len(text) > 20 or not text.isascii() or not text.removeprefix("-").isdigit():
        raise TraceError(f"{where}: {name} is {text[:24]!r}; it must be a whole number")
    if not low <= int(text) <= high:
        raise TraceError(f"{where}: {name} is {text}; it must be from {low} to {high}")
    return int(text)


# playing


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that went otherwise than recorded; each answer is (ret, pages_nr), None where
    nothing was recorded."""

    row: Row
    expected: tuple[int | None, int | None]
    got: tuple[int, int]

    def __str__(self) -> str:
        parts = [
            f"{name} recorded {expected}, got {got}"
            for name, expected, got in zip(
                ("ret", "pages_nr"), self.expected, self.got, strict=True
            )
            if expected is not None and expected != got
        ]
        return f"line {self.row.line}, {self.row}: {'; '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Density:
    """How full the pages are: objects a page, and the part of their bytes that is stored."""

    objects_per_page: float
    used: float

    @classmethod
    def of(cls, objects: int, stored: int, pages: int) -> Density:
        if not pages:
            return cls(0.0, 0.0)
        return cls(round(objects / pages, 4), round(stored / (pages * PAGE_SIZE), 4))


@dataclass(frozen=True, slots=True)
class TraceResult:
    """What a trace did. ``worst`` density counts from the moment that the pool first had half
    of its peak pages: before, it only fills. ``samples`` are (operations, objects, stored bytes,
    pages), evenly spaced."""

    design: str
    drain: bool
    cross_cpu_search: bool
    cpus: int
    frames: int
    operations: int
    allocs: int
    frees: int
    failed: dict[str, int]
    compared: int
    differing: int
    first_difference: Difference | None
    stopped: str
    """Where and why an operation could not go on, so that the rest was not played; else empty."""
    judgements: list[Judgement]
    findings: list[AuditFinding]
    objects: int
    stored_bytes: int
    pages: int
    peak_pages: int
    final: Density
    mean: Density
    worst: Density
    samples: list[tuple[int, int, int, int]]

    @property
    def status(self) -> int:
        """1: it went otherwise than recorded, or, with nothing recorded, a check failed."""
        if self.differing or self.stopped:
            return 1
        return int(not self.compared and bool(self.judgements or self.findings))

    def to_json(self) -> dict[str, Any]:
        body = asdict(self)
        for name in ("judgements", "findings"):
            body[name] = [{**item, "verdict": str(item["verdict"])} for item in body[name]]
        return {"status": self.status, **body}


class _Series:
    """Objects, stored bytes and pages after each operation."""

    def __init__(self) -> None:
        self.objects, self.stored, self.pages = array("Q"), array("Q"), array("Q")

    def add(self, objects: int, stored: int, pages: int) -> None:
        self.objects.append(objects)
        self.stored.append(stored)
        self.pages.append(pages)

    def at(self, i: int) -> tuple[int, int, int]:
        return self.objects[i], self.stored[i], self.pages[i]

    def worst(self) -> Density:
        half = max(self.pages, default=0) / 2
        start = next((i for i, pages in enumerate(self.pages) if pages >= half), 0)
        seen = [Density.of(*self.at(i)) for i in range(start, len(self.pages)) if self.pages[i]]
        return Density(
            min((d.objects_per_page for d in seen), default=0.0),
            min((d.used for d in seen), default=0.0),
        )

    def samples(self) -> list[tuple[int, int, int, int]]:
        n = len(self.pages)
        ends = sorted({n * k // SAMPLES for k in range(1, SAMPLES + 1)} - {0})
        return [(end, *self.at(end - 1)) for end in ends]


class _Player:
    """A pool, and which of the trace's objects live in it."""

    def __init__(self, arena: Arena, drain: bool) -> None:
        self.arena = arena
        self.drain = drain
        self.pool = Pool(arena)
        self.live: dict[int, Handle] = {}
        self.stored = 0
        self.failed: Counter[str] = Counter()

    def pages(self) -> int:
        return self.arena.layout.get("pool", self.pool.offset, "pages_nr")

    def perform(self, row: Row) -> tuple[int, int]:
        """(ret, pages_nr)."""
        ret = 0
        if row.cpu != self.arena.cpu:
            self.arena.cpu = row.cpu
        if row.op == ALLOC:
            try:
                self.live[row.id] = self.pool.alloc(row.size)
                self.stored += row.size
            except OSError as error:
                ret = -(error.errno or 0)
                self.failed[errno.errorcode.get(-ret, str(ret))] += 1
        elif row.op == FREE and (handle := self.live.pop(row.id, None)) is not None:
            self.stored -= handle.size
            self.pool.free(handle)
        if self.drain or row.op == DRAIN:
            self.pool.drain(row.cpu)
        return ret, self.pages()


def _settings(
    rows: Sequence[Row], design: Design, cross_cpu_search: bool, frames: int | None
) -> ArenaSettings:
    """An arena that the trace cannot fill, also where a defect leaks its pages and slots."""
    allocs = sum(row.op == ALLOC for row in rows)
    return ArenaSettings(
        design=design,
        frames=min(allocs + SPARE_FRAMES, 2**22) if frames is None else frames,
        slots=min(2 * allocs + SPARE_FRAMES, 2**24),
        tasks=1,
        cpus=1 + max(row.cpu for row in rows),
        cross_cpu_search=cross_cpu_search,
        keep_going=True,
    )


def play(
    rows: Sequence[Row],
    design: Design,
    drain: bool,
    cross_cpu_search: bool = True,
    frames: int | None = None,
) -> TraceResult:
    """Play a trace in an arena of its own. ``drain``: queued work runs after every operation,
    not only at rows that say so. ``frames``: how many the arena has; None: as many as it takes.
    """
    settings = _settings(rows, design, cross_cpu_search, frames)
    series = _Series()
    compared = differing = 0
    first: Difference | None = None
    stopped = ""
    with Arena.make(settings) as arena:
        player = _Player(arena, drain)
        for row in rows:
            try:
                got = player.perform(row)
            except VerdictError:
                stopped = f"line {row.line}, {row}: {arena.judgements()[-1]}"
                break
            expected = (row.ret, row.pages_nr)
            compared += expected != (None, None)
            if any(e is not None and e != g for e, g in zip(expected, got, strict=True)):
                differing += 1
                first = first or Difference(row, expected, got)
            series.add(len(player.live), player.stored, got[1])
        judgements = arena.judgements()
        findings = [] if stopped else arena.audit()
    last = series.at(-1) if series.pages else (0, 0, 0)
    return TraceResult(
        design=design.name,
        drain=drain,
        cross_cpu_search=cross_cpu_search,
        cpus=settings.cpus,
        frames=settings.frames,
        operations=len(series.pages),
        allocs=sum(row.op == ALLOC for row in rows),
        frees=sum(row.op == FREE for row in rows),
        failed=dict(player.failed),
        compared=compared,
        differing=differing,
        first_difference=first,
        stopped=stopped,
        judgements=judgements,
        findings=findings,
        objects=last[0],
        stored_bytes=last[1],
        pages=last[2],
        peak_pages=max(series.pages, default=0),
        final=Density.of(*last),
        mean=Density.of(sum(series.objects), sum(series.stored), sum(series.pages)),
        worst=series.worst(),
        samples=series.samples(),
    )
