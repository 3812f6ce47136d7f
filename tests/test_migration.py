"""The caller's side of migration: passes, errno rules, both putback routes, the drivers, and the
-EAGAIN contract. A second task in this process holds the locks that stand in the way."""

from __future__ import annotations

import errno

import pytest
from moving import Counts, contents, fill, isolated, setting
from puppet import puppet

from z3fold_stress import Arena, Handle, Pool
from z3fold_stress._live import Call, Counter, Reason, fields

UNLOCK = {
    Call.CALL_LOCK_HEADER: Call.CALL_UNLOCK_HEADER,
    Call.CALL_LOCK_PAGE: Call.CALL_UNLOCK_PAGE,
}


# One page


def test_page_moves_with_contents_and_handles() -> None:
    with setting() as (arena, pool, _):
        handles = [pool.alloc(chunks * 64 - 5) for chunks in (20, 20, 22)]
        kept = [fill(pool, handle) for handle in handles]
        (page,) = {pool.page_of(handle) for handle in handles}
        migration = pool.migrate_pages([page])
        assert (migration.isolated, migration.moved, migration.result) == ((page,), 1, 0)
        (new,) = {pool.page_of(handle) for handle in handles}
        assert new != page
        assert [contents(pool, handle) for handle in handles] == kept
        assert arena.layout.page(page)["state"] == 0, "the old frame is free"
        pool.drain()
        assert pool.stats().pages == 1
        assert arena.audit() == []


def test_page_with_a_middle_that_became_first_keeps_its_handle() -> None:
    """Buddy numbers are rotated then, and the rotation moves with the page."""
    with setting() as (arena, pool, _):
        first, last, middle = (pool.alloc(chunks * 64) for chunks in (20, 10, 10))
        kept = fill(pool, middle)
        pool.free(first)
        pool.free(last)
        pool.drain()
        assert arena.layout.header(pool.page_of(middle))["first_num"] == 1
        for _ in range(5):
            assert pool.migrate_pages([pool.page_of(middle)]).moved == 1
            pool.drain()
            assert contents(pool, middle) == kept
        again = [pool.alloc(size * 64) for size in (10, 10)]
        assert {pool.page_of(handle) for handle in again} == {pool.page_of(middle)}
        assert arena.audit() == []


def test_moved_page_is_usable_only_after_its_compaction() -> None:
    with setting() as (arena, pool, _):
        handle = pool.alloc(1000)
        pool.migrate_pages([pool.page_of(handle)])
        assert not pool.isolate(pool.page_of(handle))
        assert arena.why_refused == "compacting"
        pool.drain()
        assert pool.page_of(pool.alloc(1000)) == pool.page_of(handle)


def test_each_step_by_itself() -> None:
    with setting() as (arena, pool, _):
        handle, page = isolated(pool)
        assert pool.stats().isolated == 1
        assert arena.audit() == []
        pool.putback(page)
        assert pool.stats().isolated == 0
        assert arena.audit() == []
        assert pool.isolate(page)
        pool.migrate(page)
        pool.drain()
        assert pool.page_of(handle) != page
        assert pool.stats().isolated == 0
        assert arena.audit() == []


@pytest.mark.parametrize(
    ("why", "prepare"),
    [
        ("gone", lambda arena, pool, other, handle: pool.free(handle) or pool.drain()),
        ("stale", lambda arena, pool, other, handle: pool.free(handle)),
        ("isolated", lambda arena, pool, other, handle: pool.isolate(pool.page_of(handle))),
        (
            "pg-lock",
            lambda arena, pool, other, handle: other.call(
                Call.CALL_LOCK_PAGE, 0, pool.page_of(handle)
            ),
        ),
        (
            "mapped",
            lambda arena, pool, other, handle: other.call(
                Call.CALL_MAP, pool.offset, handle.offset
            ),
        ),
        ("compacting", lambda arena, pool, other, handle: pool.free(pool.alloc(100))),
    ],
)
def test_page_that_refuses_says_why(why: str, prepare: object) -> None:
    with setting() as (arena, pool, other):
        handle = pool.alloc(1000)
        page = pool.page_of(handle)
        prepare(arena, pool, other, handle)
        before = arena.layout.page(page), arena.layout.header(page)
        assert not pool.isolate(page)
        assert arena.why_refused == why
        after = arena.layout.page(page), arena.layout.header(page)
        for state in (*before, *after):
            state.pop("pg_lock", None)
            state.pop("page_lock", None)
        assert before == after, "a refusal changes nothing"


def test_headless_page_is_not_movable() -> None:
    with setting() as (arena, pool, _):
        assert not pool.isolate(pool.page_of(pool.alloc(4096)))
        assert arena.why_refused == "not-movable"


