"""What an offset of the arena is called: ``page lock of frame 3``, ``slot 1 of slots 0``, ``A``.

Reads the engine's own layout, and the arena as it is; never an address.
"""

from __future__ import annotations

import re

from z3fold_stress import _sim
from z3fold_stress._vocabulary import (
    LC_WORDS,
    LIST_HEAD_SIZE,
    LOCK_CLASS_NAMES,
    PAGE_SIZE,
    SCRATCH_STRIDE,
    TOTAL_CHUNKS,
)
from z3fold_stress.explore.world import World
from z3fold_stress.layout import Layout

__all__ = ["Names"]

_FIELDS = _sim.fields()
_NUMBERS = re.compile(r"0x[0-9a-f]+|\d+")
_PLAIN = {
    "page_lock": "page lock",
    "refcount": "references",
    "next": "list link",
    "prev": "list link",
    "work_data": "work item",
    "work_next": "work item",
    "work_func": "work item",
    "lru_next": "LRU link",
    "lru_prev": "LRU link",
    "pg_lock": "PG lock",
    "private": "flags (private)",
    "lock": "lock",
    "word": "reference word",
}


class Names:
    """The names of one arena."""

    def __init__(self, world: World) -> None:
        self._begin(Layout(world.simulator.memory), world.compiled.words, world.compiled.objects)

    @classmethod
    def of_layout(cls, layout: Layout) -> Names:
        """Of an arena without a scenario: a soak's."""
        names = cls.__new__(cls)
        names._begin(layout, (), ())
        return names

    def _begin(self, layout: Layout, words: tuple[str, ...], objects: tuple[str, ...]) -> None:
        self.layout = layout
        self.words = words
        self.objects = objects
        at = self.layout.arena
        self.scratch = _FIELDS["arena"][1]["scratch"][0]
        self._regions = [
            ("pools", at("pools"), _FIELDS["pool"][0]),
            ("percpu", at("percpu"), LIST_HEAD_SIZE),
            ("memmap", at("memmap"), _FIELDS["page"][0]),
            ("slots", at("slots"), _FIELDS["slots"][0]),
            ("objects", at("objects"), _FIELDS["object"][0]),
            ("swapmap", at("swapmap"), 8),
            ("frames", at("frames"), PAGE_SIZE),
            ("swap", at("swap"), PAGE_SIZE),
            ("tasks", at("tasks"), _FIELDS["task"][0]),
        ]
        self._end = at("size")

    def word(self, number: int) -> str:
        return self.words[number] if number < len(self.words) else f"word {number}"

    def lock_class(self, number: int) -> str:
        if self.is_word_class(number):
            return self.word(number - LC_WORDS)
        return LOCK_CLASS_NAMES.get(number, f"class {number}")

    def object(self, number: int) -> str:
        return self.objects[number] if number < len(self.objects) else f"object {number}"

    @staticmethod
    def is_word_class(number: int) -> bool:
        """Whether a lock class is that of one word."""
        return number >= LC_WORDS

    def is_word(self, offset: int) -> bool:
        return self.scratch <= offset < self._regions[0][1]

    def kind(self, offset: int) -> str:
        """What lies there, whichever of its kind it is: ``page lock of frame #``; a word by its
        name."""
        if self.is_word(offset):
            return self.of(offset)
        place = self._region(offset)
        if place is not None and place[0] == "objects":
            return self._field("object", place[2], after=" of object #")
        return _NUMBERS.sub("#", self.of(offset))

    def of(self, offset: int) -> str:
        """The name of what lies at this offset."""
        if offset < self._regions[0][1]:
            return self._of_header(offset)
        place = self._region(offset)
        return f"0x{offset:x}" if place is None else self._within(*place)

    def _region(self, offset: int) -> tuple[str, int, int] | None:
        """Which region, which of its entries, which byte of that."""
        for (name, start, size), (_, end, _) in zip(
            self._regions, [*self._regions[1:], ("", self._end, 0)], strict=True
        ):
            if start <= offset < end:
                return name, (offset - start) // size, (offset - start) % size
        return None

    def memory(self, offset: int) -> str:
        """A frame or a slots object as a whole."""
        for name, start, size in self._regions:
            if name in ("slots", "frames") and start <= offset and (offset - start) % size == 0:
                number = (offset - start) // size
                if number < self.layout.arena(f"nr_{name}"):
                    return f"{'frame' if name == 'frames' else name} {number}"
        return self.of(offset)

    def _of_header(self, offset: int) -> str:
        if offset >= self.scratch:
            return self.word((offset - self.scratch) // SCRATCH_STRIDE)
        return self._field("arena", offset, "the arena's ")

    @staticmethod
    def _field(struct: str, at: int, before: str = "", after: str = "") -> str:
        best = ""
        for field, (start, _) in _FIELDS[struct][1].items():
            if start <= at and (not best or start > _FIELDS[struct][1][best][0]):
                best = field
        return f"{before}{_PLAIN.get(best, best)}{after}"

    def _within(self, region: str, number: int, at: int) -> str:
        match region:
            case "pools":
                return self._of_pool(number, at)
            case "percpu":
                per_pool = TOTAL_CHUNKS * self.layout.arena("nr_cpus")
                return f"unbuddied list {number % TOTAL_CHUNKS} of pool {number // per_pool}"
            case "memmap":
                return self._field("page", at, after=f" of frame {number}")
            case "slots":
                if at < _FIELDS["slots"][1]["pool"][0]:
                    return f"slot {at // 8} of slots {number}"
                return self._field("slots", at, after=f" of slots {number}")
            case "objects":
                return self._field("object", at, after=f" of object {self.object(number)}")
            case "frames":
                if at == _FIELDS["header"][1]["refcount"][0]:
                    return f"kref of frame {number}"
                if at < _FIELDS["header"][0]:
                    return self._field("header", at, after=f" of frame {number}")
                return f"byte {at} of frame {number}"
            case "swap":
                return f"byte {at} of swap page {number}"
            case "tasks":
                return f"the context of task {number}"
        return f"entry {number} of {region}"

    def _of_pool(self, number: int, at: int) -> str:
        fields = _FIELDS["pool"][1]
        for queue, name in (("release_wq", "release queue"), ("compact_wq", "compaction queue")):
            start = fields[queue][0]
            if start <= at < start + _FIELDS["workqueue"][0]:
                return self._field("workqueue", at - start, f"{name}'s ")
        return self._field("pool", at, f"pool {number}'s ")
