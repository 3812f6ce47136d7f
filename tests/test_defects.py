"""Each defect alone on the sound protocol, shown step by step; the same steps show nothing without.

One task is enough for most. Where two must meet, the other is a second task of this process, or a
process of its own that is held up at the right point.
"""

from __future__ import annotations

import errno
from contextlib import suppress

import pytest
from puppet import puppet, until
from stage import NOBODY, OWNER, POOL_LIVE, SHOWS, Show, Stage, run, shows

from z3fold_stress import Arena, ArenaSettings, Design, Handle, Pool, Verdict, VerdictError
from z3fold_stress._live import DEFECT_BITS, Call, fields
from z3fold_stress.defects import DEFECTS

# Migration


@shows("migrate-double-page-lock", Verdict.EAGAIN_CONTRACT)
def every_attempt_fails(s: Stage) -> None:
    s.alloc(10)
    s.arena.call(Call.CALL_PROBE, 0, 100)


@shows("migrate-copies-live-header", Verdict.USE_AFTER_FREE, Verdict.LIST_CORRUPTION)
def compaction_of_the_copy(s: Stage) -> None:
    (handle,) = s.alloc(10)
    s.pool.migrate_pages([s.pool.page_of(handle)])
    s.pool.drain()


@shows("migrate-without-work-cancel", Verdict.USE_AFTER_FREE)
def queued_work_of_the_old_page(s: Stage) -> None:
    stays, goes = s.alloc(10, 10)
    page = s.pool.page_of(stays)
    s.pool.isolate(page)
    s.pool.free(goes)
    with suppress(OSError):
        s.pool.migrate(page)
    s.pool.drain()
    if s.layout.page(page)["flags"]:
        s.pool.putback(page)


@shows("putback-forgets-unbuddied", Verdict.LOST_PAGE)
def put_back_without_a_list(s: Stage) -> None:
    (handle,) = s.alloc(10)
    page = s.pool.page_of(handle)
    s.pool.isolate(page)
    s.pool.putback(page)


@shows("mapped-count-uninitialised", Verdict.INVARIANT)
def recycled_page_counts_maps(s: Stage) -> None:
    s.pool.free(*s.alloc(10))
    s.pool.drain()
    s.alloc(10)


@shows("mapped-count-wraps", Verdict.INVARIANT, Verdict.CORRUPTION)
def four_maps_count_as_none(s: Stage) -> None:
    (handle,) = s.alloc(10)
    page = s.pool.page_of(handle)
    for _ in range(4):
        s.arena.call(Call.CALL_MAP, s.pool.offset, handle.offset)
    s.pool.migrate_pages([page])


@shows("offline-endless-loop", Verdict.LIVELOCK)
def page_that_never_comes_loose(s: Stage) -> None:
    (handle,) = s.alloc(10)
    with s.pool.map(handle):
        s.pool.offline(0, 4)


@shows("isolate-ignores-claim", Verdict.USE_AFTER_FREE, Verdict.LIST_CORRUPTION)
def migration_under_reclaim(s: Stage) -> None:
    with s.other() as engine:

        def evict(handle: Handle) -> int:
            page = s.pool.page_of(handle)
            if engine.call(Call.CALL_ISOLATE, s.pool.offset, page)[0]:
                engine.call(Call.CALL_MIGRATE_PAGES, s.pool.offset, 1, 10)
            return -errno.EIO

        s.evict = evict
        s.alloc(10)
        s.reclaim()


@shows("slot-read-before-page-lock", Verdict.USE_AFTER_FREE)
def page_that_moves_after_the_slot_was_read(s: Stage) -> None:
    """A mapper waits for the page lock; while it is stopped, the page moves and is freed."""
    (handle,) = s.alloc(10)
    page = s.pool.page_of(handle)
    slots = s.layout.get("header", s.header(page), "slots")
    with puppet(s.arena, 3) as mapper:
        s.arena.call(Call.CALL_LOCK_HEADER, 0, page)
        mapper.start(Call.CALL_MAP, s.pool.offset, handle.offset)
        mapper.wait_for(s.page_lock(page))
        mapper.stop()
        while s.layout.get("slots", slots, "lock") & OWNER:  # not with the slots locked
            mapper.go_on()
            mapper.stop()
        s.arena.call(Call.CALL_UNLOCK_HEADER, 0, page)
        assert s.pool.migrate_pages([page]).moved == 1
        mapper.go_on()
        if isinstance(mapper.result(), int):
            mapper.call(Call.CALL_UNMAP, s.pool.offset, handle.offset)


