"""What asks for migrations: compaction of memory, offlining, and whose an isolated page is."""

from __future__ import annotations

from moving import Counts, contents, fill, setting

from z3fold_stress._live import Call, Counter


def test_compaction_of_memory_takes_batches_of_thirty_two() -> None:
    """A batch without targets is put back whole and ends the run."""
    with setting(frames=80, faults={"target": 1.0}) as (arena, pool, _):
        handles = [pool.alloc(3000) for _ in range(40)]
        count = Counts(arena)
        assert pool.compact_memory() == 0
        assert count(Counter.N_ISOLATE, Counter.N_PUTBACK, Counter.N_ENOMEM) == {
            "N_ISOLATE": 32,
            "N_PUTBACK": 32,
            "N_ENOMEM": 1,
        }
        assert arena.audit() == []
        assert len({pool.page_of(handle) for handle in handles}) == 40


def test_compaction_of_memory_moves_all_batches() -> None:
    with setting(frames=100) as (arena, pool, _):
        handles = [pool.alloc(3000) for _ in range(40)]
        kept = [fill(pool, handle) for handle in handles]
        before = {pool.page_of(handle) for handle in handles}
        assert before == set(range(40))
        assert pool.compact_memory(0, 40) == 40
        pool.drain()
        after = {pool.page_of(handle) for handle in handles}
        assert len(after) == 40
        assert [contents(pool, handle) for handle in handles] == kept
        assert arena.audit() == []


def test_compaction_of_memory_keeps_to_its_range() -> None:
    with setting(frames=32) as (arena, pool, _):
        handles = [pool.alloc(3000) for _ in range(12)]
        places = {pool.page_of(handle): handle for handle in handles}
        assert pool.compact_memory(4, 3) == 3
        assert [pfn for pfn, h in places.items() if pool.page_of(h) != pfn] == [4, 5, 6]
        assert arena.judgements() == []


def test_offline_empties_a_range() -> None:
    with setting(frames=32) as (arena, pool, _):
        handles = [pool.alloc(3000) for _ in range(12)]
        kept = [fill(pool, handle) for handle in handles]
        assert pool.offline(0, 8) == (0, {})
        pool.drain()
        assert all(pool.page_of(handle) >= 8 for handle in handles)
        assert [contents(pool, handle) for handle in handles] == kept
        assert all(arena.layout.page(pfn)["state"] == 0 for pfn in range(8))
        assert arena.layout.arena("frames_free") == 32 - 12, "frames kept aside are given back"
        assert arena.audit() == []


def test_offline_gives_up_and_says_why() -> None:
    with setting(frames=32) as (arena, pool, other):
        handles = [pool.alloc(3000) for _ in range(4)]
        headless = pool.alloc(4096)
        other.call(Call.CALL_LOCK_PAGE, 0, pool.page_of(handles[2]))
        with pool.map(handles[1]):
            left, refusals = pool.offline(0, 8, budget=5)
        assert (left, refusals) == (2, {"mapped": 5, "pg-lock": 5})
        assert [pool.page_of(handle) < 8 for handle in handles] == [False, True, True, False]
        assert pool.page_of(headless) < 8, "a headless page is not movable, and not counted"
        assert pool.stats().isolated == 0
        other.call(Call.CALL_UNLOCK_PAGE, 0, pool.page_of(handles[2]))
        pool.drain()
        assert pool.offline(0, 8) == (0, {})
        pool.drain()
        assert arena.audit() == []


def test_offline_without_room_elsewhere() -> None:
    """All other frames are taken: nothing is lost, and nothing stays isolated."""
    with setting(frames=8) as (arena, pool, _):
        handles = [pool.alloc(3000) for _ in range(8)]
        kept = [fill(pool, handle) for handle in handles]
        left, refusals = pool.offline(0, 4, budget=3)
        assert (left, refusals) == (4, {})
        assert pool.stats().isolated == 0
        assert [contents(pool, handle) for handle in handles] == kept
        assert arena.audit() == []


def test_isolated_pages_belong_to_who_isolated_them() -> None:
    with setting() as (arena, pool, other):
        mine, theirs = pool.alloc(3000), pool.alloc(3000)
        pages = pool.page_of(mine), pool.page_of(theirs)
        assert pool.isolate(pages[0])
        assert other.call(Call.CALL_ISOLATE, pool.offset, pages[1])[0] == 1
        assert arena.audit() == []
        assert pool.migrate_pages([]).moved == 1
        assert (pool.page_of(mine) != pages[0], pool.page_of(theirs) == pages[1]) == (True, True)
        assert other.call(Call.CALL_MIGRATE_PAGES, pool.offset, 1, 10)[0] == 0
        assert pool.page_of(theirs) != pages[1]
        assert pool.stats().isolated == 0
