"""What a failed run left behind: the failing page, what lay in it, and who did what to it in
which order.  Read once from the arena, or from a dump of it.

Only reads, trusts nothing of what it reads, and never judges: an arena after a failure is damaged.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from z3fold_stress import _live
from z3fold_stress.arena import Arena
from z3fold_stress.dump import design_name
from z3fold_stress.inspection.lists import Lists
from z3fold_stress.inspection.pages import Pages
from z3fold_stress.inspection.tasks import events, named
from z3fold_stress.judgement import Judgement
from z3fold_stress.layout import PAGE_SIZE, Event, Layout
from z3fold_stress.settings import FAULTS
from z3fold_stress.verdicts import Verdict

__all__ = ["Deed", "Placed", "Wild", "read_wild"]

WINDOW = 32
"""Events around the failing page that are looked at."""
OWN = 6
"""Last events of the task that failed, wherever they were."""
NEIGHBOURS = 2
CHUNK = int(_live.LIMITS["chunk_size"])
_ORDER = {"first": 0, "last": 1, "middle": 2, "headless": 0}
"""In which order objects of a page were placed, if no other had been there before."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An object that lay in the failing page when the run ended."""

    buddy: str
    handle: int
    size: int
    """Bytes: what its owner asked for, or where nobody owns it, all of its chunks."""


@dataclass(frozen=True, slots=True)
class Deed:
    """An operation that a task did, or was in the middle of."""

    task: int
    role: str
    op: str
    handle: int = 0
    size: int = 0
    result: int = 0
    page: int | None = None
    unfinished: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wild:
    """One failure of a real run, as far as its arena tells."""

    verdict: Verdict
    text: str
    where: str
    op: str = ""
    """The operation during which the check failed."""
    design: str
    seed: int = 0
    page: int | None = None
    pool: int | None = None
    """That the page belonged to; 0 is the workers', others are short-lived."""
    placed: tuple[Placed, ...] = ()
    """In the order in which allocations fill a page: first, last, middle."""
    neighbours: tuple[tuple[Placed, ...], ...] = ()
    """What lay in other pages that the failing task was at work on, the latest first."""
    deeds: tuple[Deed, ...] = ()
    """Oldest first."""
    faults: tuple[str, ...] = ()
    """What the run made fail."""
    deaths: bool = False
    """Whether a process was killed."""
    arena: dict[str, int] = field(default_factory=dict)
    """header_chunks, poison, cross_cpu_search, cpus."""

    @property
    def headless(self) -> bool:
        return any(placed.buddy == "headless" for placed in self.placed)


def read_wild(arena: Arena) -> Wild | None:
    """The failure of an arena, or None where no check failed in it."""
    judgements = arena.judgements()
    if not judgements:
        return None
    first = judgements[0]
    layout = arena.layout
    pages = Pages(layout, Lists(layout))
    ring = _events(pages, None, 2**62)
    page = _page_of(pages, first, ring)
    view = {} if page is None else pages.page(page)
    near = ring[-WINDOW:] if page is None else _events(pages, page, WINDOW)
    own = [event for event in ring if event.task == first.task][-OWN:]
    seen = sorted({*near, *own}, key=lambda event: (event.ticks, event.task))
    roles = {task: _role(layout, task) for task in layout.tasks()}
    sizes = {e.a: e.b for e in ring if e.op == "alloc" and e.a}
    deeds = [
        Deed(e.task, roles[e.task], e.op, e.a, sizes.get(e.a, 0), e.ret, e.page)
        for e in seen
        if _tells(e, roles[e.task], page)
    ]
    unfinished = _unfinished(layout, roles, sizes, page)
    last = [d for d in (*deeds, *unfinished) if d.task == first.task]
    return Wild(
        verdict=first.verdict,
        text=first.text,
        where=first.where,
        op=first.op,
        design=design_name(layout.arena("design")),
        seed=layout.arena("seed"),
        page=page,
        pool=view.get("pool"),
        placed=_placed(view),
        neighbours=_neighbours(pages, page, last),
        deeds=(*deeds, *unfinished),
        faults=_faults(layout),
        deaths=_deaths(layout, first),
        arena={
            "header_chunks": pages.header_chunks,
            "cpus": max(1, min(layout.arena("nr_cpus"), 2)),
            "poison": int(bool(layout.arena("poison"))),
            "cross_cpu_search": int(bool(layout.arena("cross_cpu_search"))),
        },
    )


