"""Golden traces: reading the recorded ones, drawing the operations of new ones.

A trace is a sequence of operations with what z3fold of Linux v5.2, run in user space with its work
queues under control, answered to each. Which operations were recorded follows from a seed, so more
can be drawn by the same recipe: a splitmix64 stream, a growing half, then a churning half.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ALLOC, FREE, DRAIN = "A", "F", "D"
GROW_FREE_SHARE, CHURN_FREE_SHARE = 0.3, 0.5


@dataclass(frozen=True)
class Operation:
    """`ALLOC` or `FREE` of the object `id`, or `DRAIN` of the work queues."""

    op: str
    id: int
    size: int
    cpu: int


@dataclass(frozen=True)
class Row(Operation):
    """An operation, its answer (0 or a negative errno) and the page count after it."""

    ret: int
    pages_nr: int

    @property
    def operation(self) -> Operation:
        return Operation(self.op, self.id, self.size, self.cpu)


def read_trace(path: Path) -> list[Row]:
    """Read a recorded trace; one without a CPU column ran on CPU 0."""
    with path.open(newline="") as file:
        return [
            Row(
                op=line["op"],
                id=int(line["id"]),
                size=int(line["size"]),
                cpu=int(line.get("cpu", 0)),
                ret=int(line["ret"]),
                pages_nr=int(line["pages_nr"]),
            )
            for line in csv.DictReader(file)
        ]


class SplitMix64:
    """The splitmix64 generator of pseudo-random 64-bit words."""

    MASK = 2**64 - 1

    def __init__(self, seed: int) -> None:
        self._state = seed

    def word(self) -> int:
        self._state = (self._state + 0x9E3779B97F4A7C15) & self.MASK
        z = self._state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & self.MASK
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & self.MASK
        return z ^ (z >> 31)

    def unit(self) -> float:
        """A double in [0, 1) with 53 random bits."""
        return (self.word() >> 11) * 2.0**-53


def uniform_size(random: SplitMix64) -> int:
    return 1 + random.word() % 4096


def bimodal_size(random: SplitMix64) -> int:
    small = random.word() >> 63
    return 100 + random.word() % 301 if small else 2400 + random.word() % 801


def lognormal_size(random: SplitMix64) -> int:
    u1, u2 = random.unit(), random.unit()
    z = math.sqrt(-2 * math.log(u1)) * math.cos(2 * math.pi * u2)
    return min(max(math.floor(math.exp(math.log(1300) - 0.125 + 0.5 * z)), 1), 4096)


SIZES: dict[str, Callable[[SplitMix64], int]] = {
    "uniform": uniform_size,
    "bimodal": bimodal_size,
    "lognormal": lognormal_size,
}


def draw_trace(seed: int, ops: int, sizes: str, cpus: int) -> Iterator[Operation]:
    """Draw `ops` operations, sizes from `SIZES`; the first half grows the pool, the second churns.

    The drain that ends a recorded trace is not drawn, and every allocation is taken to succeed.
    """
    random = SplitMix64(seed)
    live: list[tuple[int, int]] = []
    born = 0
    for step in range(ops):
        free_share = GROW_FREE_SHARE if step < ops // 2 else CHURN_FREE_SHARE
        u = random.unit()
        cpu = (random.word() >> 32) % cpus if cpus > 1 else 0
        if live and u < free_share:
            victim = random.word() % len(live)
            live[victim], live[-1] = live[-1], live[victim]
            yield Operation(FREE, *live.pop(), cpu)
        else:
            live.append((born, SIZES[sizes](random)))
            born += 1
            yield Operation(ALLOC, *live[-1], cpu)