def test_page_under_reclaim_refuses() -> None:
    refused = []
    with Arena(frames=8) as arena, Arena.attach(arena.fd, task=2) as other:

        def evict(handle: Handle) -> int:
            page = pool.page_of(handle)
            assert other.call(Call.CALL_ISOLATE, pool.offset, page)[0] == 0
            refused.append(other.why_refused)
            return -errno.EIO

        pool = Pool(arena, evict=evict)
        pool.alloc(100)
        with pytest.raises(OSError, match="reclaim"):
            pool.reclaim(1)
        assert refused == ["claimed"]
        assert arena.judgements() == []


def test_steps_without_isolation_are_refused() -> None:
    with setting() as (_, pool, other):
        page = pool.page_of(pool.alloc(1000))
        for step in (pool.migrate, pool.putback):
            with pytest.raises(ValueError, match=f"page {page} was not isolated by this task"):
                step(page)
        assert other.call(Call.CALL_ISOLATE, pool.offset, page)[0] == 1
        with pytest.raises(ValueError, match=f"page {page} was not isolated by this task"):
            pool.putback(page)
        for step in (pool.migrate, pool.putback, pool.isolate):
            with pytest.raises(ValueError, match="page 16 does not exist: the arena has 16"):
                step(16)


# -EAGAIN: what stands in the way, and for how long


@pytest.mark.parametrize(
    ("lock", "reason", "mode"),
    [
        (Call.CALL_LOCK_HEADER, Reason.REASON_PAGE_LOCK, {"sync": True}),
        (Call.CALL_LOCK_HEADER, Reason.REASON_PAGE_LOCK, {"sync": False}),
        (Call.CALL_LOCK_PAGE, Reason.REASON_PG_LOCK_OLD, {"sync": False}),
        (Call.CALL_LOCK_PAGE, Reason.REASON_PG_LOCK_OLD, {"sync": True, "in_reclaim": True}),
    ],
)
def test_ten_passes_and_then_the_callers_putback(
    lock: Call, reason: Reason, mode: dict[str, bool]
) -> None:
    """The other task holds the page lock or the descriptor's lock all the time."""
    with setting() as (arena, pool, other):
        handle, page = isolated(pool)
        other.call(lock, 0, page)
        count = Counts(arena)
        migration = pool.migrate_pages([], **mode, putback=False)
        assert (migration.result, migration.moved) == (1, 0)
        assert count(Counter.N_MIGRATE_ATTEMPT, Counter.N_EAGAIN, Counter.N_EBUSY, reason) == {
            "N_MIGRATE_ATTEMPT": 10,
            "N_EAGAIN": 10,
            "N_EBUSY": 0,
            reason.name: 10,
        }
        assert count(Counter.N_PUTBACK) == {"N_PUTBACK": 0}
        state = arena.layout.page(page)
        assert (state["tries"], state["flags"], state["isolated_by"]) == (10, 1, 1)
        assert arena.layout.arena("frames_free") == 15, "every new page was handed back"
        other.call(UNLOCK[lock], 0, page)
        pool.putback(page)
        assert count(Counter.N_PUTBACK) == {"N_PUTBACK": 1}
        assert pool.page_of(handle) == page
        assert arena.audit() == []
        assert pool.migrate_pages([page]).moved == 1, "with the contention gone it moves"
        assert arena.judgements() == []


def test_target_whose_descriptor_is_locked() -> None:
    with setting(frames=2) as (arena, pool, other):
        _, page = isolated(pool)
        target = 1 - page
        other.call(Call.CALL_LOCK_PAGE, 0, target)
        count = Counts(arena)
        assert pool.migrate_pages([], putback=False).result == 1
        assert count(Reason.REASON_PG_LOCK_NEW) == {"REASON_PG_LOCK_NEW": 10}
        assert arena.layout.page(target)["private"] == 0
        pool.putback(page)
        assert arena.judgements() == []


@pytest.mark.parametrize("passes", [1, 3, 10])
def test_passes_are_limited(passes: int) -> None:
    with setting() as (arena, pool, other):
        _, page = isolated(pool)
        other.call(Call.CALL_LOCK_HEADER, 0, page)
        count = Counts(arena)
        assert pool.migrate_pages([], passes=passes, putback=False).result == 1
        assert count(Counter.N_EAGAIN) == {"N_EAGAIN": passes}
        assert arena.layout.page(page)["tries"] == passes


@pytest.mark.parametrize("passes", [0, 11, -1])
def test_number_of_passes_that_migrate_pages_does_not_make(passes: int) -> None:
    with setting() as (_, pool, _), pytest.raises(ValueError, match="1 to 10"):
        pool.migrate_pages([], passes=passes)


