"""Data races in the sim world, found where they are and nowhere else; and the schedule points that
conflicts make."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from looking import FOREVER, PASSED, SOUND, Actors, look, outcomes, told, under, word_at

from z3fold_stress.explore.benign import seen_races
from z3fold_stress.explore.explorer import Budget, Status, explore_world
from z3fold_stress.explore.portfolio import arms_of
from z3fold_stress.explore.world import World
from z3fold_stress.scenario import Op, Scenario, op
from z3fold_stress.verdicts import Verdict


def after(turn: int, *ops: Op) -> list[Op]:
    """The operations of an actor whose turn this is: no two run at the same time."""
    return [op.wait_until("turn", turn), *ops, op.store("turn", turn + 1, "release")]


ADD = [op.load("x", "n"), op.add("n", 1), op.store("x", "n")]
READ = [op.load("x", "r")]
WRITE = [op.store("x", 1)]
SHARED_ADD = [op.read_lock("L"), *ADD, op.read_unlock("L")]
TRIED_ADD = [op.trylock("L", "t"), op.when("t", [*ADD, op.unlock("L")])]
RELAXED_ADD = [op.load("x", "n", "relaxed"), op.add("n", 1), op.store("x", "n", "relaxed")]


# Data races.


def flagged(store: Any, load: Any) -> dict[str, list[Op]]:
    """x is handed over by a flag that is stored and loaded in these orders."""
    return {
        "giver": [*WRITE, op.store("flag", 1, store)],
        "taker": [op.load("flag", "f", load), op.when("f", READ)],
    }


RACES: dict[str, Actors] = {
    "plain against plain": {"a": WRITE, "b": WRITE},
    "two locks": {"a": under("L", *ADD), "b": under("M", *ADD)},
    "one side locked": {"a": under("L", *ADD), "b": READ},
    "a plain flag orders nothing": flagged("plain", "plain"),
    "a relaxed flag orders nothing": flagged("relaxed", "relaxed"),
    "release without acquire": flagged("release", "relaxed"),
    "acquire without release": flagged("relaxed", "acquire"),
    "plain against atomic": {"a": WRITE, "b": [op.load("x", "r", "relaxed")]},
    "readers, then a writer": {"a": READ, "b": READ, "c": WRITE},
    "they only read-lock": {"a": SHARED_ADD, "b": SHARED_ADD},
    "a trylock that failed": {
        "a": under("L", *WRITE),
        "b": [op.trylock("L", "t"), *WRITE, op.when("t", [op.unlock("L")])],
    },
    "adds to two words": {"a": [*WRITE, op.fetch_add("f", 1)], "b": [op.fetch_add("g", 1), *READ]},
}
ORDERED: dict[str, Actors] = {
    "a lock": {"a": under("L", *ADD), "b": under("L", *ADD)},
    "release and acquire": flagged("release", "acquire"),
    "fetch_add": {
        "a": [*WRITE, op.fetch_add("f", 1)],
        "b": [op.fetch_add("f", 0, "f"), op.when("f", READ)],
    },
    "a chain of releases": {
        "a": [*WRITE, op.store("f", 1, "release")],
        "b": [op.wait_until("f", 1), op.store("g", 1, "release")],
        "c": [op.wait_until("g", 1), *ADD],
    },
    "readers only": {"a": READ, "b": READ, "c": READ},
    "a reader-writer lock": {
        **{name: [op.read_lock("L"), *READ, op.read_unlock("L")] for name in "ab"},
        "c": [op.write_lock("L"), *ADD, op.write_unlock("L")],
    },
    "a trylock": {"a": TRIED_ADD, "b": TRIED_ADD},
    "a wake": {"a": [op.wait_while("queue", 0), *READ], "b": [*WRITE, op.wake("queue")]},
    "atomics": {"a": RELAXED_ADD, "b": RELAXED_ADD},
    "words of their own": {"a": WRITE, "b": [op.store("y", 1)]},
}


@pytest.mark.parametrize("actors", RACES.values(), ids=RACES)
def test_a_race_is_found(actors: Actors) -> None:
    tally = look(actors)
    assert tally.verdicts == {Verdict.DATA_RACE}
    race = told(tally, Verdict.DATA_RACE)
    assert race["task"] != race["other_task"]
    assert race["writes"] or race["other_writes"]
    for task in (race["task"], race["other_task"]):
        assert f"by task {task + 1}" in race["text"]
    assert look(actors, races=False, executions=100).status in PASSED


@pytest.mark.parametrize("actors", ORDERED.values(), ids=ORDERED)
def test_what_is_ordered_is_no_race(actors: Actors) -> None:
    tally = look(actors)
    assert tally.status in PASSED, tally.found
    assert "an execution of every equivalence class" in tally.claims


def test_the_setup_comes_before_all_and_the_finish_after_all() -> None:
    assert look({"a": WRITE}, setup=WRITE, finish=READ).status in PASSED


def test_a_race_is_found_after_many_long_executions() -> None:
    """A clock has 25 bits: more than that was released before, each execution begins anew."""
    busy = [op.repeat(2500, [op.store("f", 1, "release")] * 200)]
    actors = {"a": [*busy, op.load("late", "l", "relaxed"), op.when("l", WRITE)], "b": WRITE}
    with World(Scenario(actors=actors, words={"late": 1}), SOUND) as world:
        late = word_at(world, "late")
        world.simulator.memory[late : late + 8] = bytes(8)
        seen = outcomes(world, "random", 1)
        assert world.verdict(next(seen)) is None
        assert world.simulator.explore((1 << 25) // 500_000 + 2, FOREVER) == "executions"
        world.simulator.memory[late : late + 8] = struct.pack("=Q", 1)
        assert world.simulator.explore(1, FOREVER) == "found"
        assert world.verdict(world.simulator.outcome()) is Verdict.DATA_RACE


def test_fields_that_share_a_word_do_not_race() -> None:
    """As a page's references and its generation; in each world such a word is split once."""
    actors = {"owner": [op.free("a"), op.drain()], "scanner": [op.compact_memory(0, 2)] * 2}
    scenario = Scenario(actors=actors, setup=[op.alloc("a", 4096)], arena={"frames": 2})
    for seed in range(60):
        with World(scenario, SOUND, every_access=True) as world:
            world.simulator.begin("random", seed)
            assert world.simulator.explore(2, FOREVER) == "executions", world.simulator.outcome()