@shows("migrated-page-still-lockable", Verdict.CORRUPTION, Verdict.USE_AFTER_FREE)
def map_between_the_copy_and_the_new_slots(s: Stage) -> None:
    """The engine is stopped where it waits for the lock of the slots, and a mapper comes by."""
    (handle,) = s.alloc(10)
    page = s.pool.page_of(handle)
    slots = s.layout.get("header", s.header(page), "slots")
    with puppet(s.arena, 2) as engine, puppet(s.arena, 3) as mapper:
        assert engine.call(Call.CALL_ISOLATE, s.pool.offset, page) == 1
        s.layout.poke("slots", slots, lock=NOBODY)
        engine.start(Call.CALL_MIGRATE_PAGES, s.pool.offset, 1, 10)
        engine.wait_for(slots + fields()["slots"][1]["lock"][0])
        engine.stop()
        s.layout.poke("slots", slots, lock=0)
        mapper.start(Call.CALL_MAP, s.pool.offset, handle.offset)
        until(
            lambda: mapper.field("nr_maps") or mapper.field("waits_for") == s.page_lock(page),
            "the mapper has found the page, or waits for it",
        )
        engine.go_on()
        engine.result()
        mapper.result()
        s.audit()


# Pages that begin and end


@shows("movable-without-page-lock", Verdict.LOCK_MISUSE)
def fresh_page_is_marked_unlocked(s: Stage) -> None:
    s.alloc(10)


@shows("movable-trylock-inverted", Verdict.LOCK_MISUSE)
def fresh_page_stays_locked(s: Stage) -> None:
    s.alloc(10)


@shows("pool-lookup-through-freed-slots", Verdict.USE_AFTER_FREE)
def last_free_asks_the_freed_slots(s: Stage) -> None:
    s.pool.free(*s.alloc(10))


@shows("headless-slots-leak", Verdict.LEAK)
def headless_page_leaves_slots_behind(s: Stage) -> None:
    s.pool.free(*s.alloc(64))


@shows("atomic-alloc-sleeps", Verdict.SLEEP_IN_ATOMIC)
def atomic_allocation(s: Stage) -> None:
    s.pool.alloc(100, atomic=True)


@shows("sleep-under-page-lock", Verdict.SLEEP_IN_ATOMIC)
def slots_come_late(s: Stage) -> None:
    s.alloc(10)


@shows("alloc-null-slots", Verdict.INVARIANT, Verdict.CRASH, faults={"slots": 1.0})
def no_slots_to_be_had(s: Stage) -> None:
    with suppress(OSError):
        s.alloc(10)


@shows("alloc-threshold-underflow", Verdict.INVARIANT, header_chunks=64)
def header_that_fills_the_page(s: Stage) -> None:
    with suppress(OSError):
        s.alloc(10)


@shows("stale-reuse-stays-movable", Verdict.INVARIANT)
def stale_page_becomes_headless(s: Stage) -> None:
    s.pool.free(*s.alloc(10))
    s.pool.free(*s.alloc(64))


@shows("compact-vs-free-no-ref", Verdict.INVARIANT, Verdict.REFCOUNT)
def page_released_before_its_compaction(s: Stage) -> None:
    for handle in s.alloc(10, 10):
        s.pool.free(handle)
    s.pool.drain()


@shows(
    "stale-alloc-without-cancel",
    Verdict.LIST_CORRUPTION,
    Verdict.USE_AFTER_FREE,
    also=("compact-vs-free-no-ref",),
)
def reused_page_has_work_queued(s: Stage) -> None:
    for handle in s.alloc(10, 10):
        s.pool.free(handle)
    s.alloc(10)


