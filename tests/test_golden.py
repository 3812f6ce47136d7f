"""The subject against what z3fold of Linux v5.2 was recorded to do, and against the model on fresh
traces: every answer, the page count after every operation, and where each object ends up."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from golden_trace import ALLOC, DRAIN, FREE, SIZES, Operation, draw_trace, read_trace
from model import HEADER_CHUNKS, Model, Object

from z3fold_stress import Arena, Handle, Pool
from z3fold_stress._live import Call

GOLDEN = Path(__file__).parent / "golden"
TRACES = sorted(GOLDEN.glob("v52*.csv"))
NAME = re.compile(r"v52(nosearch)?_[a-z]+_(\d)cpu_(drain|nodrain)")
GFP_KERNEL, GFP_HIGHMEM = 1, 2
UNTOUCHED = 0xDEAD
FRAMES = 2048


class Subject:
    """A pool, with the answers of the model: (errno or 0, pages) after each operation."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self.pool = Pool(arena)
        self.live: dict[int, Handle] = {}

    def perform(self, operation: Operation, *, drain: bool) -> tuple[int, int]:
        ret = 0
        self.arena.cpu = operation.cpu
        if operation.op == ALLOC:
            try:
                self.live[operation.id] = self.pool.alloc(operation.size)
            except OSError as error:
                ret = -error.errno
        elif operation.op == FREE:
            self.pool.free(self.live.pop(operation.id))
        if drain or operation.op == DRAIN:
            self.pool.drain(operation.cpu)
        return ret, self.arena.layout.get("pool", self.pool.offset, "pages_nr")

    def places(self) -> dict[int, tuple[int, int]]:
        """Of each live object the page, by the first object that was seen in it, and the offset."""
        names: dict[int, int] = {}
        return {
            id_: (names.setdefault(self.pool.page_of(handle), id_), self.pool.map_offset(handle))
            for id_, handle in sorted(self.live.items())
        }


def replay(subject: Subject, operations: Iterable[Operation], *, drain: bool) -> list[object]:
    return [subject.perform(operation, drain=drain) for operation in operations]


@contextmanager
def posted(cpus: int = 1, *, search: bool = True, frames: int = FRAMES) -> Iterator[Subject]:
    """As posted, going on where a check fails: its faults are part of what was recorded."""
    with Arena(
        "as-posted", cpus=cpus, frames=frames, cross_cpu_search=search, keep_going=True
    ) as arena:
        yield Subject(arena)


def replay_model(
    model: Model, operations: Iterable[Operation], *, drain: bool
) -> tuple[list[tuple[int, int]], dict[int, tuple[int, int]]]:
    """The model's answers, and the places as `Subject.places` names them."""
    answers: list[tuple[int, int]] = []
    live: dict[int, Object] = {}
    for operation in operations:
        ret = 0
        if operation.op == ALLOC:
            ret, obj = model.alloc(operation.size, operation.cpu)
            if obj is not None:
                live[operation.id] = obj
        elif operation.op == FREE:
            model.free(live.pop(operation.id), operation.cpu)
        if drain:
            model.drain(operation.cpu)
        answers.append((ret, model.pages_nr))
    names: dict[int, int] = {}
    places = {
        id_: (names.setdefault(id(obj.page or obj), id_), model.map_offset(obj))
        for id_, obj in sorted(live.items())
    }
    return answers, places


def test_all_traces_are_there() -> None:
    assert len(TRACES) == 10


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_as_posted_reproduces_recording(path: Path) -> None:
    match = NAME.fullmatch(path.stem)
    assert match is not None
    nosearch, cpus, mode = match.groups()
    rows = read_trace(path)
    with posted(int(cpus), search=nosearch is None) as subject:
        for number, row in enumerate(rows):
            answer = subject.perform(row.operation, drain=mode == "drain")
            assert answer == (row.ret, row.pages_nr), f"row {number}: {row}"


