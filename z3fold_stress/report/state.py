"""The arena of the sim world at one moment, as what a page can show: pages, slots, lists, words,
objects.

Reads memory through ``inspection`` and names through ``explore.names``.  Never runs anything,
and trusts nothing of what it reads: the arena may be damaged, that is what it is shown for.
"""

from __future__ import annotations

import struct
from dataclasses import asdict
from typing import Any

from z3fold_stress import _live
from z3fold_stress._vocabulary import POISON32, SCRATCH_STRIDE
from z3fold_stress.explore.names import Names
from z3fold_stress.explore.world import World
from z3fold_stress.inspection.lists import Lists
from z3fold_stress.inspection.pages import Pages
from z3fold_stress.layout import OWNER_MASK, Layout

__all__ = ["FREED", "Reader", "State", "shown_number"]

State = dict[str, dict[str, Any]]
"""Section, name, entry: all that JSON can hold."""

FREED = "freed memory"
"""What has a lock whose word is poison."""


def shown_number(value: int) -> str:
    """Small ones as they are, negative ones as such, others in hexadecimal."""
    if value >> 63:
        value -= 1 << 64
    return str(value) if -(2**20) < value < 2**20 else hex(value)


class Reader:
    """Reads states of one world, whose memory others move back and forth."""

    def __init__(self, world: World, names: Names, allocator: bool) -> None:
        """``allocator``: whether there is more to show than scratch words."""
        self.names = names
        self.world = world
        self.allocator = allocator
        self._before = b""
        self._sections: State = {}

    def read(self) -> State:
        """The sections that memory alone tells; the same object where nothing was written."""
        memory = bytearray(self.world.simulator.memory)
        layout = Layout(memory)
        for task in layout.tasks():  # the contexts of tasks are not put back with the rest
            at = layout.task_offset(task)
            layout.poke("task", at, state=_live.TaskState.TASK_FREE, nr_maps=0)
        now = bytes(memory)
        if now != self._before:
            self._before = now
            self._sections = self._read(layout)
        return self._sections

    def word(self, offset: int) -> int:
        """The 32-bit word at an offset, as last read."""
        found: int = struct.unpack_from("=I", self._before, offset)[0]
        return found

    def value(self, offset: int, size: int) -> int:
        """Up to 8 bytes at an offset, as last read."""
        return int.from_bytes(self._before[offset : offset + size], "little")

    def _read(self, layout: Layout) -> State:
        state: State = {"words": self._words(layout)}
        if self.allocator:
            lists = Lists(layout)
            pages = Pages(layout, lists)
            state["pages"] = {
                str(pfn): self._page(pages, pfn) for pfn in range(layout.arena("nr_frames"))
            }
            state["slots"] = {str(view["slots"]): self._slots(view) for view in pages.slots()}
            state["lists"] = self._lists(lists, pages)
            state["objects"] = self._objects(layout)
        return state

    def _words(self, layout: Layout) -> dict[str, Any]:
        scratch = self.names.scratch
        return {
            name: shown_number(layout.word(scratch + SCRATCH_STRIDE * number))
            for number, name in enumerate(self.world.compiled.words)
        }

    def _page(self, pages: Pages, pfn: int) -> dict[str, Any]:
        view = dict(pages.page(pfn))
        for name in ("page", "offset", "mapped_by", "pool", "generation"):
            view.pop(name, None)
        isolated = "PG_isolated" in view["flags"]
        if view["state"] == "free":
            return {"kind": "free", "flags": view["flags"], "lists": view["lists"]}
        view["refcount_rest"] = 1 + isolated
        view["isolated_by"] = self.actor(view["isolated_by"])
        view["pg_lock"] = self.actor(view["pg_lock"])
        if view["kind"] == "buddied":
            view["page_lock"] = self.actor(view["page_lock"])
            stale = "STALE" in view["flags"]
            compacting = "NEEDS_COMPACTING" in view["flags"]
            view["kref_rest"] = 0 if stale else len(view["objects"]) + compacting + isolated
            view["middle_maps"] = pages.layout.header(pfn)["middle_maps"]
        for item in view.get("objects", ()):
            number = item["object"]
            item["object"] = None if number is None else self.names.object(number)
            handle = item["handle"]
            item["handle"] = self.names.of(handle) if handle and not handle & 1 else ""
        view.pop("state")
        return view

    def _slots(self, view: dict[str, Any]) -> dict[str, Any]:
        words = {str(w["index"]): w["names"].replace("page ", "frame ") for w in view["words"]}
        return {"state": view["state"], "pages": view["pages"], "words": words}

    def _lists(self, lists: Lists, pages: Pages) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for view in lists.views:
            name = view.name if not view.pool else f"pool {view.pool}: {view.name}"
            entry = asdict(view)
            shown[name] = {"entries": entry["entries"], "damage": entry["damage"]}
        for pfn, page in pages.views.items():
            if page["isolated_by"]:
                name = f"isolated by {self.actor(page['isolated_by'])}"
                shown.setdefault(name, {"entries": [], "damage": ""})["entries"].append(pfn)
        return shown

    def _objects(self, layout: Layout) -> dict[str, Any]:
        shown = {}
        for number, name in enumerate(self.world.compiled.objects):
            fields = layout.read("object", layout.object_offset(number))
            handle = fields["handle"]
            tasks = [self.actor(bit + 1) for bit in range(60) if fields["word"] >> bit & 1]
            place = ""
            if handle:
                place = self.names.memory(handle & ~1) if handle & 1 else self.names.of(handle)
            shown[name] = {
                "size": fields["size"] if handle else 0,
                "handle": place,
                "used_by": tasks,
                "swapped": bool(fields["swap"]),
            }
        return shown

    def actor(self, task: int | None) -> str:
        """The name behind a task number in memory, which counts from 1; 0: nobody."""
        if not task:
            return ""
        tasks = len(self.world.compiled.actors) + 2
        return self.world.actor(task - 1) if task <= tasks else f"no task ({task:#x})"

    def owner(self, offset: int) -> str:
        """Who has the lock, as its word says; '' for nobody, or what the word is instead."""
        word = self.word(offset)
        if word == POISON32:
            return FREED
        return self.actor(word & OWNER_MASK)