def test_only_pages_in_retry_are_tried_again() -> None:
    with setting() as (arena, pool, other):
        handles = [pool.alloc(3000) for _ in range(3)]
        pages = [pool.page_of(handle) for handle in handles]
        for page in pages:
            assert pool.isolate(page)
        other.call(Call.CALL_LOCK_HEADER, 0, pages[1])
        count = Counts(arena)
        migration = pool.migrate_pages([], putback=False)
        assert (migration.moved, migration.result) == (2, 1)
        assert count(Counter.N_MIGRATE_ATTEMPT) == {"N_MIGRATE_ATTEMPT": 12}
        assert count.moved_after(0) == 2
        stayed = [pool.page_of(handle) == page for handle, page in zip(handles, pages, strict=True)]
        assert stayed == [False, True, False]


def test_forced_lock_waits_from_the_fourth_pass_on() -> None:
    """Synchronous, and not in reclaim: three passes try, the fourth waits, and then moves."""
    with setting() as (arena, pool, other), puppet(arena, 3) as engine:
        handle = pool.alloc(1000)
        page = pool.page_of(handle)
        assert engine.call(Call.CALL_ISOLATE, pool.offset, page) == 1
        other.call(Call.CALL_LOCK_PAGE, 0, page)
        count = Counts(arena, task=3)
        sync = 1
        engine.start(Call.CALL_MIGRATE_PAGES, pool.offset, sync, 10)
        engine.wait_for(arena.layout.page_offset(page) + fields()["page"][1]["pg_lock"][0])
        assert count(Counter.N_EAGAIN, Reason.REASON_PG_LOCK_OLD) == {
            "N_EAGAIN": 3,
            "REASON_PG_LOCK_OLD": 3,
        }
        other.call(Call.CALL_UNLOCK_PAGE, 0, page)
        assert engine.result() == 0
        assert count.moved_after(3) == 1
        assert pool.page_of(handle) != page


def test_free_after_isolation_waits_for_its_compaction() -> None:
    with setting() as (arena, pool, _):
        stays, goes = pool.alloc(1000), pool.alloc(900)
        kept = fill(pool, stays)
        page = pool.page_of(stays)
        assert pool.isolate(page)
        pool.free(goes)
        count = Counts(arena)
        with pytest.raises(OSError, match="migrate") as caught:
            pool.migrate(page)
        assert caught.value.errno == errno.EAGAIN
        assert count(Reason.REASON_COMPACTING) == {"REASON_COMPACTING": 1}
        assert arena.audit() == []
        pool.drain()
        pool.migrate(page)
        pool.drain()
        assert contents(pool, stays) == kept
        assert arena.audit() == []


# Permanent failures, and the core's putback


def test_page_mapped_after_isolation_goes_through_the_cores_putback() -> None:
    with setting() as (arena, pool, _):
        handle, page = isolated(pool)
        count = Counts(arena)
        with pool.map(handle):
            migration = pool.migrate_pages([], putback=False)
            assert (migration.result, migration.moved, migration.put_back) == (1, 0, 1)
            assert count(Counter.N_EAGAIN, Counter.N_EBUSY, Reason.REASON_MAPPED) == {
                "N_EAGAIN": 0,
                "N_EBUSY": 1,
                "REASON_MAPPED": 1,
            }
            assert arena.layout.page(page)["flags"] == 0, "it is isolated no more"
            assert arena.audit() == []
        assert pool.migrate_pages([page]).moved == 1


def test_single_attempt_on_a_mapped_page_leaves_it_isolated() -> None:
    with setting() as (arena, pool, _):
        handle, page = isolated(pool)
        with pool.map(handle), pytest.raises(OSError, match="migrate") as caught:
            pool.migrate(page)
        assert caught.value.errno == errno.EBUSY
        assert pool.stats().isolated == 1
        assert arena.audit() == []
        pool.migrate(page)
        assert pool.page_of(handle) != page


def test_second_attempt_without_putback() -> None:
    """Newer cores keep what failed for good aside and try it again as it is."""
    with setting() as (arena, pool, _):
        handle, page = isolated(pool)
        count = Counts(arena)
        with pool.map(handle):
            migration = pool.migrate_pages([], second_attempt=True, putback=False)
        assert (migration.result, migration.moved, migration.put_back) == (1, 0, 1)
        assert count(Counter.N_MIGRATE_ATTEMPT, Counter.N_EBUSY) == {
            "N_MIGRATE_ATTEMPT": 2,
            "N_EBUSY": 2,
        }
        assert pool.stats().isolated == 0
        assert arena.audit() == []
        assert arena.judgements() == []
        assert pool.page_of(handle) == page


