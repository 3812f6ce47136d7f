"""What the sim world sees: each detector fires where it must, and is silent where it must be.

Every execution follows from its seed, and budgets are counted in executions: what is found here
is found always.
"""

from __future__ import annotations

import json
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from checking import until

from z3fold_stress import _sim
from z3fold_stress.designs import Design, resolve
from z3fold_stress.explore import sites
from z3fold_stress.explore.benign import seen_races
from z3fold_stress.explore.explorer import Budget, Exploration, Status, explore, explore_world
from z3fold_stress.explore.names import Names
from z3fold_stress.explore.portfolio import arms_of
from z3fold_stress.explore.world import World
from z3fold_stress.layout import Layout
from z3fold_stress.live.world import LiveWorld
from z3fold_stress.scenario import Op, Scenario, load, op
from z3fold_stress.settings import FAULTS
from z3fold_stress.verdicts import Verdict

SOUND = resolve("sound")
FOREVER = 10**15
ROOT = Path(__file__).parents[1]
TASK, KIND, SIZE, OBJECT, PC, ACCESS = 1, 2, 3, 6, 8, 66
"""Of an event."""
DIES = 32
"""Of a choice; below are failures, 1 + the number of the kind, and 0 is a switch."""

PASSED = (Status.CLEAN, Status.COMPLETE)
"""Where the space is small the portfolio sees all of it."""

Actors = Mapping[str, Sequence[Op]]
Outcome = dict[str, Any]


def look(
    actors: Actors | Scenario,
    design: Design = SOUND,
    *,
    executions: int = 2000,
    races: bool = True,
    every_access: bool = False,
    most: int = 1,
    max_steps: int = 20_000,
    strategy: str = "portfolio",
    **fields: Any,
) -> Exploration:
    """Explore with a budget in executions."""
    scenario = actors if isinstance(actors, Scenario) else Scenario(actors=actors, **fields)
    return explore(
        scenario,
        design,
        strategy=strategy,
        budget=Budget(executions=executions),
        seed=1,
        most=most,
        races=races,
        every_access=every_access,
        max_steps=max_steps,
    )


def told(tally: Exploration, verdict: Verdict) -> dict[str, Any]:
    """The engine's words for a verdict that was found."""
    (found,) = [found for found in tally.found if found.verdict is verdict]
    said: dict[str, Any] = found.outcome["verdict"]
    return said


def outcomes(world: World, strategy: str, executions: int, **parameters: Any) -> Iterator[Outcome]:
    """What each of so many executions showed."""
    world.simulator.begin(strategy, 1, **parameters)
    for _ in range(executions):
        if world.simulator.explore(1, FOREVER) == "exhausted":
            return
        yield world.simulator.outcome()


def first(world: World, verdict: Verdict, words: str = "") -> Outcome:
    """The first execution that shows this verdict, told with these words."""
    for strategy in ("random", "pos", "pct"):
        for outcome in outcomes(world, strategy, 4000):
            said = outcome["verdict"] or {"where": "", "text": ""}
            if world.verdict(outcome) is verdict and words in (said["where"] + said["text"]):
                return outcome
    raise AssertionError(f"no execution shows {verdict} {words}")


def built_in(name: str) -> tuple[Scenario, Design]:
    (scenario,) = load([name])
    return scenario, resolve("sound", scenario.shows)


def word_at(world: World, word: str) -> int:
    """Where a word lies."""
    scratch: int = _sim.fields()["arena"][1]["scratch"][0]
    return scratch + 64 * world.compiled.words.index(word)


def under(word: str, *ops: Op) -> list[Op]:
    return [op.lock(word), *ops, op.unlock(word)]


def both(one: str, two: str) -> list[Op]:
    return under(one, *under(two))


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


def test_a_race_is_found_when_the_clocks_have_wrapped() -> None:
    """A clock has 25 bits: many long executions start it anew, and the shadow with it."""
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


# Waiting for ever.


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
    assert (tally.status, tally.limited) == (Status.INCONCLUSIVE, 1)


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


# Where one may not sleep, and whose lock it is.

PAGE = {"setup": [op.alloc("a", 100)]}
HEADER = (op.lock_header(op.page_of("a")), op.unlock_header(op.page_of("a")))
PG = (op.lock_page(op.page_of("a")), op.unlock_page(op.page_of("a")))
SLEEPS = {
    "under a spinlock": under("L", op.might_sleep()),
    "preemption is off": [op.preempt_disable(), op.might_sleep(), op.preempt_enable()],
    "under a reader's lock": [op.read_lock("L"), op.might_sleep(), op.read_unlock("L")],
    "under a page lock": [HEADER[0], op.might_sleep(), HEADER[1]],
}
MISUSES = {
    "never taken": [op.unlock("L")],
    "twice": [*under("L"), op.unlock("L")],
    "no reader": [op.read_unlock("L")],
    "no writer": [op.write_unlock("L")],
    "kept a PG lock": [PG[0]],
    "kept a page lock": [HEADER[0]],
    "kept preemption off": [op.preempt_disable()],
}
FINE = {
    "outside": [*under("L"), op.preempt_disable(), op.preempt_enable(), op.might_sleep()],
    "PG_locked sleeps": [PG[0], op.might_sleep(), PG[1]],
    "crossed": [op.lock("L"), op.lock("M"), op.unlock("L"), op.unlock("M")],
}


