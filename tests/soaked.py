"""The report of a soak that never ran, for the tests of pages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from z3fold_stress import Arena
from z3fold_stress.soak import SoakReport
from z3fold_stress.soak.statistics import Statistics

__all__ = ["report"]


def report(**more: Any) -> SoakReport:
    counts = dict.fromkeys(_counters(), 0)
    columns = {"allocs_per_s", "frees_per_s", "maps_per_s", "migrated_per_s", "evicted_per_s"}
    columns |= {"eagain_share", "pages", "objects_per_page", "used"}
    made = SoakReport(
        design="sound",
        seed=7,
        seconds=2.0,
        judgements=[],
        findings=[],
        interrupted=False,
        ended="",
        counts=counts,
        reasons={},
        refusals={},
        moved_after=[],
        locks={},
        density={},
        workers={"worker-1": 5},
        deaths=[],
        restarts=0,
        quiet_points=1,
        command="z3fold-stress soak --seed 7",
        events=[],
        series={
            "seconds": [1.0, 2.0],
            "waits_ms_per_s": {"page": [0.0, 2.0]},
            **{name: [0.25, 0.5] for name in columns},
        },
        settings={"workers": 1, "sizes": "<script>x</script>", "faults": {"page": 0.1}},
    )
    return replace(made, **more)


def _counters() -> list[str]:
    with Arena(frames=4, tasks=1) as arena:
        return list(Statistics(arena.layout, 1.0).counts())
