"""The model against what z3fold of Linux v5.2 was recorded to answer, and the trace recipe too."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from errno import ENOMEM
from itertools import pairwise
from pathlib import Path

import pytest
from golden_trace import ALLOC, DRAIN, FREE, SIZES, Operation, Row, draw_trace, read_trace
from model import CHUNK_SIZE, HEADER_CHUNKS, PAGE_SIZE, Buddy, Model, Object

GOLDEN = Path(__file__).parent / "golden"
SEEDS = {1: 20190417, 4: 20190418}
NAME = re.compile(r"v52(nosearch)?_([a-z]+)_(\d)cpu_(drain|nodrain)")


@dataclass(frozen=True)
class Recording:
    """What the name of a golden trace says about it, and its rows."""

    name: str
    search: bool
    sizes: str
    cpus: int
    drain: bool
    rows: list[Row]


def recording(path: Path) -> Recording:
    match = NAME.fullmatch(path.stem)
    assert match is not None, path
    nosearch, sizes, cpus, mode = match.groups()
    rows = read_trace(path)
    return Recording(path.stem, nosearch is None, sizes, int(cpus), mode == "drain", rows)


RECORDINGS = [recording(path) for path in sorted(GOLDEN.glob("v52*.csv"))]
each_recording = pytest.mark.parametrize("trace", RECORDINGS, ids=lambda trace: trace.name)


def replay(
    model: Model, operations: Iterable[Operation], *, drain: bool
) -> tuple[list[tuple[int, int]], dict[int, Object]]:
    """Run the operations; the answer and page count after each, and the objects that are left."""
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
        if drain or operation.op == DRAIN:
            model.drain(operation.cpu)
        answers.append((ret, model.pages_nr))
    return answers, live


def alloc(model: Model, chunks: int, cpu: int = 0) -> Object:
    ret, obj = model.alloc(chunks * CHUNK_SIZE, cpu)
    assert ret == 0
    assert obj is not None
    return obj


def overlaps(objects: Iterable[Object]) -> int:
    """How many neighbours within a page share bytes, or reach into the header or past the end."""
    by_page: dict[int, list[tuple[int, int]]] = {}
    model = Model()
    for obj in objects:
        if obj.page is not None:
            start = model.map_offset(obj)
            span = (start, start + obj.chunks * CHUNK_SIZE)
            by_page.setdefault(id(obj.page), []).append(span)
    count = 0
    for spans in by_page.values():
        edges = [(0, HEADER_CHUNKS * CHUNK_SIZE), *sorted(spans), (PAGE_SIZE, PAGE_SIZE)]
        count += sum(end > start for (_, end), (start, _) in pairwise(edges))
    return count


def test_all_recordings_are_there() -> None:
    assert len(RECORDINGS) == 10


@each_recording
def test_model_reproduces_recording(trace: Recording) -> None:
    model = Model(cpus=trace.cpus, cross_cpu_search=trace.search)
    answers, _ = replay(model, trace.rows, drain=trace.drain)
    assert answers == [(row.ret, row.pages_nr) for row in trace.rows]


@each_recording
def test_recipe_draws_the_recorded_operations(trace: Recording) -> None:
    drawn = list(draw_trace(SEEDS[trace.cpus], len(trace.rows) - 1, trace.sizes, trace.cpus))
    assert [*drawn, Operation(DRAIN, -1, 0, 0)] == [row.operation for row in trace.rows]


def errno_rows(kind: str) -> list[list[str]]:
    """The rows of errno.csv whose case starts so; reclaim's ("shrink") are not the model's."""
    with (GOLDEN / "errno.csv").open(newline="") as file:
        return [row for row in csv.reader(file) if row[0].startswith(kind)]


def test_error_codes_and_offsets() -> None:
    """Each case is the first allocation of a pool; the successful ones are mapped, in order."""
    offsets = []
    cases = errno_rows("alloc ")
    assert len(cases) == 19
    for case, ret, *details in cases:
        model = Model()
        size = int(case.split("size=")[1].split()[0])
        got, obj = model.alloc(size, highmem=case.endswith("|HIGHMEM"))
        assert got == int(ret), case
        if details:
            headless = -1 if obj is None else int(obj.page is None)
            assert [headless, model.pages_nr, int(obj is not None)] == list(map(int, details)), case
        if obj is not None:
            offsets.append(model.map_offset(obj))
    assert offsets == [int(case.split("=")[1]) for [case] in errno_rows("  map")]


def test_out_of_memory() -> None:
    """Four pages take four large objects, then four small ones behind them, and no more."""
    model = Model(frames=4)
    rows = errno_rows("oom ")
    assert len(rows) == 12
    for case, ret, _, pages_nr in rows:
        size = int(case.split("size=")[1].split()[0])
        got, obj = model.alloc(size)
        assert (got, obj is None, model.pages_nr) == (int(ret), int(ret) != 0, int(pages_nr)), case


def test_only_a_sleepable_allocation_takes_a_stale_page() -> None:
    model = Model(frames=1)
    model.free(alloc(model, 16))
    model.free(alloc(model, 16))
    assert model.alloc(1000, atomic=True) == (-ENOMEM, None)
    model.drain()
    ret, obj = model.alloc(1000, atomic=True)
    assert ret == 0
    assert obj is not None


def test_headless_page_is_never_stale() -> None:
    model = Model(frames=1)
    model.free(alloc(model, 64))
    ret, _ = model.alloc(PAGE_SIZE, atomic=True)
    assert ret == 0


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("drain", [False, True])
def test_without_mappings_both_first_fit_rules_place_alike(sizes: str, drain: bool) -> None:
    """A middle with room on both sides is always compacted before the page is used again."""
    operations = list(draw_trace(1, 4000, sizes, 2))
    runs = [
        replay(Model(cpus=2, first_fit_ignores_header_chunks=rule), operations, drain=drain)
        for rule in (True, False)
    ]
    assert runs[0][0] == runs[1][0]
    assert [overlaps(live.values()) for _, live in runs] == [0, 0]


@pytest.mark.parametrize("posted", [False, True])
def test_next_to_a_mapped_middle_the_rule_as_posted_overlaps(posted: bool) -> None:
    model = Model(first_fit_ignores_header_chunks=posted)
    first, last, middle = (alloc(model, chunks) for chunks in (20, 10, 10))
    assert first.page is not None
    first.page.middle_mapped = True
    model.free(first)
    model.free(last)
    model.drain()
    new = alloc(model, 21)
    assert model.pages_nr == 1
    assert new.buddy is (Buddy.FIRST if posted else Buddy.LAST)
    assert overlaps([middle, new]) == posted


@pytest.mark.parametrize(("gap", "end"), [(0, 44), (2, 42), (3, 44)])
def test_middle_moves_up_for_a_gain_of_three_chunks(gap: int, end: int) -> None:
    model = Model()
    first, _, middle = (alloc(model, chunks) for chunks in (20, 20, 22 - gap))
    model.free(first)
    model.drain()
    assert model.map_offset(middle) == (end - middle.chunks) * CHUNK_SIZE


@pytest.mark.parametrize(("gap", "start"), [(0, 42), (2, 42), (3, 39)])
def test_middle_moves_down_for_a_gain_of_three_chunks(gap: int, start: int) -> None:
    model = Model()
    first, last, middle = (alloc(model, chunks) for chunks in (20, 12, 10))
    model.free(first)
    model.drain()
    assert model.map_offset(middle) == 42 * CHUNK_SIZE  # right before the last
    alloc(model, 40 - gap)
    model.free(last)
    model.drain()
    assert model.map_offset(middle) == start * CHUNK_SIZE


def test_lone_middle_becomes_first() -> None:
    model = Model()
    first, last, middle = (alloc(model, chunks) for chunks in (20, 12, 10))
    model.free(first)
    model.free(last)
    model.drain()
    assert model.map_offset(middle) == HEADER_CHUNKS * CHUNK_SIZE
    assert middle.buddy is Buddy.FIRST


def test_compactions_run_in_order_and_list_at_the_head() -> None:
    model = Model()
    firsts = [alloc(model, 40) for _ in range(2)]
    for obj in [alloc(model, 22) for _ in firsts]:
        model.free(obj)
        last_freed = obj.page
    model.drain()
    assert alloc(model, 22).page is last_freed


@pytest.mark.parametrize(("head_compacting", "pages_nr"), [(False, 2), (True, 3)])
def test_search_of_another_cpu_looks_at_one_page(head_compacting: bool, pages_nr: int) -> None:
    """Two exact fits on CPU 0; when the head one waits for compaction, the other is not tried."""
    model = Model(cpus=2)
    for chunks in (40, 40, 12):
        alloc(model, chunks)
    head = alloc(model, 12)
    if head_compacting:
        model.free(head)
    alloc(model, 10, cpu=1)
    assert model.pages_nr == pages_nr
