"""Where randomness comes from: one base seed a run, and how a hunt's share of it is dealt out.

The controller draws the seed, and the workers of pytest-xdist are told. Seeds belong to items, and
never to workers: block k of a hunt has the seed base + k, whoever runs it. So the blocks neither
overlap nor leave a gap, and one base seed finds the same with any number of workers.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = ["BLOCK", "MOST_BLOCKS", "SEEDS", "Block", "blocks", "draw"]

SEEDS = 1 << 64
BLOCK = 50_000
"""Executions that are an item of their own: some seconds of work, to be shared out."""
MOST_BLOCKS = 64
"""Items that one hunt is split into at most; then the blocks grow."""


def draw() -> int:
    """A base seed nobody asked for."""
    return int.from_bytes(os.urandom(4), "little")


@dataclass(frozen=True, slots=True)
class Block:
    """A share of a hunt."""

    number: int
    of: int
    executions: int

    def seed(self, base: int) -> int:
        return (base + self.number) % SEEDS

    @property
    def exhaustive(self) -> bool:
        """Whether it is the one that the strategies without a seed belong to."""
        return self.number == 0

    @property
    def mark(self) -> str:
        """Of an item's id; empty where there is only one."""
        return f"-seeds{self.number}" if self.of > 1 else ""


def blocks(executions: int, asked: int | None = None) -> list[Block]:
    """These executions as blocks: ``asked`` of them, or as many as BLOCK says. It follows from
    the numbers alone, so that all workers do the same."""
    count = asked or min(MOST_BLOCKS, -(-executions // BLOCK))
    count = max(1, min(count, executions))
    share, rest = divmod(executions, count)
    return [Block(number, count, share + (number < rest)) for number in range(count)]