def test_no_target_page_ends_the_call() -> None:
    """-ENOMEM at the first page: all of them are left, and the caller puts them back."""
    with setting(faults={"target": 1.0}) as (arena, pool, _):
        handles = [pool.alloc(3000) for _ in range(3)]
        kept = [fill(pool, handle) for handle in handles]
        pages = [pool.page_of(handle) for handle in handles]
        count = Counts(arena)
        migration = pool.migrate_pages(pages)
        assert migration.result == -errno.ENOMEM
        assert migration.isolated == tuple(pages)
        assert (migration.moved, migration.put_back) == (0, 3)
        assert count(Counter.N_ENOMEM, Counter.N_MIGRATE_ATTEMPT, Reason.REASON_NO_TARGET) == {
            "N_ENOMEM": 1,
            "N_MIGRATE_ATTEMPT": 0,
            "REASON_NO_TARGET": 1,
        }
        assert [pool.page_of(handle) for handle in handles] == pages
        assert [contents(pool, handle) for handle in handles] == kept
        assert arena.audit() == []


def test_single_attempt_without_a_target() -> None:
    with setting(frames=1) as (arena, pool, _):
        _, page = isolated(pool)
        with pytest.raises(OSError, match="migrate") as caught:
            pool.migrate(page)
        assert caught.value.errno == errno.ENOMEM
        pool.putback(page)
        assert arena.audit() == []


# The owner frees its objects while the page is isolated


@pytest.mark.parametrize("compacted", [False, True])
def test_page_freed_while_isolated_is_released_after_putback(compacted: bool) -> None:
    """The isolation and the queued compaction have a reference each; the last one releases."""
    with setting() as (arena, pool, _):
        handle, page = isolated(pool)
        pool.free(handle)
        if compacted:
            pool.drain()
        assert pool.stats().pages == 1
        assert arena.audit() == []
        pool.putback(page)
        assert (pool.stats().pages, pool.stats().isolated) == (not compacted, 0)
        assert arena.audit() == []
        pool.drain()
        assert (pool.stats().pages, arena.layout.arena("frames_free")) == (0, 16)
        assert arena.audit() == []


def test_page_freed_while_isolated_ends_in_the_callers_hands() -> None:
    """Its compaction is owed, so ten times -EAGAIN and a putback; the last of the three who
    refer to it releases it."""
    with setting() as (arena, pool, _):
        one, two = pool.alloc(1000), pool.alloc(1000)
        page = pool.page_of(one)
        assert pool.isolate(page)
        pool.free(one)
        pool.free(two)
        assert pool.migrate_pages([]).put_back == 1
        pool.drain()
        assert (pool.stats().pages, arena.layout.arena("frames_free")) == (0, 16)
        assert arena.audit() == []
        assert arena.judgements() == []


def test_page_that_was_emptied_while_isolated_moves_and_is_released() -> None:
    with setting() as (arena, pool, _):
        handle, _ = isolated(pool)
        pool.free(handle)
        pool.drain()
        assert pool.migrate_pages([]).moved == 1
        pool.drain()
        assert (pool.stats().pages, arena.layout.arena("frames_free")) == (0, 16)
        assert arena.audit() == []
        assert arena.judgements() == []


def test_owner_that_let_the_page_go_altogether() -> None:
    """The isolation's own reference is the only one left: success, and the page is freed."""
    with setting() as (arena, pool, _):
        page = arena.call(Call.CALL_ALLOC_PAGE)[0]
        at = arena.layout.page_offset(page)
        arena.layout.poke("page", at, mapping=pool.offset + fields()["pool"][1]["inode"][0])
        header = arena.layout.frame_offset(page)
        arena.layout.poke("header", header, pool=pool.offset, refcount=1, next=header, prev=header)
        assert pool.isolate(page)
        arena.layout.poke("page", at, mapping=0)
        arena.call(Call.CALL_PUT_PAGE, 0, page)
        count = Counts(arena)
        assert pool.migrate_pages([]).result == 0
        assert count(Counter.N_FREED_WHILE_ISOLATED, Counter.N_MIGRATED, Counter.N_PUTBACK) == {
            "N_FREED_WHILE_ISOLATED": 1,
            "N_MIGRATED": 0,
            "N_PUTBACK": 0,
        }
        assert arena.layout.page(page)["state"] == 0
        assert arena.layout.arena("frames_free") == 16


@pytest.mark.parametrize("references", [2, 3])
def test_page_that_is_no_longer_movable(references: int) -> None:
    """Its owner took the mark off while it was isolated: as good as moved."""
    with setting() as (arena, pool, _):
        handle, page = isolated(pool)
        at = arena.layout.page_offset(page)
        arena.layout.poke("page", at, mapping=0, refcount=references)
        count = Counts(arena)
        assert pool.migrate_pages([]).result == 0
        assert count(Counter.N_FREED_WHILE_ISOLATED, Counter.N_MIGRATED, Counter.N_PUTBACK) == {
            "N_FREED_WHILE_ISOLATED": 1,
            "N_MIGRATED": 0,
            "N_PUTBACK": 0,
        }
        assert arena.layout.page(page)["flags"] == 0
        assert arena.layout.page(page)["refcount"] == references - 1
        assert pool.page_of(handle) == page
