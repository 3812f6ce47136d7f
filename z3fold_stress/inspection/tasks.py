"""Tasks, locks and events of an arena, in words: who is where, holds what, waits for whom."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from z3fold_stress import _live
from z3fold_stress.inspection.lists import offset_in, pools
from z3fold_stress.inspection.pages import Pages
from z3fold_stress.layout import OWNER_MASK, PAGE_SIZE, Event, Held, Layout

__all__ = ["Tasks", "describe_event", "events", "named"]

_PAGE_SIZE_IN_MEMMAP = int(_live.fields()["page"][0])


def named(members: Any, value: int, prefix: str) -> str:
    """``running`` for TASK_RUNNING; a value that has no name is told as a number."""
    for name, member in members.__members__.items():
        if member == value:
            return str(name).removeprefix(prefix).lower().replace("_", "-")
    return f"0x{value:x}?"


def _counts(members: Any, prefix: str, raw: bytes) -> dict[str, int]:
    """The counters of an array that are not zero, by name."""
    numbers = Layout.numbers(raw)
    return {named(members, i, prefix): n for i, n in enumerate(numbers) if n}


class Tasks:
    """The tasks of an arena, and the locks between them, as read once."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self.layout = pages.layout
        self.raw = {
            task: raw
            for task in self.layout.tasks()
            if (raw := self.layout.task(task))["state"] != _live.TaskState.TASK_FREE
        }
        self.views = {task: self._task(task, raw) for task, raw in self.raw.items()}

    def who(self, task: int) -> str:
        """``task 3 (worker, dead)``."""
        view = self.views.get(task)
        if view is None:
            return f"task {task} (none)"
        dead = ", dead" if view["state"] == "dead" else ""
        return f"task {task} ({view['role']}{dead})"

    def _held(self, raw: dict[str, Any]) -> list[Held]:
        try:
            return self.layout.held(raw)
        except (ValueError, AttributeError):
            return []  # there is no such class of locks: the record is damaged

    def _inside(self, raw: dict[str, Any]) -> list[dict[str, Any]]:
        try:
            inside = self.layout.inside(raw)
        except (ValueError, AttributeError):
            return [{"op": "(damaged)", "a": 0, "b": 0}]
        return [{"op": op, "a": a, "b": b} for op, a, b in inside]

    def _task(self, task: int, raw: dict[str, Any]) -> dict[str, Any]:
        return {
            "task": task,
            "pid": raw["pid"],
            "role": named(_live.Role, raw["role"], "ROLE_"),
            "state": named(_live.TaskState, raw["state"], "TASK_"),
            "cpu": raw["cpu"],
            "incarnation": raw["incarnation"],
            "operations": raw["progress"],
            "inside": self._inside(raw),
            "preempt_count": raw["preempt_count"],
            "held": [
                {"lock": self.lock_name(h.lock), "offset": h.lock, "reader": h.reader}
                for h in self._held(raw)
            ],
            "waits_for": self.lock_name(raw["waits_for"]) if raw["waits_for"] else None,
            "maps": [
                {"handle": handle, "page": self.layout.pfn(page), "at": address % PAGE_SIZE}
                for handle, page, address in self.layout.maps(raw)
            ],
            "counters": _counts(_live.Counter, "N_", raw["count"]),
            "reasons": _counts(_live.Reason, "REASON_", raw["reasons"]),
            "refusals": _counts(_live.Refusal, "REFUSED_", raw["refusals"]),
        }

    # locks

    def lock_name(self, offset: int) -> str:
        """``page lock of page 12`` for the offset of a lock word."""
        layout = self.layout
        pfn = layout.pfn(offset)
        if pfn is not None:
            inside = offset - layout.frame_offset(pfn)
            if inside == offset_in("header", "page_lock"):
                return f"page lock of page {pfn}"
            return f"0x{offset:x}, in page {pfn}"
        memmap = layout.page_offset(0) + offset_in("page", "pg_lock")
        pfn, rest = divmod(offset - memmap, _PAGE_SIZE_IN_MEMMAP)
        if 0 <= pfn < self.pages.nr_frames and rest == 0:
            return f"PG lock of page {pfn}"
        number = self.pages.slots_number(offset)
        if number is not None:
            return f"lock of slots {number}"
        for pool in pools(layout):
            for name, at in self._pool_locks(pool):
                if at == offset:
                    return name
        word, rest = divmod(offset - offset_in("arena", "scratch"), 64)
        if 0 <= word < _live.LIMITS["scratch"] and rest == 0:
            return f"scratch lock {word}"
        return f"0x{offset:x}, which is no lock"

    def _pool_locks(self, pool: int) -> list[tuple[str, int]]:
        at = self.layout.pool_offset(pool)
        queue = offset_in("workqueue", "lock")
        return [
            (f"lock of pool {pool}", at + offset_in("pool", "lock")),
            (f"stale lock of pool {pool}", at + offset_in("pool", "stale_lock")),
            (f"compact_wq lock of pool {pool}", at + offset_in("pool", "compact_wq") + queue),
            (f"release_wq lock of pool {pool}", at + offset_in("pool", "release_wq") + queue),
        ]

    def _words(self) -> Iterator[int]:
        """Where the lock words of the allocator are."""
        layout = self.layout
        for pool in pools(layout):
            yield from (at for _, at in self._pool_locks(pool))
        pg_lock, page_lock = offset_in("page", "pg_lock"), offset_in("header", "page_lock")
        for pfn, view in self.pages.views.items():
            yield layout.page_offset(pfn) + pg_lock
            if view["kind"] == "buddied":
                yield layout.frame_offset(pfn) + page_lock
        for slots in self.pages.slots():
            yield slots["offset"] + offset_in("slots", "lock")

    def _owner(self, at: int) -> int:
        """Whom a lock word names, 0: nobody."""
        if not 0 <= at <= len(self.layout.buffer) - 8:
            return 0
        return self.layout.word(at) & OWNER_MASK

    def locks(self) -> list[dict[str, Any]]:
        """Every lock that is held or waited for: by its word, and by what the tasks say."""
        readers: dict[int, list[int]] = defaultdict(list)
        claims: dict[int, list[int]] = defaultdict(list)
        waiters: dict[int, list[int]] = defaultdict(list)
        for task, raw in self.raw.items():
            for held in self._held(raw):
                (readers if held.reader else claims)[held.lock].append(task)
            if raw["waits_for"]:
                waiters[raw["waits_for"]].append(task)
        taken = {at for at in self._words() if self._owner(at)}
        return [
            {
                "lock": self.lock_name(at),
                "offset": at,
                "owner": self._owner(at) or next(iter(claims[at]), None),
                "readers": readers[at],
                "waiters": waiters[at],
                "note": self._note(self._owner(at), claims[at]),
            }
            for at in sorted({*taken, *readers, *claims, *waiters})
        ]

    def _note(self, owner: int, claims: list[int]) -> str:
        if not owner:
            return "its word says that nobody holds it" if claims else ""
        if owner not in self.raw:
            return "no task has the number in its word"
        if self.views[owner]["state"] == "dead":
            return "orphaned: its owner is dead"
        return "" if owner in claims else "its owner does not know that it holds it"

    def waits(self, locks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Who waits for what, and who has it."""
        return [
            {"task": task, "lock": lock["lock"], "owners": _owners(lock)}
            for lock in locks
            for task in lock["waiters"]
        ]

    @staticmethod
    def cycle(waits: Sequence[dict[str, Any]]) -> list[int]:
        """Tasks that wait for each other in a ring; empty when there is none."""
        after = {wait["task"]: wait["owners"] for wait in waits}
        for start in after:
            path = [start]
            while (task := next((o for o in after[path[-1]] if o in after), 0)) not in (0, *path):
                path.append(task)
            if task:
                ring = path[path.index(task) :]
                first = ring.index(min(ring))
                return ring[first:] + ring[:first]
        return []


def _owners(lock: dict[str, Any]) -> list[int]:
    return ([lock["owner"]] if lock["owner"] else []) + list(lock["readers"])


# events


def _readable(layout: Layout, task: int) -> Iterator[Event]:
    """A task's events, up to one that is damaged."""
    if layout.arena("ring") and layout.task_field(task, "ring_head") < 2**48:
        with contextlib.suppress(ValueError, AttributeError):
            yield from layout.events(task)


def events(pages: Pages, page: int | None, most: int) -> list[Event]:
    """The last events of all rings in the order of the clock; with a page, those that it, or a
    handle of its objects, has a part in."""
    layout = pages.layout
    all_events = sorted(
        (event for task in layout.tasks() for event in _readable(layout, task)),
        key=lambda event: event.ticks,
    )
    if page is None:
        return all_events[-most:]
    start = layout.frame_offset(page)
    view = pages.page(page)
    handles = {o["handle"] for o in view.get("objects", ())}
    once = {e.a for e in all_events if e.page == page and e.op in ("alloc", "free", "map")}

    def near(event: Event) -> bool:
        if event.page == page or event.a in handles:
            return True
        inside = any(start <= value < start + PAGE_SIZE for value in (event.a, event.b))
        return inside or (event.page is None and event.op == "unmap" and event.a in once)

    return [event for event in all_events if near(event)][-most:]


def describe_event(layout: Layout, event: Event) -> str:
    """What the two words of an event mean."""
    handle, b = f"handle 0x{event.a:x}", event.b
    match event.op:
        case "alloc":
            return f"{b} bytes, {handle}" if event.a else f"{b} bytes"
        case "free" | "evict":
            return f"{handle}, object {b}" if layout.arena("nr_objects") else handle
        case "map":
            return f"{handle}, at byte {b % PAGE_SIZE}" if b else handle
        case "unmap":
            return handle
        case "compact" | "release":
            return f"on CPU {b}"
        case "migrate":
            return f"to page {layout.pfn(event.a)}, attempt {b + 1}"
        case "putback":
            return f"after {event.a} attempts"
    return ""
