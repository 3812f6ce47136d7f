"""The lists of an arena, walked from outside: unbuddied, stale, LRU, work queues, isolated pages.

Trusts no link: a torn one ends its walk and is told, it never leads astray.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from z3fold_stress import _live
from z3fold_stress._vocabulary import (
    LIST_HEAD_SIZE,
    LIST_POISON1,
    LIST_POISON2,
    POISON,
    TOTAL_CHUNKS,
)
from z3fold_stress.layout import PAGE_SIZE, Layout

__all__ = ["TOTAL_CHUNKS", "ListView", "Lists", "offset_in", "pools"]

POISONS = {
    LIST_POISON1: "LIST_POISON1: taken off its list",
    LIST_POISON2: "LIST_POISON2: taken off its list",
    POISON: "poison: freed memory",
}
_FIELDS = _live.fields()


def offset_in(struct: str, name: str) -> int:
    """Where a field lies in its struct."""
    return int(_FIELDS[struct][1][name][0])


def pools(layout: Layout) -> Iterator[int]:
    """The numbers of the pools that exist."""
    for number in range(_live.LIMITS["pools"]):
        if layout.get("pool", layout.pool_offset(number), "state"):
            yield number


@dataclass(slots=True)
class ListView:
    """A list: which one it is, what is on it in order, and where it is torn, if it is.

    Entries are page numbers; what is no page is told in words.
    """

    name: str
    pool: int | None
    entries: list[int | str] = field(default_factory=list)
    damage: str = ""

    @property
    def pages(self) -> list[int]:
        return [entry for entry in self.entries if isinstance(entry, int)]


class Lists:
    """All lists of an arena, walked once."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._end = len(layout.buffer)
        self._frames = layout.arena("frames")
        self._nr_frames = layout.arena("nr_frames")
        self.views: list[ListView] = []
        for number in pools(layout):
            self._pool(number)
        for task in layout.tasks():
            self._isolated(task)
        self.of_page: dict[int, list[str]] = defaultdict(list)
        for view in self.views:
            for page in view.pages:
                self.of_page[page].append(view.name)

    def _pool(self, number: int) -> None:
        at = self.layout.pool_offset(number)
        lists = self.layout.get("pool", at, "percpu")
        heads = self.layout.arena("nr_cpus") * TOTAL_CHUNKS
        if not (self._is_link(lists) and self._is_link(lists + (heads - 1) * LIST_HEAD_SIZE)):
            damage = f"the lists of all CPUs would be at 0x{lists:x}, out of the arena"
            self.views.append(ListView("unbuddied", number, damage=damage))
            heads = 0
        for index in range(heads):
            cpu, chunks = divmod(index, TOTAL_CHUNKS)
            name = f"unbuddied, CPU {cpu}, {chunks} chunks"
            view = self._walk(name, number, lists + index * LIST_HEAD_SIZE, 0)
            if view.entries or view.damage:
                self.views.append(view)
        work = offset_in("header", "work_next")
        for name, field_, inside in (
            ("stale", "stale_next", 0),
            ("LRU", "lru_next", -1),
            ("compact_wq", "compact_wq", work),
            ("release_wq", "release_wq", work),
        ):
            head = at + offset_in("pool", field_)
            if name.endswith("_wq"):
                head += offset_in("workqueue", "next")
            self.views.append(self._walk(name, number, head, inside))

    def _isolated(self, task: int) -> None:
        if self.layout.task_field(task, "state") == _live.TaskState.TASK_FREE:
            return
        head = self.layout.task_offset(task) + offset_in("task", "isolated_next")
        view = self._walk(f"isolated by task {task}", None, head, -1)
        if view.entries or view.damage:
            self.views.append(view)

    def _is_link(self, offset: int) -> bool:
        return 0 < offset <= self._end - LIST_HEAD_SIZE and offset % 8 == 0

    def _walk(self, name: str, pool: int | None, head: int, inside: int) -> ListView:
        """``inside``: where in a page the links are; -1: in the page descriptors."""
        view = ListView(name, pool)
        if not self._is_link(head):
            view.damage = f"its head would be at 0x{head:x}, out of the arena"
            return view
        at, seen = head, {head}
        while True:
            link = self.layout.word(at)
            if not self._is_link(link):
                view.damage = f"0x{at:x} says next 0x{link:x} ({self._why_no_link(link)})"
                return view
            back = self.layout.word(link + 8)
            if back != at:
                view.damage = f"0x{at:x} says next 0x{link:x}, which says prev 0x{back:x}"
                return view
            if link == head:
                return view
            if link in seen:
                view.damage = f"0x{at:x} leads back to 0x{link:x}, not to the head"
                return view
            seen.add(link)
            view.entries.append(self._entry(link, inside))
            at = link

    @staticmethod
    def _why_no_link(link: int) -> str:
        return POISONS.get(link, "null" if link == 0 else "no place in the arena")

    def _entry(self, link: int, inside: int) -> int | str:
        if inside < 0:
            first = self.layout.page_offset(0) + offset_in("page", "lru_next")
            page, rest = divmod(link - first, int(_FIELDS["page"][0]))
        else:
            page, rest = divmod(link - self._frames - inside, PAGE_SIZE)
        if 0 <= page < self._nr_frames and rest == 0:
            return page
        for number in pools(self.layout):
            if 0 <= link - self.layout.pool_offset(number) < int(_FIELDS["pool"][0]):
                return f"release work of pool {number}"
        return f"0x{link:x}, which is nothing that belongs here"
