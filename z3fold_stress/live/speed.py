"""How fast processes that take turns are explored: executions a second of wall-clock time."""

from __future__ import annotations

import time
from statistics import median

from z3fold_stress.designs import resolve
from z3fold_stress.explore.speed import MEASURED
from z3fold_stress.live.world import LiveWorld

__all__ = ["live_speed"]

TEXTBOOK = "explore_abba_per_s"
"""Two tasks, two locks, taken in one order: nothing is found, and nothing ends it."""


def live_speed(runs: int = 5, seconds: float = 0.5) -> dict[str, int]:
    """``explore_live_per_s``: the median of several runs, the processes reused."""
    scenario, races = MEASURED[TEXTBOOK]
    rates = []
    with LiveWorld(scenario, resolve("sound"), races=races) as world:
        world.simulator.begin("random", 1)
        for run in range(runs + 1):
            before = world.simulator.totals()["executions"]
            began = time.monotonic()
            stop = world.simulator.explore(10**9, int(seconds * 1e9))
            elapsed = time.monotonic() - began
            if stop != "time":
                raise RuntimeError(f"the exploration ended with {stop!r}: its speed means nothing")
            if run:  # the first one warms
                rates.append((world.simulator.totals()["executions"] - before) / elapsed)
    return {"explore_live_per_s": round(median(rates))}
