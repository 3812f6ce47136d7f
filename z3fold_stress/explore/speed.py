"""How fast the sim world explores: executions a second of fixed scenarios, arena reset included.

One core, random walk; medians.  Nothing is found in these scenarios: a finding would end them.
"""

from __future__ import annotations

import time
from statistics import median

from z3fold_stress.designs import resolve
from z3fold_stress.explore.world import World
from z3fold_stress.scenario import Scenario, op

__all__ = ["MEASURED", "explorer_speed", "rate"]

_ORDERED = [op.lock("A"), op.lock("B"), op.unlock("B"), op.unlock("A")]
_COUNT = [op.lock("L"), op.load("n", "r"), op.add("r", 1), op.store("n", "r"), op.unlock("L")]
_POINTS = [op.fetch_add(f"w{number % 4}", 1) for number in range(25)]

MEASURED: dict[str, tuple[Scenario, bool]] = {
    "explore_abba_per_s": (
        Scenario(name="abba-ordered", actors={"one": _ORDERED, "two": _ORDERED}),
        False,
    ),
    "explore_counter_per_s": (
        Scenario(name="counter", actors=dict.fromkeys(("one", "two", "three"), _COUNT)),
        False,
    ),
    "explore_4x25_per_s": (
        Scenario(name="4x25", actors=dict.fromkeys(("a", "b", "c", "d"), _POINTS)),
        False,
    ),
    "explore_4x25_races_per_s": (
        Scenario(name="4x25", actors=dict.fromkeys(("a", "b", "c", "d"), _POINTS)),
        True,
    ),
    "explore_z3fold_per_s": (
        Scenario(
            name="alloc-map-free-migrate",
            setup=[op.alloc("a", 1200, fill=True), op.alloc("c", 900, fill=True)],
            actors={
                "user": [op.alloc("b", 600), op.free("c")],
                "mapper": [op.map("a"), op.check("a"), op.unmap("a")],
                "engine": [op.migrate_pages(op.page_of("a"), passes=2)],
            },
        ),
        True,
    ),
}
"""Scenario, and whether data races are looked for; the audit always runs."""


def rate(name: str, seconds: float) -> float:
    """Executions a second of one of MEASURED, in CPU time of this process."""
    scenario, races = MEASURED[name]
    with World(scenario, resolve("sound"), races=races) as world:
        world.simulator.begin("random", 1)
        world.simulator.explore(2000, int(1e9))  # warms, and promotes what is to be promoted
        before = world.simulator.totals()["executions"]
        began = time.process_time()
        stop = world.simulator.explore(10**9, int(seconds * 1e9))
        elapsed = time.process_time() - began
        if stop != "time":
            raise RuntimeError(
                f"{name}: the exploration ended with {stop!r}: its speed means nothing"
            )
        return float((world.simulator.totals()["executions"] - before) / elapsed)


def explorer_speed(runs: int = 5, seconds: float = 0.3) -> dict[str, int]:
    """Medians of all of MEASURED, taken in turns."""
    rates: dict[str, list[float]] = {name: [] for name in MEASURED}
    for _ in range(runs):
        for name, values in rates.items():
            values.append(rate(name, seconds))
    return {name: round(median(values)) for name, values in rates.items()}
