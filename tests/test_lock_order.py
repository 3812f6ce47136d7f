"""Orders of locks that could deadlock: told where two tasks can meet, and nowhere else.

The judge is the exhaustive search: what it shows to be free of deadlocks must carry no warning.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from commanding import Run

from z3fold_stress.campaign import fuzz as fuzzing
from z3fold_stress.campaign.fuzz import FuzzSettings, fuzz
from z3fold_stress.designs import resolve
from z3fold_stress.explore.explorer import Budget, Exploration, Status, explore_world
from z3fold_stress.explore.names import Names
from z3fold_stress.explore.portfolio import Arm, arms_of
from z3fold_stress.explore.world import World
from z3fold_stress.findings.finding import make_finding
from z3fold_stress.findings.replay import Result, replay
from z3fold_stress.pytest_plugin.options import settle
from z3fold_stress.scenario import Op, Scenario, op
from z3fold_stress.verdicts import Verdict

pytest_plugins = ["pytester"]

SOUND = resolve("sound")
ALL, SERIAL = Arm("dfs", depth=-1), Arm("dfs", depth=0)
"""Every execution; and those in which nobody is preempted, so that no deadlock strikes."""

Actors = Mapping[str, Sequence[Op]]


def under(word: str, *ops: Op) -> list[Op]:
    return [op.lock(word), *ops, op.unlock(word)]


def reading(word: str, *ops: Op) -> list[Op]:
    return [op.read_lock(word), *ops, op.read_unlock(word)]


def writing(word: str, *ops: Op) -> list[Op]:
    return [op.write_lock(word), *ops, op.write_unlock(word)]


AB, BA = under("A", *under("B")), under("B", *under("A"))


def look(actors: Actors, arm: Arm = ALL, **fields: Any) -> Exploration:
    scenario = Scenario(actors=actors, finish=[], **fields)
    with World(scenario, SOUND) as world:
        return explore_world(world, (arm,), budget=Budget(executions=20_000), most=9)


def cycles(tally: Exploration) -> set[frozenset[str]]:
    """Of each warning, "AB" for who waits for B with A held."""
    with World(tally.scenario, SOUND) as world:
        name = Names(world).lock_class
        return {
            frozenset(
                name(step["held"]["class"]) + name(step["wanted"]["class"])
                for step in found.outcome["cycle"]
            )
            for found in tally.warnings
        }


MEET: dict[str, tuple[Actors, set[str]]] = {
    "two": ({"one": AB, "two": BA}, {"AB", "BA"}),
    "three": (
        {f"task{n}": under(a, *under(b)) for n, (a, b) in enumerate(("AB", "BC", "CA"))},
        {"AB", "BC", "CA"},
    ),
    "what was tried is held": (
        {
            "one": AB,
            "two": [op.trylock("B", "t"), op.when("t", [*under("A"), op.unlock("B")])],
        },
        {"AB", "BA"},
    ),
    "a reader behind a writer": (
        {"one": writing("A", *reading("B")), "two": writing("B", *reading("A"))},
        {"AB", "BA"},
    ),
    "a writer behind a reader": (
        {"one": reading("A", *writing("B")), "two": reading("B", *writing("A"))},
        {"AB", "BA"},
    ),
    "a gate that both only read": (
        {"one": reading("G", *AB), "two": reading("G", *BA)},
        {"AB", "BA"},
    ),
    "the gate was left": (
        {"one": under("G", *AB), "two": [*under("G"), *BA]},
        {"AB", "BA"},
    ),
    "a flag after both": (
        {"one": [*AB, op.store("f", 1, "release")], "two": [*BA, op.wait_until("f", 1)]},
        {"AB", "BA"},
    ),
    "more than one lock is held": (
        {"one": under("X", *under("A", *under("B"))), "two": under("B", *under("Y", *under("A")))},
        {"AB", "BA"},
    ),
}


@pytest.mark.parametrize(("actors", "cycle"), MEET.values(), ids=MEET)
def test_it_warns_where_no_deadlock_strikes(actors: Actors, cycle: set[str]) -> None:
    """No execution goes wrong, so the status is a pass; and the deadlock is there."""
    serial = look(actors, SERIAL)
    assert (serial.status, serial.found) == (Status.COMPLETE, [])
    assert frozenset(cycle) in cycles(serial)
    assert Verdict.DEADLOCK in look(actors).verdicts


APART: dict[str, Actors] = {
    "one order": {"one": AB, "two": AB},
    "three in order": {
        f"task{n}": under(a, *under(b)) for n, (a, b) in enumerate(("AB", "BC", "AC"))
    },
    "a try waits for nobody": {
        "one": AB,
        "two": under("B", op.trylock("A", "t"), op.when("t", [op.unlock("A")])),
    },
    "one task": {"one": [*AB, *BA]},
    "one task, beside another": {"one": [*AB, *BA], "two": [*under("A"), *under("B")]},
    "an outer lock": {"one": under("G", *AB), "two": under("G", *BA)},
    "an outer lock, written and read": {"one": writing("G", *AB), "two": reading("G", *BA)},
    "readers": {"one": reading("A", *reading("B")), "two": reading("B", *reading("A"))},
    "readers, one writes": {"one": reading("A", *reading("B")), "two": reading("B", *writing("A"))},
    "the same read lock twice": {
        "one": reading("A", *reading("A")),
        "two": reading("A", *reading("A")),
    },
    "a flag": {"one": [*AB, op.store("f", 1, "release")], "two": [op.wait_until("f", 1), *BA]},
    "a flag, by way of a third": {
        "one": [*AB, op.store("f", 1, "release")],
        "other": [op.wait_until("f", 1), op.fetch_add("g", 1)],
        "two": [op.wait_while("g", 0), *BA],
    },
    "a join": {
        "one": [*AB, op.store("done", 1, "release")],
        "joins": [op.wait_until("done", 1), *BA, op.store("done", 2, "release")],
    },
    "three, one outer lock of two": {
        "one": under("G", *AB),
        "two": under("B", *under("C")),
        "three": under("G", *under("C", *under("A"))),
    },
}


@pytest.mark.parametrize("actors", APART.values(), ids=APART)
@pytest.mark.parametrize("arm", [ALL, SERIAL], ids=["all", "serial"])
def test_it_is_silent_where_none_can(actors: Actors, arm: Arm) -> None:
    tally = look(actors, arm)
    assert tally.status is Status.COMPLETE
    assert (tally.found, tally.warnings, tally.order_given_up) == ([], [], 0)


def drawn(draw: random.Random) -> Actors:
    """Two or three tasks with a few sections, and flags that one waits for."""
    words = "ABC"

    def section(depth: int, held: str) -> list[Op]:
        word = draw.choice(words)
        if word in held:
            return []
        inside = [
            step
            for _ in range(draw.randint(0, 2) if depth else 0)
            for step in section(depth - 1, held + word)
        ]
        how = draw.choice([under, under, reading, writing])
        # A word is either a spinlock or a reader-writer lock.
        return (
            under(word, *inside)
            if word == "A"
            else (reading(word, *inside) if how is reading else writing(word, *inside))
        )

    tasks = [
        [step for _ in range(draw.randint(1, 2)) for step in section(2, "")]
        for _ in range(draw.choice([2, 2, 3]))
    ]
    if draw.random() < 0.4:
        tasks[0].append(op.store("f", 1, "release"))
        tasks[1].insert(0, op.wait_until("f", 1))
    return {f"task{n}": ops or [op.load("x", "r")] for n, ops in enumerate(tasks)}


def test_random_programs_are_warned_of_as_they_deserve() -> None:
    """Straight-line programs of locks and flags: those that cannot deadlock carry no warning,
    and nearly all of those that can do, by executions in which nothing goes wrong."""
    draw = random.Random(7)
    judged = {True: 0, False: 0}
    warned = 0
    for _ in range(600):
        actors = drawn(draw)
        whole = look(actors, Arm("dpor", depth=-1))
        if whole.status not in (Status.COMPLETE, Status.FOUND):
            continue
        stuck = Verdict.DEADLOCK in whole.verdicts
        judged[stuck] += 1
        serial = look(actors, SERIAL)
        if not stuck:
            assert (serial.warnings, whole.warnings) == ([], []), actors
        elif Verdict.DEADLOCK not in serial.verdicts:
            warned += bool(serial.warnings)
    assert judged[False] > 300
    assert judged[True] > 40
    assert warned > 0.9 * judged[True]


def test_there_is_no_limit_on_locks_and_edges() -> None:
    """Hundreds of locks in one order, many tasks, and at last two in both orders."""
    words = [f"w{n}" for n in range(14)]
    nested: list[Op] = []
    for word in reversed(words):
        nested = under(word, *nested)
    pairs = [step for a in range(14) for b in range(a + 1, 14) for step in
             under(words[a], *under(words[b]))]  # fmt: skip
    actors = {f"t{n}": [*nested, *pairs] for n in range(3)}
    assert look(actors, SERIAL).warnings == []
    actors["last"] = under("w13", *under("w12"))
    assert frozenset({"w12w13", "w13w12"}) in cycles(look(actors, SERIAL))


def test_each_cycle_is_told_once() -> None:
    """And one does not hide another."""
    actors = {
        "one": [*AB, *under("C", *under("D"))],
        "two": [*BA, *under("D", *under("C"))],
    }
    for arm in (SERIAL, Arm("random")):
        tally = look(actors, arm)
        told = cycles(tally)
        assert told == {frozenset({"AB", "BA"}), frozenset({"CD", "DC"})}
        assert len(tally.warnings) == 2


def test_a_warning_replays() -> None:
    with World(Scenario(actors={"one": AB, "two": BA}), SOUND) as world:
        tally = explore_world(world, (SERIAL,), budget=Budget(executions=10))
        finding, evidence = make_finding(world, tally.warnings[0])
    assert finding.verdict is Verdict.LOCK_ORDER
    assert {side.what for side in evidence.sides} == {
        "waits for B with A held",
        "waits for A with B held",
    }
    assert replay(finding).result is Result.IDENTICAL


ABBA = """
from z3fold_stress import Scenario, op
def pair(a, b):
    return [op.lock(a), op.lock(b), op.unlock(b), op.unlock(a)]
