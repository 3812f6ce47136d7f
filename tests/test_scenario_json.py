"""Scenarios as JSON: there and back, their hash, and what strangers write."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenarios_of import DEFECT, full

from z3fold_stress.scenario import Op, Page, Scenario, ScenarioError, compile_scenario, op
from z3fold_stress.scenario.program import OPERANDS
from z3fold_stress.scenario.value import PARAMETERS


def test_json_has_what_differs_from_the_defaults() -> None:
    assert op.alloc("a", 1200).to_json() == {"op": "alloc", "obj": "a", "size": 1200}
    assert op.move("r", "s").to_json() == {"op": "move", "reg": "r", "from": "s"}
    assert op.repeat(2, [op.migrate_pages(op.frame(3), passes=1)]).to_json() == {
        "op": "repeat",
        "times": 2,
        "body": [{"op": "migrate_pages", "page": 3, "passes": 1}],
    }


def test_a_scenario_round_trips() -> None:
    data = json.loads(json.dumps(full().to_json()))
    assert data["scenario"] == 1
    assert Scenario.from_json(data) == full()
    assert Scenario.from_json(data).to_json() == full().to_json()


names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)
numbers = st.integers(-(2**63), 2**63 - 1)
BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "pool": st.integers(0, 3),
    "page": st.builds(Page, names | st.integers(0, 2**31 - 1)),
    "message": st.text(max_size=10),
}


BY_NAME |= dict.fromkeys(
    ("size", "rounds", "pages", "passes", "first", "frames", "budget", "times"),
    st.integers(1, 2**31 - 1),
)


BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: numbers,
    str: names,
    int | str: numbers | names,
    str | None: names | st.none(),
}


def arguments(name: str) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(
        *(
            st.sampled_from(get_args(p.annotation))
            if get_origin(p.annotation) is Literal
            else (BY_NAME[p.name] if p.name in BY_NAME else BY_TYPE[p.annotation])
            for p in PARAMETERS[name]
        )
    )


def plain_ops(names: Sequence[str]) -> st.SearchStrategy[Op]:
    return st.sampled_from(names).flatmap(
        lambda name: st.builds(Op, st.just(name), arguments(name))
    )


def blocks(inner: st.SearchStrategy[Op]) -> st.SearchStrategy[Op]:
    bodies = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.sampled_from(["when", "repeat"]).flatmap(
        lambda name: st.builds(Op, st.just(name), arguments(name), bodies)
    )


any_op = st.recursive(plain_ops(sorted(OPERANDS)), blocks, max_leaves=6)


@given(any_op)
def test_any_operation_round_trips(value: Op) -> None:
    assert Op.from_json(json.loads(json.dumps(value.to_json()))) == value
    assert str(value)


WORDS = st.sampled_from(["X", "Y"])
raw_op = st.one_of(
    st.builds(op.lock, WORDS),
    st.builds(op.unlock, WORDS),
    st.builds(op.load, WORDS, st.just("r"), st.sampled_from(["plain", "relaxed", "acquire"])),
    st.builds(op.store, WORDS, st.integers(-9, 9) | st.just("r")),
    st.builds(op.fetch_add, WORDS, st.integers(-9, 9), st.sampled_from([None, "s"])),
    st.sampled_from(["a", "b"]).map(op.write),
    st.sampled_from(["a", "b"]).map(op.page_of).map(op.migrate_pages),
    st.just(op.reclaim()),
)
raw_block = st.builds(op.repeat, st.integers(1, 4), st.lists(raw_op, min_size=1, max_size=2))
programs = st.lists(raw_op | raw_block, min_size=1, max_size=4)


@settings(max_examples=50)
@given(st.lists(programs, min_size=1, max_size=3), st.integers(1, 9), st.booleans())
def test_any_scenario_round_trips_and_compiles_to_the_same(
    actors: list[list[Op]], budget: int, poison: bool
) -> None:
    scenario = Scenario(
        setup=[op.alloc("a", 100), op.alloc("b", 200)],
        actors={f"actor{i}": [op.set("r", 0), *ops] for i, ops in enumerate(actors)},
        faults={"page": budget},
        arena={"poison": poison},
    )
    again = Scenario.from_json(json.loads(json.dumps(scenario.to_json())))
    assert again == scenario
    assert again.content_hash() == scenario.content_hash()
    assert compile_scenario(again) == compile_scenario(scenario)


def test_the_content_hash_is_stable() -> None:
    assert full().content_hash() == "4c08a729a753ebee"
    renamed = dataclasses.replace(
        full(), name="x", story="y", tags=(), shows=(DEFECT,), expect=("leak",)
    )
    assert renamed.content_hash() == full().content_hash()


@pytest.mark.parametrize(
    "change",
    [
        {"setup": [op.alloc("a", 1201), op.fill("a")]},
        {"actors": dict(reversed(full().actors.items()))},
        {"finish": []},
        {"cpus": {}, "arena": {}},
        {"design": "sound"},
        {"arena": {"frames": 5}},
        {"faults": {"page": 2}},
        {"deaths": ()},
        {"words": {}},
        {"deadlock_ok": False},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_influences_an_execution_changes_the_hash(change: dict[str, Any]) -> None:
    assert dataclasses.replace(full(), **change).content_hash() != full().content_hash()


def changed(**changes: Any) -> dict[str, Any]:
    return {**full().to_json(), **changes}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], 'no scenario: it is an object with a key "scenario"'),
        ({"name": "x"}, "no scenario"),
        (changed(scenario=2), "of version 2, and this is version 1; use the z3fold-stress"),
        (changed(scenario=True), "of version True"),
        (changed(colour=1), "no 'colour'; the nearest is"),
        ({"scenario": 1}, 'lacks "actors"'),
        (changed(setup=5), "setup is 5: it is a list"),
        (changed(setup=[5]), "setup, op 1: 5 is no operation"),
        (
            changed(setup=[{"op": "aloc"}]),
            "op 1: no operation is named 'aloc'; the nearest is 'alloc'",
        ),
        (changed(setup=[{"op": "unless"}]), "no operation is named 'unless'"),
        (changed(setup=[{"op": "alloc", "obj": "a"}]), "alloc lacks 'size': give it"),
        (
            changed(setup=[{"op": "alloc", "obj": "a", "sise": 3}]),
            "alloc has no 'sise'; the nearest is 'size'",
        ),
        (changed(setup=[{"op": "drain", "body": []}]), "drain has no 'body'"),
        (changed(setup=[{"op": "alloc", "obj": "a", "size": "3"}]), "size cannot be '3'"),
        (changed(setup=[{"op": "isolate", "page": None}]), "no page is named None"),
        (changed(setup=[{"op": "repeat", "times": 2}]), "repeat 2 has an empty body"),
        (changed(setup=[{"op": "repeat", "times": 2, "body": 3}]), "the body is 3"),
        (changed(actors={}), "actors is {}: it is a list"),
        (changed(actors=[{"name": "x"}]), 'an object with "name" and "ops"'),
        (changed(actors=[{"name": "x", "ops": [], "cpus": 1}]), "an actor has no 'cpus'; .* 'cpu'"),
        (changed(actors=[{"name": 5, "ops": []}]), "an actor cannot be 5"),
        (changed(actors=[{"name": "x", "ops": [{"op": "audit"}]}] * 2), "two actors are named 'x'"),
        (changed(actors=[{"name": "x", "ops": [{"op": "audit"}], "cpu": "1"}]), "x is '1'"),
        (changed(words=[]), "words is \\[\\]: it maps names"),
        (changed(words={"w": 1.5}), "words: w is 1.5: it is a number"),
        (changed(expect=[1]), "expect has 1"),
        (changed(expect="leak"), "expect is 'leak': it is a list"),
        (changed(deadlock_ok=1), "deadlock_ok is 1"),
        (changed(name=None), "name is None"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_json_that_was_not_written_by_us_is_refused_by_name(data: object, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        Scenario.from_json(data)


def test_a_deep_nest_is_refused_before_it_is_built() -> None:
    data: dict[str, Any] = {"op": "audit"}
    for _ in range(500):
        data = {"op": "repeat", "times": 2, "body": [data]}
    with pytest.raises(ScenarioError, match="inside more than 8 blocks"):
        Op.from_json(data)