@shows("unbuddied-wrong-free-count", Verdict.INVARIANT)
def room_that_is_not_there(s: Stage) -> None:
    first, *_ = s.alloc(20, 10, 10)
    s.pool.free(first)
    s.pool.drain()
    s.alloc(45)


@shows("first-fit-ignores-header-chunks", Verdict.INVARIANT)
def first_that_reaches_into_the_middle(s: Stage) -> None:
    first, last, middle = s.alloc(20, 10, 10)
    with s.pool.map(middle):
        s.pool.free(first)
        s.pool.free(last)
        s.pool.drain()
        s.alloc(21)


@shows("middle-mapped-one-bit", Verdict.INVARIANT)
def one_of_two_unmaps_the_middle(s: Stage) -> None:
    _, _, middle = s.alloc(20, 10, 10)
    with s.pool.map(middle):
        with s.pool.map(middle):
            pass
        assert s.arena.judgements() == []
        s.audit()


@shows("free-holds-claim-over-compaction", Verdict.LOST_PAGE)
def free_in_a_page_of_no_cpu(s: Stage) -> None:
    first, *_ = s.alloc(20, 20, 22)
    assert s.layout.header(s.pool.page_of(first))["cpu"] == -1
    s.pool.free(first)


# Reclaim


@shows("reclaim-fail-forgets-unbuddied", Verdict.LOST_PAGE)
def eviction_fails(s: Stage) -> None:
    s.alloc(10)
    s.reclaim()


@shows("reclaim-headless-null-header", Verdict.LEAK)
def headless_page_at_the_tail(s: Stage) -> None:
    s.alloc(64)
    s.reclaim()


@shows("reclaim-claim-leak", Verdict.INVARIANT)
def page_that_is_locked_when_reclaim_comes(s: Stage) -> None:
    (handle,) = s.alloc(10)
    page = s.pool.page_of(handle)
    with s.other() as mapper:
        mapper.call(Call.CALL_LOCK_HEADER, 0, page)
        s.reclaim()
        mapper.call(Call.CALL_UNLOCK_HEADER, 0, page)


@shows(
    "reclaim-stale-header-on-retry",
    Verdict.LOCK_MISUSE,
    Verdict.REFCOUNT,
    Verdict.LOST_PAGE,
    faults={"trylock": 1.0},
)
def second_round_finds_all_pages_locked(s: Stage) -> None:
    """The try-locks fail from the first eviction on."""
    s.arena.engine.set_injection(False)

    def evict(handle: Handle) -> int:
        s.arena.engine.set_injection(True)
        return -errno.EIO

    s.evict = evict
    s.alloc(40)
    s.alloc(40)
    s.reclaim(2)
    s.arena.engine.set_injection(False)


@shows("reclaim-handles-in-shared-slots", Verdict.STALE_HANDLE, Verdict.USE_AFTER_FREE)
def owner_frees_during_the_eviction(s: Stage) -> None:
    (own,) = s.alloc(10)

    def evict(handle: Handle) -> int:
        s.pool.free(own)
        with s.pool.map(handle):
            return 0

    s.evict = evict
    s.reclaim()


@shows("reclaim-free-lost-length", Verdict.CORRUPTION)
def last_object_is_freed_before_it_is_mapped(s: Stage) -> None:
    _, last = s.alloc(20, 10)

    def evict(handle: Handle) -> int:
        if last.live:
            s.pool.free(last)  # called for the first object
            return 0
        with s.pool.map(handle):
            return 0

    s.evict = evict
    s.reclaim()


@shows("stack-slots-misaligned", Verdict.STALE_HANDLE)
def handle_leads_to_no_slots(s: Stage) -> None:
    def evict(handle: Handle) -> int:
        with s.pool.map(handle):
            return -errno.EIO

    s.evict = evict
    s.alloc(10)
    s.reclaim()


@shows("release-unlocked-variant-on-locked-page", Verdict.LOCK_MISUSE)
def released_page_keeps_its_lock(s: Stage) -> None:
    (own,) = s.alloc(10)
    s.evict = lambda handle: s.pool.free(own) or 0
    s.reclaim()


@shows("headless-claim-not-cleared", Verdict.LEAK)
def headless_eviction_fails(s: Stage) -> None:
    s.alloc(64)
    s.reclaim()


