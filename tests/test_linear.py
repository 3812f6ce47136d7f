"""Linearizability of registers: the engine's search against all orders, and long histories."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import permutations

import pytest

from z3fold_stress import _sim
from z3fold_stress.designs import resolve
from z3fold_stress.explore.explorer import Budget, Status, explore, limits_met
from z3fold_stress.scenario import Scenario, op

Moment = tuple[int, ...]


@dataclass(slots=True)
class Operation:
    write: bool
    value: int
    call: int
    end: int | None = None


@dataclass(slots=True)
class History:
    """Of one register: moments as the engine takes them, and operations as the oracle does."""

    moments: list[Moment] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)

    def call(self, write: bool, value: int) -> int:
        self.operations.append(Operation(write, value, len(self.moments)))
        self.moments.append((len(self.operations) - 1, 0, int(write), value))
        return len(self.operations) - 1

    def end(self, number: int, value: int) -> None:
        one = self.operations[number]
        one.end = len(self.moments)
        one.value = one.value if one.write else value
        self.moments.append((number, value))


def fits(history: History, initial: int) -> bool:
    """By trying all orders of all choices of what took effect."""
    ended = [one for one in history.operations if one.end is not None]
    open_writes = [one for one in history.operations if one.end is None and one.write]
    choices = (
        [one for bit, one in enumerate(open_writes) if chosen >> bit & 1]
        for chosen in range(1 << len(open_writes))
    )
    return any(_is_order(order, initial) for c in choices for order in permutations(ended + c))


def _is_order(order: Iterable[Operation], initial: int) -> bool:
    value, latest_call = initial, -1
    for one in order:
        if one.end is not None and one.end < latest_call:
            return False
        latest_call = max(latest_call, one.call)
        if not one.write and one.value != value:
            return False
        value = one.value if one.write else value
    return True


def random_history(choose: random.Random) -> History:
    history, running = History(), list[int]()
    for _ in range(choose.randint(3, 12)):
        if running and (choose.random() < 0.5 or len(history.operations) == 6):
            history.end(running.pop(choose.randrange(len(running))), choose.randrange(3))
        elif len(history.operations) < 6:
            running.append(history.call(choose.random() < 0.5, choose.randrange(3)))
    return history


def test_the_search_agrees_with_all_orders() -> None:
    choose = random.Random(1)
    answers = {True: 0, False: 0}
    for _ in range(1500):
        history, initial = random_history(choose), choose.randrange(3)
        expected = fits(history, initial)
        assert _sim.linearizable(history.moments, {0: initial}) is expected, history
        answers[expected] += 1
    assert min(answers.values()) > 300, answers


def sequential(operations: int, wrong: bool) -> list[Moment]:
    """A write and many reads of it, one after the other; at the end, if asked to, another value."""
    history = History()
    history.end(history.call(True, 7), 0)
    for _ in range(operations):
        history.end(history.call(False, 0), 7)
    history.end(history.call(False, 0), 8 if wrong else 7)
    return history.moments


@pytest.mark.parametrize("operations", [62, 63, 64, 70, 127, 128, 1000])
def test_a_history_may_be_long(operations: int) -> None:
    assert _sim.linearizable(sequential(operations, wrong=False), {0: 1}) is True
    assert _sim.linearizable(sequential(operations, wrong=True), {0: 1}) is False


def at_once(writes: int) -> list[Moment]:
    """Writes of different values that overlap, reads of none of them."""
    history = History()
    calls = [history.call(True, number) for number in range(writes)]
    for number in calls:
        history.end(number, 0)
    history.end(history.call(False, 0), 99)
    return history.moments


def test_a_search_that_is_too_long_says_so() -> None:
    assert _sim.linearizable(at_once(10), {0: 1}) is False
    assert _sim.linearizable(at_once(30), {0: 1}) is None
    assert "step limit" in limits_met(3, 0)
    assert limits_met(3, 3).startswith("3 executions have reads and writes of one object")
    assert limits_met(3, 2).startswith("1 executions were cut at the step limit (--max-steps)")
    assert " and 2 executions " in limits_met(3, 2)


def test_any_number_of_objects() -> None:
    """Each has a value of its own at first."""
    count = 200
    moments: list[Moment] = []
    for number in range(count):
        moments += [(number, number, 0, 0), (number, number + 5)]
    assert _sim.linearizable(moments, {number: number + 5 for number in range(count)}) is True
    last_wrong = {number: number + (5 if number < count - 1 else 6) for number in range(count)}
    assert _sim.linearizable(moments, last_wrong) is False


def test_many_reads_of_many_objects_in_a_scenario() -> None:
    names = [f"object{number}" for number in range(70)]
    scenario = Scenario(
        setup=[op.alloc(name, 64, fill=True) for name in names],
        actors={
            "reader": [op.repeat(40, [op.read(names[-1])])],
            "other": [op.repeat(40, [op.read(names[-1])]), op.read(names[0])],
        },
        arena={"frames": 32, "slots": 32},
    )
    tally = explore(
        scenario, resolve("sound"), strategy="pos", budget=Budget(executions=20), seed=1
    )
    assert tally.status is Status.CLEAN
    assert tally.limited == 0
