"""Executions a second of the sim world, and as ratios what race detection and strategies cost.

python benchmarks/explore.py
"""

from __future__ import annotations

import time
from statistics import median

from z3fold_stress.designs import resolve
from z3fold_stress.explore.speed import MEASURED, explorer_speed
from z3fold_stress.explore.world import World

RUNS = 5
SECONDS = 0.2
STRATEGIES = ("random", "pct", "pos", "surw", "dfs")


def strategy_rate(strategy: str, races: bool) -> float:
    """Of the four tasks with 25 operations each."""
    scenario, _ = MEASURED["explore_4x25_per_s"]
    with World(scenario, resolve("sound"), races=races) as world:
        world.simulator.begin(strategy, 1, 0, 3)
        world.simulator.explore(1000, 10**9)
        before = world.simulator.totals()["executions"]
        began = time.process_time()
        world.simulator.explore(10**9, int(SECONDS * 1e9))
        elapsed = time.process_time() - began
        return float((world.simulator.totals()["executions"] - before) / elapsed)


def main() -> None:
    for name, value in explorer_speed(RUNS, SECONDS).items():
        print(f"{name:<28}{value:>12,}")
    print("\n4 tasks x 25 operations, executions a second without and with races (ratio)")
    rows: dict[tuple[str, bool], list[float]] = {}
    for _ in range(RUNS):
        for strategy in STRATEGIES:
            for races in (False, True):
                rows.setdefault((strategy, races), []).append(strategy_rate(strategy, races))
    base = median(rows["random", False])
    for strategy in STRATEGIES:
        off, on = (median(rows[strategy, races]) for races in (False, True))
        print(f"{strategy:<8}{off:>12,.0f} ({off / base:.2f}){on:>14,.0f} ({on / base:.2f})")


if __name__ == "__main__":
    main()
