"""How many executions were no repeats: on spaces whose number of executions is known."""

from __future__ import annotations

import math

import pytest
from commanding import Run

from z3fold_stress import Scenario, _sim, op
from z3fold_stress.campaign import fuzz as fuzzing
from z3fold_stress.campaign.hunt import Hunt, Trail
from z3fold_stress.designs import resolve
from z3fold_stress.explore.explorer import Budget, Exploration, Status, explore_world
from z3fold_stress.explore.portfolio import PORTFOLIO, Arm
from z3fold_stress.explore.world import World
from z3fold_stress.scenario import load

SOUND = resolve("sound")


def steps(actors: int, each: int) -> Scenario:
    """Actors of so many steps: (actors * each)! / each! ** actors interleavings."""
    body = [op.fetch_add("x", 1)] * each
    return Scenario(name="steps", actors={f"a{n}": body for n in range(actors)})


def interleavings(actors: int, each: int) -> int:
    return math.factorial(actors * each) // math.factorial(each) ** actors


def look(scenario: Scenario, *arms: Arm, executions: int = 10**6) -> Exploration:
    with World(scenario, SOUND) as world:
        return explore_world(world, arms, budget=Budget(executions), seed=1)


@pytest.mark.parametrize(("actors", "each"), [(2, 2), (2, 3), (3, 2), (2, 5), (4, 2)])
def test_a_search_without_a_bound_repeats_nothing(actors: int, each: int) -> None:
    tally = look(steps(actors, each), Arm("dfs", depth=-1))
    assert tally.executions == tally.distinct == interleavings(actors, each)
    assert tally.distinct_exactly


@pytest.mark.parametrize("actors", [2, 3])
def test_a_lower_bound_is_repeated_by_a_higher_one(actors: int) -> None:
    bounds = [Arm("dfs", depth=depth) for depth in range(4)]
    alone = [look(steps(actors, 3), arm).executions for arm in bounds]
    assert alone == sorted(set(alone)), "each sees more"
    for number in range(1, 5):
        tally = look(steps(actors, 3), *bounds[:number])
        assert tally.executions == sum(alone[:number])
        assert tally.distinct == alone[number - 1]


def test_two_actors_by_the_bound() -> None:
    """Of two steps each: aabb bbaa, then abba baab, then abab baba."""
    two = steps(2, 2)
    assert [look(two, Arm("dfs", depth=depth)).distinct for depth in range(4)] == [2, 4, 6, 6]


def test_what_is_drawn_repeats_itself() -> None:
    for strategy in ("random", "pos", "surw"):
        tally = look(steps(2, 3), Arm(strategy), executions=3000)
        assert (tally.executions, tally.distinct) == (3000, interleavings(2, 3))
    assert look(steps(2, 3), Arm("random"), executions=7).distinct <= 7


def test_all_strategies_together_have_no_more_than_there_are() -> None:
    tally = look(steps(3, 2), *PORTFOLIO[1:], executions=3000)
    assert tally.executions == sum(tally.by_arm.values()) == 3000
    assert tally.distinct == interleavings(3, 2)
    tally = look(steps(3, 2), *PORTFOLIO)
    assert (tally.status, tally.distinct) == (Status.COMPLETE, interleavings(3, 2))


def test_a_search_that_begins_anew_repeats_what_it_did() -> None:
    """An access that turns out to race becomes a point: the tree is another one."""
    (scenario,) = load(["alloc-null-slots"])
    tally = look(scenario, Arm("dfs", depth=-1))
    assert tally.promoted > 0
    assert tally.status is Status.COMPLETE
    assert (tally.executions, tally.distinct) == (6, 2)


def test_what_is_cut_as_seen_already_is_not_counted() -> None:
    """Source sets are not optimal: an execution is begun that others cover."""
    actors = {
        "p": [op.store("x", 1, "relaxed")],
        "q": [op.store("y", 1, "relaxed")],
        "r": [
            op.load("y", "m", "relaxed"),
            op.unless(
                "m",
                [op.load("z", "n", "relaxed"), op.unless("n", [op.load("x", "o", "relaxed")])],
            ),
        ],
        "s": [
            op.store("z", 1, "relaxed"),
            op.load("y", "m", "relaxed"),
            op.when("m", [op.store("x", 2, "relaxed")]),
        ],
    }
    with World(Scenario(actors=actors), SOUND, every_access=True) as world:
        counted = _sim.Distinct()
        world.simulator.begin("dpor", 0, depth=-1, distinct=counted)
        assert world.simulator.explore(1000, 10**10) == "exhausted"
        totals = world.simulator.totals()
    assert totals["pruned"] > 0
    assert counted.count == totals["executions"] - totals["pruned"]


