"""The pool for Python: errors with the errno of the original, views of exactly the object, handles
that cannot be misused, reclaim through a callback, pools beside each other."""

from __future__ import annotations

import errno
import gc
from collections.abc import Iterator

import pytest

from z3fold_stress import Arena, Handle, HandleError, Pool, PoolStats, Verdict, VerdictError
from z3fold_stress._live import LIMITS

FRAMES = 16
LARGEST_BUDDY = 3904


@pytest.fixture
def arena() -> Iterator[Arena]:
    with Arena(frames=FRAMES) as made:
        yield made


@pytest.fixture
def pool(arena: Arena) -> Pool:
    return Pool(arena)


# Allocation


@pytest.mark.parametrize(
    ("size", "options", "number"),
    [
        (0, {}, errno.EINVAL),
        (100, {"highmem": True}, errno.EINVAL),
        (5000, {"highmem": True}, errno.EINVAL),
        (4097, {}, errno.ENOSPC),
        (2**31, {}, errno.ENOSPC),
        (-1, {}, errno.ENOSPC),
        (4097, {"atomic": True}, errno.ENOSPC),
    ],
)
def test_allocation_that_is_refused(
    pool: Pool, size: int, options: dict[str, bool], number: int
) -> None:
    with pytest.raises(OSError, match=f"cannot allocate {size % 2**64} bytes") as caught:
        pool.alloc(size, **options)
    assert caught.value.errno == number
    assert pool.stats() == PoolStats(pages=0, objects=0, stored_bytes=0, slots=0, isolated=0)


def test_out_of_memory_leaves_the_pool_usable(arena: Arena, pool: Pool) -> None:
    handles = [pool.alloc(4000) for _ in range(FRAMES)]
    for atomic in (False, True):
        with pytest.raises(OSError, match="allocate") as caught:
            pool.alloc(100, atomic=atomic)
        assert caught.value.errno == errno.ENOMEM
    pool.free(handles.pop())
    pool.alloc(100)
    assert arena.audit() == []


def test_out_of_slots(arena: Arena) -> None:
    with Arena(frames=8, slots=2) as small:
        pool = Pool(small)
        for _ in range(2):
            pool.alloc(3000)
        with pytest.raises(OSError, match="allocate") as caught:
            pool.alloc(3000)
        assert caught.value.errno == errno.ENOMEM
        assert small.layout.arena("frames_free") == 6, "the page was given back"
        pool.alloc(4000)  # a headless page needs none
        assert small.audit() == []


def test_released_page_is_taken_at_once_by_who_may_sleep() -> None:
    with Arena(frames=1) as arena, Pool(arena) as pool:
        pool.free(pool.alloc(100))
        with pytest.raises(OSError, match="allocate") as caught:
            pool.alloc(100, atomic=True)
        assert caught.value.errno == errno.ENOMEM
        pool.alloc(100)
        assert arena.audit() == []


@pytest.mark.parametrize("size", [1, 64, LARGEST_BUDDY, LARGEST_BUDDY + 1, 4096])
def test_handle_says_what_it_is(pool: Pool, size: int) -> None:
    handle = pool.alloc(size)
    assert handle.size == size
    assert handle.live
    assert handle.headless == (size > LARGEST_BUDDY)
    assert f"{size} bytes" in repr(handle)
    pool.free(handle)
    assert "freed" in repr(handle)


# Mapping


@pytest.mark.parametrize("size", [1, 63, 64, 65, 1000, LARGEST_BUDDY, 3905, 4096])
def test_map_gives_a_writable_view_of_exactly_the_object(pool: Pool, size: int) -> None:
    handles = [pool.alloc(size), *(pool.alloc(100) for _ in range(2))]
    for fill, handle in enumerate(handles):
        with pool.map(handle) as view:
            assert (len(view), view.readonly, view.itemsize) == (handle.size, False, 1)
            view[:] = bytes([fill]) * handle.size
    for fill, handle in enumerate(handles):
        with pool.map(handle) as view:
            assert view == bytes([fill]) * handle.size


