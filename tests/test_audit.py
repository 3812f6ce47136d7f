"""The audit: silent on a healthy arena, and each rule told by what breaks it."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from healthy import (
    CHUNK,
    CLAIMED,
    FREED,
    HEADLESS,
    MIDDLE_MAPPED,
    NEEDS_COMPACTING,
    STALE,
    UNUSED_FRAME,
    UNUSED_SLOTS,
    Healthy,
)

from z3fold_stress import Arena, Pool, Verdict
from z3fold_stress._live import Call, fields

PG_ISOLATED = 1


def test_healthy_arena_has_no_finding(healthy: Healthy) -> None:
    private = {name: healthy.layout.page(pfn)["private"] for name, pfn in healthy.pages.items()}
    assert private == {
        "full": 0,
        "mapped": MIDDLE_MAPPED,
        "stale": STALE,
        "isolated": CLAIMED,
        "compacting": NEEDS_COMPACTING,
        "listed": 0,
        "headless": HEADLESS,
    }
    assert healthy.arena.audit() == []


def test_audit_only_reads(healthy: Healthy) -> None:
    healthy.change("header", healthy.header("full"), refcount=1)
    before = bytes(healthy.arena.memory)
    assert healthy.arena.audit() != []
    assert bytes(healthy.arena.memory) == before


def test_healthy_arena_ends_empty(healthy: Healthy) -> None:
    healthy.arena.call(Call.CALL_UNMAP, healthy.pool.offset, healthy.mapped)
    healthy.pool.putback(healthy.pages["isolated"])
    for handle in healthy.handles.values():
        if handle.live:
            healthy.pool.free(handle)
    healthy.pool.drain()
    assert healthy.arena.audit() == []
    assert healthy.layout.arena("frames_free") == 32
    assert healthy.layout.arena("slots_free") == 64
    healthy.pool.destroy()
    assert healthy.arena.audit() == []


# What is broken, and the one rule and verdict that must tell

Break = Callable[[Healthy], None]
BREAKS: list[tuple[int, Verdict, Break]] = []


def breaks(rule: int, verdict: Verdict) -> Callable[[Break], Break]:
    def note(function: Break) -> Break:
        BREAKS.append((rule, verdict, function))
        return function

    return note


@breaks(1, Verdict.INVARIANT)
def middle_begins_inside_the_first(h: Healthy) -> None:
    h.change("header", h.header("full"), start_middle=-1)


@breaks(1, Verdict.INVARIANT)
def middle_ends_inside_the_last(h: Healthy) -> None:
    h.change("header", h.header("full"), middle_chunks=1)


@breaks(1, Verdict.INVARIANT)
def first_reaches_over_the_last(h: Healthy) -> None:
    h.layout.poke("header", h.header("full"), first_chunks=43)


@breaks(2, Verdict.INVARIANT)
def listed_under_another_number_of_free_chunks(h: Healthy) -> None:
    h.change("header", h.header("listed"), first_chunks=1)


@breaks(4, Verdict.STALE_HANDLE)
def slot_names_a_free_page(h: Healthy) -> None:
    free = h.layout.frame_offset(UNUSED_FRAME)
    h.layout.poke("slots", h.slots("full"), slot1=free | 1)


@breaks(4, Verdict.STALE_HANDLE)
def slot_names_no_page(h: Healthy) -> None:
    h.layout.poke("slots", h.slots("full"), slot1=12345)


@breaks(4, Verdict.STALE_HANDLE)
def slot_names_another_page(h: Healthy) -> None:
    h.layout.poke("slots", h.slots("full"), slot1=h.header("listed") | 1)


@breaks(4, Verdict.STALE_HANDLE)
def slot_of_the_last_has_another_length(h: Healthy) -> None:
    h.change("slots", h.slots("full"), slot3=1 << 2)


@breaks(4, Verdict.STALE_HANDLE)
def slot_is_cleared_and_its_handle_is_not(h: Healthy) -> None:
    h.layout.poke("slots", h.slots("full"), slot1=0)
    h.arena.handles -= 1  # or it is told twice: by the page, and by the count


@breaks(4, Verdict.LEAK)
def handle_that_nobody_knows(h: Healthy) -> None:
    h.arena.handles -= 1


@breaks(5, Verdict.LEAK)
def slots_without_a_page(h: Healthy) -> None:
    h.layout.poke("slots", h.layout.slots_offset(UNUSED_SLOTS), state=1)
    h.layout.poke("slots", h.layout.slots_offset(UNUSED_SLOTS - 1), next_free=UNUSED_SLOTS + 2)
    h.layout.poke("arena", 0, slots_free=h.layout.arena("slots_free") - 1)


@breaks(6, Verdict.LIST_CORRUPTION)
def link_of_idle_work_leads_elsewhere(h: Healthy) -> None:
    h.layout.poke("header", h.header("full"), work_next=h.header("listed"))


@breaks(21, Verdict.LEAK)
def slots_object_missing_from_its_free_list(h: Healthy) -> None:
    h.layout.poke("slots", h.layout.slots_offset(UNUSED_SLOTS), next_free=0)


@breaks(6, Verdict.LIST_CORRUPTION)
def link_of_an_unlisted_page_leads_elsewhere(h: Healthy) -> None:
    h.layout.poke("header", h.header("full"), next=h.header("listed"))


@breaks(7, Verdict.REFCOUNT)
def reference_too_many(h: Healthy) -> None:
    h.change("header", h.header("full"), refcount=1)


@breaks(7, Verdict.REFCOUNT)
def reference_of_the_isolation_is_gone(h: Healthy) -> None:
    h.change("header", h.header("isolated"), refcount=-1)


@breaks(7, Verdict.REFCOUNT)
def reference_of_the_queued_compaction_is_gone(h: Healthy) -> None:
    h.change("header", h.header("compacting"), refcount=-1)


@breaks(8, Verdict.REFCOUNT)
def page_reference_too_many(h: Healthy) -> None:
    h.change("page", h.page("headless"), refcount=1)


@breaks(8, Verdict.REFCOUNT)
def page_reference_of_the_isolation_is_gone(h: Healthy) -> None:
    h.change("page", h.page("isolated"), refcount=-1)


@breaks(9, Verdict.INVARIANT)
def stale_page_has_a_reference(h: Healthy) -> None:
    h.change("header", h.header("stale"), refcount=1)


@breaks(9, Verdict.INVARIANT)
def page_on_the_stale_list_is_not_stale(h: Healthy) -> None:
    h.flip("stale", STALE)


@breaks(9, Verdict.INVARIANT)
def stale_page_is_on_no_stale_list(h: Healthy) -> None:
    at, _ = fields()["pool"][1]["stale_next"]
    head = h.pool.offset + at
    h.link(head, head)


@breaks(10, Verdict.INVARIANT)
def compaction_is_owed_and_not_queued(h: Healthy) -> None:
    h.flip("full", NEEDS_COMPACTING)
    h.change("header", h.header("full"), refcount=1)


@breaks(10, Verdict.INVARIANT)
def work_is_running_and_nobody_runs_it(h: Healthy) -> None:
    at, _ = fields()["pool"][1]["compact_wq"]
    h.layout.poke("workqueue", h.pool.offset + at, running=h.header("full") + 24)


@breaks(10, Verdict.LIST_CORRUPTION)
def work_queue_leads_to_no_work_item(h: Healthy) -> None:
    at, _ = fields()["pool"][1]["release_wq"]
    items = h.pool.offset + at + fields()["workqueue"][1]["next"][0]
    stranger = h.layout.slots_offset(UNUSED_SLOTS)
    h.link(items, stranger)
    h.link(stranger, items)


@breaks(11, Verdict.INVARIANT)
def page_is_claimed_by_nobody(h: Healthy) -> None:
    h.flip("full", CLAIMED)


@breaks(11, Verdict.LEAK)
def headless_page_is_claimed_by_nobody(h: Healthy) -> None:
    h.flip("headless", CLAIMED)


@breaks(11, Verdict.LEAK)
def headless_page_was_freed_and_is_still_there(h: Healthy) -> None:
    h.flip("headless", FREED)


@breaks(12, Verdict.INVARIANT)
def page_on_an_isolation_list_is_not_isolated(h: Healthy) -> None:
    h.layout.poke("page", h.page("isolated"), flags=0)


@breaks(12, Verdict.INVARIANT)
def isolated_page_is_on_no_isolation_list(h: Healthy) -> None:
    h.layout.poke("page", h.page("full"), flags=PG_ISOLATED)


@breaks(12, Verdict.INVARIANT)
def pool_counts_more_isolated_pages_than_there_are(h: Healthy) -> None:
    h.change("pool", h.pool.offset, isolated=1)


@breaks(13, Verdict.INVARIANT)
def mapped_count_is_too_high(h: Healthy) -> None:
    h.change("header", h.header("full"), mapped_count=1)


@breaks(13, Verdict.INVARIANT)
def mapped_count_is_too_low(h: Healthy) -> None:
    h.change("header", h.header("mapped"), mapped_count=-1)


@breaks(13, Verdict.INVARIANT)
def middle_is_mapped_and_not_marked(h: Healthy) -> None:
    h.flip("mapped", MIDDLE_MAPPED)


@breaks(14, Verdict.CORRUPTION)
def mapped_object_is_now_elsewhere(h: Healthy) -> None:
    task = h.layout.task_offset(1)
    ((handle, _, _),) = h.layout.maps(h.layout.task(1))
    here = h.header("full")
    h.layout.poke("task", task, maps=struct.pack("=QQQ", handle, here, here + 2 * CHUNK))
    h.change("header", here, mapped_count=1)
    h.change("header", h.header("mapped"), mapped_count=-1, middle_maps=-1)
    h.flip("mapped", MIDDLE_MAPPED)


@breaks(6, Verdict.INVARIANT)
def idle_work_item_is_marked_as_pending(h: Healthy) -> None:
    h.change("header", h.header("full"), work_data=1)


@breaks(6, Verdict.INVARIANT)
def work_item_names_another_function(h: Healthy) -> None:
    h.layout.poke("header", h.header("full"), work_func=2)


@breaks(9, Verdict.LEAK)
def stale_pages_that_no_work_will_free(h: Healthy) -> None:
    assert h.arena.call(Call.CALL_CANCEL_WORK, h.pool.offset)[0] == 1


@breaks(10, Verdict.INVARIANT)
def queued_work_is_not_marked_as_pending(h: Healthy) -> None:
    h.change("header", h.header("compacting"), work_data=-1)


@breaks(10, Verdict.INVARIANT)
def queue_counts_an_item_too_many(h: Healthy) -> None:
    at, _ = fields()["pool"][1]["compact_wq"]
    h.change("workqueue", h.pool.offset + at, queued=1)


@breaks(11, Verdict.INVARIANT)
def isolated_page_is_not_claimed(h: Healthy) -> None:
    h.flip("isolated", CLAIMED)


@breaks(11, Verdict.INVARIANT)
def page_with_a_header_is_marked_as_freed(h: Healthy) -> None:
    h.flip("full", FREED)


@breaks(12, Verdict.INVARIANT)
def isolated_page_is_noted_for_another_task(h: Healthy) -> None:
    h.layout.poke("page", h.page("isolated"), isolated_by=2)


@breaks(13, Verdict.INVARIANT)
def maps_of_the_middle_are_miscounted(h: Healthy) -> None:
    h.change("header", h.header("mapped"), middle_maps=1)


@breaks(14, Verdict.CORRUPTION)
def mapped_object_was_moved_in_its_page(h: Healthy) -> None:
    """The last one, which is told from its length."""
    last = h.handles["mapped last"].offset
    address, _, _ = h.arena.call(Call.CALL_MAP, h.pool.offset, last)
    ((_, _, _), (_, page, _)) = h.layout.maps(h.layout.task(1))
    raw = bytearray(h.layout.task(1)["maps"])
    struct.pack_into("=QQQ", raw, len(raw) // 32, last, page, address - CHUNK)
    h.layout.poke("task", h.layout.task_offset(1), maps=bytes(raw))


@breaks(15, Verdict.LIST_CORRUPTION)
def lru_does_not_agree_backwards(h: Healthy) -> None:
    h.layout.poke("pool", h.pool.offset, lru_prev=h.pool.offset)


@breaks(15, Verdict.LIST_CORRUPTION)
def unbuddied_list_leads_out_of_the_arena(h: Healthy) -> None:
    struct.pack_into("=Q", h.arena.memory, h.unbuddied(5), 1 << 50)


@breaks(15, Verdict.LIST_CORRUPTION)
def unbuddied_list_leads_to_no_header(h: Healthy) -> None:
    stranger = h.layout.slots_offset(UNUSED_SLOTS)
    h.link(h.unbuddied(5), stranger)
    h.link(stranger, h.unbuddied(5))


@breaks(15, Verdict.LIST_CORRUPTION)
def lru_leads_to_no_page(h: Healthy) -> None:
    at, _ = fields()["pool"][1]["lru_next"]
    head, stranger = h.pool.offset + at, h.layout.slots_offset(UNUSED_SLOTS)
    h.link(h.layout.pool(0)["lru_prev"], stranger)
    h.link(stranger, head)


@breaks(15, Verdict.USE_AFTER_FREE)
def free_page_is_on_a_list(h: Healthy) -> None:
    frame, head = h.layout.frame_offset(UNUSED_FRAME), h.unbuddied(5)
    h.link(head, frame)
    h.link(frame, head)


@breaks(16, Verdict.INVARIANT)
def page_is_on_the_list_of_another_cpu(h: Healthy) -> None:
    h.layout.poke("header", h.header("listed"), cpu=1)


@breaks(16, Verdict.INVARIANT)
def full_page_is_listed(h: Healthy) -> None:
    page, head = h.header("full"), h.unbuddied(0)
    h.link(head, page)
    h.link(page, head)


@breaks(17, Verdict.LOST_PAGE)
def page_with_room_is_not_listed(h: Healthy) -> None:
    page, head = h.header("listed"), h.unbuddied(22)
    assert h.layout.word(head) == page
    h.link(head, head)
    h.link(page, page)


@breaks(18, Verdict.LOST_PAGE)
def page_is_not_on_the_lru(h: Healthy) -> None:
    h.unlink_from_lru("full")


@breaks(19, Verdict.LOCK_MISUSE)
def page_lock_is_held(h: Healthy) -> None:
    h.layout.poke("header", h.header("full"), page_lock=3)


@breaks(19, Verdict.LOCK_MISUSE)
def descriptor_lock_is_held(h: Healthy) -> None:
    h.layout.poke("page", h.layout.page_offset(UNUSED_FRAME), pg_lock=3)


@breaks(19, Verdict.LOCK_MISUSE)
def pool_lock_is_held(h: Healthy) -> None:
    h.layout.poke("pool", h.pool.offset, lock=3)


@breaks(19, Verdict.LOCK_MISUSE)
def stale_lock_is_held(h: Healthy) -> None:
    h.layout.poke("pool", h.pool.offset, stale_lock=3)


@breaks(19, Verdict.LOCK_MISUSE)
def queue_lock_is_held(h: Healthy) -> None:
    at, _ = fields()["pool"][1]["compact_wq"]
    h.layout.poke("workqueue", h.pool.offset + at, lock=3)


@breaks(19, Verdict.LOCK_MISUSE)
def slots_lock_is_held(h: Healthy) -> None:
    h.layout.poke("slots", h.slots("full"), lock=3)


@breaks(20, Verdict.LOCK_MISUSE)
def another_task_holds_a_lock(h: Healthy) -> None:
    with Arena.attach(h.arena.fd, task=2) as other:
        other.call(Call.CALL_LOCK, 0, 0)


@breaks(19, Verdict.LOCK_MISUSE)
def page_lock_of_a_stale_page_is_held(h: Healthy) -> None:
    h.layout.poke("header", h.header("stale"), page_lock=3)


@breaks(20, Verdict.LOCK_MISUSE)
def another_task_has_preemption_disabled(h: Healthy) -> None:
    with Arena.attach(h.arena.fd, task=2):
        h.layout.poke("task", h.layout.task_offset(2), preempt_count=1)


@breaks(20, Verdict.INVARIANT)
def another_task_is_inside_an_operation(h: Healthy) -> None:
    with Arena.attach(h.arena.fd, task=2):
        h.layout.poke("task", h.layout.task_offset(2), depth=1)


@breaks(21, Verdict.LEAK)
def pool_counts_a_page_too_many(h: Healthy) -> None:
    h.change("pool", h.pool.offset, pages_nr=1)


@breaks(21, Verdict.LEAK)
def pool_counts_a_slots_object_too_few(h: Healthy) -> None:
    h.change("pool", h.pool.offset, slots_nr=-1)


@breaks(21, Verdict.LEAK)
def frame_is_allocated_to_nobody(h: Healthy) -> None:
    h.arena.call(Call.CALL_ALLOC_PAGE)


@breaks(21, Verdict.LEAK)
def free_frames_are_miscounted(h: Healthy) -> None:
    h.change("arena", 0, frames_free=1)


@breaks(22, Verdict.INVARIANT)
def page_is_not_marked_movable(h: Healthy) -> None:
    h.layout.poke("page", h.page("full"), mapping=0)


@breaks(22, Verdict.INVARIANT)
def page_is_movable_as_another_pools(h: Healthy) -> None:
    second = Pool(h.arena)
    h.layout.poke("page", h.page("full"), mapping=second.offset + fields()["pool"][1]["inode"][0])


@breaks(22, Verdict.INVARIANT)
def headless_page_is_marked_movable(h: Healthy) -> None:
    inode = h.pool.offset + fields()["pool"][1]["inode"][0]
    h.layout.poke("page", h.page("headless"), mapping=inode)


@breaks(25, Verdict.LEAK)
def inode_of_a_pool_that_is_gone(h: Healthy) -> None:
    second = Pool(h.arena)
    second.destroy()
    h.layout.poke("pool", second.offset, inode=1)


@breaks(25, Verdict.USE_AFTER_FREE)
def work_for_a_pool_that_is_gone(h: Healthy) -> None:
    second = Pool(h.arena)
    second.destroy()
    at, _ = fields()["pool"][1]["compact_wq"]
    h.layout.poke("workqueue", second.offset + at, next=h.header("compacting"))


@breaks(25, Verdict.LEAK)
def per_cpu_lists_without_a_pool(h: Healthy) -> None:
    h.change("arena", 0, percpu_used=2)


@pytest.mark.parametrize(
    ("rule", "verdict", "how"), BREAKS, ids=[f"{rule}-{how.__name__}" for rule, _, how in BREAKS]
)
def test_rule_fires(healthy: Healthy, rule: int, verdict: Verdict, how: Break) -> None:
    how(healthy)
    findings = healthy.arena.audit()
    assert {(finding.rule, finding.verdict) for finding in findings} == {(rule, verdict)}, findings
    assert f"audit rule {rule}" in str(findings[0])


def test_every_rule_but_the_payload_has_a_break_of_its_own() -> None:
    """Rule 3 needs the object table, and has its tests below."""
    assert {rule for rule, _, _ in BREAKS} == {*range(1, 23), 25} - {3}
