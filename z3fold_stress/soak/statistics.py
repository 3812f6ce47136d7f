"""What the counters of all tasks say, in numbers for people. Reads the arena, writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from z3fold_stress import _live
from z3fold_stress._vocabulary import PAGE_SIZE
from z3fold_stress.layout import Layout

__all__ = ["LockNumbers", "Statistics"]

_COUNTERS = [c for c in _live.Counter if c.name != "NR_COUNTERS"]
_REASONS = [r for r in _live.Reason if r.name != "NR_REASONS"]
_REFUSALS = [r for r in _live.Refusal if r.name != "NR_REFUSALS"]


def _plain(member: Any, prefix: str) -> str:
    return str(member.name).removeprefix(prefix).lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class LockNumbers:
    """A lock class over all tasks. Waits are all measured, holds are sampled (one in 64)."""

    acquired: int
    contended: int
    mean_wait_ns: float
    longest_wait_ns: float
    mean_hold_ns: float
    longest_hold_ns: float


class Statistics:
    """Sums over the tasks of an arena."""

    def __init__(self, layout: Layout, ticks_per_ns: float) -> None:
        self.layout = layout
        self.ticks_per_ns = ticks_per_ns

    def _tasks(self) -> list[dict[str, Any]]:
        return [self.layout.task(task) for task in self.layout.tasks()]

    def counts_of(self, task: int) -> dict[str, int]:
        """One task's counters by name (``alloc``, ``migrated``)."""
        numbers = self.layout.numbers(self.layout.task(task)["count"])
        return {_plain(c, "N_"): numbers[c] for c in _COUNTERS}

    def counts(self) -> dict[str, int]:
        """All counters, summed over tasks; ``longest-streak`` is the longest."""
        rows = [self.layout.numbers(task["count"]) for task in self._tasks()]
        total = {_plain(c, "N_"): sum(row[c] for row in rows) for c in _COUNTERS}
        total["longest-streak"] = max(row[_live.Counter.N_LONGEST_STREAK] for row in rows)
        return total

    def reasons(self) -> dict[str, int]:
        """Why migration attempts failed."""
        rows = [self.layout.numbers(task["reasons"]) for task in self._tasks()]
        return {_plain(r, "REASON_"): n for r in _REASONS if (n := sum(row[r] for row in rows))}

    def refusals(self) -> dict[str, int]:
        """Why pages could not be isolated."""
        rows = [self.layout.numbers(task["refusals"]) for task in self._tasks()]
        return {_plain(r, "REFUSED_"): n for r in _REFUSALS if (n := sum(row[r] for row in rows))}

    def moved_after(self) -> list[int]:
        """How many pages moved after 0, 1, 2, ... retries."""
        rows = [self.layout.numbers(task["moved_after"]) for task in self._tasks()]
        sums = [sum(column) for column in zip(*rows, strict=True)]
        while sums and sums[-1] == 0:
            sums.pop()
        return sums

    def locks(self) -> dict[str, LockNumbers]:
        """Hold and wait times by lock class, for the classes that were used."""
        total: dict[str, list[int]] = {}
        for task in self._tasks():
            for name, row in self.layout.lockstats(task).items():
                kept = total.setdefault(name, [0] * 7)
                for i, value in enumerate(row):
                    kept[i] = max(kept[i], value) if i in (3, 6) else kept[i] + value
        return {
            name: LockNumbers(
                acquired=n[0],
                contended=n[1],
                mean_wait_ns=self._ns(n[2] / n[1]) if n[1] else 0.0,
                longest_wait_ns=self._ns(n[3]),
                mean_hold_ns=self._ns(n[5] / n[4]) if n[4] else 0.0,
                longest_hold_ns=self._ns(n[6]),
            )
            for name, n in total.items()
            if n[0]
        }

    def wait_ns(self) -> dict[str, float]:
        """Time spent waiting so far, by lock class, over all tasks."""
        total: dict[str, int] = {}
        for task in self._tasks():
            for name, row in self.layout.lockstats(task).items():
                if row[2]:
                    total[name] = total.get(name, 0) + row[2]
        return {name: self._ns(ticks) for name, ticks in total.items()}

    def _ns(self, ticks: float) -> float:
        return round(ticks / self.ticks_per_ns, 1)

    def density(self) -> dict[str, float]:
        """How full the pages are: pages, live objects, objects a page, used part of the bytes."""
        pages = self.layout.pool(0)["pages_nr"]
        objects = stored = 0
        for i in range(self.layout.arena("nr_objects")):
            at = self.layout.object_offset(i)
            if self.layout.get("object", at, "handle"):
                objects += 1
                stored += self.layout.get("object", at, "size")
        return {
            "pages": pages,
            "objects": objects,
            "objects_per_page": round(objects / pages, 3) if pages else 0.0,
            "used": round(stored / (pages * PAGE_SIZE), 3) if pages else 0.0,
        }
