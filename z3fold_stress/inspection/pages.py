"""Pages and slots of an arena, in words: flags, references, the chunk map, what lies where."""

from __future__ import annotations

import struct
from collections import defaultdict
from typing import Any

from z3fold_stress import _live
from z3fold_stress._vocabulary import (
    OWNER_BITS,
    POISON,
    POISON32,
    Buddy,
    PageFlag,
    SlotsState,
)
from z3fold_stress.inspection.lists import TOTAL_CHUNKS, Lists, pools
from z3fold_stress.layout import OWNER_MASK, PAGE_SIZE, Layout
from z3fold_stress.numbered import names_of

__all__ = ["FLAGS", "Pages", "chunk_map"]

FLAGS = tuple(name.removeprefix("PAGE_") for name in PageFlag.__members__)
"""Bits of page->private, from bit 0."""
BUDDIES = tuple(Buddy.__members__)
SLOTS_STATES = names_of(SlotsState, "SLOTS_")
_FIELDS = _live.fields()
_SLOTS_SIZE = int(_FIELDS["slots"][0])


def chunk_map(header: dict[str, Any], header_chunks: int) -> str:
    """A page in 64 characters: # header, 1 first, 2 middle, 3 last, . free, X where two overlap."""
    chunks = ["."] * TOTAL_CHUNKS
    last = header["last_chunks"]
    for letter, start, length in (
        ("#", 0, header_chunks),
        ("1", header_chunks, header["first_chunks"]),
        ("2", header["start_middle"], header["middle_chunks"]),
        ("3", max(TOTAL_CHUNKS - last, 0), last),
    ):
        for i in range(start, min(start + length, TOTAL_CHUNKS)):
            chunks[i] = letter if chunks[i] == "." else "X"
    return "".join(chunks)


def flag_names(private: int) -> list[str]:
    names = [name for bit, name in enumerate(FLAGS) if private >> bit & 1]
    unknown = private >> len(FLAGS) << len(FLAGS)
    return names + ([f"0x{unknown:x}"] if unknown else [])


