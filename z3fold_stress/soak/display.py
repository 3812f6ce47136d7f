"""What a soak shows while it runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

import psutil
from rich.console import Console
from rich.live import Live
from rich.table import Table

from z3fold_stress.soak.supervisor import Soak

__all__ = ["LiveTable", "PlainLines"]


class _Rates:
    """What changed since the last look, a second."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._at = time.monotonic()
        self._span = 0.0

    def begin(self) -> None:
        now = time.monotonic()
        self._span, self._at = now - self._at, now

    def of(self, key: str, value: float) -> float:
        before, self._last[key] = self._last.get(key, 0), value
        return max(0.0, value - before) / self._span if self._span else 0.0


class PlainLines:
    """A line every few seconds, for logs."""

    def __init__(self, interval: float = 5.0) -> None:
        self.interval = interval
        self._next = interval
        self._rates = _Rates()

    def __call__(self, soak: Soak) -> None:
        if soak.elapsed < self._next:
            return
        self._next = soak.elapsed + self.interval
        counts = soak.statistics.counts()
        self._rates.begin()
        rate = self._rates.of
        print(
            f"{soak.elapsed:7.1f} s  {rate('alloc', counts['alloc']):>10,.0f} allocs/s  "
            f"{rate('maps', counts['verified']):>10,.0f} maps/s  "
            f"migrated {counts['migrated']:,}, -EAGAIN {counts['eagain']:,}, "
            f"evicted {counts['evict']:,}, quiet points {soak.course.quiet_points}",
            flush=True,
        )

    def __enter__(self) -> PlainLines:
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()


class LiveTable:
    """A table of processes and totals that repaints in place."""

    def __init__(self, console: Console, interval: float = 0.5) -> None:
        self.interval = interval
        self._next = 0.0
        self._rates = _Rates()
        self._processes: dict[int, psutil.Process] = {}
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> LiveTable:
        self._live.__enter__()
        return self

    def __exit__(self, *details: Any) -> None:
        self._live.__exit__(*details)

    def __call__(self, soak: Soak) -> None:
        if soak.elapsed < self._next:
            return
        self._next = soak.elapsed + self.interval
        self._rates.begin()
        self._live.update(self._table(soak), refresh=True)

    def _system(self, pid: int) -> tuple[str, str, str]:
        """CPU use, resident memory and context switches of a process, as text."""
        try:
            process = self._processes.get(pid)
            if process is None:
                process = self._processes[pid] = psutil.Process(pid)
            with process.oneshot():
                switches = process.num_ctx_switches()
                return (
                    f"{process.cpu_percent():.0f}%",
                    f"{process.memory_info().rss / 2**20:.0f} MiB",
                    f"{switches.voluntary + switches.involuntary:,}",
                )
        except psutil.Error:
            return "-", "-", "-"

    def _table(self, soak: Soak) -> Table:
        counts = soak.statistics.counts()
        reasons = ", ".join(f"{k} {n:,}" for k, n in soak.statistics.reasons().items()) or "none"
        pages = soak.layout.pool(0)["pages_nr"]
        density = (counts["alloc"] - counts["free"]) / pages if pages else 0.0
        retries = ", ".join(
            f"{i}: {n:,}" for i, n in enumerate(soak.statistics.moved_after()) if n and i
        )
        table = Table(
            title=f"soak of {soak.settings.design.name}, {soak.elapsed:.0f} s, "
            f"seed {soak.settings.seed}",
            caption=f"migrated {counts['migrated']:,}   -EAGAIN {counts['eagain']:,}   "
            f"put back {counts['putback']:,}   evicted {counts['evict']:,}\n"
            f"attempts failed by: {reasons}\n"
            f"moved after retries: {retries or 'none needed one'}\n"
            f"{density:.2f} objects a page   quiet points {soak.course.quiet_points}   "
            f"killed {len(soak.course.deaths)}\n(Ctrl-C ends with the report)",
            caption_justify="left",
        )
        table.add_column("process")
        for name in ("ops/s", "allocs/s", "maps/s", "cpu", "rss", "switches"):
            table.add_column(name, justify="right")
        rate = self._rates.of
        for task, member in soak.members.items():
            own = soak.statistics.counts_of(task)
            table.add_row(
                member.name,
                f"{rate(f'{task} ops', soak.layout.task_field(task, 'progress')):,.0f}",
                f"{rate(f'{task} alloc', own['alloc']):,.0f}",
                f"{rate(f'{task} maps', own['verified']):,.0f}",
                *self._system(soak.layout.task_field(task, "pid")),
            )
        return table