def test_neighbours_do_not_share_bytes(pool: Pool) -> None:
    handles = [pool.alloc(chunks * 64) for chunks in (20, 20, 22)]
    assert len({pool.page_of(handle) for handle in handles}) == 1
    offsets = [pool.map_offset(handle) for handle in handles]
    assert offsets == [2 * 64, 44 * 64, 22 * 64]
    for fill, handle in enumerate(handles):
        with pool.map(handle) as view:
            view[:] = bytes([fill]) * handle.size
    for fill, handle in enumerate(handles):
        with pool.map(handle) as view:
            assert set(view) == {fill}


def test_view_is_closed_at_the_end_of_the_map(pool: Pool) -> None:
    handle = pool.alloc(100)
    with pool.map(handle) as view:
        pass
    with pytest.raises(ValueError, match="released"):
        view[0] = 1


def test_map_ends_when_its_body_raises(arena: Arena, pool: Pool) -> None:
    handle = pool.alloc(100)
    with pytest.raises(ZeroDivisionError), pool.map(handle):
        1 / 0  # noqa: B018
    assert arena.layout.header(pool.page_of(handle))["mapped_count"] == 0
    assert arena.audit() == []


def test_object_may_be_mapped_many_times(arena: Arena, pool: Pool) -> None:
    _, _, middle = (pool.alloc(chunks * 64) for chunks in (20, 20, 10))
    with pool.map(middle) as one, pool.map(middle) as two:
        one[:4] = b"data"
        assert two[:4] == b"data"
        assert arena.layout.header(pool.page_of(middle))["middle_maps"] == 2
        assert arena.audit() == []
    assert arena.audit() == []


def test_mapped_object_stays_while_its_page_is_compacted(arena: Arena, pool: Pool) -> None:
    first, last, middle = (pool.alloc(chunks * 64) for chunks in (20, 10, 10))
    with pool.map(middle) as view:
        view[:] = b"m" * 640
        at = pool.map_offset(middle)
        pool.free(first)
        pool.free(last)
        pool.drain()
        assert pool.map_offset(middle) == at
        assert view == b"m" * 640
        assert arena.audit() == []


# Handles that do not lead anywhere


def test_freed_handle_is_refused(arena: Arena, pool: Pool) -> None:
    kept, freed = pool.alloc(100), pool.alloc(100)
    pool.free(freed)
    for use in (
        pool.free,
        pool.page_of,
        pool.map_offset,
        lambda handle: pool.map(handle).__enter__(),
    ):
        with pytest.raises(HandleError, match="it was freed before"):
            use(freed)
    assert arena.judgements() == []
    with pool.map(kept) as view:
        assert len(view) == 100
    pool.free(kept)
    pool.drain()
    assert arena.audit() == []


def test_handle_of_another_pool_is_refused(arena: Arena, pool: Pool) -> None:
    handle = Pool(arena).alloc(100)
    for use in (pool.free, pool.page_of, pool.map_offset):
        with pytest.raises(HandleError, match="belongs to another pool"):
            use(handle)
    assert arena.judgements() == []


@pytest.mark.parametrize("offset", [0, 8, 4096, 4097, 2**40, 2**64 - 1, 2**64 - 8])
def test_forged_handle_is_a_verdict_and_no_crash(arena: Arena, pool: Pool, offset: int) -> None:
    """Whoever makes handles by hand reaches the engine, and its own checks."""
    with pytest.raises(VerdictError) as caught, pool.map(Handle(pool, offset, 100)):
        pass
    assert {judgement.verdict for judgement in caught.value.judgements} <= {
        Verdict.STALE_HANDLE,
        Verdict.USE_AFTER_FREE,
    }


@pytest.mark.parametrize("size", [100, 4000])
def test_handle_used_behind_the_pools_back_after_its_free(
    arena: Arena, pool: Pool, size: int
) -> None:
    handle = pool.alloc(size)
    pool.alloc(100)
    pool.free(handle)
    pool.drain()
    with pytest.raises(VerdictError) as caught:
        pool.free(Handle(pool, handle.offset, size))
    assert caught.value.judgements[0].verdict in {Verdict.STALE_HANDLE, Verdict.USE_AFTER_FREE}
    assert caught.value.judgements[0].handle == handle.offset


# Reclaim


