"""What a soak did over time: samples of the counters, never more than a fixed number.

When there is no room, two neighbours become one and samples are taken half as often, so that a
soak of hours keeps its whole course.  Reads the arena, writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from z3fold_stress import _live
from z3fold_stress.layout import PAGE_SIZE, Layout
from z3fold_stress.soak.statistics import Statistics

__all__ = ["MOST", "Sample", "Series"]

MOST = 600
INTERVAL = 0.25
"""Seconds between samples at first."""
COUNTED = ("alloc", "free", "verified", "migrate-attempt", "migrated", "eagain", "evict")


@dataclass(frozen=True, slots=True)
class Sample:
    """The state at one moment. Counters count from the start of the run."""

    seconds: float
    counts: tuple[int, ...]
    """In the order of COUNTED."""
    wait_ns: dict[str, float]
    """By lock class, over all tasks: time spent waiting so far."""
    pages: float
    objects_per_page: float
    used: float
    """Part of the pages' bytes that objects use."""


class Series:
    """The samples of one run, oldest first."""

    def __init__(self, statistics: Statistics, most: int = MOST) -> None:
        self.statistics = statistics
        self.most = most
        self.interval = INTERVAL
        self.samples: list[Sample] = []

    def due(self, seconds: float) -> bool:
        return not self.samples or seconds >= self.samples[-1].seconds + self.interval

    def take(self, seconds: float) -> None:
        """Add a sample. One that comes too soon after the last takes its place: a rate over a
        moment says nothing."""
        seconds = round(seconds, 3)  # as they are kept: two samples are never of one moment
        if len(self.samples) > 1 and seconds < self.samples[-1].seconds + self.interval / 2:
            self.samples.pop()
        if self.samples and seconds <= self.samples[-1].seconds:
            return
        self.add(self._sample(seconds))

    def add(self, sample: Sample) -> None:
        if len(self.samples) >= self.most:
            first, rest = self.samples[:1], self.samples[1:]
            pairs = zip(rest[::2], rest[1::2], strict=False)
            merged = [_merged(one, two) for one, two in pairs]
            self.samples = first + merged + (rest[-1:] if len(rest) % 2 else [])
            self.interval *= 2
        self.samples.append(sample)

    def _sample(self, seconds: float) -> Sample:
        counts = self.statistics.counts()
        pages, objects, stored = _fill(self.statistics.layout)
        return Sample(
            seconds=seconds,
            counts=tuple(counts[name] for name in COUNTED),
            wait_ns=self.statistics.wait_ns(),
            pages=pages,
            objects_per_page=objects / pages if pages else 0.0,
            used=stored / (pages * PAGE_SIZE) if pages else 0.0,
        )

    def to_json(self) -> dict[str, Any]:
        """Columns of equal length, a row for each stretch between two samples: ``seconds``, at
        its end; rates a second over all tasks; ``eagain_share`` of the attempts to migrate, None
        where there were none; ``waits_ms_per_s`` by lock class; the fill at its end."""
        pairs = list(zip(self.samples, self.samples[1:], strict=False))
        classes = sorted({name for sample in self.samples for name in sample.wait_ns})

        def rate(name: str) -> list[float]:
            at = COUNTED.index(name)
            return [
                round((b.counts[at] - a.counts[at]) / (b.seconds - a.seconds), 1) for a, b in pairs
            ]

        return {
            "seconds": [b.seconds for _, b in pairs],
            "allocs_per_s": rate("alloc"),
            "frees_per_s": rate("free"),
            "maps_per_s": rate("verified"),
            "migrated_per_s": rate("migrated"),
            "evicted_per_s": rate("evict"),
            "eagain_share": [_share(a, b) for a, b in pairs],
            "waits_ms_per_s": {
                name: [
                    round(
                        (b.wait_ns.get(name, 0.0) - a.wait_ns.get(name, 0.0))
                        / 1e6
                        / (b.seconds - a.seconds),
                        3,
                    )
                    for a, b in pairs
                ]
                for name in classes
            },
            "pages": [round(b.pages, 1) for _, b in pairs],
            "objects_per_page": [round(b.objects_per_page, 3) for _, b in pairs],
            "used": [round(b.used, 4) for _, b in pairs],
        }


def _merged(one: Sample, two: Sample) -> Sample:
    """The stretch up to the second: its counters, and the fill of both."""
    return Sample(
        seconds=two.seconds,
        counts=two.counts,
        wait_ns=two.wait_ns,
        pages=(one.pages + two.pages) / 2,
        objects_per_page=(one.objects_per_page + two.objects_per_page) / 2,
        used=(one.used + two.used) / 2,
    )


def _share(before: Sample, after: Sample) -> float | None:
    tried, refused = (COUNTED.index(name) for name in ("migrate-attempt", "eagain"))
    attempts = after.counts[tried] - before.counts[tried]
    if attempts <= 0:
        return None
    return round(min(1.0, (after.counts[refused] - before.counts[refused]) / attempts), 4)


def _fill(layout: Layout) -> tuple[int, int, int]:
    """Pages of pool 0, live objects, and their bytes; columns of the object table at once."""
    size, fields = _live.fields()["object"]
    start = layout.arena("objects")
    table = memoryview(layout.buffer)[start : start + layout.arena("nr_objects") * size]
    handles = table.cast("B").cast("Q")[fields["handle"][0] // 8 :: size // 8].tolist()
    sizes = table.cast("B").cast("I")[fields["size"][0] // 4 :: size // 4].tolist()
    live = [n for handle, n in zip(handles, sizes, strict=True) if handle]
    return layout.pool(0)["pages_nr"], len(live), sum(live)