@pytest.mark.parametrize("ops", SLEEPS.values(), ids=SLEEPS)
def test_sleeping_where_one_may_not(ops: list[Op]) -> None:
    assert look({"user": ops}, **PAGE).verdicts == {Verdict.SLEEP_IN_ATOMIC}


@pytest.mark.parametrize("ops", MISUSES.values(), ids=MISUSES)
def test_locks_are_used_as_they_must_not_be(ops: list[Op]) -> None:
    assert look({"user": ops}, **PAGE).verdicts == {Verdict.LOCK_MISUSE}


@pytest.mark.parametrize("ops", FINE.values(), ids=FINE)
def test_locks_are_used_as_they_may_be(ops: list[Op]) -> None:
    assert look({"user": ops}, **PAGE).status in PASSED


def test_an_unlock_by_another_task() -> None:
    holder = [
        op.lock("L"),
        op.store("taken", 1, "release"),
        op.wait_until("done", 1),
        op.unlock("L"),
    ]
    tally = look({"holder": holder, "thief": [op.wait_until("taken", 1), op.unlock("L")]})
    misuse = told(tally, Verdict.LOCK_MISUSE)
    assert (misuse["task"], "owner: task 1" in misuse["text"]) == (1, True)


# The allocator.


@pytest.mark.parametrize(
    ("name", "verdict", "words", "line"),
    [
        ("headless-slots-leak", Verdict.LEAK, "audit", ""),
        ("putback-forgets-unbuddied", Verdict.LOST_PAGE, "audit", ""),
        ("migrate-double-page-lock", Verdict.EAGAIN_CONTRACT, "probe_migration", "verdict("),
        ("slot-read-before-page-lock", Verdict.USE_AFTER_FREE, "access", "zhdr.page_lock"),
        ("migrate-copies-live-header", Verdict.USE_AFTER_FREE, "access", "zhdr.buddy"),
        ("pool-lookup-through-freed-slots", Verdict.USE_AFTER_FREE, "zhdr_to_pool", "verdict("),
        ("isolate-unlinks-outside-pool-lock", Verdict.DATA_RACE, "race", "buddy"),
        ("reclaim-free-lost-length", Verdict.CORRUPTION, "z3fold_map", "bug("),
        ("first-fit-ignores-header-chunks", Verdict.CORRUPTION, "check", "byte, value"),
        ("middle-mapped-one-bit", Verdict.CORRUPTION, "outside the object", "reads_range"),
        (
            "reclaim-ref-before-page-lock",
            Verdict.LIST_CORRUPTION,
            "release_z3fold_page",
            "verdict(",
        ),
        ("reclaim-readds-released-page", Verdict.REFCOUNT, "kref_get", ""),
        ("reclaim-stale-header-on-retry", Verdict.STALE_HANDLE, "z3fold_map", ""),
        ("reclaim-claim-leak", Verdict.INVARIANT, "audit", ""),
        ("atomic-alloc-sleeps", Verdict.SLEEP_IN_ATOMIC, "kmem_cache_alloc", "might_sleep"),
        ("movable-trylock-inverted", Verdict.LOCK_MISUSE, "op_leave", ""),
        ("offline-endless-loop", Verdict.LIVELOCK, "livelock", ""),
        ("destroy-wait-inverted", Verdict.DEADLOCK, "deadlock", ""),
    ],
)
def test_a_defect_is_seen(name: str, verdict: Verdict, words: str, line: str) -> None:
    """And the line that the report names is one of the subject, and touches what it says."""
    scenario, design = built_in(name)
    with World(scenario, design) as world:
        seen = first(world, verdict, words)["verdict"]
    if line and sites.known_lines():
        site = sites.subject_site(sites.resolve([seen["pc"]])[seen["pc"]])
        source = (ROOT / "pyx" / site.file).read_text().splitlines()
        assert line in source[site.line - 1], site
    assert look(scenario, executions=1500).status in PASSED


THREE = [op.alloc("first", 1280), op.alloc("last", 640), op.alloc("middle", 640, fill=True)]
ONE_BIT = resolve("sound", ["middle-mapped-one-bit"])


