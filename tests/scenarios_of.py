"""Scenarios and what is compiled of them, as several tests want them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from z3fold_stress.scenario import Op, Scenario, op

DEFECT = "slot-read-before-page-lock"


def scenario_of(*ops: Op, setup: Sequence[Op] = (), **fields: Any) -> Scenario:
    """One actor, ``one``, that does this."""
    return Scenario(actors={"one": list(ops)}, setup=list(setup), **fields)


def full() -> Scenario:
    """A scenario that says something in every field."""
    return Scenario(
        name="full",
        story="A story.",
        setup=[op.alloc("a", 1200), op.fill("a")],
        actors={
            "mapper": [op.map("a"), op.check("a"), op.unmap("a")],
            "migrator": [op.migrate_pages(op.page_of("a"), sync=False), op.load("w", "r")],
            "kworker": [op.kworker("compact")],
        },
        finish=[op.repeat(2, [op.drain(), op.audit()])],
        cpus={"migrator": 1, "mapper": 0},
        shows=(DEFECT, "migrate-copies-live-header"),
        expect={"use-after-free", "corruption"},
        design="as-posted+create-error-leak",
        arena={"frames": 4, "poison": False},
        faults={"page": 1, "trylock": 0},
        deaths=("mapper",),
        words={"w": 7},
        tags=("history", "example"),
        deadlock_ok=True,
    )


def named(scenarios: list[Scenario]) -> list[str]:
    return [scenario.name for scenario in scenarios]