EVICTED_WHILE_WRITTEN = Scenario(
    setup=[op.alloc("a", 640), op.fill("a")],
    actors={"owner": [op.fill("a")], "kswapd": [op.reclaim(1)]},
    arena={"frames": 3},
)


def test_a_known_race_is_counted_and_is_no_finding() -> None:
    with World(EVICTED_WHILE_WRITTEN, SOUND) as world:
        tally = explore_world(world, arms_of("portfolio"), budget=Budget(executions=2000), seed=1)
        assert tally.status in PASSED, tally.found
        (race,) = seen_races(world)
    assert race.times > 10
    assert "peek_object_id" in race.site
    assert "fill_pattern" in race.other
    assert "only a guess" in str(race)


def test_a_known_race_that_did_not_happen() -> None:
    actors = {"owner": after(0, op.fill("a")), "kswapd": after(1, op.reclaim(1))}
    with World(Scenario(setup=EVICTED_WHILE_WRITTEN.setup, actors=actors), SOUND) as world:
        explore_world(world, arms_of("random"), budget=Budget(executions=200))
        assert seen_races(world) == []


# An access that was seen to conflict becomes a schedule point.


LOST_UPDATE = Scenario(
    actors={"one": RELAXED_ADD, "two": RELAXED_ADD},
    finish=[op.load("x", "n", "relaxed"), op.expect("n", "==", 2, "both are there")],
)


def test_a_conflict_makes_the_points_that_a_bug_needs() -> None:
    tally = look(LOST_UPDATE)
    assert tally.verdicts == {Verdict.INVARIANT}
    assert tally.promoted > 0
    assert told(tally, Verdict.INVARIANT)["text"].endswith("the value is 1, compared with 2")


def test_without_conflicts_there_are_no_such_points() -> None:
    tally = look({"a": READ, "b": READ})
    assert (tally.status, tally.promoted) == (Status.COMPLETE, 0)


def test_a_muted_verdict_does_not_blind_the_search() -> None:
    tally = look(LOST_UPDATE, races=False)
    assert tally.verdicts == {Verdict.INVARIANT}
    assert tally.promoted > 0