@pytest.mark.parametrize("design", [SOUND, ONE_BIT], ids=lambda design: design.name)
def test_a_write_that_is_lost_is_not_linearizable(design: Design) -> None:
    """Between map and write the object is moved, so the new version goes where nobody reads."""
    actors = {
        "other": [op.map("middle"), op.unmap("middle")],
        "writer": [op.write("middle"), op.read("middle")],
        "owner": [op.free("first")],
    }
    tally = look(actors, design, races=False, strategy="pct", setup=THREE, arena={"frames": 3})
    assert tally.verdicts == ({Verdict.CORRUPTION} if design is ONE_BIT else set())
    if design is ONE_BIT:
        assert told(tally, Verdict.CORRUPTION)["where"] == "linearizability"


def versions(bracket: Any) -> dict[str, list[Op]]:
    reads = [op.read("a"), op.read("a")]
    programs = {"one": [op.write("a")], "two": [op.write("a")], "reader": reads}
    return {name: bracket(*ops) for name, ops in programs.items()}


def whoever_gets_it(*ops: Op) -> list[Op]:
    """A lock made of a word; who does not get it goes without."""
    return [op.cas("L", 0, 1, "got"), op.when("got", [*ops, op.store("L", 0, "release")])]


def test_writers_and_readers_of_versions() -> None:
    fields: dict[str, Any] = {"setup": [op.alloc("a", 160, fill=True)], "arena": {"frames": 2}}
    for every_access in (False, True):
        tally = look(versions(whoever_gets_it), every_access=every_access, **fields)
        assert tally.status in PASSED, tally.found
    free = versions(lambda *ops: [*ops])
    assert look(free, **fields).verdicts == {Verdict.DATA_RACE}
    torn = look(free, races=False, every_access=True, **fields)
    assert "holds no version that was written" in told(torn, Verdict.CORRUPTION)["text"]


@pytest.mark.parametrize("reads", [60, 70, 200])
def test_a_history_may_be_long(reads: int) -> None:
    actors = {"reader": [op.read("a")] * reads}
    fields: dict[str, Any] = {"setup": [op.alloc("a", 160, fill=True)], "arena": {"frames": 2}}
    assert look(actors, strategy="dfs", **fields).status is Status.COMPLETE


def test_an_expectation() -> None:
    three = [op.set("r", 3)]
    broken = told(look({"a": [*three, op.expect("r", "<", 3, "few")]}), Verdict.INVARIANT)
    assert (broken["where"], "the value is 3" in broken["text"]) == ("expect", True)
    assert look({"a": [*three, op.expect("r", "<=", 3, "few")]}).status in PASSED


def test_an_audit_at_a_quiet_point() -> None:
    """It ends the execution there: what comes after is not reached."""
    ops = [op.alloc("a", 4096), op.free("a"), op.audit(), op.fetch_add("after", 1)]
    with World(Scenario(actors={"a": ops}), resolve("sound", ["headless-slots-leak"])) as world:
        outcome = next(outcomes(world, "random", 1))
        assert world.verdict(outcome) is Verdict.LEAK
        assert not any(world.simulator.scratch())
    assert look({"a": ops}).status in PASSED


def test_a_wild_address_is_a_verdict_and_not_the_end() -> None:
    scenario = Scenario(actors={"a": [op.alloc("a", 640)], "b": under("L")}, arena={"frames": 2})
    with World(scenario, SOUND) as world:
        memory = world.simulator.memory
        at = Layout(memory).arena("pools") + _sim.fields()["pool"][1]["percpu"][0]
        right = bytes(memory[at : at + 8])
        memory[at : at + 8] = struct.pack("=Q", 1 << 33)
        for outcome in outcomes(world, "random", 50):
            assert world.verdict(outcome) is Verdict.CRASH
            assert "wild address" in outcome["verdict"]["text"]
        memory[at : at + 8] = right
        assert all(outcome["ending"] == "done" for outcome in outcomes(world, "random", 200))


@pytest.mark.parametrize("kind", ["page", "slots", "target", "evict"])
@pytest.mark.parametrize("budget", [0, 1, 2])
def test_failures_are_injected_within_their_budget(kind: str, budget: int) -> None:
    actors = {
        "engine": [op.migrate_pages(op.page_of("a"))] * 4,
        "kswapd": [op.reclaim(2), op.reclaim(2)],
        "user": [op.alloc(name, 3000) for name in "bcd"],
    }
    scenario = Scenario(actors=actors, setup=[op.alloc("a", 640, fill=True)], faults={kind: budget})
    seen = set()
    with World(scenario, SOUND) as world:
        for outcome in outcomes(world, "pos", 2000):
            assert outcome["ending"] == "done", outcome
            failed = [choice[2] - 1 for choice in outcome["schedule"] if 0 < choice[2] < DIES]
            assert set(failed) <= {FAULTS.index(kind)}
            seen.add(len(failed))
    assert seen == set(range(budget + 1))
