"""Where an object lies, read from the page's header and the slots: no lock, no map."""

from __future__ import annotations

from z3fold_stress import Arena

PAGE_SIZE = 4096
CHUNK_SIZE = 64
HEADER_CHUNKS = 2
FIRST, MIDDLE, LAST = 1, 2, 3


def place(arena: Arena, handle: int) -> tuple[int, int]:
    """The offset of the page that holds a handle's object, and of the object in the page."""
    if handle & 1:
        return handle & ~1, 0
    word = arena.layout.word(handle)
    page = word & -PAGE_SIZE
    header = arena.layout.read("header", page)
    chunk = {
        FIRST: HEADER_CHUNKS,
        MIDDLE: header["start_middle"],
        LAST: PAGE_SIZE // CHUNK_SIZE - header["last_chunks"],
    }[(word - header["first_num"]) & 3]
    return page, chunk * CHUNK_SIZE
