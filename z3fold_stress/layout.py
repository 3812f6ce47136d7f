"""Reads (and, to break things on purpose, writes) the structs of an arena from Python.

Not for hot paths: each access is an unpack. The offsets come from the engine itself
(``_live.fields``), so they cannot drift.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from z3fold_stress import _live
from z3fold_stress._vocabulary import OWNER_MASK, PAGE_SIZE
from z3fold_stress.judgement import op_name

__all__ = ["OWNER_MASK", "PAGE_SIZE", "Event", "Held", "Layout"]

_FIELDS = _live.fields()
_HELD, _OP, _MAP = (struct.Struct("=" + _live.RECORDS[name]) for name in ("held", "op", "map"))
_LOCKSTAT, _EVENT = (struct.Struct("=" + _live.RECORDS[name]) for name in ("lockstat", "event"))


@dataclass(frozen=True, slots=True)
class Held:
    """A lock that a task holds."""

    lock: int
    lock_class: str
    reader: bool


@dataclass(frozen=True, slots=True)
class Event:
    """What the flight recorder wrote at the end of an operation. ticks: of the cycle counter."""

    ticks: int
    task: int
    op: str
    ret: int
    page: int | None
    a: int
    b: int


def class_name(lock_class: int) -> str:
    """``page`` for LC_PAGE; a damaged arena may hold any number."""
    member = _live.LockClass.__members__
    names = {int(value): name.removeprefix("LC_").lower() for name, value in member.items()}
    return names.get(lock_class, f"class {lock_class}")


class Layout:
    """The structs of an arena in a buffer."""

    def __init__(self, buffer: Any) -> None:
        self.buffer = buffer

    def read(self, struct_name: str, offset: int) -> dict[str, Any]:
        """All fields of a struct."""
        return {
            name: struct.unpack_from("=" + fmt, self.buffer, offset + at)[0]
            for name, (at, fmt) in _FIELDS[struct_name][1].items()
        }

    def get(self, struct_name: str, offset: int, field: str) -> int:
        at, fmt = _FIELDS[struct_name][1][field]
        value: int = struct.unpack_from("=" + fmt, self.buffer, offset + at)[0]
        return value

    def poke(self, struct_name: str, offset: int, **values: int) -> None:
        """Overwrite fields."""
        for field, value in values.items():
            at, fmt = _FIELDS[struct_name][1][field]
            struct.pack_into("=" + fmt, self.buffer, offset + at, value)

    def arena(self, field: str) -> int:
        return self.get("arena", 0, field)

    def word(self, offset: int) -> int:
        value: int = struct.unpack_from("=Q", self.buffer, offset)[0]
        return value

    # where things are

    def frame_offset(self, pfn: int) -> int:
        return self.arena("frames") + pfn * PAGE_SIZE

    def pfn(self, offset: int) -> int | None:
        """The number of the frame that an offset lies in, or None."""
        pfn = (offset - self.arena("frames")) // PAGE_SIZE
        return pfn if 0 <= pfn < self.arena("nr_frames") else None

    def page_offset(self, pfn: int) -> int:
        return self.arena("memmap") + pfn * int(_FIELDS["page"][0])

    def pool_offset(self, number: int) -> int:
        return self.arena("pools") + number * int(_FIELDS["pool"][0])

    def task_offset(self, task: int) -> int:
        return self.arena("tasks") + task * int(_FIELDS["task"][0])

    def slots_offset(self, number: int) -> int:
        return self.arena("slots") + number * int(_FIELDS["slots"][0])

    def object_offset(self, number: int) -> int:
        return self.arena("objects") + number * int(_FIELDS["object"][0])

    # what is there

    def page(self, pfn: int) -> dict[str, Any]:
        return self.read("page", self.page_offset(pfn))

    def header(self, pfn: int) -> dict[str, Any]:
        return self.read("header", self.frame_offset(pfn))

    def pool(self, number: int) -> dict[str, Any]:
        return self.read("pool", self.pool_offset(number))

    def task(self, task: int) -> dict[str, Any]:
        return self.read("task", self.task_offset(task))

    def task_field(self, task: int, field: str) -> int:
        return self.get("task", self.task_offset(task), field)

    def tasks(self) -> range:
        """The numbers that tasks may have."""
        return range(1, self.arena("nr_tasks") + 1)

    def held(self, task: dict[str, Any]) -> list[Held]:
        """The locks that a task (as read) holds, outermost first."""
        held = list(_HELD.iter_unpack(task["held"]))[: task["nr_held"]]
        return [Held(lock, class_name(c), bool(r)) for lock, c, r, *_ in held if lock]

    def inside(self, task: dict[str, Any]) -> list[tuple[str, int, int]]:
        """The operations that a task is in, outermost first: name and two arguments."""
        ops = list(_OP.iter_unpack(task["ops"]))[: task["depth"]]
        return [(op_name(op) or "an operation", a, b) for op, _, a, b in ops]

    def maps(self, task: dict[str, Any]) -> list[tuple[int, int, int]]:
        """What a task has mapped: handle, page and address, as offsets."""
        maps = list(_MAP.iter_unpack(task["maps"]))[: task["nr_maps"]]
        return [(handle, page, address) for handle, page, address, _ in maps]

    def lockstats(self, task: dict[str, Any]) -> dict[str, tuple[int, ...]]:
        """By lock class: acquired, contended, wait ticks, longest, held samples, ticks, longest."""
        stats = _LOCKSTAT.iter_unpack(task["lockstat"])
        return {class_name(i): values for i, values in enumerate(stats)}

    @staticmethod
    def numbers(raw: bytes) -> tuple[int, ...]:
        """An array of 64-bit counters."""
        return struct.unpack(f"={len(raw) // 8}Q", raw)

    def events(self, task: int) -> Iterator[Event]:
        """What the recorder still has of a task, oldest first."""
        ring = self.arena("ring")
        head = self.task_field(task, "ring_head")
        start = self.arena("rings") + task * ring * _EVENT.size
        for i in range(max(0, head - ring), head):
            ticks, op, ret, pfn, a, b = _EVENT.unpack_from(
                self.buffer, start + (i & (ring - 1)) * _EVENT.size
            )
            yield Event(ticks, task, op_name(op), ret, None if pfn == 2**32 - 1 else pfn, a, b)

    def all_events(self) -> list[Event]:
        """The events of all tasks, in the order of the clock."""
        if self.arena("ring") == 0:
            return []
        return sorted(
            (event for task in self.tasks() for event in self.events(task)),
            key=lambda event: event.ticks,
        )
