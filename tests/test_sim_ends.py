"""Executions that come to no end, or none in time: deadlocks, livelocks, limits."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from checking import until
from looking import DIES, PASSED, SOUND, Actors, first, look, outcomes, told, under, word_at

from z3fold_stress.explore.explorer import Budget, Status, explore_world
from z3fold_stress.explore.names import Names
from z3fold_stress.explore.portfolio import arms_of
from z3fold_stress.explore.world import World
from z3fold_stress.live.world import LiveWorld
from z3fold_stress.scenario import Op, Scenario, op
from z3fold_stress.verdicts import Verdict


def both(one: str, two: str) -> list[Op]:
    return under(one, *under(two))


def test_a_deadlock_names_its_cycle() -> None:
    three = {"ab": both("A", "B"), "bc": both("B", "C"), "ca": both("C", "A")}
    with World(Scenario(actors=three), SOUND) as world:
        text = first(world, Verdict.DEADLOCK)["verdict"]["text"]
        lock = {word: word_at(world, word) for word in "ABC"}
        assert {Names(world).of(lock[word]) for word in "ABC"} == {"A", "B", "C"}
    for task, word, owner in ((1, "B", 2), (2, "C", 3), (3, "A", 1)):
        assert f"task {task} waits for {lock[word]:#x} of task {owner}" in text


@pytest.mark.parametrize(
    "ops", ["lock lock", "read_lock write_lock", "write_lock write_lock", "write_lock read_lock"]
)
def test_a_task_that_waits_for_itself(ops: str) -> None:
    tally = look({"a": [getattr(op, each)("L") for each in ops.split()]})
    assert tally.verdicts - {Verdict.LOCK_ORDER} == {Verdict.DEADLOCK}


def test_waits_that_nobody_will_end() -> None:
    asleep = look({"a": [op.sleep("queue")], "b": [op.wake("queue")]})
    assert "what no task left can do" in told(asleep, Verdict.DEADLOCK)["text"]
    gone = look({"a": [op.lock("L")], "b": under("L")})
    assert "of task 1, which has finished" in told(gone, Verdict.DEADLOCK)["text"]


WAITS: dict[str, Actors] = {
    "one order": {"one": both("A", "B"), "two": both("A", "B")},
    "again": {"a": [*under("A"), *under("A")]},
    "readers": {"a": [op.read_lock("L"), op.read_lock("L")]},
    "woken": {"a": [op.wait_while("queue", 0)], "b": [op.wake("queue")]},
}


@pytest.mark.parametrize("actors", WAITS.values(), ids=WAITS)
def test_waits_that_end(actors: Actors) -> None:
    assert Verdict.DEADLOCK not in look(actors, most=2).verdicts


@pytest.mark.parametrize("kind", ["lock", "read_lock"])
def test_a_lock_whose_owner_died(kind: str) -> None:
    un = kind.replace("lock", "unlock")
    mortal = [getattr(op, kind)("L"), getattr(op, un)("L")]
    heir = under("L") if kind == "lock" else [op.write_lock("L"), op.write_unlock("L")]
    dies = look({"mortal": mortal, "heir": heir}, deaths=["mortal"])
    assert dies.verdicts == {Verdict.ORPHANED_LOCK}
    assert "of task 1, which is dead" in told(dies, Verdict.ORPHANED_LOCK)["text"]
    assert look({"mortal": mortal, "heir": heir}).status in PASSED


def test_a_death_without_a_lock_leaves_nobody_waiting() -> None:
    adds = [op.fetch_add("x", 1), op.fetch_add("x", 1)]
    scenario = Scenario(actors={"a": adds, "b": adds, "other": under("L")}, deaths=["a", "b"])
    with World(scenario, SOUND) as world:
        seen = list(outcomes(world, "random", 900))
    assert {outcome["ending"] for outcome in seen} == {"done"}
    deaths = [sum(choice[2] == DIES for choice in outcome["schedule"]) for outcome in seen]
    assert set(deaths) == {0, 1}


def test_tries_without_an_end_are_a_livelock() -> None:
    polite = [op.set("t", 0), op.repeat(5000, [op.unless("t", [op.trylock("L", "t")])])]
    owner = [op.lock("L"), op.wait_until("ready", 1), op.unlock("L")]
    tally = look({"owner": owner, "polite": polite}, max_steps=400)
    assert tally.verdicts == {Verdict.LIVELOCK}
    assert told(tally, Verdict.LIVELOCK)["text"] == (
        "no task got further in 400 steps, nor in 4096 more in which all took turns"
    )


@pytest.mark.parametrize("strategy", ["dfs", "random", "pct", "pos", "surw"])
def test_a_schedule_that_starves_somebody_proves_no_livelock(strategy: str) -> None:
    """Whoever tries in vain until the limit gets there once the owner has its turn."""
    polite = [op.set("t", 0), op.repeat(5000, [op.unless("t", [op.trylock("L", "t")])])]
    actors = {
        "polite": [*polite, op.when("t", [op.unlock("L")])],
        "owner": [op.lock("L"), *[op.fetch_add("x", 1)] * 5, op.unlock("L")],
    }
    tally = look(actors, max_steps=400, executions=40, strategy=strategy)
    assert tally.verdicts == set()


LONG = {
    "accesses": [op.repeat(2_000_000, [op.load("x", "r")])],
    "registers": [op.set("r", 0), op.repeat(2_000_000, [op.add("r", 1)])],
}
FOR_EVER = {
    f"{order} {step.name}s": [op.repeat(2**31 - 1, [step])]
    for order in ("plain", "relaxed")
    for step in (op.load("x", "r", order), op.store("x", 1, order))
}
FOR_EVER["registers"] = [op.set("r", 0), op.repeat(2**31 - 1, [op.add("r", 1)])]
FOR_EVER["loops of registers"] = [op.repeat(2**20, [op.repeat(2**20, [op.set("r", 0)])])]
FOR_EVER["nothing"] = [op.repeat(2**31 - 1, [op.might_sleep()])]


@pytest.mark.parametrize("ops", LONG.values(), ids=LONG)
def test_much_to_do_is_no_livelock(ops: list[Op]) -> None:
    """Millions of steps without a schedule point, and an end."""
    tally = look({"a": ops}, executions=2)
    assert (tally.status, tally.executions, tally.limited) == (Status.COMPLETE, 1, 0)


@pytest.mark.parametrize("ops", FOR_EVER.values(), ids=FOR_EVER)
def test_the_time_reaches_a_loop_without_a_point(ops: list[Op]) -> None:
    """Nobody can tell whether it has an end: no verdict, and no pass."""
    began = time.monotonic()
    with World(Scenario(actors={"a": ops}), SOUND) as world:
        tally = explore_world(world, arms_of("random"), budget=Budget(seconds=0.3))
        assert time.monotonic() - began < 20
        assert (tally.status, tally.verdicts) == (Status.INCONCLUSIVE, set())
        assert tally.limited == tally.executions > 0


@pytest.mark.parametrize("what", ["plain loads", "registers"])
def test_a_loop_ends_by_itself_where_there_is_no_time_limit(what: str) -> None:
    tally = look({"a": FOR_EVER[what]}, executions=1)
    assert (tally.status, tally.limited) == (Status.INCONCLUSIVE, 1)


def test_the_time_of_one_exploration_is_not_that_of_the_next() -> None:
    """Nor of the next one's set-up."""
    with World(Scenario(actors={"a": FOR_EVER["registers"]}), SOUND) as world:
        explore_world(world, arms_of("random"), budget=Budget(seconds=0.1))
    scenario = Scenario(setup=LONG["registers"], actors={"a": [op.fetch_add("x", 1)]})
    with World(scenario, SOUND) as world:
        tally = explore_world(world, arms_of("random"), budget=Budget(executions=2))
    assert (tally.status, tally.limited) == (Status.CLEAN, 0)