@pytest.mark.parametrize(
    ("seed", "sizes", "cpus"),
    [(7, "uniform", 1), (8, "bimodal", 2), (9, "lognormal", 3), (10, "uniform", 4)],
)
@pytest.mark.parametrize("drain", [False, True], ids=["nodrain", "drain"])
@pytest.mark.parametrize("design", ["as-posted", "sound"])
def test_fresh_trace_places_as_the_model(
    seed: int, sizes: str, cpus: int, drain: bool, design: str
) -> None:
    assert sizes in SIZES
    operations = list(draw_trace(seed, 1200, sizes, cpus))
    model = Model(cpus=cpus, first_fit_ignores_header_chunks=design == "as-posted")
    answers, places = replay_model(model, operations, drain=drain)
    with Arena(design, cpus=cpus, frames=FRAMES, keep_going=design == "as-posted") as arena:
        subject = Subject(arena)
        assert replay(subject, operations, drain=drain) == answers
        assert subject.places() == places
        if design == "sound":
            assert arena.audit() == []


# errno.csv, a row for each case


def errno_rows(kind: str) -> list[list[str]]:
    with (GOLDEN / "errno.csv").open(newline="") as file:
        return [row for row in csv.reader(file) if row[0].startswith(kind)]


def test_no_row_of_errno_is_left_out() -> None:
    counts = [len(errno_rows(kind)) for kind in ("alloc ", "  map", "oom ", "shrink ", "#", "case")]
    assert counts == [19, 12, 12, 2, 1, 1]
    assert len(errno_rows("")) == sum(counts)


@pytest.mark.parametrize("design", ["as-posted", "sound"])
def test_allocation_of_each_size_answers_as_recorded(design: str) -> None:
    """Each case is the first of its pool: errno, headless or not, pages, and whether a handle is
    written; those that succeed are mapped, and start at the recorded offset."""
    offsets = []
    for case, ret, *details in errno_rows("alloc "):
        size = int(case.split("size=")[1].split()[0]) % 2**64
        gfp = GFP_KERNEL | (GFP_HIGHMEM if case.endswith("|HIGHMEM") else 0)
        with Arena(design, frames=8, keep_going=True) as arena:
            pool = Pool(arena)
            result, _, handle = arena.call(Call.CALL_ALLOC, pool.offset, size, gfp, UNTOUCHED)
            assert result == int(ret), case
            if details:
                headless = handle & 1 if result == 0 else -1
                answer = [headless, pool.stats().pages, int(handle != UNTOUCHED)]
                assert answer == list(map(int, details)), case
            if result == 0:
                offsets.append(pool.map_offset(Handle(pool, handle, size)))
    assert offsets == [int(case.split("=")[1]) for [case] in errno_rows("  map")]
    assert set(offsets) == {0, HEADER_CHUNKS * 64}


@pytest.mark.parametrize("design", ["as-posted", "sound"])
def test_out_of_memory_answers_as_recorded(design: str) -> None:
    """Four frames take four large objects, four small ones behind them, and no more; a failure
    touches neither the page count nor the handle."""
    with Arena(design, frames=4, keep_going=True) as arena:
        pool = Pool(arena)
        for case, ret, _, pages in errno_rows("oom "):
            size = int(case.split("size=")[1].split()[0])
            result, _, handle = arena.call(Call.CALL_ALLOC, pool.offset, size, GFP_KERNEL, UNTOUCHED)
            assert (result, pool.stats().pages) == (int(ret), int(pages)), case
            assert (handle == UNTOUCHED) == (result != 0), case


@pytest.mark.parametrize("design", ["as-posted", "sound"])
def test_reclaim_without_callback_or_rounds_answers_as_recorded(design: str) -> None:
    without, zero = (int(row[1]) for row in errno_rows("shrink "))
    asked: list[Handle] = []
    with Arena(design, frames=4, keep_going=True) as arena:
        deaf = Pool(arena)
        deaf.alloc(100)
        assert arena.call(Call.CALL_RECLAIM, deaf.offset, 8)[0] == without
    with Arena(design, frames=4, keep_going=True) as arena:
        pool = Pool(arena, evict=lambda handle: asked.append(handle) or 0)
        pool.alloc(100)
        assert arena.call(Call.CALL_RECLAIM, pool.offset, 0)[0] == zero
    assert asked == []
