"""The strategies of the sim world against what their papers promise.

Every execution follows from its seed, so the statistical tests cannot flake: they compare counts
with a distribution that theory gives, at the 0.1 % level, and always give the same answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from math import comb, factorial, perm
from typing import Any

import pytest

from z3fold_stress import _sim
from z3fold_stress.designs import resolve
from z3fold_stress.explore.explorer import Budget, Status, explore, explore_world
from z3fold_stress.explore.portfolio import Arm
from z3fold_stress.explore.world import World
from z3fold_stress.scenario import Op, Scenario, op
from z3fold_stress.verdicts import Verdict

SOUND = resolve("sound")
FOREVER = 10**15
SAMPLERS = ("random", "pct", "pos", "surw")
ALL = (*SAMPLERS, "dfs")
TASK, KIND, OBJECT, NO_POINT = 1, 2, 6, 64
"""Of an event."""

Outcome = dict[str, Any]


def world(actors: Mapping[str, Sequence[Op]], **fields: Any) -> World:
    """Each access is a point, and races are no verdict: the programs here race on purpose."""
    fields.setdefault("finish", [])
    return World(Scenario(actors=actors, **fields), SOUND, races=False, every_access=True)


def outcomes(
    here: World, strategy: str, executions: int, seed: int = 1, **parameters: Any
) -> Iterator[Outcome]:
    """What each execution showed, until there are so many or the strategy has no more."""
    here.simulator.begin(strategy, seed, **parameters)
    for _ in range(executions):
        if here.simulator.explore(1, FOREVER) == "exhausted":
            return
        yield here.simulator.outcome()


def schedule_of(outcome: Outcome) -> tuple[tuple[int, ...], ...]:
    return tuple(outcome["schedule"])


def order_of(here: World, schedule: Sequence[Any], word: str) -> tuple[int, ...]:
    """Which task came when to a word, by the events of a replay."""
    here.simulator.replay(list(schedule), strict=True, record=2)
    points = [event for event in here.simulator.events() if event[KIND] < NO_POINT]
    first = min(event[OBJECT] for event in points)  # words lie in a row, a cache line each
    object_ = first + 64 * here.compiled.words.index(word)
    return tuple(event[TASK] for event in points if event[OBJECT] == object_)


def failures(here: World, strategy: str, executions: int, **parameters: Any) -> int:
    """How many of so many executions ended with a verdict."""
    found = outcomes(here, strategy, executions, **parameters)
    return sum(outcome["verdict"] is not None for outcome in found)


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


def touching(word: str, times: int) -> list[Op]:
    return [op.store(word, n + 1) for n in range(times)]


def sharing(*times: int) -> dict[str, list[Op]]:
    """Tasks that only touch one word, so many times each."""
    return {f"task{n}": touching("x", each) for n, each in enumerate(times)}


def interleavings(*times: int) -> int:
    cases = factorial(sum(times))
    for each in times:
        cases //= factorial(each)
    return cases


LOST_UPDATE = [op.load("x", "n"), op.add("n", 1), op.store("x", "n")]
LOCKED_UPDATE = [op.lock("L"), *LOST_UPDATE, op.unlock("L")]
BOTH = [op.load("x", "n"), op.expect("n", "==", 2, "both additions are there")]

# The exhaustive search.


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


def numbered(here: World, executions: Iterator[Outcome]) -> Iterator[Outcome]:
    """Those that are not there to profile the program."""
    before = 0
    for outcome in executions:
        now = here.simulator.totals()["execution"]
        if now != before:
            yield outcome
        before = now


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


def execution(here: World, strategy: str, number: int, seed: int = 1, depth: int = 3) -> Outcome:
    """The execution of this number, and no other before it but those that profile the program."""
    here.simulator.begin(strategy, seed, number, depth)
    while here.simulator.totals()["execution"] == number:
        here.simulator.explore(1, FOREVER)
    outcome: Outcome = here.simulator.outcome()
    return outcome


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


# All of them.


RETRY = {
    "one": [
        op.repeat(3, [op.load("y", "n"), op.when("n", "==", 0, touching("x", 2))]),
        *LOCKED_UPDATE,
        op.store("y", 1),
    ],
    "two": [*LOCKED_UPDATE, op.load("x", "n"), op.when("n", ">", 1, touching("y", 3))],
    "three": [op.trylock("L", "t"), op.when("t", [op.store("x", 3), op.unlock("L")])],
}
"""How long it is depends on the order, and which objects a task touches."""


@pytest.mark.parametrize("depth", [3, 10])
@pytest.mark.parametrize("strategy", SAMPLERS)
def test_an_execution_follows_from_its_seed_and_number(strategy: str, depth: int) -> None:
    """Whichever came before it, in this world or another, of this strategy or another."""
    numbers = (0, 1, 7, 63, 64, 100, 299)
    with world(RETRY) as here:
        here.simulator.begin(strategy, 5, depth=depth)
        every = outcomes(here, strategy, 1000, seed=5, depth=depth)
        sequence = [schedule_of(outcome) for outcome in islice(numbered(here, every), 300)]
        assert len(set(sequence)) > 50
        for number in reversed(numbers):
            for other in SAMPLERS:
                execution(here, other, number + 3, seed=6)
            again = execution(here, strategy, number, seed=5, depth=depth)
            assert schedule_of(again) == sequence[number], number
    for number in numbers:
        with world(RETRY) as here:
            alone = execution(here, strategy, number, seed=5, depth=depth)
        assert schedule_of(alone) == sequence[number], number


@pytest.mark.parametrize("strategy", SAMPLERS)
def test_an_execution_follows_from_its_seed_and_number_and_the_points(strategy: str) -> None:
    """Where accesses become points as they are seen to conflict, what was done before decides
    which they are; and nothing else."""

    def after(warm: str, number: int) -> tuple[Any, int]:
        with World(ALLOCATOR, SOUND) as here:
            here.simulator.begin(warm, 9)
            here.simulator.explore(12_000, FOREVER)
            before = here.simulator.totals()["promoted"]
            outcome = execution(here, strategy, number, seed=5)
            assert here.simulator.totals()["promoted"] == before, "no more were found"
            return schedule_of(outcome), before

    for number in (0, 9, 200):
        seen = {after(warm, number) for warm in ("random", "pos", "surw")}
        assert len({points for _, points in seen}) == len(seen) == 1


def test_profiling_executions_are_judged() -> None:
    """They have no number, but count as executions, and what they find is found."""
    wrong = {"a": [op.store("x", 1)], "b": [op.load("x", "r"), op.expect("r", "==", 2, "never")]}
    for strategy in ("pct", "surw"):
        with world(wrong) as here:
            here.simulator.begin(strategy, 1)
            assert here.simulator.explore(10, FOREVER) == "found"
            totals = here.simulator.totals()
        assert (totals["executions"], totals["execution"]) == (1, 0)


@pytest.mark.parametrize("strategy", ALL)
def test_finds_what_is_there(strategy: str) -> None:
    with world({"one": LOST_UPDATE, "two": LOST_UPDATE}, finish=BOTH) as here:
        here.simulator.begin(strategy, 3, depth=2)
        assert here.simulator.explore(1000, FOREVER) == "found"
        found = here.simulator.outcome()
        assert here.verdict(found) is Verdict.INVARIANT
        again = here.simulator.replay(found["schedule"], strict=True)
    assert here.verdict(again) is Verdict.INVARIANT
    assert again["clocks"] == found["clocks"]
    assert again["unused"] == 0


@pytest.mark.parametrize("strategy", ALL)
def test_each_schedule_replays(strategy: str) -> None:
    """Also where the switch is at the end of a task, and not before its last operation."""
    with world(sharing(2, 2, 2)) as here:
        for outcome in list(outcomes(here, strategy, 60, depth=1)):
            again = here.simulator.replay(outcome["schedule"], strict=True)
            for same in ("schedule", "steps", "switches", "preemptions", "clocks"):
                assert again[same] == outcome[same]


@pytest.mark.parametrize("strategy", ALL)
def test_finds_a_deadlock(strategy: str) -> None:
    ab = [op.lock("A"), op.lock("B"), op.unlock("B"), op.unlock("A")]
    ba = [op.lock("B"), op.lock("A"), op.unlock("A"), op.unlock("B")]
    with world({"ab": ab, "ba": ba}) as here:
        seen = outcomes(here, strategy, 1000, depth=2)
        assert any(here.verdict(outcome) is Verdict.DEADLOCK for outcome in seen)


@pytest.mark.parametrize("strategy", ALL)
def test_finds_nothing_in_what_is_right(strategy: str) -> None:
    with world({"one": LOCKED_UPDATE, "two": LOCKED_UPDATE}, finish=BOTH) as here:
        here.simulator.begin(strategy, 3, depth=2)
        stop = here.simulator.explore(2000, FOREVER)
        assert stop == ("exhausted" if strategy == "dfs" else "executions")
        assert here.simulator.totals()["limited"] == 0


ALLOCATOR = Scenario(
    setup=[op.alloc("a", 1200), op.fill("a")],
    actors={
        "user": [op.map("a"), op.check("a"), op.unmap("a"), op.free("a")],
        "migrator": [op.migrate_pages(op.page_of("a"))],
        "kworker": [op.kworker("compact")],
    },
)


@pytest.mark.parametrize("strategy", SAMPLERS)
def test_nobody_starves_in_the_allocator(strategy: str) -> None:
    """Its loops of tries wait for each other: who never lets others go on finds a livelock."""
    with World(ALLOCATOR, SOUND) as here:
        here.simulator.begin(strategy, 3)
        assert here.simulator.explore(1500, FOREVER) == "executions", here.simulator.outcome()
        assert here.simulator.totals()["limited"] == 0


@pytest.mark.parametrize("strategy", SAMPLERS)
def test_a_seed_is_a_sequence_of_executions(strategy: str) -> None:
    def sequence(seed: int) -> list[Any]:
        with world(sharing(4, 4, 4)) as here:
            return [schedule_of(each) for each in outcomes(here, strategy, 40, seed=seed)]

    first = sequence(5)
    assert sequence(5) == first
    assert sequence(6) != first
    assert len(set(first)) > 10


@pytest.mark.parametrize("strategy", ALL)
def test_injected_failures_are_searched(strategy: str) -> None:
    """One may fail, and never two."""
    tries = [
        *(op.trylock("L", "got"), op.when("got", [op.unlock("L")])),
        *(op.trylock("M", "too"), op.when("too", [op.unlock("M")])),
        op.add("got", "too"),
    ]
    for least, found in ((2, True), (1, False)):
        actors = {"a": [*tries, op.expect("got", ">=", least, "taken")], "b": touching("x", 1)}
        with world(actors, faults={"trylock": 1}) as here:
            seen = list(outcomes(here, strategy, 500, depth=-1 if strategy == "dfs" else 3))
            assert any(each["verdict"] for each in seen) is found
            failed = [sum(0 < choice[2] < 32 for choice in each["schedule"]) for each in seen]
            assert set(failed) == {0, 1}


@pytest.mark.parametrize("strategy", ALL)
def test_deaths_are_searched(strategy: str) -> None:
    actors = {"mortal": LOCKED_UPDATE, "other": LOCKED_UPDATE}
    with world(actors, deaths=["mortal"]) as here:
        seen = list(outcomes(here, strategy, 400, depth=2))
        verdicts = {here.verdict(outcome) for outcome in seen}
        dead = {here.simulator.totals()["deaths"] > 0}
    assert verdicts == {None, Verdict.ORPHANED_LOCK}
    assert dead == {True}
    with world(actors) as here:
        assert failures(here, strategy, 200, depth=2) == 0


@pytest.mark.parametrize("strategy", ["portfolio", *ALL])
def test_explore_by_name(strategy: str) -> None:
    lost = Scenario(actors={"one": LOST_UPDATE, "two": LOST_UPDATE}, finish=BOTH, name="lost")
    tally = explore(
        lost,
        SOUND,
        strategy=strategy,
        budget=Budget(executions=2000),
        races=False,
        every_access=True,
    )
    assert tally.status is Status.FOUND
    assert tally.verdicts == {Verdict.INVARIANT}