class Evictor:
    """An eviction callback that frees the oldest objects first, as told."""

    def __init__(self, arena: Arena, answers: dict[int, int] | None = None) -> None:
        self.pool = Pool(arena, evict=self)
        self.stored: list[Handle] = []
        self.asked: list[int] = []
        self.answers = answers or {}

    def alloc(self, *sizes: int) -> None:
        for size in sizes:
            handle = self.pool.alloc(size)
            with self.pool.map(handle) as view:
                view[:2] = len(self.stored).to_bytes(2)
            self.stored.append(handle)

    def __call__(self, handle: Handle) -> int:
        with self.pool.map(handle) as view:
            number = int.from_bytes(view[:2])
        self.asked.append(number)
        answer = self.answers.get(number, 0)
        if answer == 0:
            self.pool.free(self.stored[number])
        return answer


def test_reclaim_takes_the_oldest_page(arena: Arena) -> None:
    evictor = Evictor(arena)
    evictor.alloc(3000, 3000, 3000)
    for expected in ([0], [0, 1], [0, 1, 2]):
        evictor.pool.reclaim()
        assert evictor.asked == expected
    evictor.pool.drain()
    assert evictor.pool.stats().pages == 0
    assert arena.audit() == []


def test_reclaim_asks_for_middle_first_last(arena: Arena) -> None:
    evictor = Evictor(arena)
    evictor.alloc(20 * 64, 20 * 64, 22 * 64)
    evictor.pool.reclaim()
    assert evictor.asked == [2, 0, 1]
    assert evictor.pool.stats().pages == 0


def test_reclaim_of_a_headless_page(arena: Arena) -> None:
    evictor = Evictor(arena)
    evictor.alloc(4096)
    evictor.pool.reclaim()
    assert (evictor.asked, arena.layout.arena("frames_free")) == ([0], FRAMES)
    assert arena.audit() == []


def test_reclaim_stops_at_the_first_failure_and_goes_to_the_next_page(arena: Arena) -> None:
    evictor = Evictor(arena, {2: -errno.EIO})
    evictor.alloc(20 * 64, 20 * 64, 22 * 64, 3000)
    evictor.pool.reclaim(retries=2)
    assert evictor.asked == [2, 3]
    assert evictor.pool.stats().objects == 3
    assert arena.audit() == []


def test_reclaim_gives_up_after_its_rounds(arena: Arena) -> None:
    evictor = Evictor(arena, {0: -errno.EIO})
    evictor.alloc(3000)
    with pytest.raises(OSError, match="reclaim") as caught:
        evictor.pool.reclaim(retries=5)
    assert caught.value.errno == errno.EAGAIN
    assert evictor.asked == [0] * 5
    assert arena.audit() == []


def test_use_of_a_page_saves_it_from_reclaim(arena: Arena) -> None:
    evictor = Evictor(arena)
    evictor.alloc(3000, 2800)
    evictor.alloc(900)  # into the first page, which comes to the head of the LRU
    assert evictor.pool.page_of(evictor.stored[2]) == evictor.pool.page_of(evictor.stored[0])
    evictor.pool.reclaim()
    assert evictor.asked == [1]


@pytest.mark.parametrize("fill", [0, 1])
def test_reclaim_that_cannot_begin(arena: Arena, fill: int) -> None:
    deaf = Pool(arena)
    for pool, rounds in ((deaf, 8), (Pool(arena, evict=lambda _: 0), 0)):
        for _ in range(fill):
            pool.alloc(100)
        with pytest.raises(OSError, match="reclaim") as caught:
            pool.reclaim(rounds)
        assert caught.value.errno == errno.EINVAL


def test_reclaim_of_an_empty_pool(arena: Arena) -> None:
    with pytest.raises(OSError, match="reclaim") as caught:
        Pool(arena, evict=lambda _: 0).reclaim()
    assert caught.value.errno == errno.EINVAL


class EvictError(Exception):
    pass


@pytest.mark.parametrize("error", [EvictError, KeyboardInterrupt, SystemExit])
def test_callback_that_raises(arena: Arena, error: type[BaseException]) -> None:
    """The page is kept, whole, and the caller of reclaim gets the exception, once."""

    def evict(handle: Handle) -> int:
        raise error

    pool = Pool(arena, evict=evict)
    handle = pool.alloc(100)
    with pytest.raises(error):
        pool.reclaim(1)
    assert pool.stats().objects == 1
    assert arena.audit() == []
    pool.free(handle)
    pool.drain()
    with pytest.raises(OSError, match="reclaim"):
        pool.reclaim(1)


