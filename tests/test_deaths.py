"""Deaths as choices: at every step of a mortal actor that could leave something behind, whoever
looks; afterwards what must hold still holds, or what the death left is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from z3fold_stress.designs import resolve
from z3fold_stress.errors import ScenarioError
from z3fold_stress.explore.explorer import Budget, Exploration, Status, explore
from z3fold_stress.scenario import Op, Scenario, op
from z3fold_stress.verdicts import Verdict

TWO_STORES = [op.store("half", 1, "release"), op.store("half", 2, "release")]
SEEN: dict[str, list[Op]] = {
    "by another": [op.load("half", "h", "acquire")],
    "by nobody": [op.fetch_add("n", 1)],
}


def searched(scenario: Scenario, strategy: str = "dfs", executions: int = 50_000) -> Exploration:
    return explore(
        scenario,
        resolve("sound"),
        strategy=strategy,
        bound=-1 if strategy in ("dfs", "dpor") else None,
        budget=Budget(executions=executions),
        seed=1,
    )


def holds(word: str, *values: int) -> list[Op]:
    """A finish: the word is one of these."""
    return [
        op.load(word, "value"),
        op.set("ok", 0),
        *(op.when("value", "==", value, [op.set("ok", 1)]) for value in values),
        op.expect("ok", "==", 1, f"{word} is as it may be"),
    ]


@pytest.mark.parametrize("strategy", ["dfs", "dpor", "random", "pct", "pos", "surw"])
@pytest.mark.parametrize("other", SEEN.values(), ids=SEEN.keys())
def test_a_death_may_come_between_any_two_writes(other: list[Op], strategy: str) -> None:
    actors = {"mortal": TWO_STORES, "other": other}
    found = searched(
        Scenario(actors=actors, deaths=["mortal"], finish=holds("half", 0, 2)), strategy
    )
    assert found.verdicts == {Verdict.INVARIANT}


@pytest.mark.parametrize("strategy", ["dfs", "dpor"])
@pytest.mark.parametrize("other", SEEN.values(), ids=SEEN.keys())
def test_what_a_death_can_leave_is_all_that_it_leaves(other: list[Op], strategy: str) -> None:
    actors = {"mortal": TWO_STORES, "other": other}
    tally = searched(
        Scenario(actors=actors, deaths=["mortal"], finish=holds("half", 0, 1, 2)), strategy
    )
    assert tally.status is Status.COMPLETE


@pytest.mark.parametrize("strategy", ["dfs", "dpor"])
def test_nobody_dies_who_may_not(strategy: str) -> None:
    actors = {"immortal": TWO_STORES, "mortal": [op.fetch_add("n", 1)]}
    tally = searched(Scenario(actors=actors, deaths=["mortal"], finish=holds("half", 2)), strategy)
    assert tally.status is Status.COMPLETE


@pytest.mark.parametrize("strategy", ["dfs", "dpor"])
@pytest.mark.parametrize(
    ("takes", "lets_go"),
    [(op.lock, op.unlock), (op.read_lock, op.read_unlock), (op.write_lock, op.write_unlock)],
)
def test_a_lock_is_left_though_nobody_waits_for_it(
    takes: Callable[[str], Op], lets_go: Callable[[str], Op], strategy: str
) -> None:
    actors = {"mortal": [takes("L"), lets_go("L")], "other": [op.fetch_add("n", 1)]}
    assert searched(Scenario(actors=actors, deaths=["mortal"]), strategy).verdicts == {
        Verdict.ORPHANED_LOCK
    }


def test_a_lock_that_others_hold_is_not_left() -> None:
    never = {"mortal": [op.fetch_add("m", 1)], "other": [op.lock("L"), op.unlock("L")]}
    assert searched(Scenario(actors=never, deaths=["mortal"])).status is Status.COMPLETE


@pytest.mark.parametrize("strategy", ["dfs", "dpor"])
def test_the_finish_may_ask_who_died(strategy: str) -> None:
    def told(message: str, dead: int, value: int) -> list[Op]:
        return [
            op.died("mortal", "dead"),
            op.load("n", "n"),
            op.when("dead", "==", dead, [op.expect("n", "!=", value, message)]),
        ]

    actors = {"mortal": [op.fetch_add("n", 1)]}
    for dead, value, reached in ((0, 1, True), (1, 0, True), (1, 1, True), (0, 0, False)):
        tally = searched(
            Scenario(actors=actors, deaths=["mortal"], finish=told("seen", dead, value)), strategy
        )
        assert tally.status is (Status.FOUND if reached else Status.COMPLETE), (dead, value)


def test_died_is_refused_where_it_cannot_be_known() -> None:
    one = {"mortal": [op.fetch_add("n", 1)], "other": [op.fetch_add("n", 1)]}
    with pytest.raises(ScenarioError, match="cannot die"):
        Scenario(actors=one, deaths=["mortal"], finish=[op.died("other", "d")])
    asks = {**one, "asks": [op.died("mortal", "d")]}
    with pytest.raises(ScenarioError, match="ask in the finish"):
        Scenario(actors=asks, deaths=["mortal"])


def test_the_audit_runs_after_a_death_between_operations() -> None:
    """Nothing is wrong with an allocator whose user died outside it."""
    actors = {"mortal": [op.fetch_add("n", 1), op.fetch_add("n", 1)], "user": [op.free("a")]}
    tally = searched(Scenario(setup=[op.alloc("a", 700)], actors=actors, deaths=["mortal"]), "dpor")
    assert tally.status is Status.COMPLETE
    assert tally.deaths > 0


def test_what_a_death_inside_an_operation_leaves_is_told_as_that() -> None:
    actors = {"mortal": [op.alloc("a", 700)]}
    scenario = Scenario(actors=actors, deaths=["mortal"], finish=[])
    tally = explore(
        scenario, resolve("sound"), strategy="dfs", bound=-1, budget=Budget(executions=5000), most=9
    )
    texts = [found.outcome["verdict"]["text"] for found in tally.found]
    assert any("died with the lock" in text for text in texts)
    assert any(text.startswith("left by task 1, which died inside an operation") for text in texts)
