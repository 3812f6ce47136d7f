"""Strategies that draw: the random walk, PCT, POS and SURW, by their distributions and bounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import comb, factorial, perm
from typing import Any

import pytest
from sampling import (
    BOTH,
    LOCKED_UPDATE,
    execution,
    failures,
    interleavings,
    numbered,
    outcomes,
    schedule_of,
    sharing,
    touching,
    world,
)

from z3fold_stress.explore.world import World
from z3fold_stress.scenario import Op, op

TASK, KIND, OBJECT, NO_POINT = 1, 2, 6, 64
"""Of an event."""


def order_of(here: World, schedule: Sequence[Any], word: str) -> tuple[int, ...]:
    """Which task came when to a word, by the events of a replay."""
    here.simulator.replay(list(schedule), strict=True, record=2)
    points = [event for event in here.simulator.events() if event[KIND] < NO_POINT]
    first = min(event[OBJECT] for event in points)  # words lie in a row, a cache line each
    object_ = first + 64 * here.compiled.words.index(word)
    return tuple(event[TASK] for event in points if event[OBJECT] == object_)


def critical(freedom: int) -> float:
    """The value that chi-square exceeds in one of 1,000 cases (Wilson and Hilferty)."""
    part = 2 / (9 * freedom)
    return float(freedom * (1 - part + 3.0902 * part**0.5) ** 3)


def chi_square(seen: Mapping[Any, int], expected: Mapping[Any, float]) -> float:
    """Of counts against probabilities; what cannot happen must not have happened."""
    assert set(seen) <= set(expected)
    assert sum(expected.values()) == pytest.approx(1)
    total = sum(seen.values())
    return sum((seen.get(x, 0) - total * p) ** 2 / (total * p) for x, p in expected.items())


def fits(seen: Mapping[Any, int], expected: Mapping[Any, float]) -> bool:
    return chi_square(seen, expected) < critical(len(expected) - 1)


def fits_share(found: int, executions: int, share: float) -> bool:
    return fits({True: found, False: executions - found}, {True: share, False: 1 - share})


def uniform(cases: int) -> dict[int, float]:
    return dict.fromkeys(range(cases), 1 / cases)


def ranked(seen: Mapping[Any, int]) -> dict[int, int]:
    """Counts by number, where only how many cases there are is known."""
    return dict(enumerate(seen.values()))


# The random walk.


def walk_distribution(n: int, m: int) -> dict[tuple[int, ...], float]:
    """Of the orders of two tasks where each choice is a fair coin."""

    def walk(n: int, m: int, before: tuple[int, ...], share: float) -> Iterator[Any]:
        if n == 0 or m == 0:
            yield (*before, *(0,) * n, *(1,) * m), share
            return
        yield from walk(n - 1, m, (*before, 0), share / 2)
        yield from walk(n, m - 1, (*before, 1), share / 2)

    return dict(walk(n, m, (), 1.0))


def orders(here: World, strategy: str, executions: int, **parameters: Any) -> Counter[Any]:
    """How often the tasks came to x in which order; profiling executions are left out."""
    every = outcomes(here, strategy, executions, **parameters)
    schedules = Counter(map(schedule_of, numbered(here, every)))
    seen: Counter[Any] = Counter()
    for schedule, times in schedules.items():
        seen[order_of(here, schedule, "x")] += times
    return seen


def test_the_random_walk_is_one() -> None:
    with world(sharing(3, 3)) as here:
        seen = orders(here, "random", 4000)
    assert fits(seen, walk_distribution(3, 3))
    assert not fits(ranked(seen), uniform(20))


# PCT.


def test_pct_of_depth_1_is_a_random_order_of_the_tasks() -> None:
    with world(sharing(2, 2, 2, 2)) as here:
        seen = orders(here, "pct", 3000, depth=1)
    assert all(order[::2] == order[1::2] for order in seen), "nobody is preempted"
    assert len(seen) == factorial(4)
    assert fits(ranked(seen), uniform(factorial(4)))


def test_pct_reaches_its_bound_of_depth_1() -> None:
    """One order of n tasks is wrong, and no preemption is needed: 1/n."""
    others = {f"other{n}": [op.store("x", 1)] for n in range(4)}
    first = {"first": [op.load("x", "r"), op.expect("r", "!=", 0, "somebody was before")]}
    with world({**others, **first}) as here:
        assert fits_share(failures(here, "pct", 3000, depth=1), 3000, 1 / 5)


def between(steps: int) -> dict[str, list[Op]]:
    """Wrong where the reader comes after the third of so many steps of the writer."""
    return {
        "writer": touching("x", steps),
        "reader": [op.load("x", "r"), op.expect("r", "!=", 3, "not here")],
    }


DOUBLED = 15
"""Of sixteen executions this one draws its change points from twice as many steps."""


def share_of_pct(k: int, depth: int) -> float:
    """With two tasks, of what needs one order of them and depth - 1 change points, each at one
    step of k, in one order."""
    return sum(
        part / (2 * perm(steps, depth - 1)) for part, steps in ((15 / 16, k), (1 / 16, 2 * k))
    )


@pytest.mark.parametrize("steps", [5, 20])
def test_pct_reaches_its_bound_of_depth_2(steps: int) -> None:
    """One preemption, at one place: 1/(n k), n 2 and k the writer's steps."""
    with world(between(steps)) as here:
        found = failures(here, "pct", 8000, depth=2)
        assert here.simulator.totals()["longest"] == steps
    assert fits_share(found, 8000, share_of_pct(steps, 2))


