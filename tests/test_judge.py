"""The judge itself, without the engine: cases whose answer is known, and the same answers by a
second way: every interleaving one by one, and happens-before as paths in a graph.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from judge import classes
from judge.generate import FEATURES, generate
from judge.machine import Event, Fence, Machine
from judge.program import NotJudged, program_of
from judge.search import State, TooLarge, ask, moves

from z3fold_stress import Scenario, op
from z3fold_stress.scenario.library import load_file
from z3fold_stress.scenario.value import Op

CASES = Path(__file__).parent / "judge" / "cases"
ANSWERS = sorted(
    {
        (row["case"], row["verdict"])
        for row in csv.DictReader((CASES / "answers.csv").open(encoding="utf-8"))
    }
)


def verdicts(*actors: list[Op], **more: Any) -> set[str]:
    """All that can be found when these run side by side."""
    named = dict(zip("abcdef", actors, strict=False))
    more.setdefault("finish", [])
    return ask(program_of(Scenario(actors=named, **more))).verdicts


@pytest.mark.parametrize(("case", "verdict"), ANSWERS)
def test_cases(case: str, verdict: str) -> None:
    (scenario,) = load_file(CASES / f"{case}.py")
    assert ask(program_of(scenario)).verdicts == ({verdict} if verdict else set())


def test_what_it_does_not_know_it_says() -> None:
    with pytest.raises(NotJudged, match="alloc"):
        program_of(Scenario(actors={"a": [op.alloc("o", 64)]}))
    with pytest.raises(NotJudged, match="failures"):
        program_of(Scenario(actors={"a": [op.store("w", 1)]}, faults={"page": 1}))
    many = {name: [op.fetch_add("w", 1)] * 6 for name in "abcd"}
    with pytest.raises(TooLarge):
        ask(program_of(Scenario(actors=many)), most=100)


# Operations, one by one.


@pytest.mark.parametrize(
    ("ops", "register", "value"),
    [
        ([op.set("r", 5), op.add("r", -7)], "r", -2),
        ([op.set("r", 3), op.multiply("r", -4), op.move("s", "r")], "s", -12),
        ([op.set("r", 2**62), op.multiply("r", 2)], "r", -(2**63)),
        ([op.set("r", 1), op.repeat(3, [op.add("r", "r")])], "r", 8),
        ([op.set("r", 1), op.when("r", "<", 1, [op.set("r", 9)])], "r", 1),
        ([op.set("r", 0), op.unless("r", [op.set("r", 9)])], "r", 9),
        ([op.fetch_add("w", -1), op.load("w", "r")], "r", -1),
        ([op.fetch_add("w", 4), op.exchange("w", 9, "r")], "r", 4),
        ([op.cas("w", 0, 7, "r"), op.load("w", "s"), op.add("s", "r")], "s", 8),
        ([op.cas("w", 1, 7, "r"), op.load("w", "s"), op.add("s", "r")], "s", 0),
        ([op.trylock("L", "r")], "r", 1),
        ([op.lock("L"), op.trylock("L", "r"), op.unlock("L")], "r", 0),
        ([op.lock("L"), op.load("L", "r"), op.unlock("L")], "r", 0x401),
        ([op.lock("L"), op.unlock("L"), op.load("L", "r")], "r", 0x400),
        ([op.read_lock("R"), op.read_lock("R"), op.load("R", "r")], "r", 0x800),
        ([op.write_lock("R"), op.load("R", "r"), op.write_unlock("R")], "r", 1),
    ],
)
def test_operations(ops: list[Op], register: str, value: int) -> None:
    right = [*ops, op.expect(register, "==", value, "as said")]
    assert "invariant" not in verdicts(right)
    assert "invariant" in verdicts([*ops, op.expect(register, "!=", value, "as said")])


@pytest.mark.parametrize(
    ("actors", "expected"),
    [
        ([[op.unlock("L")]], {"lock-misuse"}),
        ([[op.lock("L")]], {"lock-misuse"}),
        ([[op.lock("L"), op.lock("L")]], {"deadlock"}),
        ([[op.read_lock("R"), op.write_lock("R")]], {"deadlock"}),
        ([[op.write_lock("R"), op.read_lock("R")]], {"deadlock"}),
        ([[op.read_lock("R"), op.read_lock("R"), *[op.read_unlock("R")] * 2]], set()),
        ([[op.read_lock("R"), op.write_unlock("R")]], {"lock-misuse"}),
        ([[op.write_lock("R"), op.read_unlock("R")]], {"lock-misuse"}),
        ([[op.lock("L"), op.sleep("s"), op.unlock("L")]], {"sleep-in-atomic"}),
        ([[op.preempt_disable(), op.might_sleep(), op.preempt_enable()]], {"sleep-in-atomic"}),
        ([[op.preempt_disable(), op.preempt_enable(), op.might_sleep()]], set()),
        ([[op.store("L", 999), op.lock("L")]], {"corruption"}),
        ([[op.wait_until("w", 1)]], {"deadlock"}),
        ([[op.wait_while("w", 1)]], set()),
        ([[op.wait_until("w", 1)], [op.store("w", 1, "release")]], set()),
        ([[op.sleep("s")], [op.wake("s")]], {"deadlock"}),
        ([[op.sleep("s")], [op.wake("s"), op.wake("s")]], {"deadlock"}),
        ([[op.lock("L"), op.unlock("L")], [op.lock("L"), op.unlock("L")]], set()),
    ],
)
def test_what_ends_an_execution(actors: list[list[Op]], expected: set[str]) -> None:
    assert verdicts(*actors) == expected


def test_a_deadlock_that_may_be_is_an_end() -> None:
    waits = Scenario(actors={"a": [op.wait_until("w", 1)]}, finish=[], deadlock_ok=True)
    answer = ask(program_of(waits))
    assert (answer.verdicts, answer.finals) == (set(), {(0,)})


LOCKED = [op.lock("L"), op.unlock("L")]


@pytest.mark.parametrize(
    ("mortal", "other", "expected"),
    [
        (LOCKED, [op.store("x", 1)], {"orphaned-lock"}),
        (LOCKED, LOCKED, {"orphaned-lock"}),
        ([op.lock("L")], [op.store("x", 1)], {"orphaned-lock", "lock-misuse"}),
        ([op.store("x", 1, "release")], [op.wait_until("x", 1)], {"deadlock"}),
        ([op.store("x", 1, "release")], [op.wait_until("x", 0)], {"deadlock"}),
        ([op.read_lock("R"), op.read_unlock("R")], [op.read_lock("R"), op.read_unlock("R")], "R"),
        ([op.store("x", 1, "release")], [op.load("y", "r")], set()),
    ],
)
def test_deaths(mortal: list[Op], other: list[Op], expected: set[str]) -> None:
    found = verdicts(mortal, other, deaths=["a"])
    assert found == ({"orphaned-lock"} if expected == "R" else expected)
    assert "orphaned-lock" not in verdicts(mortal, other)


def test_a_try_may_fail_for_no_reason_as_often_as_it_may() -> None:
    tried = [op.trylock("L", "t"), op.when("t", [op.unlock("L")])]
    never = [*tried, op.expect("t", "==", 1, "free, so taken")]
    assert verdicts(never) == set()
    assert verdicts(never, faults={"trylock": 1}) == {"invariant"}
    twice = [*tried, op.move("s", "t"), *tried, op.add("s", "t"), op.expect("s", "!=", 0, "once")]
    assert verdicts(twice, faults={"trylock": 1}) == set()
    assert verdicts(twice, faults={"trylock": 2}) == {"invariant"}


def test_the_finish_knows_everything_and_runs_last() -> None:
    add = [op.load("n", "r", "relaxed"), op.add("r", 1), op.store("n", "r", "relaxed")]
    for wanted in (1, 2, 3):
        finish = [op.load("n", "r"), op.expect("r", "!=", wanted, "not this")]
        assert ("invariant" in verdicts(add, add, finish=finish)) == (wanted < 3)


# Order: each rule, where it orders and where it does not.

WRITE, READ = [op.store("data", 1)], [op.load("data", "d")]


def handed(before: list[Op], after: list[Op], flag: int = 1, others: tuple[list[Op], ...] = ()):
    """One writes data, then does ``before``; another reads it when ``after`` has seen the flag."""
    return verdicts([*WRITE, *before], [*after, op.when("f", "==", flag, READ)], *others)


def seen(order: Any) -> list[Op]:
    return [op.load("flag", "f", order)]


RELEASE, RELAXED = op.store("flag", 1, "release"), op.store("flag", 1, "relaxed")
BY_B = [op.load("flag", "g", "relaxed")]


@pytest.mark.parametrize(
    ("before", "after", "flag", "others", "racy"),
    [
        ([RELEASE], seen("acquire"), 1, (), False),
        ([RELEASE], seen("relaxed"), 1, (), True),
        ([RELAXED], seen("acquire"), 1, (), True),
        ([op.fetch_add("flag", 1)], seen("acquire"), 1, (), False),
        ([RELEASE], [op.wait_until("flag", 1), op.set("f", 1)], 1, (), False),
        ([RELAXED], [op.wait_until("flag", 1), op.set("f", 1)], 1, (), True),
        ([RELEASE], [op.exchange("flag", 5, "f")], 1, (), False),
        ([RELEASE], [op.cas("flag", 1, 5, "f")], 1, (), False),
        # a compare-and-swap that fails acquires nothing: 0 tells that it saw the 1
        ([RELEASE], [op.cas("flag", 0, 0, "f")], 0, (), True),
        # read-modify-writes of others continue the sequence, and their stores end it
        ([RELEASE], seen("acquire"), 2, ([*BY_B, op.when("g", [op.fetch_add("flag", 1)])],), False),
        (
            [RELEASE],
            seen("acquire"),
            2,
            ([*BY_B, op.when("g", [op.store("flag", 2, "relaxed")])],),
            True,
        ),
        (
            [RELEASE],
            seen("acquire"),
            2,
            ([*BY_B, op.when("g", [op.store("flag", 2, "release")])],),
            True,
        ),
        # fences: what is stored after a release, and read before an acquire
        ([op.fence("release"), RELAXED], seen("acquire"), 1, (), False),
        ([RELEASE], [*seen("relaxed"), op.fence("acquire")], 1, (), False),
        ([op.fence("release"), RELAXED], [*seen("relaxed"), op.fence("acquire")], 1, (), False),
        ([op.fence("acq_rel"), RELAXED], [*seen("relaxed"), op.fence("acq_rel")], 1, (), False),
        ([op.fence("seq_cst"), RELAXED], [*seen("relaxed"), op.fence("seq_cst")], 1, (), False),
        ([op.fence("acquire"), RELAXED], [*seen("relaxed"), op.fence("acquire")], 1, (), True),
        ([op.fence("release"), RELAXED], [*seen("relaxed"), op.fence("release")], 1, (), True),
        ([op.fence("release"), RELAXED], seen("relaxed"), 1, (), True),
        ([RELAXED, op.fence("release")], seen("acquire"), 1, (), True),
        ([RELEASE], [op.fence("acquire"), *seen("relaxed")], 1, (), True),
        # a fence acquires what a failing compare-and-swap saw, and a release of another's word
        ([RELEASE], [op.cas("flag", 0, 0, "f"), op.fence("acquire")], 0, (), False),
        (
            [op.fence("release"), op.store("x", 1, "relaxed"), RELAXED],
            seen("acquire"),
            1,
            (),
            False,
        ),
        # what a fence released goes on in what others add, and ends where they store
        (
            [op.fence("release"), RELAXED],
            seen("acquire"),
            2,
            ([*BY_B, op.when("g", [op.fetch_add("flag", 1)])],),
            False,
        ),
        (
            [op.fence("release"), RELAXED],
            seen("acquire"),
            2,
            ([*BY_B, op.when("g", [op.store("flag", 2, "relaxed")])],),
            True,
        ),
        # its own relaxed store continues it
        ([RELEASE, op.store("flag", 2, "relaxed")], seen("acquire"), 2, (), False),
        ([RELEASE, op.store("flag", 2, "release")], seen("acquire"), 2, (), False),
    ],
)
def test_release_and_acquire(
    before: list[Op], after: list[Op], flag: int, others: tuple[list[Op], ...], racy: bool
) -> None:
    assert handed(before, after, flag, others) - {"deadlock"} == ({"data-race"} if racy else set())


def locked(kind: str, ops: list[Op]) -> list[Op]:
    take, give = {
        "spin": (op.lock, op.unlock),
        "read": (op.read_lock, op.read_unlock),
        "write": (op.write_lock, op.write_unlock),
    }[kind]
    return [take("L"), *ops, give("L")]


@pytest.mark.parametrize(
    ("one", "other", "racy"),
    [
        ("spin", "spin", False),
        ("write", "write", False),
        ("read", "write", False),
        ("write", "read", False),
        ("read", "read", True),
    ],
)
def test_locks_order(one: str, other: str, racy: bool) -> None:
    assert ("data-race" in verdicts(locked(one, WRITE), locked(other, READ))) == racy


def test_a_failed_try_orders_nothing() -> None:
    tried = [op.trylock("L", "t"), op.when("t", [op.unlock("L")])]
    order = [op.store("x", 1, "relaxed"), *tried]
    late = [op.load("x", "r", "relaxed"), op.when("r", [*tried, op.unless("t", READ)])]
    assert verdicts([*WRITE, *order], late) == {"data-race"}


@pytest.mark.parametrize("raw", [op.load("L", "r"), op.store("L", 0)])
def test_a_plain_access_of_a_lock_word_races_with_the_lock(raw: Op) -> None:
    assert "data-race" in verdicts([op.lock("L"), op.unlock("L")], [raw])
    assert "data-race" not in verdicts(
        [op.lock("L"), op.unlock("L")], [op.load("L", "r", "relaxed")]
    )


@pytest.mark.parametrize(
    ("one", "other", "racy"),
    [
        (op.load("w", "r"), op.load("w", "r"), False),
        (op.load("w", "r"), op.store("w", 1), True),
        (op.load("w", "r"), op.store("w", 1, "release"), True),
        (op.load("w", "r", "relaxed"), op.store("w", 1), True),
        (op.load("w", "r", "relaxed"), op.store("w", 1, "relaxed"), False),
        (op.load("w", "r"), op.load("w", "r", "acquire"), False),
        (op.load("w", "r"), op.cas("w", 5, 6, "c"), False),
        (op.load("w", "r"), op.cas("w", 0, 6, "c"), True),
        (op.store("w", 1), op.cas("w", 5, 6, "c"), True),
        (op.store("w", 1), op.wait_while("w", 2), True),
        (op.load("w", "r"), op.wait_while("w", 2), False),
    ],
)
def test_which_pairs_race(one: Op, other: Op, racy: bool) -> None:
    assert verdicts([one], [other]) == ({"data-race"} if racy else set())


# Equivalence classes.


@pytest.mark.parametrize(
    ("actors", "number"),
    [
        ([[op.fetch_add("w", 1)]] * 4, math.factorial(4)),
        ([[op.fetch_add("w", 1)] * 2] * 2, math.comb(4, 2)),
        ([[op.load("w", "r")]] * 3, 1),
        ([[op.load("w", "r")]] * 2 + [[op.store("w", 1)]], 4),
        ([[op.store(word, 1)] for word in "xyz"], 1),
        ([locked("spin", [op.store("d", 1)])] * 3, math.factorial(3)),
        ([[op.wait_until("w", 1), op.store("x", 1)], [op.store("w", 1)]], 1),
        ([[op.cas("w", 5, 6, "r")]] * 3, 1),
        # one reads what the others write, each its own word (readers, of the literature)
        ([[op.store("x", 1)], *[[op.load("x", "r"), op.store(w, 1)] for w in "abcd"]], 2**4),
    ],
)
def test_classes(actors: list[list[Op]], number: int) -> None:
    named = dict(zip("abcdef", actors, strict=False))
    assert classes.count(program_of(Scenario(actors=named, finish=[]))) == number


# The second way.

Executed = list[tuple[int, Event]]
"""A fence too, as an event of no word."""


def passed(task: int, fences: Iterable[Fence]) -> Executed:
    return [
        (task, Event("fence", -1, False, False, True, fence.acquires, fence.releases))
        for fence in fences
    ]


def executions(machine: Machine, state: State, done: Executed) -> Iterator[tuple[State, Executed]]:
    """Every interleaving to its end; what was done is left out where a verdict ends it."""
    ways = moves(machine, state)
    if not ways:
        yield state, done
    for task, after, step in ways:
        assert step is not None
        if step.verdict:
            yield state, [*done, *([(task, step.event)] if step.event else [])]
        else:
            fences = passed(task, step.fences)
            yield from executions(machine, after, [*done, (task, step.event), *fences])


def edges(done: Executed) -> set[tuple[int, int]]:
    """Of one execution: what comes before what, directly."""
    made = set()
    for late, (task, event) in enumerate(done):
        before = [n for n in range(late) if done[n][0] == task]
        if before:
            made.add((before[-1], late))
        if event.what == "fence" and event.acquires:
            looked = [n for n in before if done[n][1].reads and done[n][1].atomic]
            for n in (n for n in looked if not done[n][1].what.endswith("unlock")):
                word = done[n][1].word
                made |= {
                    (head, late)
                    for head in heads(done, [m for m in range(n) if done[m][1].word == word])
                }
            continue
        if not event.acquires:
            continue
        same = [n for n in range(late) if done[n][1].word == event.word]
        if event.what in ("read_lock", "write_lock"):
            made |= {(n, late) for n in same if done[n][1].what == "write_unlock"}
            if event.what == "write_lock":
                made |= {(n, late) for n in same if done[n][1].what == "read_unlock"}
        else:
            made |= {(n, late) for n in heads(done, same)}
    return made


def heads(done: Executed, same: list[int]) -> Iterator[int]:
    """The releases in whose sequences the last store of a word is."""
    stores = [n for n in same if done[n][1].writes]
    while stores:
        last, (task, event) = stores[-1], done[stores[-1]]
        if event.releases:
            yield last
        if not event.atomic:
            return
        if event.what == "store" and not event.releases:
            # RC11: its own earlier releases, unless a plain store began the word anew
            plain = [n for n in stores if not done[n][1].atomic]
            own = [n for n in stores if done[n][0] == task and done[n][1].releases]
            yield from (n for n in own if not plain or n > plain[-1])
            yield from (
                n
                for n in range(last)
                if done[n][0] == task and done[n][1].what == "fence" and done[n][1].releases
            )
        if not event.reads or event.what.endswith("unlock"):
            return
        stores.pop()


def racy(done: Executed) -> bool:
    reach: list[set[int]] = []
    before = edges(done)
    for late in range(len(done)):
        direct = [n for n, to in before if to == late]
        reach.append(set(direct).union(*(reach[n] for n in direct)))
    return any(
        done[one][0] != done[other][0]
        and done[one][1].word == done[other][1].word
        and not (done[one][1].atomic and done[other][1].atomic)
        and (done[one][1].writes or done[other][1].writes)
        and one not in reach[other]
        for one, other in itertools.combinations(range(len(done)), 2)
    )


def by_normal_form(done: Executed) -> tuple[tuple[int, Event], ...]:
    """The least of all orders that swaps of independent neighbours can make."""
    left, made = list(enumerate(done)), []
    while left:
        free = []
        for at, (n, (task, event)) in enumerate(left):
            if not any(
                task == other or (event.word == that.word and (event.writes or that.writes))
                for _, (other, that) in left[:at]
            ):
                free.append((task, n, at))
        _, _, at = min(free)
        made.append(left.pop(at)[1])
    return tuple(made)


@pytest.mark.parametrize("part", range(4))
def test_every_interleaving_one_by_one_says_the_same(part: int) -> None:
    features = FEATURES - {"setup", "deaths", "faults"}
    compared = races = fenced = 0
    for number in range(part, 600, 4):
        program = program_of(generate(77, number, features))
        machine = Machine(program)
        begun = [machine.begin(task) for task in range(program.actors)]
        start = tuple(one.local for one in begun), program.initial, (0, 0)
        first = [each for task, one in enumerate(begun) for each in passed(task, one.fences)]
        every = list(itertools.islice(executions(machine, start, first), 300))
        if len(every) == 300:
            continue
        answer = ask(program)
        ended = {
            state[1]
            for state, _ in every
            if all(machine.ended(task, one) for task, one in enumerate(state[0]))
            and not any(one.held for one in state[0])
        }
        assert ended == answer.finals, number
        assert any(racy(done) for _, done in every) == answer.racy, number
        if not answer.ends:
            assert len({by_normal_form(done) for _, done in every}) == classes.count(program)
        compared += 1
        races += answer.racy
        fenced += any(one.what == "fence" for code in program.tasks for one in code)
    assert compared > 80
    assert races > 10
    assert fenced > 10
