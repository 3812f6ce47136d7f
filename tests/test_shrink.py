"""Shrinking: one order of simplicity, passes that each take one kind of thing away, and a result
that fails as the finding does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from z3fold_stress.campaign.generate import generate
from z3fold_stress.campaign.museum import bent
from z3fold_stress.explore.explorer import Budget, explore_world
from z3fold_stress.explore.portfolio import PORTFOLIO
from z3fold_stress.explore.world import World
from z3fold_stress.findings import Evidence, Finding, gather, replay, shrink
from z3fold_stress.findings.finding import make_finding, world_of
from z3fold_stress.findings.replay import Result
from z3fold_stress.findings.shrink import shrinker
from z3fold_stress.findings.shrink.flip import decisive
from z3fold_stress.findings.shrink.passes import PASSES, Pass
from z3fold_stress.findings.shrink.schedules import renumbered, shortest
from z3fold_stress.findings.size import operations, sort_key, switches
from z3fold_stress.report import report_text
from z3fold_stress.scenario import Op, Scenario, all_scenarios, load, op
from z3fold_stress.scenario.value import walk
from z3fold_stress.verdicts import Verdict

PLENTY = 600.0
"""Seconds that shrinking of a small scenario does not need, on however busy a machine."""
ADD = [op.load("n", "r", "relaxed"), op.add("r", 1), op.store("n", "r", "relaxed")]
BOTH = [op.load("n", "n", "relaxed"), op.expect("n", ">=", 2, "both count")]


def lost(
    *before: Op, one: list[Op] | None = None, finish: list[Op] | None = None, **more: Any
) -> Scenario:
    """An addition is lost, if one interrupts the other; ``before``: what the first does before."""
    return Scenario(
        name="lost",
        actors={"one": [*before, *(one or ADD)], "two": ADD, **more.pop("actors", {})},
        finish=BOTH if finish is None else finish,
        **more,
    )


def found(scenario: Scenario, verdict: str = "invariant") -> Finding:
    wanted = frozenset({Verdict(verdict)})
    with World(scenario, bent(scenario)) as world:
        tally = explore_world(
            world, PORTFOLIO, budget=Budget(executions=50_000), seed=1, most=99, wanted=wanted
        )
        return make_finding(world, next(f for f in tally.found if f.verdict in wanted), seed=1)[0]


def shrunk(scenario: Scenario, verdict: str = "invariant") -> Scenario:
    finding = found(scenario, verdict)
    done = shrink(finding, seconds=PLENTY)
    assert done.finished
    assert (done.finding.verdict, done.finding.signature) == (finding.verdict, finding.signature)
    assert replay(done.finding).result is Result.IDENTICAL
    assert sort_key(done.finding.scenario, done.finding.schedule) <= sort_key(
        finding.scenario, finding.schedule
    )
    return done.finding.scenario


def ops_of(scenario: Scenario) -> list[Op]:
    programs = (scenario.setup, *scenario.actors.values(), scenario.finish)
    return [each for ops in programs for each in walk(ops)]


def heads(scenario: Scenario) -> set[str]:
    return {each.head for each in ops_of(scenario)}


def names(scenario: Scenario) -> set[str]:
    return {each.name for each in ops_of(scenario)}


# all parts shrink

DEADLY = Scenario(
    name="deadly",
    actors={
        "dies": [op.fetch_add("other", 1), op.lock("L"), op.fetch_add("n", 1), op.unlock("L")],
        "waits": [op.lock("L"), op.unlock("L"), op.fetch_add("other", 1)],
        "idle": [op.fetch_add("other", 1)],
    },
    deaths={"actors": ["dies", "waits", "idle"], "budget": 2},
)

PARTS: dict[str, tuple[Scenario, str, Callable[[Scenario], bool]]] = {
    "an actor": (
        lost(actors={"three": [op.fetch_add("x", 1)]}),
        "invariant",
        lambda s: set(s.actors) == {"one", "two"},
    ),
    "an actor that may die": (
        DEADLY,
        "orphaned-lock",
        lambda s: len(s.actors) < 3 and len(s.deaths["actors"]) == 1,
    ),
    "a budget of deaths": (DEADLY, "orphaned-lock", lambda s: s.deaths["budget"] == 1),
    "deaths that are not needed": (
        lost(deaths={"actors": ["one"], "budget": 1}),
        "invariant",
        lambda s: s.deaths["actors"] == (),
    ),
    "failures that are not needed": (
        lost(faults={"page": 3, "trylock": 1}),
        "invariant",
        lambda s: s.faults == {},
    ),
    "a kernel worker": (
        lost(op.alloc("a", 640), actors={"kworker": [op.kworker("compact")]}),
        "invariant",
        lambda s: "kworker" not in s.actors,
    ),
    "the set-up": (lost(setup=[op.alloc("a", 100)]), "invariant", lambda s: s.setup == ()),
    "a part of the finish": (
        lost(finish=[op.drain(), op.load("x", "x"), *BOTH]),
        "invariant",
        lambda s: s.finish == tuple(BOTH),
    ),
    "an object": (
        lost(op.alloc("a", 640), op.fill("a"), op.map("a"), op.check("a"), op.unmap("a")),
        "invariant",
        lambda s: not names(s) & {"alloc", "fill", "map", "check", "unmap"},
    ),
    "a word": (
        lost(op.store("x", 5), op.load("x", "q"), op.store("y", "q")),
        "invariant",
        lambda s: "store x 5" not in heads(s) and "store y q" not in heads(s),
    ),
    "a register": (
        lost(op.set("q", 1), op.add("q", 2), op.store("y", "q")),
        "invariant",
        lambda s: names(s) == {"load", "add", "store", "expect"},
    ),
    "a pair": (lost(op.lock("L"), op.unlock("L")), "invariant", lambda s: "lock" not in names(s)),
    "an operation inside a block": (
        lost(one=[op.repeat(2, [op.fetch_add("x", 1), *ADD])], finish=[
            op.load("n", "n", "relaxed"), op.expect("n", ">=", 3, "all count")]),
        "invariant",
        lambda s: "fetch_add" not in names(s),
    ),
    "a block round what matters": (
        lost(one=[op.set("go", 1), op.when("go", "==", 1, ADD)]),
        "invariant",
        lambda s: "when" not in names(s) and "set" not in names(s),
    ),
    "how often": (
        lost(one=[op.repeat(9, ADD)]),
        "invariant",
        lambda s: not heads(s) & {f"repeat {times}" for times in range(3, 10)},
    ),
    "the size of an object": (
        load(["putback-forgets-unbuddied"])[0],
        "lost-page",
        lambda s: max(o.named["size"] for o in ops_of(s) if o.name == "alloc") < 640,
    ),
    "an amount": (
        replace(
            load(["putback-forgets-unbuddied"])[0],
            actors={"engine": [op.alloc("a", 640), op.migrate_pages(op.page_of("a"), passes=9)]},
        ),
        "lost-page",
        lambda s: all(o.named.get("passes", 1) == 1 for o in ops_of(s)),
    ),
    "values at the start": (
        lost(op.load("x", "x"), words={"x": 7, "n": -40}, finish=[
            op.load("n", "n", "relaxed"), op.expect("n", "!=", -39, "both count")]),
        "invariant",
        lambda s: "x" not in s.words,
    ),
    "a CPU": (lost(cpus={"one": 3, "two": 1}), "invariant", lambda s: s.cpus == {}),
    "the arena": (lost(arena={"frames": 40, "swap": 9}), "invariant", lambda s: (
        s.arena["frames"], s.arena["swap"]) == (8, 4)),
}  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_part_shrinks(part: str) -> None:
    scenario, verdict, is_gone = PARTS[part]
    assert not is_gone(scenario), "there is something to take away"
    assert is_gone(shrunk(scenario, verdict))


def test_failures_that_are_needed_stay_and_no_more() -> None:
    (scenario,) = load(["create-error-leak"])
    more = replace(scenario, faults={**scenario.faults, "create": 3, "page": 2})
    small = shrunk(more, "leak")
    assert small.faults == {"create": 1}


def test_a_death_that_is_needed_stays() -> None:
    """Without it another program would fail with the same words, whatever happens."""
    scenario = Scenario(
        name="counted",
        actors={"a": [op.fetch_add("n", 1)], "b": [op.fetch_add("x", 1)]},
        finish=[op.load("n", "n"), op.expect("n", "==", 1, "it counts")],
        deaths={"actors": ["a", "b"], "budget": 1},
    )
    small = shrunk(scenario)
    assert small.deaths["actors"] == ("a",)
    assert small.actors == {"a": (op.fetch_add("n", 1),)}


# passes and the order


SCENARIOS = [
    *(scenario for scenario in all_scenarios() if operations(scenario) <= 16),
    *(generate(7, number) for number in range(8)),
    DEADLY,
]


@pytest.mark.parametrize("one", PASSES, ids=lambda one: str(one.__name__))
def test_pass_proposes_only_what_is_simpler(one: Pass) -> None:
    proposed = 0
    for scenario in SCENARIOS:
        key = sort_key(scenario, ())
        for candidate in one(scenario):
            assert sort_key(candidate, ()) < key, (scenario.name, candidate)
            assert candidate.name == scenario.name
            proposed += 1
    assert proposed > 0


def test_order_is_total_and_says_what_counts_most() -> None:
    base = lost()
    schedule = ((0, 1, 0, 1),)
    key = sort_key(base, schedule)
    assert key == sort_key(base, schedule)
    harder = [
        (base, (*schedule, (1, 2, 0, 0))),
        (lost(op.fetch_add("x", 1)), schedule),
        (replace(base, faults={"page": 1}), schedule),
        (replace(base, deaths={"actors": ["one"], "budget": 1}), schedule),
        (replace(base, words={"n": 1}), schedule),
        (lost(cpus={"one": 1}), schedule),
        (base, ((0, 2, 0, 1),)),
        (base, (*schedule, (0xFFFF, 0, 255, 1))),
    ]
    keys = [sort_key(*one) for one in harder]
    assert all(other > key for other in keys)
    assert len(set(keys)) == len(keys)
    assert sort_key(base, ()) < sort_key(Scenario(actors={"a": [op.might_sleep()]}), schedule)


def test_operations_inside_blocks_count() -> None:
    assert operations(Scenario(actors={"a": [op.repeat(2, ADD)]}, finish=())) == 4


def test_schedule_is_made_short() -> None:
    """Of twenty the third and the ninth are needed, and asked for are those two alone."""
    schedule = tuple((0, clock, 0, 1) for clock in range(20))
    asked = []

    def fails(candidate: Any) -> bool:
        asked.append(candidate)
        return schedule[3] in candidate and schedule[9] in candidate

    assert shortest(schedule, fails, lambda: False) == (schedule[3], schedule[9])
    assert len(asked) < 80
    assert shortest(schedule, fails, lambda: True) == schedule


def test_schedule_is_carried_over_to_fewer_actors() -> None:
    schedule = ((0xFFFF, 0, 255, 2), (0, 1, 0, 1), (1, 5, 0, 2), (2, 3, 32, 0))
    assert renumbered(schedule, ["a", "b", "c"], ["b", "c"]) == ((0xFFFF, 0, 255, 1), (0, 5, 0, 1))


# what is told


def test_a_death_decides() -> None:
    scenario = replace(DEADLY, deaths={"actors": ["dies"], "budget": 1})
    finding = found(scenario, "orphaned-lock")
    done = shrink(finding, seconds=PLENTY)
    assert done.flip is not None
    assert (done.flip.kind, done.flip.task, done.flip.to) == ("death", "dies", "")
    (choice,) = [choice for choice in done.finding.schedule if choice[2] == 32]
    assert str(done.flip) == (
        f"Decisive death: dies dies at step {choice[1]}; without it there is no failure."
    )
    with world_of(done.finding) as world:
        report = report_text(world, done.finding, done.evidence, flip=done.flip)
    assert f"Decisive death: dies dies at step {choice[1]}" in report
    assert done.flip.to_json()["text"] == str(done.flip)


def test_a_failure_decides() -> None:
    (scenario,) = load(["create-error-leak"])
    finding = found(scenario, "leak")
    done = shrink(finding, seconds=PLENTY)
    assert done.flip is not None
    assert (done.flip.kind, done.flip.to) == ("failure", "create")
    assert str(done.flip).startswith("Decisive failure: create fails for ")
    assert str(done.flip).endswith("; without it there is no failure.")


def test_who_begins_decides_nothing() -> None:
    scenario = lost()
    with World(scenario, bent(scenario)) as world:
        assert decisive(world, ((0xFFFF, 0, 255, 1),)) is None


def test_a_switch_decides_between_two_failures() -> None:
    """Without it another check fails."""
    scenario = Scenario(
        name="either",
        actors={
            "one": [op.load("n", "r", "relaxed"), op.expect("r", "==", 0, "first")],
            "two": [op.store("n", 1, "relaxed"), op.load("m", "s"), op.lock("L"), op.lock("L")],
        },
    )
    finding = found(scenario, "invariant")
    done = shrink(finding, seconds=PLENTY)
    assert done.flip is not None
    assert (done.flip.kind, done.flip.without) == (
        "switch",
        "the execution ends with deadlock instead",
    )


# what must hold


def test_what_does_not_come_again_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The finding is told as it was."""
    finding = found(lost(op.fetch_add("x", 1)))
    calls = 0

    def flickers(*args: Any, **how: Any) -> Evidence:
        nonlocal calls
        evidence = gather(*args, **how)
        if how.get("record") == 1:  # only confirmations ask for so little
            calls += 1
            evidence.hash += calls
        return evidence

    monkeypatch.setattr(shrinker, "gather", flickers)
    done = shrink(finding, seconds=PLENTY)
    assert calls >= 1
    assert done.finding.scenario == finding.scenario
    assert switches(done.finding.schedule) == switches(finding.schedule)
    assert json.loads(done.finding.dumps())["signature"] == finding.signature


def test_a_program_that_fails_anyway_is_not_the_same_fault() -> None:
    """Without its store the second would not count either, and nobody need interrupt."""
    small = shrunk(lost())
    assert [len(ops) for ops in small.actors.values()] == [3, 3]
