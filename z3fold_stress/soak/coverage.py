"""Which orders of operations a soak has shown: what the flight recorder tells of interleavings.

The live build has no hooks, so instructions are not seen.  What is seen are operations, as each
task wrote them to its ring with the cycle counter.  Now and then the supervisor copies all rings
and cuts out the *window* in which every one of them is whole.  On each page the operations of the
window are in an order; three of them in a row, by more than one task, with their roles and results,
are a *kind* of order (SegFuzz, too, counts short segments of interleavings).  A kind counts once a
window: what comes in bursts would else look seen more often than it was.

Only reads the arena.  Takes at most BUDGET of one CPU: after each window it rests as long as that
demands.
"""

from __future__ import annotations

import struct
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from z3fold_stress import _live
from z3fold_stress.layout import Layout
from z3fold_stress.soak.residual import Incidences

__all__ = ["BUDGET", "NO_PAGE", "Done", "Kind", "Sampler", "Step", "kinds", "window"]

BUDGET = 0.02
"""Of one CPU."""
MOST = 1024
"""Events of one task in a window: what a window may cost."""
LENGTH = 3
"""Operations of a kind."""
_EVENT = struct.Struct("=" + _live.RECORDS["event"])
_TICKS = struct.Struct("=Q")
NO_PAGE = 2**32 - 1
_MAP, _UNMAP, _MIGRATE = (int(_live.Op[name]) for name in ("OP_MAP", "OP_UNMAP", "OP_MIGRATE"))


Done = tuple[int, int, int, int, int, int]
"""An operation that ended, as it lies in a ring: ticks, op, result, page or NO_PAGE, two words."""


class Step(NamedTuple):
    """One operation of a kind."""

    who: int
    """The tasks of a kind are numbered as they appear, from 0."""
    role: int
    op: int
    ret: int


Kind = tuple[Step, ...]


def window(layout: Layout, tasks: Sequence[int]) -> dict[int, list[Done]]:
    """What each task did in the last moments, oldest first, with nothing left out.

    The rings go on being written while they are copied.  So the window ends before the heads were
    read, and begins where the ring that has turned over furthest is still whole.  Empty where that
    is no time at all.
    """
    ring, rings = layout.arena("ring"), layout.arena("rings")
    size = ring * _EVENT.size
    end = max(_last_ticks(layout, rings + task * size, task, ring) for task in tasks)
    heads = [layout.task_field(task, "ring_head") for task in tasks]
    copies = [bytes(layout.buffer[rings + t * size : rings + (t + 1) * size]) for t in tasks]
    now = [layout.task_field(task, "ring_head") for task in tasks]

    begin, spans = 0, []
    for head, later, copy in zip(heads, now, copies, strict=True):
        oldest = max(0, later - ring + 1)  # the next one may be half written over already
        if later < head or head < oldest:
            return {}  # begun anew, or turned over, during the copy
        oldest = max(oldest, head - MOST)
        if oldest:
            begin = max(begin, _ticks(copy, oldest, ring))
        spans.append(range(oldest, head))
    return {
        task: list(_cut(copy, span, begin, end, ring))
        for task, copy, span in zip(tasks, copies, spans, strict=True)
    }


def _ticks(copy: bytes, index: int, ring: int) -> int:
    ticks: int = _TICKS.unpack_from(copy, (index & (ring - 1)) * _EVENT.size)[0]
    return ticks


def _last_ticks(layout: Layout, at: int, task: int, ring: int) -> int:
    head = layout.task_field(task, "ring_head")
    if not head:
        return 0
    ticks: int = _TICKS.unpack_from(layout.buffer, at + ((head - 1) & (ring - 1)) * _EVENT.size)[0]
    return ticks


def _cut(copy: bytes, span: range, begin: int, end: int, ring: int) -> Iterator[Done]:
    """The events of a ring from ``begin`` to ``end``, by the clock."""

    def ticks(index: int) -> int:
        return _ticks(copy, index, ring)

    inside = span[bisect_left(span, begin, key=ticks) : bisect_right(span, end, key=ticks)]
    if not inside:
        return
    start, stop = inside[0] & (ring - 1), (inside[-1] & (ring - 1)) + 1
    parts = [(start, stop)] if start < stop else [(start, ring), (0, stop)]
    for first, last in parts:
        yield from _EVENT.iter_unpack(copy[first * _EVENT.size : last * _EVENT.size])


def kinds(
    done: Mapping[int, Iterable[Done]],
    roles: Mapping[int, int],
    pfn: Callable[[int], int | None],
) -> set[Kind]:
    """The kinds of orders in a window.  ``pfn``: the page that an offset lies in.

    An unmap is on the page that its map was on; a page that moved was touched in both places.
    """
    pages: dict[int, list[tuple[int, int, int, int]]] = {}
    shared: dict[int, int] = {}
    for task, events in done.items():
        mapped: dict[int, int] = {}
        for ticks, op, ret, page, a, _ in events:
            if op == _UNMAP:
                page = mapped.get(a, NO_PAGE)
            elif op == _MAP:
                mapped[a] = page
            elif op == _MIGRATE and ret == 0:
                target = pfn(a)
                if target is not None:
                    pages.setdefault(target, []).append((ticks, task, op, ret))
                    shared[target] = -1
            if page == NO_PAGE:
                continue
            pages.setdefault(page, []).append((ticks, task, op, ret))
            if shared.setdefault(page, task) != task:
                shared[page] = -1
    found: set[Kind] = set()
    for page, task in shared.items():
        if task == -1:
            found.update(_kinds_of(sorted(pages[page]), roles))
    return found


def _kinds_of(orders: list[tuple[int, int, int, int]], roles: Mapping[int, int]) -> Iterator[Kind]:
    for start in range(len(orders) - LENGTH + 1):
        segment = orders[start : start + LENGTH]
        names: dict[int, int] = {}
        kind = tuple(
            Step(names.setdefault(task, len(names)), roles.get(task, 0), op, ret)
            for _, task, op, ret in segment
        )
        if len(names) > 1:
            yield kind


class Sampler:
    """Takes windows of a running soak, and counts in how many each kind was."""

    def __init__(self, layout: Layout, clock: Callable[[], float] = time.thread_time) -> None:
        self.layout = layout
        self.clock = clock
        self.seen: Incidences[Kind] = Incidences()
        self.discovered: list[float] = []
        """When each kind was seen first: seconds of the run."""
        self.spent = 0.0
        """Seconds of a CPU."""
        self._rests_until = 0.0
        self._off = layout.arena("ring") == 0

    def sample(self, elapsed: float) -> bool:
        """Take a window, if it is time; ``elapsed`` seconds of the run are over."""
        if self._off or elapsed < self._rests_until:
            return False
        began = self.clock()
        done = window(self.layout, self.layout.tasks())
        if any(done.values()):
            roles = {task: self.layout.task_field(task, "role") for task in done}
            fresh = self.seen.add(kinds(done, roles, self.layout.pfn))
            self.discovered += [elapsed] * fresh
        spent = self.clock() - began
        self.spent += spent
        self._rests_until = elapsed + spent / BUDGET
        return True