TWO_PREEMPTIONS = {
    "a": [op.store("x", 1), op.load("y", "r"), op.expect("r", "!=", 1, "not between")],
    "b": [
        op.load("x", "s"),
        op.when("s", "==", 1, [op.store("y", 1), op.store("y", 0)]),
        *(op.load("z", "s") for _ in range(4)),
    ],
}
"""``a`` is stopped after its store, then ``b`` between its two."""


def test_pct_reaches_its_bound_of_depth_3() -> None:
    """Two preemptions, each at one place, and in this order: better than 1/(n k^2)."""
    with world(TWO_PREEMPTIONS) as here:
        found = failures(here, "pct", 20000, depth=3)
        k = here.simulator.totals()["longest"]
    assert k == 6
    assert fits_share(found, 20000, share_of_pct(k, 3))


def test_pct_finds_nothing_that_is_deeper_than_it_looks() -> None:
    with world(between(5)) as here:
        assert failures(here, "pct", 2000, depth=1) == 0
    with world(TWO_PREEMPTIONS) as here:
        assert failures(here, "pct", 2000, depth=2) == 0


def test_pct_of_a_large_depth() -> None:
    with world(sharing(3, 3)) as here:
        seen = orders(here, "pct", 2000, depth=1000)
    assert len(seen) == comb(6, 3)


def test_pct_goes_on_at_random_where_no_end_is_near() -> None:
    """A profiling execution has no estimate of its length: it becomes a random walk some time.
    Those that follow know better."""
    loop = [op.repeat(3000, [op.store("x", 1)])]
    with world({"a": loop, "b": loop}) as here:
        (first,) = outcomes(here, "pct", 1, depth=1)
        later = execution(here, "pct", 0, depth=1)
    assert first["preemptions"] > 300
    assert later["preemptions"] == 0


def test_pct_draws_as_many_points_as_it_has_steps() -> None:
    """There is no limit on the depth. Where each step is a point the reader comes second where it
    was best, and the writer's second priority is below its own: 1/4."""
    actors = {"writer": touching("x", 150), "reader": [op.load("x", "r")]}
    with world(actors) as here:
        numbers = [number for number in range(3000) if number % 16 != DOUBLED]
        schedules = Counter(
            schedule_of(execution(here, "pct", number, depth=1000)) for number in numbers
        )
        second = sum(
            times
            for schedule, times in schedules.items()
            if order_of(here, schedule, "x")[:2] == (0, 1)
        )
    assert fits_share(second, len(numbers), 1 / 4)


def test_pct_draws_no_step_twice() -> None:
    """Two change points among two steps are both of them: who is best at the first never makes
    it.  Where that is b, either may come next."""
    with world({"a": touching("x", 2), "b": touching("x", 1)}) as here:
        numbers = [number for number in range(2000) if number % 16 != DOUBLED]
        schedules = [schedule_of(execution(here, "pct", number)) for number in numbers]
        assert here.simulator.totals()["longest"] == 2
        seen: Counter[Any] = Counter(order_of(here, each, "x") for each in schedules)
    assert fits(seen, {(1, 0, 0): 1 / 2, (0, 1, 0): 1 / 4, (0, 0, 1): 1 / 4})