class Pages:
    """The pages and slots of an arena, as read once; ``views`` has those in use, by number."""

    def __init__(self, layout: Layout, lists: Lists) -> None:
        self.layout = layout
        self.lists = lists
        self.header_chunks = layout.arena("header_chunks")
        self.nr_frames = layout.arena("nr_frames")
        self.nr_slots = layout.arena("nr_slots")
        self._pools = {layout.pool_offset(number): number for number in pools(layout)}
        self._objects = self._object_table()
        self.maps: dict[int, list[int]] = defaultdict(list)
        for task in layout.tasks():
            for _, page, _ in layout.maps(layout.task(task)):
                if (pfn := layout.pfn(page)) is not None:
                    self.maps[pfn].append(task)
        self.views = {pfn: self._page(pfn) for pfn in range(self.nr_frames) if self._in_use(pfn)}
        self.users: dict[int, list[int]] = defaultdict(list)
        for pfn, view in self.views.items():
            if view["kind"] == "buddied" and view["slots"] is not None:
                self.users[view["slots"]].append(pfn)

    def _object_table(self) -> dict[int, int]:
        """Which object has a handle."""
        size, fields = _FIELDS["object"]
        at = self.layout.arena("objects") + fields["handle"][0]
        handles = (
            (struct.unpack_from("=Q", self.layout.buffer, at + i * size)[0], i)
            for i in range(self.layout.arena("nr_objects"))
        )
        return {handle: number for handle, number in handles if handle}

    def _in_use(self, pfn: int) -> bool:
        return bool(self.layout.get("page", self.layout.page_offset(pfn), "state"))

    def page(self, pfn: int) -> dict[str, Any]:
        """What is known of a page, in use or free."""
        return self.views.get(pfn) or self._page(pfn)

    def slots_number(self, offset: int) -> int | None:
        """The number of the slots object that an offset lies in, or None."""
        number = (offset - self.layout.arena("slots")) // _SLOTS_SIZE
        return number if 0 <= number < self.nr_slots else None

    def _page(self, pfn: int) -> dict[str, Any]:
        page = self.layout.page(pfn)
        flags = flag_names(page["private"])
        on = self.lists.of_page.get(pfn, [])
        view: dict[str, Any] = {
            "page": pfn,
            "offset": self.layout.frame_offset(pfn),
            "state": "allocated" if page["state"] else "free",
            "kind": self._kind(page, flags, on),
            "flags": flags + (["PG_isolated"] if page["flags"] & 1 else []),
            "refcount": page["refcount"],
            "generation": page["generation"],
            "movable": bool(page["mapping"]),
            "pg_lock": page["pg_lock"] & OWNER_MASK,
            "isolated_by": page["isolated_by"] if page["flags"] & 1 else None,
            "tries": page["tries"],
            "lists": on,
            "mapped_by": sorted(set(self.maps.get(pfn, []))),
        }
        if view["kind"] == "buddied":
            view |= self._header(pfn)
        elif view["kind"] == "headless":
            handle = view["offset"] | 1
            view["chunks"] = "@" * TOTAL_CHUNKS
            view["objects"] = [self._object("HEADLESS", 0, TOTAL_CHUNKS, handle)]
        return view

    @staticmethod
    def _kind(page: dict[str, Any], flags: list[str], on: list[str]) -> str:
        if not page["state"]:
            return "free"
        if "HEADLESS" in flags:
            return "headless"
        # Without the mark and on no list nothing says that there is a header: an allocation that
        # did not get so far, or a leak.
        return "buddied" if page["mapping"] or on or flags else "unknown"

    def _header(self, pfn: int) -> dict[str, Any]:
        header = self.layout.header(pfn)
        number = self.slots_number(header["slots"])
        objects = []
        for buddy, name, start in (
            (1, "first", self.header_chunks),
            (2, "middle", header["start_middle"]),
            (3, "last", TOTAL_CHUNKS - header["last_chunks"]),
        ):
            chunks = header[f"{name}_chunks"]
            if chunks:
                index = (buddy + header["first_num"]) & 3
                handle = 0 if number is None else header["slots"] + 8 * index
                objects.append(self._object(BUDDIES[buddy], start, chunks, handle))
        return {
            "pool": self._pools.get(header["pool"]),
            "kref": header["refcount"],
            "page_lock": header["page_lock"] & OWNER_MASK,
            "cpu": header["cpu"],
            "mapped_count": header["mapped_count"],
            "first_num": header["first_num"] & 3,
            "work_pending": bool(header["work_data"] & 1),
            "slots": number,
            "chunks": chunk_map(header, self.header_chunks),
            "objects": objects,
        }

    def _object(self, buddy: str, start: int, chunks: int, handle: int) -> dict[str, Any]:
        number = self._objects.get(handle)
        size = None
        if number is not None:
            size = self.layout.get("object", self.layout.object_offset(number), "size")
        return {
            "buddy": buddy,
            "start": start,
            "chunks": chunks,
            "handle": handle,
            "object": number,
            "size": size,
        }

    # slots

    def slots(self) -> list[dict[str, Any]]:
        """Every slots object that is not free, and what its words name."""
        return [
            view
            for number in range(self.nr_slots)
            if (view := self.slots_object(number))["state"] != "free"
        ]

    def slots_object(self, number: int) -> dict[str, Any]:
        slots = self.layout.read("slots", self.layout.slots_offset(number))
        state, lock = slots["state"], slots["lock"]
        words = [self._word(i, slots[f"slot{i}"]) for i in range(4)]
        return {
            "slots": number,
            "offset": self.layout.slots_offset(number),
            "state": SLOTS_STATES[state] if state < len(SLOTS_STATES) else f"0x{state:x}",
            "pool": self._pools.get(slots["pool"]),
            "generation": slots["generation"],
            "writer": 0 if lock == POISON32 else lock & OWNER_MASK,
            "readers": 0 if lock == POISON32 else lock >> OWNER_BITS,
            "pages": self.users.get(number, []),
            "words": [word for word in words if word["word"]],
        }

    def _word(self, index: int, word: int) -> dict[str, Any]:
        """A slot: page | buddy number | last_chunks << 2."""
        view: dict[str, Any] = {"index": index, "word": word, "page": None, "names": ""}
        page = word & ~(PAGE_SIZE - 1)
        pfn = self.layout.pfn(page) if word else None
        if pfn is None:
            if word:
                poisoned = word == POISON
                view["names"] = "poison: freed" if poisoned else "no page"
            return view
        view["page"] = pfn
        target = self.page(pfn)
        if target["kind"] != "buddied":
            view["names"] = f"page {pfn}, which is {target['kind']}"
            return view
        buddy = BUDDIES[(word - target["first_num"]) & 3]
        view["names"] = f"{buddy} of page {pfn}"
        if buddy not in [o["buddy"] for o in target["objects"]]:
            view["names"] += ", where there is none"
        return view