@shows("headless-claim-dropped", Verdict.DOUBLE_FREE, Verdict.USE_AFTER_FREE)
def eviction_frees_the_headless_page(s: Stage) -> None:
    (own,) = s.alloc(64)
    s.evict = lambda handle: s.pool.free(own) or 0
    s.reclaim()


@shows("headless-free-forgotten", Verdict.LEAK)
def headless_page_freed_in_an_eviction_that_fails(s: Stage) -> None:
    (own,) = s.alloc(64)
    s.evict = lambda handle: s.pool.free(own) or -errno.EIO
    s.reclaim()


@shows("headless-evict-frees-for-owner", Verdict.USE_AFTER_FREE, Verdict.DOUBLE_FREE)
def eviction_that_finds_its_object_gone(s: Stage) -> None:
    (own,) = s.alloc(64)
    s.evict = lambda handle: 0
    s.reclaim()
    s.pool.free(own)


@shows("compact-ignores-claim", Verdict.LIST_CORRUPTION)
def compaction_lists_a_page_under_reclaim(s: Stage) -> None:
    first, _ = s.alloc(20, 10)

    def evict(handle: Handle) -> int:
        s.pool.free(first)  # the page is on no CPU's list: compacts at once
        return -errno.EIO

    s.evict = evict
    s.reclaim()


@shows("reclaim-readds-released-page", Verdict.LIST_CORRUPTION, Verdict.LOST_PAGE)
def page_released_before_reclaim_has_its_lock(s: Stage) -> None:
    """Reclaim, in another process, is stopped on its way back to the page's lock."""
    (own,) = s.alloc(10)
    page = s.pool.page_of(own)
    with puppet(s.arena, 2) as reclaim:
        reclaim.start(Call.CALL_RECLAIM, s.pool.offset, 1)
        assert reclaim.result() == "evicting"
        s.arena.call(Call.CALL_LOCK_HEADER, 0, page)
        reclaim.fail_eviction()
        reclaim.wait_for(s.page_lock(page))
        reclaim.stop()
        s.arena.call(Call.CALL_UNLOCK_HEADER, 0, page)
        s.pool.free(own)
        reclaim.go_on()
        reclaim.result()
    s.audit()
    s.pool.drain()


# Ours


@shows("migrate-mapped-says-eagain", Verdict.EAGAIN_CONTRACT)
def page_is_mapped_after_its_isolation(s: Stage) -> None:
    (handle,) = s.alloc(10)
    s.pool.isolate(s.pool.page_of(handle))
    s.arena.call(Call.CALL_MAP, s.pool.offset, handle.offset)
    s.pool.migrate_pages([])
    s.arena.call(Call.CALL_UNMAP, s.pool.offset, handle.offset)


@shows("migrate-forgets-movable", Verdict.EAGAIN_CONTRACT)
def page_moves_once(s: Stage) -> None:
    (handle,) = s.alloc(10)
    s.pool.migrate_pages([s.pool.page_of(handle)])
    s.pool.drain()


@shows("flush-ignores-running", Verdict.INVARIANT)
def work_is_held_up_in_the_middle(s: Stage) -> None:
    """While it waits for the stale lock, another process flushes its queue."""
    (handle,) = s.alloc(10)
    s.pool.free(handle)
    stale_lock = s.pool.offset + fields()["pool"][1]["stale_lock"][0]
    s.layout.poke("pool", s.pool.offset, stale_lock=1)  # as if this task held it
    with puppet(s.arena, 2) as worker, puppet(s.arena, 3) as flusher:
        worker.start(Call.CALL_RUN_WORK, s.pool.offset)
        worker.wait_for(stale_lock)
        flusher.start(Call.CALL_FLUSH, s.pool.offset)
        if s.layout.arena("design"):
            flusher.result()  # it does not wait
        s.layout.poke("pool", s.pool.offset, stale_lock=0)
        worker.result()
        if not s.layout.arena("design"):
            flusher.result()


# Pools that begin and end