@pytest.mark.parametrize("answer", [None, "0", 2**40])
def test_callback_with_an_answer_that_is_no_errno(arena: Arena, answer: object) -> None:
    pool = Pool(arena, evict=lambda _: answer)
    pool.alloc(100)
    with pytest.raises((TypeError, OverflowError)):
        pool.reclaim(1)
    assert arena.audit() == []


def test_callback_may_use_the_pool_and_other_arenas(arena: Arena) -> None:
    def evict(handle: Handle) -> int:
        with Arena(frames=4, lock="mcs") as elsewhere, Pool(elsewhere) as other:
            other.alloc(100)
        new = pool.alloc(500)
        pool.free(new)
        pool.free(own)
        return 0

    pool = Pool(arena, evict=evict)
    own = pool.alloc(3000)
    pool.reclaim()
    pool.drain()
    assert pool.stats().objects == 0
    assert arena.layout.arena("frames_free") == FRAMES
    assert arena.audit() == []


def test_failure_of_evictions_can_be_injected() -> None:
    """For the callback of the object table only; one in Python decides for itself."""
    with Arena(frames=8, faults={"evict": 1.0}) as arena:
        evictor = Evictor(arena)
        evictor.alloc(100)
        evictor.pool.reclaim()
        assert evictor.asked == [0]


# Pools


def test_pool_destroys_itself_at_the_end(arena: Arena) -> None:
    with Pool(arena) as pool:
        handles = [pool.alloc(size) for size in (100, 2000, 4000)]
        assert pool.isolate(pool.page_of(handles[1]))
        pool.putback(pool.page_of(handles[1]))
    assert not pool.alive
    assert arena.layout.arena("frames_free") == FRAMES
    assert arena.layout.arena("slots_free") == 2 * FRAMES
    assert arena.layout.arena("percpu_used") == 0
    assert arena.audit() == []
    with pytest.raises(HandleError, match="the pool was destroyed"):
        pool.free(handles[0])


def test_exception_leaves_the_pool_as_it_is(arena: Arena) -> None:
    pool = Pool(arena)
    pool.alloc(100)
    with pytest.raises(ZeroDivisionError), pool:
        1 / 0  # noqa: B018
    assert pool.alive
    assert pool.stats().objects == 1


def test_pool_with_objects_is_not_destroyed(pool: Pool) -> None:
    handle = pool.alloc(100)
    with pytest.raises(HandleError, match="1 handles are live"):
        pool.destroy()
    pool.free(handle)
    pool.destroy()


def test_destroying_drains(arena: Arena, pool: Pool) -> None:
    first, second = pool.alloc(100), pool.alloc(100)
    pool.free(first)
    pool.free(second)
    assert arena.layout.arena("frames_free") < FRAMES
    pool.destroy()
    assert arena.layout.arena("frames_free") == FRAMES
    assert arena.audit() == []


def test_pools_do_not_mix(arena: Arena) -> None:
    one, two = Pool(arena), Pool(arena)
    assert (one.number, two.number) == (0, 1)
    small, large = one.alloc(100), two.alloc(3000)
    assert one.page_of(small) != two.page_of(large)
    assert (one.stats().stored_bytes, two.stats().stored_bytes) == (100, 3000)
    one.free(small)
    two.drain()
    assert arena.layout.arena("frames_free") == FRAMES - 2, "the release is queued in pool one"
    one.drain()
    assert arena.layout.arena("frames_free") == FRAMES - 1
    one.destroy()
    with two.map(large) as view:
        view[:] = bytes(3000)
    assert two.migrate_pages([two.page_of(large)]).moved == 1
    two.drain()
    assert arena.audit() == []


def test_there_are_as_many_pools_as_the_arena_has_room_for(arena: Arena) -> None:
    pools = [Pool(arena) for _ in range(LIMITS["pools"])]
    with pytest.raises(OSError, match="create a pool") as caught:
        Pool(arena)
    assert caught.value.errno == errno.ENOMEM
    pools[1].destroy()
    assert Pool(arena).number == 1
    assert arena.audit() == []