@pytest.mark.parametrize("what", ["plain loads", "registers"])
def test_the_time_reaches_a_loop_of_a_process(what: str) -> None:
    with LiveWorld(Scenario(actors={"a": FOR_EVER[what]}), SOUND) as world:
        tally = explore_world(world, arms_of("random"), budget=Budget(seconds=0.3))
    assert tally.status is Status.INCONCLUSIVE
    assert tally.limited == tally.executions > 0


STOPPED = """
import os, sys
from z3fold_stress.cli import main
from z3fold_stress.explore import explorer

def told(*arguments, really=explorer._take_turns):
    os.write(1, b"begun\\n")
    really(*arguments)

explorer._take_turns = told
main(["explore", sys.argv[1], "--seconds", "300", "--json", "--no-save", "--no-store"])
"""


@pytest.mark.parametrize("step", ["op.load('x', 'r', 'relaxed')", "op.set('r', 1)"])
def test_ctrl_c_reaches_a_loop_without_a_point(step: str, tmp_path: Path) -> None:
    """With the report so far, and no verdict."""
    path = tmp_path / "loop.py"
    path.write_text(
        "from z3fold_stress import Scenario, op\n"
        f"loop = [op.repeat(2**31 - 1, [{step}])]\n"
        "scenario = Scenario(actors={'a': loop, 'b': loop})\n"
    )
    command = [sys.executable, "-P", "-c", STOPPED, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        it = psutil.Process(process.pid)
        before = it.cpu_times().user
        until(lambda: it.cpu_times().user > before + 0.5, "it is in the loop")
        asked = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert time.monotonic() - asked < 15
    assert (process.returncode, err) == (4, b"")
    (trail,) = json.loads(out)["trails"]
    assert trail["interrupted"]
    assert not trail["findings"]


def test_a_limit_that_was_reached_is_no_pass() -> None:
    """There is progress, so it is no livelock; and nothing is known of what would have come."""
    long = {"a": [op.fetch_add("x", 1)] * 100}
    cut = look(long, executions=300, max_steps=50)
    assert cut.status is Status.INCONCLUSIVE
    assert cut.limited == cut.executions == 300
    assert look(long, executions=300, max_steps=200).status in PASSED
