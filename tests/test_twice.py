"""Nothing outside the arena decides what an execution does: each is the same again, whatever was
done before it."""

from __future__ import annotations

from typing import Any

import pytest

from z3fold_stress.campaign.generate import generate
from z3fold_stress.campaign.museum import bent
from z3fold_stress.designs import resolve
from z3fold_stress.explore.twice import twice
from z3fold_stress.explore.world import World
from z3fold_stress.scenario import Scenario, all_scenarios, op

FEW = [s for s in all_scenarios() if len(s.actors) <= 20]


@pytest.mark.parametrize("part", range(8))
def test_the_built_in_scenarios(part: int) -> None:
    """With their defects, so that many end by a verdict in the middle of something."""
    for scenario in FEW[part::8]:
        with World(scenario, bent(scenario)) as world:
            if world.failed is None:
                assert twice(world, 12, seed=3) == [], scenario.name


@pytest.mark.parametrize("design", ["sound", "as-posted"])
def test_what_fuzz_makes_up(design: str) -> None:
    for number in range(15):
        with World(generate(5, number), resolve(design)) as world:
            if world.failed is None:
                assert twice(world, 8, seed=3) == [], number


def test_a_verdict_within_a_probe_leaves_nothing_behind() -> None:
    """The probe lets evictions fail for a while; an execution that ended in that while had them
    fail in all that followed."""
    scenario = Scenario(
        setup=[op.alloc("a", 1200, fill=True), op.alloc("b", 1200, fill=True)],
        actors={"one": [op.free("a")], "two": [op.reclaim(1)]},
        finish=[op.drain(), op.probe(4), op.audit()],
        arena={"frames": 3},
    )
    for design in ("sound", "sound+reclaim-fail-forgets-unbuddied", "as-posted"):
        with World(scenario, resolve(design)) as world:
            assert twice(world, 30, seed=1) == []


class Forgetful:
    """A simulator that remembers how often it was asked, outside of its arena."""

    def __init__(self, simulator: Any) -> None:
        self.simulator = simulator
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.simulator, name)

    def replay(self, *arguments: Any) -> dict[str, Any]:
        self.asked += 1
        return {**self.simulator.replay(*arguments), "hash": self.asked}


def test_what_is_not_the_same_is_told() -> None:
    scenario = Scenario(actors={"one": [op.store("x", 1)], "two": [op.load("x", "r")]})
    with World(scenario, resolve("sound")) as world:
        assert twice(world, 4, seed=1) == []
        real = world.simulator
        world.simulator = Forgetful(real)
        try:
            assert [one.execution for one in twice(world, 4, seed=1)] == [0, 1, 2, 3]
        finally:
            world.simulator = real