@shows("create-error-leak", Verdict.LEAK, faults={"create": 0.3}, seed=1)
def creation_that_fails_at_each_step(s: Stage) -> None:
    failed = 0
    for _ in range(40):
        try:
            Pool(s.arena).destroy()
        except OSError:
            failed += 1
    assert failed > 10


@shows("destroy-leaks-percpu-lists", Verdict.LEAK)
def destroyed_pool_leaves_its_lists(s: Stage) -> None:
    s.pool.destroy()


@shows("destroy-wait-inverted", Verdict.DEADLOCK)
def nothing_is_isolated(s: Stage) -> None:
    s.pool.destroy()


@shows("destroy-release-wq-first", Verdict.USE_AFTER_FREE)
def compaction_is_queued_at_the_end(s: Stage) -> None:
    for handle in s.alloc(10, 10):
        s.pool.free(handle)
    s.pool.destroy()


@shows("destroy-unregister-before-drain", Verdict.USE_AFTER_FREE)
def scanner_comes_while_the_pool_drains(s: Stage) -> None:
    """The destroyer, in another process, waits for the queue's worker: that is this task."""
    (handle,) = s.alloc(10)
    page = s.pool.page_of(handle)
    s.pool.free(handle)
    queue = s.pool.offset + fields()["pool"][1]["release_wq"][0]
    s.layout.poke("workqueue", queue, worker=1)
    with puppet(s.arena, 2) as destroyer:
        destroyer.start(Call.CALL_DESTROY_POOL, s.pool.offset)
        compact = s.pool.offset + fields()["pool"][1]["compact_wq"][0]
        until(lambda: s.layout.get("workqueue", compact, "destroyed"), "the pool drains")
        with suppress(VerdictError):
            s.pool.isolate(page)
        s.layout.poke("workqueue", queue, worker=0)
        destroyer.result()


@shows("destroy-vs-migrate-queue", Verdict.USE_AFTER_FREE, Verdict.LEAK)
def page_is_isolated_when_the_pool_goes(s: Stage) -> None:
    (handle,) = s.alloc(10)
    page = s.pool.page_of(handle)
    s.pool.isolate(page)
    s.pool.free(handle)
    s.pool.drain()
    with puppet(s.arena, 2) as destroyer:
        destroyer.start(Call.CALL_DESTROY_POOL, s.pool.offset)
        until(lambda: s.layout.pool(0)["state"] != POOL_LIVE, "the destroyer is as far as it comes")
        s.pool.putback(page)
        destroyer.result()


each_show = pytest.mark.parametrize("show", SHOWS, ids=lambda show: show.defect)


@each_show
def test_defect_shows(show: Show) -> None:
    seen = run(show, (show.defect, *show.with_defects))
    assert seen & show.expected, f"saw {seen}"
    assert seen & set(DEFECTS[show.defect].verdicts), f"the catalogue does not expect {seen}"


@each_show
def test_same_steps_show_nothing_without_the_defect(show: Show) -> None:
    assert run(show, show.with_defects) == set()


def test_each_defect_is_shown_once() -> None:
    """Two are left to soaks and to exploring: they need a task held up between two accesses."""
    shown = [show.defect for show in SHOWS]
    assert len(set(shown)) == len(shown)
    assert set(DEFECT_BITS) - set(shown) == {
        "isolate-unlinks-outside-pool-lock",
        "stale-flag-on-wrong-page",  # needs another one: has a test of its own
        "reclaim-ref-before-page-lock",
    }


def test_stale_flag_lets_a_late_compaction_take_the_page_off_the_stale_list() -> None:
    """It needs a compaction without a reference, which the checks see as well: what tells the
    two apart is that the page is now lost to the release worker."""
    lost = {}
    for flag in ((), ("stale-flag-on-wrong-page",)):
        design = Design("shown", "as named", frozenset(("compact-vs-free-no-ref", *flag)))
        settings = ArenaSettings(design=design, frames=16, keep_going=True)
        with Arena.make(settings) as arena:
            pool = Pool(arena)
            for handle in (pool.alloc(10), pool.alloc(10)):
                pool.free(handle)
            pool.drain()
            lost[flag] = 16 - arena.layout.arena("frames_free")
    assert lost == {(): 0, ("stale-flag-on-wrong-page",): 1}