def _events(pages: Pages, page: int | None, most: int) -> list[Event]:
    try:
        return events(pages, page, most)
    except (ValueError, KeyError, struct.error):
        return []  # a ring that was overwritten tells nothing


def _tells(event: Event, role: str, page: int | None) -> bool:
    """Not what a reclaimer unmaps, nor what a kworker did elsewhere: every run is full of that."""
    if role == "reclaimer" and event.op == "unmap":
        return False
    return page is None or not role.startswith("kworker") or event.page == page


def _neighbours(
    pages: Pages, page: int | None, last: Sequence[Deed]
) -> tuple[tuple[Placed, ...], ...]:
    found: dict[int, tuple[Placed, ...]] = {}
    for deed in reversed(last):
        number = pages.slots_number(deed.handle)
        where = (
            deed.page if deed.page != page else None,
            pages.layout.pfn(deed.handle),
            *(pages.users.get(number, ()) if number is not None else ()),
        )
        for pfn in where:
            if pfn is not None and pfn != page and (placed := _placed(pages.page(pfn))):
                found.setdefault(pfn, placed)
    return tuple(found.values())[:NEIGHBOURS]


def _role(layout: Layout, task: int) -> str:
    return named(_live.Role, layout.task_field(task, "role"), "ROLE_")


def _page_of(pages: Pages, first: Judgement, ring: Sequence[Event]) -> int | None:
    """By the page that the check named, the handle, the lock; else where its task was last."""
    layout = pages.layout
    for offset in (first.page, first.handle & ~(PAGE_SIZE - 1), first.lock):
        pfn = layout.pfn(offset) if offset else None
        if pfn is not None:
            return pfn
    number = pages.slots_number(first.handle) if first.handle else None
    if number is not None and pages.users.get(number):
        return pages.users[number][0]
    for event in reversed(ring):
        if event.page is not None and (
            event.a == first.handle if first.handle else event.task == first.task
        ):
            return event.page
    return None


def _placed(view: dict[str, Any]) -> tuple[Placed, ...]:
    found = [
        Placed(
            str(each["buddy"]).lower(),
            int(each["handle"]),
            int(each["size"] or min(each["chunks"] * CHUNK, PAGE_SIZE)),
        )
        for each in view.get("objects", ())
        if 0 < each["chunks"] <= PAGE_SIZE // CHUNK
    ]
    return tuple(sorted(found, key=lambda placed: _ORDER.get(placed.buddy, 3)))


def _unfinished(
    layout: Layout, roles: dict[int, str], sizes: dict[int, int], page: int | None
) -> tuple[Deed, ...]:
    """Operations that tasks were in the middle of when the run ended."""
    deeds = []
    for task in layout.tasks():
        try:
            inside = layout.inside(layout.task(task))
        except (ValueError, struct.error):
            continue
        for op, a, _ in inside[:2]:
            size = a if op == "alloc" else sizes.get(a, 0)
            handle = 0 if op == "alloc" else a
            deeds.append(Deed(task, roles[task], op, handle, size, page=page, unfinished=True))
    return tuple(deeds)


def _faults(layout: Layout) -> tuple[str, ...]:
    rates = struct.unpack(f"={len(FAULTS)}I", bytes(layout.read("arena", 0)["fault"]))
    return tuple(name for name, rate in zip(FAULTS, rates, strict=True) if rate)


def _deaths(layout: Layout, first: Judgement) -> bool:
    dead = any(layout.task_field(t, "state") == _live.TaskState.TASK_DEAD for t in layout.tasks())
    return dead or first.verdict is Verdict.ORPHANED_LOCK
