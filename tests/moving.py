"""Arenas in which pages are moved by hand."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from z3fold_stress import Arena, Handle, Pool
from z3fold_stress._live import Counter, Reason

SEED = 20190417


@contextmanager
def setting(**settings: object) -> Iterator[tuple[Arena, Pool, Arena]]:
    """An arena and a pool, and another task of the arena."""
    settings = {"frames": 16, **settings}
    with Arena(**settings) as arena, Arena.attach(arena.fd, task=2) as other:
        yield arena, Pool(arena), other


@dataclass
class Counts:
    """What a task counted since this was made."""

    arena: Arena
    task: int = 1

    def __post_init__(self) -> None:
        self._start = self._now()

    def _now(self) -> tuple[int, ...]:
        task = self.arena.layout.task(self.task)
        return (
            self.arena.layout.numbers(task["count"])
            + self.arena.layout.numbers(task["reasons"])
            + self.arena.layout.numbers(task["moved_after"])
        )

    def __call__(self, *names: Counter | Reason) -> dict[str, int]:
        differences = [now - then for now, then in zip(self._now(), self._start, strict=True)]
        offset = len(self.arena.layout.numbers(self.arena.layout.task(self.task)["count"]))
        return {
            name.name: differences[name + (offset if isinstance(name, Reason) else 0)]
            for name in names
        }

    def moved_after(self, retries: int) -> int:
        return self._now()[-16 + retries] - self._start[-16 + retries]


def fill(pool: Pool, handle: Handle) -> bytes:
    """Random contents, a different one for each handle."""
    contents = random.Random(handle.offset ^ SEED).randbytes(handle.size)
    with pool.map(handle) as view:
        view[:] = contents
    return contents


def contents(pool: Pool, handle: Handle) -> bytes:
    with pool.map(handle) as view:
        return bytes(view)


def isolated(pool: Pool, size: int = 1000) -> tuple[Handle, int]:
    """An object alone on its page, which this task has isolated."""
    handle = pool.alloc(size)
    page = pool.page_of(handle)
    assert pool.isolate(page)
    return handle, page