@pytest.mark.parametrize("chunks", [1, 64])
def test_header_that_does_not_fit_or_leaves_no_room(chunks: int) -> None:
    """88 bytes of header take two chunks, and one must be left for objects."""
    with Arena(frames=4, header_chunks=chunks) as arena:
        with pytest.raises(OSError, match="create a pool") as caught:
            Pool(arena)
        assert caught.value.errno == errno.EINVAL
        assert arena.audit() == []


@pytest.mark.parametrize(("chunks", "largest"), [(2, 3904), (3, 3840), (62, 64), (63, 0)])
def test_larger_header_leaves_less_room(chunks: int, largest: int) -> None:
    with Arena(frames=4, header_chunks=chunks) as arena, Pool(arena) as pool:
        assert pool.alloc(largest + 1).headless
        if largest:
            handle = pool.alloc(largest)
            assert not handle.headless
            assert pool.map_offset(handle) == chunks * 64
        assert arena.audit() == []


def test_handles_without_their_pool_do_no_harm(arena: Arena) -> None:
    handle = Pool(arena).alloc(100)
    gc.collect()
    with pytest.raises(HandleError):
        Pool(arena).free(handle)
    assert arena.audit() == []


# Work and statistics


def test_auto_drain_runs_the_work_of_each_operation(arena: Arena) -> None:
    pool = Pool(arena, auto_drain=True)
    first, second = pool.alloc(100), pool.alloc(100)
    pool.free(first)
    assert arena.layout.page(pool.page_of(second))["private"] == 0
    assert pool.migrate_pages([pool.page_of(second)]).moved == 1
    assert arena.layout.page(pool.page_of(second))["private"] == 0
    pool.free(second)
    assert arena.layout.arena("frames_free") == FRAMES


def test_without_auto_drain_work_waits(arena: Arena, pool: Pool) -> None:
    pool.free(pool.alloc(100))
    assert arena.layout.arena("frames_free") == FRAMES - 1
    pool.drain()
    assert arena.layout.arena("frames_free") == FRAMES


def test_stats_tell_pages_objects_and_density(pool: Pool) -> None:
    handles = [pool.alloc(size) for size in (1000, 1000, 500, 4096)]
    assert pool.stats() == PoolStats(pages=2, objects=4, stored_bytes=6596, slots=1, isolated=0)
    assert pool.stats().density == 2.0
    assert pool.isolate(pool.page_of(handles[0]))
    assert pool.stats().isolated == 1
    pool.putback(pool.page_of(handles[0]))
    for handle in handles:
        pool.free(handle)
    pool.drain()
    assert pool.stats() == PoolStats(pages=0, objects=0, stored_bytes=0, slots=0, isolated=0)
    assert pool.stats().density == 0.0


def test_migration_says_what_became_of_each_page(pool: Pool) -> None:
    handles = [pool.alloc(3000) for _ in range(3)]
    pages = [pool.page_of(handle) for handle in handles]
    with pool.map(handles[1]):
        migration = pool.migrate_pages(pages)
    assert migration.isolated == (pages[0], pages[2])
    assert migration.refused == {pages[1]: "mapped"}
    assert (migration.moved, migration.put_back, migration.result) == (2, 0, 0)
    assert pool.refusals()["mapped"] == 1


def test_verdict_of_an_operation_is_raised_once_and_kept() -> None:
    with Arena(defects=["movable-without-page-lock"], frames=8) as arena:
        pool = Pool(arena)
        with pytest.raises(VerdictError, match="lock-misuse: the page is marked movable") as caught:
            pool.alloc(100)
        assert isinstance(caught.value, AssertionError)
        (judgement,) = caught.value.judgements
        assert (judgement.where, judgement.op, judgement.task) == ("SetPageMovable", "alloc", 1)
        assert arena.layout.pfn(judgement.page) == 0
        pool.alloc(3900)
        assert len(arena.judgements()) == 1, "the same failure again is not recorded again"


def test_arena_may_keep_going() -> None:
    with Arena(defects=["movable-without-page-lock"], frames=8, keep_going=True) as arena:
        pool = Pool(arena)
        pool.alloc(100)
        assert [judgement.verdict for judgement in arena.judgements()] == [Verdict.LOCK_MISUSE]
        arena.forget_verdicts()
        pool.alloc(3900)
        assert len(arena.judgements()) == 1