scenario = Scenario(actors={"one": pair("A", "B"), "two": pair("B", "A")}, expect=EXPECT)
"""


@pytest.mark.parametrize(
    ("expect", "options", "status"),
    [((), [], 0), ((), ["--strict-order"], 1), (("lock-order",), [], 1)],
)
def test_a_warning_is_a_failure_only_if_asked_for(
    run: Run, tmp_path: Path, expect: tuple[str, ...], options: list[str], status: int
) -> None:
    path = tmp_path / "abba.py"
    path.write_text(ABBA.replace("EXPECT", repr(expect)))
    asked = ["explore", str(path), "--strategy", "dfs", "--bound", "0", "--no-save", "--no-store"]
    done = run(*asked, *options)
    assert done.status == status, done
    if not status:
        assert "warning: lock order: " in done.out
    (trail,) = run(*asked, *options, "--json").json()["trails"]
    named = trail["findings" if status else "warnings"]
    assert [value["verdict"] for value in named] == ["lock-order"]
    assert not trail["warnings" if status else "findings"]


@pytest.mark.parametrize("strict", [False, True])
def test_fuzz_takes_it_for_a_failure_only_if_asked_to(
    run: Run, strict: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = Scenario(name="abba", actors={"one": AB, "two": BA})
    monkeypatch.setattr(fuzzing, "generate", lambda seed, number: scenario)
    monkeypatch.setattr(fuzzing, "ARMS", arms_of("dfs", 0))
    settings = FuzzSettings("sound", 1, strict_order=strict)
    done = fuzz(settings, seconds=None, programs=1, processes=1)
    told = {str(f.verdict) for f in done.findings.values()}
    warned = {str(f.verdict) for f in done.warnings.values()}
    assert ("lock-order" in told, "lock-order" in warned) == (strict, not strict)
    command = ["fuzz", "--programs", "1", "--jobs", "1", "--no-save", "--no-store"]
    assert run(*command, *(["--strict-order"] * strict)).status == strict


def test_pytest_takes_it_for_a_failure_only_if_asked_to(pytester: pytest.Pytester) -> None:
    """By the command line, the ini file or the marker."""
    pytester.makepyfile(
        ABBA.replace("EXPECT", "()")
        + """
