"""An arena in which every rule of the audit holds, with something of everything in it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from z3fold_stress import Arena, Handle, Pool
from z3fold_stress._live import Call, fields
from z3fold_stress.layout import Layout

CHUNK = 64
LIST_HEAD = 16
HEADLESS, MIDDLE_MAPPED, NEEDS_COMPACTING, STALE, CLAIMED, FREED = (1 << bit for bit in range(6))
UNUSED_SLOTS, UNUSED_FRAME = 20, 20


@dataclass
class Healthy:
    """An arena whose pages are in all the states that a page can rest in."""

    arena: Arena = field(default_factory=lambda: Arena(frames=32, cpus=2))
    pages: dict[str, int] = field(default_factory=dict)
    handles: dict[str, Handle] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pool = Pool(self.arena)
        self.layout: Layout = self.arena.layout
        for page, *chunks in (
            ("full", 20, 20, 22),
            ("mapped", 22, 20, 10),
            ("stale", 55),
            ("isolated", 50),
            ("compacting", 45, 15),
            ("listed", 40),
            ("headless", 64),
        ):
            handles = [self.pool.alloc(n * CHUNK) for n in chunks]
            (self.pages[page],) = {self.pool.page_of(handle) for handle in handles}
            names = ("first", "last", "middle")
            self.handles |= {f"{page} {n}": h for n, h in zip(names, handles, strict=False)}
        assert len(set(self.pages.values())) == len(self.pages)
        self.mapped = self.handles["mapped middle"].offset
        self.arena.call(Call.CALL_MAP, self.pool.offset, self.mapped)
        self.pool.free(self.handles["compacting last"])
        self.pool.free(self.handles["stale first"])
        assert self.pool.isolate(self.pages["isolated"])

    def page(self, name: str) -> int:
        """The offset of a page's descriptor."""
        return self.layout.page_offset(self.pages[name])

    def header(self, name: str) -> int:
        return self.layout.frame_offset(self.pages[name])

    def slots(self, name: str) -> int:
        return self.layout.get("header", self.header(name), "slots")

    def unbuddied(self, chunks: int, cpu: int = 0) -> int:
        return self.layout.pool(0)["percpu"] + (cpu * 64 + chunks) * LIST_HEAD

    def change(self, kind: str, offset: int, **by: int) -> None:
        """Add to fields."""
        for name, n in by.items():
            self.layout.poke(kind, offset, **{name: self.layout.get(kind, offset, name) + n})

    def flip(self, name: str, bits: int) -> None:
        """Flip bits of a page's private word."""
        private = self.layout.get("page", self.page(name), "private")
        self.layout.poke("page", self.page(name), private=private ^ bits)

    def link(self, first: int, second: int) -> None:
        """Make two list entries, given by the offsets of their links, neighbours."""
        struct.pack_into("=Q", self.arena.memory, first, second)
        struct.pack_into("=Q", self.arena.memory, second + 8, first)

    def unlink_from_lru(self, name: str) -> None:
        at, _ = fields()["page"][1]["lru_next"]
        page, link = self.layout.page(self.pages[name]), self.page(name) + at
        self.link(page["lru_prev"], page["lru_next"])
        self.link(link, link)


@pytest.fixture
def healthy() -> Iterator[Healthy]:
    made = Healthy()
    yield made
    made.arena.close()