def test_failures_tell_executions_apart() -> None:
    body = [op.trylock("L", "r"), op.when("r", [op.unlock("L")])]
    scenario = Scenario(actors={"a": body, "b": body}, faults={"trylock": 1})
    tally = look(scenario, Arm("dfs", depth=-1))
    assert tally.distinct == tally.executions
    without = look(Scenario(actors={"a": body, "b": body}), Arm("dfs", depth=-1))
    assert without.executions < tally.executions
    again = look(scenario, Arm("dfs", depth=-1), Arm("random"), executions=tally.executions + 999)
    assert again.distinct == tally.distinct


def test_deaths_tell_executions_apart() -> None:
    """At each of the places where it can be killed, or not at all."""
    body = [op.fetch_add("x", 1)] * 4
    scenario = Scenario(actors={"a": body}, deaths={"budget": 1, "actors": ["a"]})
    tally = look(scenario, Arm("dfs", depth=-1))
    assert tally.deaths >= 4
    assert tally.executions == tally.distinct == tally.deaths + 1


def test_many_are_estimated() -> None:
    tally = look(steps(3, 5), Arm("dfs", depth=-1))
    assert tally.executions == interleavings(3, 5) == 756_756
    assert not tally.distinct_exactly
    assert tally.distinct == pytest.approx(tally.executions, rel=0.03)


def test_few_are_exact_however_often_they_come() -> None:
    tally = look(steps(2, 8), Arm("random"), executions=400_000)
    assert tally.distinct_exactly
    assert tally.distinct <= interleavings(2, 8) == 12_870


def test_a_replay_in_between_is_no_execution_of_the_exploration() -> None:
    with World(steps(2, 3), SOUND) as world:
        counted = _sim.Distinct()
        world.simulator.begin("random", 1, distinct=counted)
        world.simulator.explore(1, 10**9)
        schedule = world.simulator.outcome()["schedule"]
        world.simulator.replay(schedule, False, 0)
        world.simulator.replay([], False, 0)
        assert counted.count == 1
        world.simulator.begin("dfs", 1, depth=-1, distinct=counted)
        world.simulator.explore(10**6, 10**10)
        assert counted.count == interleavings(2, 3)


def test_one_exploration_after_another_knows_what_was_done() -> None:
    seen = _sim.Distinct()
    with World(steps(2, 3), SOUND) as world:
        first = explore_world(world, (Arm("dfs", depth=1),), budget=Budget(100), distinct=seen)
        second = explore_world(world, (Arm("dfs", depth=-1),), budget=Budget(100), distinct=seen)
        world.simulator.replay(world.simulator.outcome()["schedule"], False, 0, seen)
        world.simulator.replay([], False, 0, seen)
    assert (first.executions, first.distinct) == (6, 6)
    assert (second.executions, second.distinct) == (20, 14)
    assert seen.count == interleavings(2, 3) == 20


# what is said of it


def test_explore_says_it(run: Run) -> None:
    how = ("explore", "dining-philosophers-3-ordered", "--no-save", "--seed", 1)
    assert " 99 executions, " in run(*how, "--strategy", "dfs", "--bound", 2).out
    few = ("--strategy", "pct", "--bound", 1, "--executions", 5000)
    (trail,) = run(*how, *few, "--json").json()["trails"]
    assert trail["distinct"] < trail["executions"] == 5000
    assert trail["distinct_exactly"] is True
    assert f"  5,000 executions ({trail['distinct']:,} distinct), " in run(*how, *few).out


def test_fuzz_adds_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks at a program more than once, and tries changed schedules."""
    monkeypatch.setattr(fuzzing, "generate", lambda seed, number: steps(2, 3))
    how = ("fuzz", "--programs", 1, "--jobs", 1, "--no-save", "--no-store", "--seed", 1)
    value = run(*how, "--json").json()
    assert value["executions"] > 400
    assert (value["distinct"], value["distinct_exactly"]) == (20, True)
    assert f"1 programs, {value['executions']:,} executions (20 distinct), " in run(*how).out


def test_hunt_adds_up(run: Run) -> None:
    names = [scenario.name for scenario in load(["counter", "abba"])]
    how = ("hunt", *names, "--strategy", "dfs", "--bound", 0, "--seconds", 600, "--jobs", 1)
    value = run(*how, "--no-save", "--seed", 1, "--json").json()
    assert value["distinct"] == sum(trail["distinct"] for trail in value["trails"]) > 0
    result = Hunt(SOUND, 1, 2)
    for distinct, exactly in ((3, True), (40_000, False)):
        result.trails.append(
            Trail("x", "clean", 90_000, distinct, exactly, 1, 0, 0, 0.1, [], {}, {})
        )
    assert (result.distinct, result.distinct_exactly) == (40_003, False)