import pytest

@pytest.mark.z3fold_stress(strategy="dfs", bound=0)
def test_asked():
    return scenario

@pytest.mark.z3fold_stress(strategy="dfs", bound=0, strict_order=True)
def test_strict():
    return scenario

@pytest.mark.z3fold_stress(strategy="dfs", bound=0, strict_order=False)
def test_lax():
    return scenario
"""
    )
    quiet = ("-p", "no:cacheprovider", "-p", "no:xdist", "--hunt-store=off")
    for more, failed in (
        ((), 1),
        (("--hunt-strict-order",), 2),
        (("-o", "hunt_strict_order=true"), 2),
    ):
        done = pytester.runpytest_subprocess(*quiet, *more)
        done.assert_outcomes(passed=3 - failed, failed=failed)
        done.stdout.fnmatch_lines(["FOUND lock-order: *"])
    with pytest.raises(pytest.UsageError, match="hunt_strict_order: 'maybe' is neither true nor"):
        settle(pytester.parseconfig("-o", "hunt_strict_order=maybe"))


def test_the_correct_protocol_carries_no_warning() -> None:
    """Page locks, pool locks, slots, migration, reclaim and workers, at once."""
    scenario = Scenario(
        setup=[op.alloc("a", 1200, fill=True), op.alloc("b", 900, fill=True)],
        actors={
            "user": [op.map("a"), op.check("a"), op.unmap("a"), op.free("b"), op.alloc("c", 600)],
            "engine": [op.migrate_pages(op.page_of("a"), passes=2)],
            "kswapd": [op.reclaim(1)],
            "kworker": [op.kworker("compact")],
        },
    )
    with World(scenario, SOUND) as world:
        tally = explore_world(world, arms_of("portfolio"), budget=Budget(executions=20_000))
    assert tally.status is Status.CLEAN
    assert (tally.warnings, tally.order_given_up) == ([], 0)