# POS.


def test_pos_does_not_count_what_does_not_conflict() -> None:
    """A store after n operations of its own comes before another task's load with 1/(n+2): of so
    many fresh draws the load's must be the lowest.  A random walk would need n+1 coins."""
    writer = [*touching("own", 6), op.store("x", 1)]
    reader = [op.load("x", "r"), op.expect("r", "==", 0, "not yet")]
    with world({"writer": writer, "reader": reader}) as here:
        assert fits_share(failures(here, "pos", 4000), 4000, 1 / 8)
        assert fits_share(failures(here, "random", 4000), 4000, 1 / 2**7)


def test_pos_draws_anew_what_conflicts() -> None:
    """As above, but each operation conflicts with the load, which is drawn anew each time."""
    reader = [op.load("x", "r"), op.expect("r", "!=", 4, "not the last")]
    with world({"writer": touching("x", 4), "reader": reader}) as here:
        assert fits_share(failures(here, "pos", 4000), 4000, 1 / 2**4)


def test_pos_of_loads_alone_has_no_conflict() -> None:
    """Loads of one word do not conflict: the last of five draws must not be the lowest."""
    loads = [op.load("x", "r") for _ in range(4)]
    with world({"writer": [*loads, op.store("x", 1)], "reader": BOTH[:1]}) as here:
        seen = orders(here, "pos", 4000)
    assert fits_share(seen[0, 0, 0, 0, 0, 1], 4000, 1 / 6)


# SURW.


@pytest.mark.parametrize("times", [(3, 3), (1, 5), (1, 2, 3)])
def test_surw_is_uniform(times: tuple[int, ...]) -> None:
    cases = interleavings(*times)
    with world(sharing(*times)) as here:
        seen = orders(here, "surw", 100 * cases)
    assert len(seen) == cases
    assert fits(ranked(seen), uniform(cases))


def test_surw_is_uniform_whatever_happens_between() -> None:
    """Operations that nobody shares, in unequal numbers, do not count."""
    few = [op.store("x", 1), *touching("own1", 9), op.store("x", 2)]
    many = [*touching("own2", 5), op.store("x", 3), op.load("own2", "r"), op.store("x", 4)]
    with world({"few": few, "many": many}) as here:
        seen = orders(here, "surw", 3000)
        walked = orders(here, "random", 3000)
    assert fits(seen, dict.fromkeys(walk_distribution(2, 2), 1 / 6))
    assert not fits(walked, dict.fromkeys(walk_distribution(2, 2), 1 / 6))


def test_surw_keeps_its_profile_from_turn_to_turn() -> None:
    with world(sharing(1, 5)) as here:
        seen = Counter(schedule_of(execution(here, "surw", number)) for number in range(1200))
        total = here.simulator.totals()["executions"]
    assert total == 1, "the last turn profiled nothing anew"
    assert fits(ranked(seen), uniform(6))


def test_surw_draws_an_object_by_how_often_it_is_touched() -> None:
    """y is touched by both and comes first: of the executions that are about y, in which x is
    free, the orders of y are alike; where it is about x, they are as priorities have it."""
    task = [op.store("y", 1), op.store("x", 1), op.store("x", 2), op.load("own", "r")]
    with world({"a": task, "b": task}) as here:
        seen = orders(here, "surw", 2000)
    assert len(seen) == 6
    assert min(seen.values()) > 100


def test_surw_does_not_stop_at_a_lock() -> None:
    """Whoever is intended may wait for a lock whose holder is not: then the holder goes on."""
    actors = {f"task{n}": [*LOCKED_UPDATE, *LOCKED_UPDATE] for n in range(3)}
    with world(actors) as here:
        seen = list(outcomes(here, "surw", 2000))
        assert {outcome["ending"] for outcome in seen} == {"done"}
        schedules = {schedule_of(outcome) for outcome in seen}
        sections = {order_of(here, schedule, "x")[::2] for schedule in schedules}
    assert len(sections) == interleavings(2, 2, 2)


def test_surw_with_nothing_that_is_shared() -> None:
    with world({"a": touching("own1", 2), "b": touching("own2", 2)}) as here:
        seen = {schedule_of(outcome) for outcome in outcomes(here, "surw", 500)}
    assert len(seen) == comb(4, 2)
