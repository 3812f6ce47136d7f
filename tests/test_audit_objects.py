"""What several rules of the audit see, and the objects of the table: handles and payloads."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator

import pytest
from healthy import UNUSED_FRAME, Healthy
from placement import place

from z3fold_stress import Arena, Pool, Verdict
from z3fold_stress._live import Call
from z3fold_stress.soak.settings import SoakSettings

# Breaks that several rules see


@pytest.mark.parametrize("field_name", ["pool", "slots"])
def test_header_that_names_something_else(healthy: Healthy, field_name: str) -> None:
    healthy.layout.poke("header", healthy.header("full"), **{field_name: 4096})
    rules = {(finding.rule, finding.verdict) for finding in healthy.arena.audit()}
    assert (6, Verdict.INVARIANT) in rules


def test_slots_that_were_freed_under_a_live_page(healthy: Healthy) -> None:
    healthy.layout.poke("slots", healthy.slots("full"), state=0)
    assert (5, Verdict.USE_AFTER_FREE) in {(f.rule, f.verdict) for f in healthy.arena.audit()}


def test_slots_that_two_pages_share(healthy: Healthy) -> None:
    healthy.layout.poke("header", healthy.header("listed"), slots=healthy.slots("full"))
    assert {(5, Verdict.LEAK), (4, Verdict.STALE_HANDLE)} <= {
        (finding.rule, finding.verdict) for finding in healthy.arena.audit()
    }


def test_headless_page_that_is_not_on_the_lru(healthy: Healthy) -> None:
    """Only by the LRU is it known whose it is, so its pool's count is wrong as well."""
    healthy.unlink_from_lru("headless")
    assert {(finding.rule, finding.verdict) for finding in healthy.arena.audit()} == {
        (18, Verdict.LOST_PAGE),
        (21, Verdict.LEAK),
    }


def test_mapping_of_live_pages_that_is_gone(healthy: Healthy) -> None:
    healthy.layout.poke("pool", healthy.pool.offset, inode=0)
    told = [f.page for f in healthy.arena.audit() if f.rule == 25]
    assert healthy.header("full") in told
    assert healthy.header("headless") not in told


def test_queued_work_in_a_freed_page(healthy: Healthy) -> None:
    healthy.layout.poke("page", healthy.page("compacting"), state=0)
    assert (10, Verdict.USE_AFTER_FREE) in {(f.rule, f.verdict) for f in healthy.arena.audit()}


def test_allocated_frame_on_the_free_list(healthy: Healthy) -> None:
    healthy.layout.poke("page", healthy.layout.page_offset(UNUSED_FRAME), state=1)
    assert (21, Verdict.DOUBLE_FREE) in {(f.rule, f.verdict) for f in healthy.arena.audit()}


def test_list_that_never_comes_back_to_its_head(healthy: Healthy) -> None:
    """Three entries in a ring of their own, which the head only leads into."""
    ring = [healthy.layout.frame_offset(pfn) for pfn in range(21, 24)]
    for here, there in zip(ring, [*ring[1:], ring[0]], strict=True):
        healthy.link(here, there)
    struct.pack_into("=Q", healthy.arena.memory, healthy.unbuddied(5), ring[0])
    assert (15, Verdict.LIST_CORRUPTION) in {(f.rule, f.verdict) for f in healthy.arena.audit()}


def test_findings_are_limited_on_request(healthy: Healthy) -> None:
    for name in ("full", "listed", "compacting"):
        healthy.change("header", healthy.header(name), refcount=1)
    assert len(healthy.arena.audit()) == 3
    assert len(healthy.arena.audit(most=2)) == 2


# Objects of the table: handles and payloads


def worked(arena: Arena) -> Pool:
    """A pool on which a soak's worker has done some hundred operations."""
    pool = Pool(arena)
    sizes = array("H", [16, 17, 100, 700, 1200, 2000, 4000])
    mix = SoakSettings(fill=0.8, linger=0.0).mix(pool.offset) | {"operations": 400}
    arena.engine.worker(mix, sizes)
    return pool


def live_objects(arena: Arena) -> list[int]:
    numbers = range(arena.layout.arena("nr_objects"))
    offsets = map(arena.layout.object_offset, numbers)
    return [at for at in offsets if arena.layout.get("object", at, "state") == 1]


def payload_of(arena: Arena, at: int) -> int:
    """Where the contents of an object of the table are."""
    return sum(place(arena, arena.layout.get("object", at, "handle")))


@pytest.fixture
def table() -> Iterator[Arena]:
    with Arena(frames=64, objects=48) as arena:
        worked(arena)
        assert len(live_objects(arena)) > 20
        assert arena.audit() == []
        yield arena


@pytest.mark.parametrize("byte", [0, 8, 15, -1], ids=["number", "tag", "tag-end", "end"])
def test_payload_byte_that_changed(table: Arena, byte: int) -> None:
    changed = set()
    for at in live_objects(table):
        size = table.layout.get("object", at, "size")
        where = payload_of(table, at) + byte % size
        table.memory[where] ^= 1
        (finding,) = table.audit()
        assert (finding.rule, finding.verdict) == (3, Verdict.CORRUPTION)
        assert finding.handle == table.layout.get("object", at, "handle")
        changed.add(finding.handle)
        table.memory[where] ^= 1
    assert len(changed) == len(live_objects(table))
    assert table.audit() == []


def test_byte_behind_a_payload_is_nobodys(table: Arena) -> None:
    at = next(
        at for at in live_objects(table) if table.layout.get("object", at, "size") in (17, 100)
    )
    table.memory[payload_of(table, at) + table.layout.get("object", at, "size")] ^= 0xFF
    assert table.audit() == []


@pytest.mark.parametrize(
    ("change", "rule", "verdict"),
    [
        ({"handle": 0}, 4, Verdict.STALE_HANDLE),
        ({"handle": 64}, 4, Verdict.STALE_HANDLE),
        ({"size": 4097}, 1, Verdict.INVARIANT),
        ({"version": 2**31}, 3, Verdict.CORRUPTION),
    ],
)
def test_object_that_does_not_fit_its_handle(
    table: Arena, change: dict[str, int], rule: int, verdict: Verdict
) -> None:
    table.layout.poke("object", live_objects(table)[0], **change)
    assert (rule, verdict) in {(finding.rule, finding.verdict) for finding in table.audit()}


def test_handle_in_the_pool_that_the_table_does_not_know(table: Arena) -> None:
    pool = table.layout.pool_offset(0)
    table.call(Call.CALL_ALLOC, pool, 100, 1)
    (finding,) = table.audit()
    assert (finding.rule, finding.verdict) == (4, Verdict.LEAK)
