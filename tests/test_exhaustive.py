"""The exhaustive search: each interleaving once, within its bound, and any number of searches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import comb
from typing import Any

import pytest
from sampling import FOREVER, interleavings, outcomes, schedule_of, sharing, world

from z3fold_stress import _sim
from z3fold_stress.explore.explorer import Budget, Status, explore_world
from z3fold_stress.explore.portfolio import Arm


def executions_of_dfs(times: Sequence[int], **parameters: Any) -> int:
    with world(sharing(*times)) as here:
        here.simulator.begin("dfs", 0, **parameters)
        assert here.simulator.explore(10**6, FOREVER) == "exhausted"
        totals = here.simulator.totals()
        assert totals["share_done"] == pytest.approx(1.0)
        return int(totals["executions"])


def count(left: tuple[int, ...], options: Callable[..., list[tuple[int, int]]], most: int) -> int:
    """The schedules of tasks that have so many steps left, with costs up to ``most`` in all.

    ``options`` gives (task, what it costs) for the enabled tasks and the one that ran last.
    """

    def walk(left: tuple[int, ...], last: int | None, spent: int) -> int:
        enabled = [task for task, steps in enumerate(left) if steps]
        if not enabled:
            return 1
        return sum(
            walk(tuple(n - (i == task) for i, n in enumerate(left)), task, spent + cost)
            for task, cost in options(enabled, last)
            if spent + cost <= most
        )

    return walk(left, None, 0)


def by_preemptions(enabled: list[int], last: int | None) -> list[tuple[int, int]]:
    return [(task, int(last in enabled and task != last)) for task in enabled]


def by_delays(enabled: list[int], last: int | None) -> list[tuple[int, int]]:
    """Round robin: a delay skips one task."""
    after = [task for task in enabled if last is not None and task >= last]
    start = enabled.index(after[0]) if after else 0
    return [
        (task, cost)
        for cost, task in enumerate((enabled[start:] + enabled[:start])[: len(enabled)])
    ]


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 4), (2, 3), (4, 4), (3, 6)])
def test_dfs_without_a_bound_sees_each_interleaving_once(n: int, m: int) -> None:
    assert executions_of_dfs((n, m), depth=-1) == comb(n + m, n)


def test_dfs_sees_the_interleavings_of_three() -> None:
    assert executions_of_dfs((2, 3, 2), depth=-1) == interleavings(2, 3, 2)


def test_dfs_does_not_repeat_itself() -> None:
    with world(sharing(3, 3)) as here:
        seen = [schedule_of(each) for each in outcomes(here, "dfs", 100, depth=-1)]
    assert len(seen) == len(set(seen)) == comb(6, 3)


@pytest.mark.parametrize("bound", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("times", [(3, 4), (2, 2, 3)])
def test_a_bound_on_preemptions_counts_as_by_hand(times: tuple[int, ...], bound: int) -> None:
    assert executions_of_dfs(times, depth=bound) == count(times, by_preemptions, bound)


@pytest.mark.parametrize("bound", [0, 1, 2, 3])
@pytest.mark.parametrize("times", [(3, 4), (2, 2, 3)])
def test_a_bound_on_delays_counts_as_by_hand(times: tuple[int, ...], bound: int) -> None:
    assert executions_of_dfs(times, delay_bound=bound) == count(times, by_delays, bound)


def test_the_share_that_is_done_only_grows_to_one() -> None:
    with world(sharing(3, 3)) as here:
        shares = []
        for _ in outcomes(here, "dfs", 100, depth=-1):
            shares.append(here.simulator.totals()["share_done"])
    assert shares == sorted(shares)
    assert shares[0] > 0
    assert shares[-1] == pytest.approx(1.0)


def test_two_searches_take_turns() -> None:
    """Put aside and taken up again, each sees all of its own, once."""
    done = {0: 0, 1: 0}
    left = {0, 1}
    searches = [_sim.Search(), _sim.Search()]
    with world(sharing(3, 4)) as here:
        while left:
            for slot in sorted(left):
                here.simulator.begin("dfs", 0, depth=slot + 1, search=searches[slot])
                stop = here.simulator.explore(5, FOREVER)
                done[slot] = here.simulator.totals()["execution"]
                if stop == "exhausted":
                    left.remove(slot)
    assert done == {slot: count((3, 4), by_preemptions, slot + 1) for slot in (0, 1)}


@pytest.mark.parametrize("strategy", ["dfs", "dpor"])
def test_any_number_of_searches_take_turns(strategy: str) -> None:
    """Each owns its tree: none repeats or skips what is another's, however many there are."""
    alone: list[int] = []
    for bound in range(7):
        with world(sharing(3, 4)) as here:
            here.simulator.begin(strategy, 0, depth=bound)
            assert here.simulator.explore(10**6, FOREVER) == "exhausted"
            alone.append(here.simulator.totals()["execution"])
    assert len(set(alone)) > 3
    searches = [_sim.Search() for _ in range(21)]
    done = [0] * len(searches)
    left = set(range(len(searches)))
    with world(sharing(3, 4)) as here:
        while left:
            for number in sorted(left):
                bound = number % 7
                here.simulator.begin(strategy, 0, depth=bound, search=searches[number])
                if here.simulator.explore(5, FOREVER) == "exhausted":
                    left.remove(number)
                done[number] = here.simulator.totals()["execution"]
    assert done == alone * 3


def test_a_ninth_exhaustive_arm_has_a_tree_of_its_own() -> None:
    """What nine arms claim is what each of them claims alone."""
    arms = tuple(Arm("dfs", depth=bound) for bound in range(11))
    with world(sharing(3, 3, 2)) as here:
        tally = explore_world(here, arms, budget=Budget(executions=10**6))
    assert tally.status is Status.COMPLETE
    assert tally.by_arm == {
        arm.name: count((3, 3, 2), by_preemptions, bound) for bound, arm in enumerate(arms)
    }


def test_a_search_is_bound_to_what_it_began_with() -> None:
    search = _sim.Search()
    with world(sharing(2, 2)) as here:
        here.simulator.begin("dfs", 0, depth=1, search=search)
        for strategy, depth in (("dfs", 2), ("dpor", 1)):
            with pytest.raises(ValueError, match="another strategy or bound"):
                here.simulator.begin(strategy, 0, depth=depth, search=search)
        with pytest.raises(ValueError, match="only an exhaustive strategy"):
            here.simulator.begin("random", 0, search=_sim.Search())
    with world(sharing(2, 2)) as here, pytest.raises(ValueError, match="another simulator"):
        here.simulator.begin("dfs", 0, depth=1, search=search)
