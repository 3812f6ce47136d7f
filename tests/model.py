"""What z3fold decides when one task uses it: where each object goes, and how many pages that takes.

A reference for the allocator under test: no locks, no memory, only placement, the two work queues
and the error codes. The rules are those of the patch set "z3fold: support page migration", v2, as
released in Linux v5.2, on 4096-byte pages. Reclaim and migration are left out; of mapping there is
only what placement sees of it, `Page.middle_mapped`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from errno import EINVAL, ENOMEM, ENOSPC

PAGE_SIZE = 4096
CHUNK_SIZE = 64
TOTAL_CHUNKS = PAGE_SIZE // CHUNK_SIZE
HEADER_CHUNKS = 2
NCHUNKS = TOTAL_CHUNKS - HEADER_CHUNKS
LARGEST_BUDDY = PAGE_SIZE - (HEADER_CHUNKS + 1) * CHUNK_SIZE  # anything larger is headless
BIG_CHUNK_GAP = 3  # moving a middle object must gain at least this much


class Buddy(Enum):
    FIRST = "first"
    MIDDLE = "middle"
    LAST = "last"


@dataclass(eq=False)
class Object:
    """One allocation; without a page header to share (`page` is None) it is headless."""

    chunks: int
    page: Page | None = None
    buddy: Buddy = Buddy.FIRST


@dataclass(eq=False)
class Page:
    """Up to three objects. The page lives while it has one, or while its compaction is queued."""

    objects: dict[Buddy, Object] = field(default_factory=dict)
    start_middle: int = 0
    listed: deque[Page] | None = None  # its unbuddied list; None is what `cpu` -1 is in the kernel
    needs_compacting: bool = False
    middle_mapped: bool = False  # then the compaction must leave the middle object where it is

    def chunks(self, buddy: Buddy) -> int:
        return self.objects[buddy].chunks if buddy in self.objects else 0

    def free_chunks(self) -> int:
        """The largest object the page offers room for: the index of its unbuddied list."""
        first, middle, last = map(self.chunks, Buddy)
        if not middle:
            return NCHUNKS - first - last
        before = 0 if first else self.start_middle - HEADER_CHUNKS
        after = 0 if last else TOTAL_CHUNKS - self.start_middle - middle
        return max(before, after)

    def choose(self, chunks: int, *, ignore_header: bool) -> Buddy:
        """The place for a new object; as posted, the header counts as room before the middle."""
        if Buddy.FIRST not in self.objects:
            room = self.start_middle - (1 if ignore_header else HEADER_CHUNKS)
            return Buddy.LAST if Buddy.MIDDLE in self.objects and chunks > room else Buddy.FIRST
        return Buddy.MIDDLE if Buddy.LAST in self.objects else Buddy.LAST

    def place(self, obj: Object, buddy: Buddy) -> None:
        if buddy is Buddy.MIDDLE:
            self.start_middle = HEADER_CHUNKS + self.chunks(Buddy.FIRST)
        obj.page, obj.buddy = self, buddy
        self.objects[buddy] = obj

    def compact(self) -> None:
        """Join the free room: a lone middle becomes first, else it moves towards its neighbour."""
        first, middle, last = map(self.chunks, Buddy)
        if not middle or self.middle_mapped:
            return
        if not first and not last:
            self.place(self.objects.pop(Buddy.MIDDLE), Buddy.FIRST)
        elif not last and self.start_middle - (HEADER_CHUNKS + first) >= BIG_CHUNK_GAP:
            self.start_middle = HEADER_CHUNKS + first
        elif not first and TOTAL_CHUNKS - last - (self.start_middle + middle) >= BIG_CHUNK_GAP:
            self.start_middle = TOTAL_CHUNKS - last - middle


class Model:
    """A pool. `frames` limits the pages there are; None is no limit."""

    def __init__(
        self,
        *,
        cpus: int = 1,
        frames: int | None = None,
        cross_cpu_search: bool = True,
        first_fit_ignores_header_chunks: bool = True,
    ) -> None:
        self.pages_nr = 0
        self._frames = frames
        self._cross_cpu_search = cross_cpu_search
        self._ignore_header = first_fit_ignores_header_chunks
        self._unbuddied = [[deque[Page]() for _ in range(NCHUNKS)] for _ in range(cpus)]
        self._compaction_queue = deque[Page]()
        self._stale = 0  # length of the stale list: frames released and not yet given back

    def alloc(
        self, size: int, cpu: int = 0, *, atomic: bool = False, highmem: bool = False
    ) -> tuple[int, Object | None]:
        """Answer 0 and the object, or a negative errno and None."""
        if size == 0 or highmem:
            return -EINVAL, None
        if not 0 < size <= PAGE_SIZE:  # the kernel's size is unsigned: a negative one is huge
            return -ENOSPC, None
        obj = Object(chunks=-(-size // CHUNK_SIZE))
        headless = size > LARGEST_BUDDY
        page = None if headless else self._find(obj.chunks, cpu)
        if page is None:
            if not self._take_frame(atomic=atomic):
                return -ENOMEM, None
            if headless:
                return 0, obj
            page = Page()
        page.place(obj, page.choose(obj.chunks, ignore_header=self._ignore_header))
        self._list(page, cpu)
        return 0, obj

    def free(self, obj: Object, cpu: int = 0) -> None:
        page = obj.page
        if page is None:
            self.pages_nr -= 1
            return
        del page.objects[obj.buddy]
        if page.needs_compacting:
            return  # the queued compaction sees to it, and releases the page if it is empty
        if not page.objects:
            self._release(page)
        elif page.listed is None:
            self._compact(page, cpu)
        else:
            page.needs_compacting = True
            self._compaction_queue.append(page)

    def map_offset(self, obj: Object) -> int:
        """Where the object starts, in bytes from the start of its page."""
        if obj.page is None:
            return 0
        start = {
            Buddy.FIRST: HEADER_CHUNKS,
            Buddy.MIDDLE: obj.page.start_middle,
            Buddy.LAST: TOTAL_CHUNKS - obj.chunks,
        }
        return start[obj.buddy] * CHUNK_SIZE

    def drain(self, cpu: int = 0) -> None:
        """Run the compaction queue, then the release queue; neither gives the other new work."""
        while self._compaction_queue:
            self._compact(self._compaction_queue.popleft(), cpu)
        self._stale = 0

    def _find(self, chunks: int, cpu: int) -> Page | None:
        """Unlist a page with room: best fit on this CPU, else an exact fit on any, in CPU order.

        A page that waits for its compaction is unlisted too, but not used. On this CPU the search
        then goes on, elsewhere it moves to the next CPU.
        """
        for pages in self._unbuddied[cpu][chunks:]:
            while pages:
                page = self._unlist(pages[0])
                if not page.needs_compacting:
                    return page
        if self._cross_cpu_search:
            for lists in self._unbuddied:
                if lists[chunks]:
                    page = self._unlist(lists[chunks][0])
                    if not page.needs_compacting:
                        return page
        return None

    def _list(self, page: Page, cpu: int) -> None:
        if len(page.objects) < len(Buddy):
            page.listed = self._unbuddied[cpu][page.free_chunks()]
            page.listed.appendleft(page)

    def _unlist(self, page: Page) -> Page:
        if page.listed is not None:
            page.listed.remove(page)
            page.listed = None
        return page

    def _compact(self, page: Page, cpu: int) -> None:
        """The compaction work: it lists the page on the CPU it runs on."""
        page.needs_compacting = False
        self._unlist(page)
        if page.objects:
            page.compact()
            self._list(page, cpu)
        else:
            self._release(page)

    def _release(self, page: Page) -> None:
        """Uncount the page; its frame stays on the stale list until the release queue runs."""
        self._unlist(page)
        self.pages_nr -= 1
        self._stale += 1

    def _take_frame(self, *, atomic: bool) -> bool:
        """Count a new page on a stale frame, which only a sleepable caller may take, or a free one.

        Headless pages are freed at once and are never stale.
        """
        if self._stale and not atomic:
            self._stale -= 1
        elif self._frames is not None and self.pages_nr + self._stale >= self._frames:
            return False
        self.pages_nr += 1
        return True
