"""A z3fold pool for Python: allocate, free, map, migrate, reclaim. One operation a call; work
that it queues runs when asked (``drain``), or after each operation with ``auto_drain``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

from z3fold_stress._live import LIMITS, Call, Counter, Refusal
from z3fold_stress._vocabulary import GFP_ATOMIC, GFP_HIGHMEM, GFP_KERNEL
from z3fold_stress.arena import Arena
from z3fold_stress.errors import HandleError
from z3fold_stress.judgement import AuditFinding
from z3fold_stress.layout import PAGE_SIZE

__all__ = ["Handle", "Migration", "Pool", "PoolStats"]

MAX_MAPS = LIMITS["maps"]


class Handle:
    """An object of a pool. Freed handles and those of other pools are refused."""

    __slots__ = ("live", "offset", "pool", "size")

    def __init__(self, pool: Pool, offset: int, size: int) -> None:
        self.pool = pool
        self.offset = offset
        self.size = size
        self.live = True

    @property
    def headless(self) -> bool:
        """Whether the object has a page of its own."""
        return bool(self.offset & 1)

    def __repr__(self) -> str:
        state = "" if self.live else ", freed"
        return f"<Handle 0x{self.offset:x}: {self.size} bytes{state}>"


@dataclass(frozen=True, slots=True)
class Migration:
    """What became of a list of pages: frame numbers, and why some could not be isolated."""

    isolated: tuple[int, ...]
    refused: dict[int, str]
    moved: int
    put_back: int
    result: int
    """As migrate_pages(): pages that did not move, or a negative errno."""


@dataclass(frozen=True, slots=True)
class PoolStats:
    pages: int
    objects: int
    stored_bytes: int
    slots: int
    isolated: int

    @property
    def density(self) -> float:
        """Objects a page."""
        return self.objects / self.pages if self.pages else 0.0


class Pool:
    """A pool in an arena; a context manager that frees what is left and destroys the pool.

    ``evict(handle)`` is called by reclaim for each object of the page it chose: it is to free
    that object by its own handle and return 0, or to return a negative errno.

    Errors are OSError with the errno of the original: EINVAL, ENOSPC, ENOMEM, EAGAIN, EBUSY.
    """

    def __init__(
        self,
        arena: Arena,
        evict: Callable[[Handle], int] | None = None,
        *,
        auto_drain: bool = False,
    ) -> None:
        self.arena = arena
        self.auto_drain = auto_drain
        self._live: set[Handle] = set()
        result, self.offset, _ = arena.call(Call.CALL_CREATE_POOL, 0, 2 if evict else 0)
        self._check(result, "create a pool")
        if evict is not None:
            arena.engine.set_evict(self.offset, lambda at: evict(Handle(self, at, PAGE_SIZE)))
        self.alive = True

    @property
    def number(self) -> int:
        """Which of the arena's pools this is, from 0."""
        first, second = (self.arena.layout.pool_offset(i) for i in (0, 1))
        return int((self.offset - first) // (second - first))

    @staticmethod
    def _check(result: int, what: str) -> None:
        if result < 0:
            raise OSError(-result, f"cannot {what}: {os.strerror(-result)}")

    def _own(self, handle: Handle) -> int:
        if not self.alive:
            raise HandleError("the pool was destroyed")
        if handle.pool is not self:
            raise HandleError(f"{handle!r} belongs to another pool")
        if not handle.live:
            raise HandleError(f"{handle!r}: it was freed before")
        return handle.offset

    def _call(self, what: int, a: int = 0, b: int = 0, c: int = 0) -> tuple[int, int, int]:
        answer: tuple[int, int, int] = self.arena.call(what, self.offset, a, b, c)
        if self.auto_drain:
            self.drain()
        return answer

    def alloc(self, size: int, *, atomic: bool = False, highmem: bool = False) -> Handle:
        """An object of ``size`` bytes. ``atomic``: may not sleep.

        Raises OSError: EINVAL (size 0, highmem), ENOSPC (larger than a page), ENOMEM.
        """
        if size < 0:
            size += 2**64  # as a size_t would
        gfp = (GFP_ATOMIC if atomic else GFP_KERNEL) | (GFP_HIGHMEM if highmem else 0)
        result, _, offset = self._call(Call.CALL_ALLOC, size, gfp)
        self._check(result, f"allocate {size} bytes")
        handle = Handle(self, offset, size)
        self._live.add(handle)
        self.arena.handles += 1
        return handle

    def free(self, handle: Handle) -> None:
        """Free an object. Raises HandleError for a handle that is not live here."""
        offset = self._own(handle)
        handle.live = False
        self._live.discard(handle)
        self.arena.handles -= 1
        self._call(Call.CALL_FREE, offset)

    @contextmanager
    def map(self, handle: Handle) -> Iterator[memoryview]:
        """A writable view of exactly the object. Its page stays where it is until the end."""
        offset = self._own(handle)
        if self.arena.layout.task_field(self.arena.task, "nr_maps") >= MAX_MAPS:
            raise ValueError(f"this task has {MAX_MAPS} objects mapped: unmap one first")
        address, _, _ = self.arena.call(Call.CALL_MAP, self.offset, offset)
        end = min(address + handle.size, (address | (PAGE_SIZE - 1)) + 1)
        with memoryview(self.arena.memory)[address:end] as view:
            try:
                yield view
            finally:
                self._call(Call.CALL_UNMAP, offset)

    def map_offset(self, handle: Handle) -> int:
        """Where in its page the object starts, in bytes."""
        with self.map(handle):
            task = self.arena.layout.task(self.arena.task)
            return self.arena.layout.maps(task)[-1][2] % PAGE_SIZE

    def page_of(self, handle: Handle) -> int:
        """The number of the frame that holds the object now."""
        offset = self._own(handle)
        word = offset if handle.headless else self.arena.layout.word(offset)
        pfn = self.arena.layout.pfn(word)
        if pfn is None:
            raise HandleError(f"{handle!r} leads to no page")
        return pfn

    def drain(self, cpu: int | None = None) -> None:
        """Run queued work to the end, compaction before release; on that CPU, or where queued."""
        self.arena.call(Call.CALL_DRAIN, self.offset, 2**64 - 1 if cpu is None else cpu)

    # migration, as the kernel's callers do it

    def isolate(self, page: int) -> bool:
        """isolate_movable_page(); when it says no, ``arena.why_refused`` says why."""
        return bool(self._call(Call.CALL_ISOLATE, self._pfn(page))[0])

    def migrate(self, page: int) -> None:
        """One attempt for an isolated page. Raises OSError: EAGAIN, EBUSY, ENOMEM; the page
        then stays isolated."""
        result, _, _ = self._call(Call.CALL_MIGRATE, self._isolated(page))
        self._check(result, f"migrate page {page}")

    def putback(self, page: int) -> None:
        """End the isolation of a page that did not move."""
        self._call(Call.CALL_PUTBACK, self._isolated(page))

    def migrate_pages(
        self,
        pages: Iterable[int],
        *,
        sync: bool = True,
        in_reclaim: bool = False,
        passes: int = 10,
        second_attempt: bool = False,
        putback: bool = True,
    ) -> Migration:
        """Isolate these pages, migrate_pages() them, put back what is left.

        ``second_attempt``: as newer cores, try permanent failures again without a putback between.
        Without ``putback`` what is left stays isolated: the caller's duty.
        """
        if not 1 <= passes <= 10:
            raise ValueError(f"passes is {passes}: migrate_pages makes 1 to 10")
        isolated, refused = [], {}
        for page in pages:
            if self.arena.call(Call.CALL_ISOLATE, self.offset, self._pfn(page))[0]:
                isolated.append(page)
            else:
                refused[page] = self.arena.why_refused
        moved, back = self._counts()
        mode = sync | in_reclaim << 1 | second_attempt << 2 | (not putback) << 3
        result, _, _ = self._call(Call.CALL_MIGRATE_PAGES, mode, passes)
        moved_now, back_now = self._counts()
        return Migration(tuple(isolated), refused, moved_now - moved, back_now - back, result)

    def _counts(self) -> tuple[int, int]:
        task = self.arena.layout.task(self.arena.task)
        count = self.arena.layout.numbers(task["count"])
        return count[Counter.N_MIGRATED], count[Counter.N_PUTBACK]

    def compact_memory(self, first: int = 0, frames: int | None = None) -> int:
        """The kernel's memory compaction over a range of frames; pages moved."""
        span = self.arena.layout.arena("nr_frames") if frames is None else frames
        return self._call(Call.CALL_COMPACT_MEMORY, self._pfn(first), span)[0]

    def offline(self, first: int, frames: int, budget: int = 8) -> tuple[int, dict[str, int]]:
        """Move everything movable out of a range of frames, in at most ``budget`` rounds.

        Returns how many pages are left, and how often pages refused, by reason.
        """
        before = self.refusals()
        left, _, _ = self._call(Call.CALL_OFFLINE, self._pfn(first), frames, budget)
        after = self.refusals()
        return left, {why: n - before[why] for why, n in after.items() if n > before[why]}

    def refusals(self) -> dict[str, int]:
        """How often pages refused to be isolated by this task, by reason."""
        task = self.arena.layout.task(self.arena.task)
        counts = self.arena.layout.numbers(task["refusals"])
        names = [r.name.removeprefix("REFUSED_").lower().replace("_", "-") for r in Refusal]
        return dict(zip(names[: len(counts)], counts, strict=False))

    def _pfn(self, page: int) -> int:
        if not 0 <= page < self.arena.layout.arena("nr_frames"):
            raise ValueError(
                f"page {page} does not exist: the arena has {self.arena.layout.arena('nr_frames')}"
            )
        return page

    def _isolated(self, page: int) -> int:
        state = self.arena.layout.page(self._pfn(page))
        if state["isolated_by"] != self.arena.task or not state["flags"] & 1:
            raise ValueError(f"page {page} was not isolated by this task: isolate it first")
        return page

    def reclaim(self, retries: int = 8) -> None:
        """Empty the oldest page through ``evict``. Raises OSError: EINVAL (nothing to reclaim,
        no callback), EAGAIN (no page could be emptied)."""
        if self.arena.reclaiming:
            raise ValueError("reclaim was called from an eviction callback: it does not nest")
        self.arena.reclaiming = True
        try:
            result, _, _ = self._call(Call.CALL_RECLAIM, retries)
        finally:
            self.arena.reclaiming = False
        if error := self.arena.engine.take_evict_error():
            raise error
        self._check(result, "reclaim a page")

    def stats(self) -> PoolStats:
        pool = self.arena.layout.read("pool", self.offset)
        return PoolStats(
            pages=pool["pages_nr"],
            objects=len(self._live),
            stored_bytes=sum(handle.size for handle in self._live),
            slots=pool["slots_nr"],
            isolated=pool["isolated"],
        )

    def audit(self) -> list[AuditFinding]:
        """Every broken invariant of the arena; empty when all hold."""
        return self.arena.audit()

    def destroy(self) -> None:
        """Destroy the pool. All handles must be freed: the caller's duty, as in the original."""
        if self._live:
            raise HandleError(f"{len(self._live)} handles are live: free them before the pool")
        if self.stats().isolated and self.arena.isolates:
            raise ValueError("this task has pages isolated: put them back before the pool goes")
        self.alive = False
        self.arena.call(Call.CALL_DESTROY_POOL, self.offset)

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: object, trace: TracebackType | None
    ) -> None:
        if not self.alive or self.arena.abandoned or kind is not None:
            return
        for handle in tuple(self._live):
            self.free(handle)
        self.drain()
        self.destroy()
