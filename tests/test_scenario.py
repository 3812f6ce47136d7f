"""Scenarios: what is accepted and what is refused, JSON and hashes, compilation, files."""

from __future__ import annotations

import dataclasses
import json
import operator
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z3fold_stress import _live
from z3fold_stress._live import Code, Compare, Flag
from z3fold_stress.defects import DEFECTS
from z3fold_stress.scenario import (
    CompiledActor,
    Op,
    Page,
    Scenario,
    ScenarioError,
    all_scenarios,
    built_in_folder,
    compile_scenario,
    library,
    load,
    load_file,
    op,
)
from z3fold_stress.scenario.checks import MOST_REGISTERS
from z3fold_stress.scenario.program import COMPARISONS, INSTRUCTION, OPERANDS
from z3fold_stress.scenario.value import PARAMETERS, walk
from z3fold_stress.verdicts import Verdict

DEFECT = "slot-read-before-page-lock"
STORY = '''"""The first line.

The rest.
"""
from z3fold_stress.scenario import Scenario, op
'''


def scenario_of(*ops: Op, setup: Sequence[Op] = (), **fields: Any) -> Scenario:
    """One actor, ``one``, that does this."""
    return Scenario(actors={"one": list(ops)}, setup=list(setup), **fields)


def full() -> Scenario:
    """A scenario that says something in every field."""
    return Scenario(
        name="full",
        story="A story.",
        setup=[op.alloc("a", 1200), op.fill("a")],
        actors={
            "mapper": [op.map("a"), op.check("a"), op.unmap("a")],
            "migrator": [op.migrate_pages(op.page_of("a"), sync=False), op.load("w", "r")],
            "kworker": [op.kworker("compact")],
        },
        finish=[op.repeat(2, [op.drain(), op.audit()])],
        cpus={"migrator": 1, "mapper": 0},
        shows=(DEFECT, "migrate-copies-live-header"),
        expect={"use-after-free", "corruption"},
        design="as-posted+create-error-leak",
        arena={"frames": 4, "poison": False},
        faults={"page": 1, "trylock": 0},
        deaths=("mapper",),
        words={"w": 7},
        tags=("history", "example"),
        deadlock_ok=True,
    )


def instructions(program: bytes) -> list[tuple[int, ...]]:
    assert len(program) % 32 == 0
    return list(INSTRUCTION.iter_unpack(program))


def compiled(*ops: Op, **fields: Any) -> CompiledActor:
    (actor,) = compile_scenario(scenario_of(*ops, **fields)).actors
    return actor


# values


def test_a_scenario_keeps_one_normal_form() -> None:
    scenario = full()
    assert scenario.setup == (op.alloc("a", 1200), op.fill("a"))
    assert list(scenario.actors) == ["mapper", "migrator", "kworker"]
    assert scenario.cpus == {"migrator": 1}
    assert scenario.arena == {
        "frames": 4,
        "slots": 0,
        "swap": 4,
        "cpus": 2,
        "header_chunks": 2,
        "poison": False,
        "cross_cpu_search": True,
    }
    assert scenario.faults == {"page": 1}
    assert scenario.deaths == {"actors": ("mapper",), "budget": 1}
    assert scenario.expect == {Verdict.USE_AFTER_FREE, Verdict.CORRUPTION}
    assert scenario.design == "as-posted+create-error-leak"


def test_what_is_not_said_has_its_default() -> None:
    scenario = scenario_of(op.drain())
    assert (scenario.name, scenario.story, scenario.setup) == ("", "", ())
    assert scenario.finish == (op.drain(),)
    assert (scenario.shows, scenario.expect, scenario.design) == ((), frozenset(), "sound")
    assert scenario.arena["cpus"] == 1
    assert scenario.deaths == {"actors": (), "budget": 0}
    assert scenario_of(op.drain(), finish=[]).finish == ()
    assert scenario_of(op.drain(), shows=DEFECT, expect={"leak"}).shows == (DEFECT,)
    dead = {"actors": ["one"], "budget": 3}
    assert scenario_of(op.drain(), deaths=dead).deaths == {"actors": ("one",), "budget": 3}


def test_a_scenario_is_frozen_and_can_be_replaced_and_pickled() -> None:
    scenario = full()
    with pytest.raises(dataclasses.FrozenInstanceError):
        scenario.name = "other"  # type: ignore[misc]
    assert dataclasses.replace(scenario, name="other").name == "other"
    assert dataclasses.replace(scenario) == scenario
    assert pickle.loads(pickle.dumps(scenario)) == scenario


def test_expected_depends_on_the_defects_of_the_design() -> None:
    scenario = scenario_of(op.drain(), shows=DEFECT, expect={"corruption"})
    assert scenario.expected("sound") == frozenset()
    assert scenario.expected(f"sound+{DEFECT}") == {"corruption"}
    assert scenario.expected("as-posted") == {Verdict.CORRUPTION}
    textbook = scenario_of(op.drain(), expect={"deadlock"})
    assert textbook.expected("sound") == textbook.expected("as-posted") == {"deadlock"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (op.map("a"), "map a"),
        (op.lock("A"), "lock A"),
        (op.alloc("a", 1200), "alloc a 1200"),
        (op.alloc("a", 1200, atomic=True, pool=2), "alloc a 1200 atomic pool=2"),
        (op.migrate_pages(op.page_of("a"), sync=False), "migrate_pages page_of(a) sync=False"),
        (op.isolate(op.frame(3)), "isolate frame(3)"),
        (op.load("X", "r"), "load X -> r"),
        (op.load("X", "r", "acquire"), "load X acquire -> r"),
        (op.fetch_add("X", 2), "fetch_add X 2"),
        (op.kworker("compact"), "kworker compact"),
        (op.audit(), "audit"),
        (op.expect("r", "==", 2, 'a "b"'), r'expect r == 2 "a \"b\""'),
        (op.repeat(3, [op.lock("A"), op.unlock("A")]), "repeat 3 {lock A; unlock A}"),
        (op.when("r", [op.wake("A")]), "when r != 0 {wake A}"),
        (op.when("r", "<", "s", [op.wake("A")]), "when r < s {wake A}"),
        (op.unless("r", [op.wake("A")]), "when r == 0 {wake A}"),
    ],
    ids=str,
)
def test_an_operation_reads_as_it_is_told(value: Op, text: str) -> None:
    assert str(value) == repr(value) == text
    assert pickle.loads(pickle.dumps(value)) == value
    assert hash(value) == hash(Op(value.name, value.args, value.body))


# JSON


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


# what is refused


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: op.alloc("a b", 16), "the object cannot be 'a b': a name is a letter"),
        (lambda: op.alloc(5, 16), "obj cannot be 5: give a name"),  # type: ignore[arg-type]
        (lambda: op.alloc("a", -1), "size is -1: it must be from 0"),
        (lambda: op.alloc("a", True), "size cannot be True"),
        (lambda: op.alloc("a", 16, atomic=1), "atomic cannot be 1: give True or False"),  # type: ignore[arg-type]
        (lambda: op.alloc("a", 16, pool=4), "no pool 4: pools are numbered 0 to 3"),
        (lambda: op.create_pool(-1), "no pool -1"),
        (lambda: op.reclaim(0), "rounds is 0: it must be from 1"),
        (lambda: op.probe(0), "pages is 0"),
        (lambda: op.repeat(-1, [op.audit()]), "times is -1"),
        (lambda: op.repeat(1, []), "repeat 1 has an empty body"),
        (lambda: op.repeat(1, op.audit()), "the body is audit: give a list"),  # type: ignore[arg-type]
        (lambda: op.when("r", [op.audit]), "is no operation"),  # type: ignore[list-item]
        (lambda: op.when("r", "=", 1, [op.audit()]), "compare cannot be '='"),  # type: ignore[arg-type]
        (lambda: op.offline(-1, 3), "first is -1"),
        (lambda: op.compact_memory(0, 0), "frames is 0"),
        (lambda: op.migrate_pages(op.frame(0), passes=0), "passes is 0"),
        (lambda: op.frame(-1), "frame -1 cannot be"),
        (lambda: op.isolate("a"), r'page cannot be \'a\': give op.page_of\("a"\) or op.frame\(3\)'),  # type: ignore[arg-type]
        (
            lambda: op.load("X", "r", "aquire"),
            "order cannot be 'aquire': .*; the nearest is 'acquire'",
        ),  # type: ignore[arg-type]
        (lambda: op.load("X", "r", "release"), "it is one of plain, relaxed, acquire"),  # type: ignore[arg-type]
        (lambda: op.store("X", 1, "acquire"), "it is one of plain, relaxed, release"),  # type: ignore[arg-type]
        (lambda: op.store("X", 2**63), "must fit in 64 bits"),
        (lambda: op.store("X", None), "give a number, or the name of a register"),  # type: ignore[arg-type]
        (lambda: op.kworker("compaction"), "which cannot be 'compaction'.*'compact'"),  # type: ignore[arg-type]
        (lambda: Op("mapp", ("a",)), "no operation is named 'mapp'; the nearest is 'map'"),
        (lambda: Op("map"), "map has 0 arguments: it takes obj"),
        (lambda: Op("map", ("a",), (op.audit(),)), "map takes no body: only when, repeat do"),
    ],
)
def test_an_operation_that_cannot_be_is_refused(make: Callable[[], Op], message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        make()


def test_blocks_nest_only_so_deep() -> None:
    value = op.audit()
    for _ in range(8):
        value = op.when("r", [value])
    with pytest.raises(ScenarioError, match="more than 8 blocks"):
        op.when("r", [value])


FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"actors": {}}, "no actors: give at least one"),
    ({"actors": {f"a{i}": [op.audit()] for i in range(101)}}, "101 actors are too many"),
    ({"actors": {f"a{i}": [op.alloc("a", 16)] for i in range(59)}}, "59 actors are too many for"),
    ({"actors": {"": [op.audit()]}}, "an actor cannot be ''"),
    ({"actors": {"setup": [op.audit()]}}, "no actor can be named 'setup'"),
    ({"actors": {"one": []}}, "actor 'one' does nothing"),
    ({"actors": {"one": op.audit()}}, "actor 'one' is audit: it is a list"),
    (
        {"actors": {"one": [op.audit]}},
        "actor 'one', op 1: audit is no operation: .* with its parentheses",
    ),
    ({"name": "a b"}, "cannot be named 'a b'"),
    ({"cpus": {"on": 1}}, "cpus: there is no 'on'; the nearest is 'one'"),
    ({"cpus": {"one": 64}}, "cpus: one is 64: it must be from 0 to 63"),
    ({"cpus": {"one": 1}, "arena": {"cpus": 1}}, "an actor is on CPU 1: .* give 2"),
    ({"shows": "slot-read-before-page"}, f"no defect is named .* the nearest is '{DEFECT}'"),
    ({"shows": (DEFECT, DEFECT), "expect": {"leak"}}, "twice: once is enough"),
    ({"shows": DEFECT}, "expects no verdict: name in expect"),
    ({"expect": {"dedlock"}}, "expect: there is no 'dedlock'; the nearest is 'deadlock'"),
    ({"expect": "deadlock"}, "expect is 'deadlock': it is a list"),
    ({"design": "sond"}, "design: no design is named 'sond'; the nearest is 'sound'"),
    ({"design": "sound+nothing"}, "design: no defect is named 'nothing'"),
    ({"arena": {"frame": 3}}, "arena: there is no 'frame'; the nearest is 'frames'"),
    ({"arena": {"frames": 0}}, "arena: frames is 0: it must be from 1"),
    ({"arena": {"frames": "8"}}, "arena: frames is '8': it is a number"),
    ({"arena": {"poison": 1}}, "arena: poison is 1: it is True or False"),
    ({"faults": {"pages": 1}}, "faults: there is no 'pages'; the nearest is 'page'"),
    ({"faults": {"page": -1}}, "faults: page is -1: it must be from 0"),
    ({"deaths": ("two",)}, "deaths: there is no 'two'; the nearest is 'one'"),
    ({"deaths": "one"}, "deaths is 'one': it is a list"),
    ({"deaths": {"actor": ["one"]}}, "deaths: there is no 'actor'; the nearest is 'actors'"),
    ({"deaths": {"actors": ["one"], "budget": -1}}, "budget is -1"),
    ({"words": {"w": 1}}, "'w' has an initial value, and no operation uses it"),
    ({"tags": "textbook"}, "tags is 'textbook'"),
    ({"tags": ("a", "a")}, "tags has 'a' twice"),
]


@pytest.mark.parametrize(("fields", "message"), FIELDS, ids=[m for _, m in FIELDS])
def test_a_field_that_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        Scenario(**{"actors": {"one": [op.audit()]}, **fields})


A = [op.alloc("a", 100)]
PAGE = op.page_of("a")
PROGRAMS: list[tuple[dict[str, Any], str]] = [
    (
        {"one": [op.audit(), op.map("b"), op.unmap("b")], "setup": A},
        r"actor 'one', op 2 \(map b\): nothing allocates 'b'; the nearest is 'a'",
    ),
    ({"one": [op.free("a")]}, r"nothing allocates 'a': add op.alloc\('a', ...\)"),
    ({"one": [op.migrate_pages(PAGE)]}, "nothing allocates 'a'"),
    ({"one": [op.free("a")], "finish": A}, "nothing allocates 'a'"),
    ({"one": [op.unmap("a")], "setup": A}, r"op 1 \(unmap a\): 'a' is not mapped here"),
    ({"one": [op.check("a")], "setup": A}, r"op 1 \(check a\): 'a' is not mapped here"),
    ({"one": [op.map("a"), op.unmap("a"), op.check("a")], "setup": A}, "op 3"),
    (
        {"one": [op.map("a"), op.repeat(2, [op.unmap("a")])], "setup": A},
        r"op 2 \(unmap a\): 'a' is not mapped",
    ),
    ({"setup": [*A, op.map("a")], "one": [op.unmap("a")]}, "in the same actor"),
    ({"setup": [op.unmap("a")], "one": A}, "setup, op 1"),
    ({"finish": [op.unmap("a")], "one": A}, "finish, op 1"),
    ({"one": [op.migrate(PAGE)], "setup": A}, "cannot have isolated page_of"),
    ({"one": [op.putback(PAGE), op.isolate(PAGE)], "setup": A}, r"op 1 \(putback page_of\(a\)\)"),
    ({"one": [op.migrate_pages(PAGE), op.putback(PAGE)], "setup": A}, "cannot have isolated"),
    ({"one": [op.isolate(op.frame(1)), op.migrate(op.frame(2))]}, "isolated frame"),
    ({"one": [op.isolate(op.frame(8))]}, "no frame 8: the arena has 8, from 0"),
    ({"one": [op.compact_memory(9)]}, "no frame 9"),
    (
        {"one": [op.alloc("a", 15), op.fill("a")]},
        "15 bytes do not hold a pattern.* from 16 to 4096",
    ),
    ({"one": [op.alloc("a", 4097)], "setup": [op.write("a")]}, "4097 bytes do not hold"),
    ({"one": [op.alloc("a", 16, pool=1)]}, r"nothing creates pool 1: op.create_pool\(1\)"),
    (
        {"one": [op.alloc("a", 16, pool=1)], "setup": [op.create_pool(1), *A]},
        "an object lives in one pool, and setup, op 2",
    ),
    ({"one": [op.kworker("compact"), op.audit()]}, "a kworker and other operations"),
    ({"one": [op.repeat(2, [op.kworker("release")])]}, "a kworker and other operations"),
    ({"one": [op.audit()], "finish": [op.kworker("compact")]}, "finish has a kworker"),
    ({"one": [op.lock(f"w{i}") for i in range(17)]}, r"op 17 \(lock w16\): 'w16' is one word too"),
    ({"one": [op.load("w", f"r{i}") for i in range(9)]}, "needs 9 registers .*there are 8"),
    (
        {"one": [*(op.load("w", f"r{i}") for i in range(8)), op.fetch_add("w", 1)]},
        "and 1 for loops and dropped results",
    ),
    (
        {"one": [op.alloc(f"a{i}", 16) for i in range(257)]},
        "257 objects are too many: a scenario has at most 256",
    ),
    (
        {"one": [op.load("w", "count"), op.store("w", "cuont")]},
        "register 'cuont' is never set in this program; the nearest is 'count'",
    ),
    ({"one": [op.expect("r", "==", 1, "m")]}, "register 'r' is never set"),
]


@pytest.mark.parametrize(("parts", "message"), PROGRAMS, ids=[m for _, m in PROGRAMS])
def test_programs_that_cannot_be_meant_are_refused(parts: dict[str, Any], message: str) -> None:
    fields = {key: parts[key] for key in ("setup", "finish") if key in parts}
    with pytest.raises(ScenarioError, match=message):
        scenario_of(*parts["one"], **fields)


@pytest.mark.parametrize(
    "ops",
    [
        [op.map("a"), op.repeat(2, [op.unmap("a"), op.map("a")]), op.unmap("a")],
        [op.load("w", "r"), op.when("r", [op.map("a")]), op.when("r", [op.unmap("a")])],
        [
            *(op.load("w", "r"), op.map("a")),
            *(op.when("r", [op.unmap("a")]), op.unless("r", [op.unmap("a")])),
        ],
        [op.isolate(op.frame(3)), op.migrate(PAGE), op.putback(op.frame(3))],
        [op.isolate(PAGE), op.putback(op.frame(3))],
        [op.migrate_pages(PAGE, putback=False), op.migrate(PAGE)],
        [op.isolate(PAGE), op.repeat(3, [op.migrate(PAGE)]), op.putback(PAGE)],
        [op.alloc("tiny", 3), op.free("tiny"), op.alloc("huge", 5000)],
        [op.add("n", 1), op.store("w", "n")],
        [op.free("late"), op.free("a")],
    ],
    ids=str,
)
def test_what_may_work_is_accepted(ops: list[Op]) -> None:
    Scenario(setup=A, actors={"one": ops, "two": [op.alloc("late", 64)]})


# compilation


def test_the_engine_and_the_compiler_agree() -> None:
    assert INSTRUCTION.size == 32
    assert _live.LIMITS["registers"] == MOST_REGISTERS  # type: ignore[attr-defined]
    assert OPERANDS.keys() | {"when", "repeat", "kworker"} == PARAMETERS.keys()
    made = {int(code) for code, _ in OPERANDS.values()}
    made |= {int(Code.CODE_END), int(Code.CODE_JUMP), int(Code.CODE_JUMP_UNLESS)}
    assert made == set(range(int(Code.NR_CODES)))
    assert all(code == Code[f"CODE_{name.upper()}"] for name, (code, _) in OPERANDS.items())


ATOMIC, ACQUIRE, RELEASE = Flag.FLAG_ATOMIC, Flag.FLAG_ACQUIRE, Flag.FLAG_RELEASE
LT, EQ, NE = Compare.COMPARE_LT, Compare.COMPARE_EQ, Compare.COMPARE_NE

# In an actor whose objects are a=0, b=1, words X=0, Y=1, registers r=0, s=1; b is in pool 1.
# An operation, and what it becomes: code, flags, register, compare, pool, a, b, c.
BYTES: list[tuple[Op, tuple[int, ...]]] = [
    (op.alloc("a", 1200), (Code.CODE_ALLOC, 0, 0, 0, 0, 0, 1200, 0)),
    (op.alloc("b", 20, True, False, 1), (Code.CODE_ALLOC, ATOMIC, 0, 0, 1, 1, 20, 0)),
    (op.alloc("b", 20, fill=True, pool=1), (Code.CODE_ALLOC, Flag.FLAG_FILL, 0, 0, 1, 1, 20, 0)),
    (op.free("b"), (Code.CODE_FREE, 0, 0, 0, 1, 1, 0, 0)),
    (op.fill("a"), (Code.CODE_FILL, 0, 0, 0, 0, 0, 0, 0)),
    (op.map("b"), (Code.CODE_MAP, 0, 0, 0, 1, 1, 0, 0)),
    (op.check("b"), (Code.CODE_CHECK, 0, 0, 0, 1, 1, 0, 0)),
    (op.unmap("b"), (Code.CODE_UNMAP, 0, 0, 0, 1, 1, 0, 0)),
    (op.write("b"), (Code.CODE_WRITE, 0, 0, 0, 1, 1, 0, 0)),
    (op.read("a"), (Code.CODE_READ, 0, 0, 0, 0, 0, 0, 0)),
    (op.reclaim(3, pool=1), (Code.CODE_RECLAIM, 0, 0, 0, 1, 3, 0, 0)),
    (op.compact_work(1), (Code.CODE_COMPACT_WORK, 0, 0, 0, 1, 0, 0, 0)),
    *(
        (getattr(op, name)(1), (Code[f"CODE_{name.upper()}"], 0, 0, 0, 1, 0, 0, 0))
        for name in ("queue_work", "cancel_work", "flush_work")
    ),
    (op.release_work(), (Code.CODE_RELEASE_WORK, 0, 0, 0, 0, 0, 0, 0)),
    (op.drain(), (Code.CODE_DRAIN, 0, 0, 0, 0, 0, 0, 0)),
    (op.create_pool(2), (Code.CODE_CREATE_POOL, 0, 0, 0, 2, 0, 0, 0)),
    (op.create_pool(1, evicts=True), (Code.CODE_CREATE_POOL, 0, 0, 0, 1, 1, 0, 0)),
    (op.destroy_pool(1), (Code.CODE_DESTROY_POOL, 0, 0, 0, 1, 0, 0, 0)),
    (op.free_all(1), (Code.CODE_FREE_ALL, 0, 0, 0, 1, 0, 0, 0)),
    (op.probe(5), (Code.CODE_PROBE, 0, 0, 0, 0, 5, 0, 0)),
    (op.audit(), (Code.CODE_AUDIT, 0, 0, 0, 0, 0, 0, 0)),
    (op.isolate(op.frame(3)), (Code.CODE_ISOLATE, 0, 0, 0, 0, 3, 0, 0)),
    (op.migrate(op.page_of("b")), (Code.CODE_MIGRATE, Flag.FLAG_PAGE_OF, 0, 0, 1, 1, 0, 0)),
    (op.putback(op.page_of("a")), (Code.CODE_PUTBACK, Flag.FLAG_PAGE_OF, 0, 0, 0, 0, 0, 0)),
    (
        op.migrate_pages(op.page_of("b")),
        (Code.CODE_MIGRATE_PAGES, Flag.FLAG_PAGE_OF, 0, 0, 1, 1, 10, 0),
    ),
    (
        op.migrate_pages(op.frame(4), 3, False, True, True, False),
        (
            *(
                Code.CODE_MIGRATE_PAGES,
                Flag.FLAG_ASYNC
                | Flag.FLAG_KEEP_FAILED
                | Flag.FLAG_IN_RECLAIM
                | Flag.FLAG_NO_PUTBACK,
            ),
            *(0, 0, 0, 4, 3, 0),
        ),
    ),
    (op.compact_memory(1, 6), (Code.CODE_COMPACT_MEMORY, 0, 0, 0, 0, 1, 6, 0)),
    (op.offline(2, 5), (Code.CODE_OFFLINE, 0, 0, 0, 0, 2, 5, 4)),
    (op.lock_page(op.frame(7)), (Code.CODE_LOCK_PAGE, 0, 0, 0, 0, 7, 0, 0)),
    (op.trylock_page(op.frame(7), "s"), (Code.CODE_TRYLOCK_PAGE, 0, 1, 0, 0, 7, 0, 0)),
    (op.unlock_page(op.frame(7)), (Code.CODE_UNLOCK_PAGE, 0, 0, 0, 0, 7, 0, 0)),
    (op.lock_header(op.frame(7)), (Code.CODE_LOCK_HEADER, 0, 0, 0, 0, 7, 0, 0)),
    (op.unlock_header(op.frame(7)), (Code.CODE_UNLOCK_HEADER, 0, 0, 0, 0, 7, 0, 0)),
    (op.lock("Y"), (Code.CODE_LOCK, 0, 0, 0, 0, 1, 0, 0)),
    (op.trylock("Y", "s"), (Code.CODE_TRYLOCK, 0, 1, 0, 0, 1, 0, 0)),
    (op.unlock("Y"), (Code.CODE_UNLOCK, 0, 0, 0, 0, 1, 0, 0)),
    (op.read_lock("Y"), (Code.CODE_READ_LOCK, 0, 0, 0, 0, 1, 0, 0)),
    (op.read_unlock("Y"), (Code.CODE_READ_UNLOCK, 0, 0, 0, 0, 1, 0, 0)),
    (op.write_lock("Y"), (Code.CODE_WRITE_LOCK, 0, 0, 0, 0, 1, 0, 0)),
    (op.write_unlock("Y"), (Code.CODE_WRITE_UNLOCK, 0, 0, 0, 0, 1, 0, 0)),
    (op.load("Y", "s"), (Code.CODE_LOAD, 0, 1, 0, 0, 1, 0, 0)),
    (op.load("Y", "s", "relaxed"), (Code.CODE_LOAD, ATOMIC, 1, 0, 0, 1, 0, 0)),
    (op.load("Y", "s", "acquire"), (Code.CODE_LOAD, ACQUIRE, 1, 0, 0, 1, 0, 0)),
    (op.store("Y", 9), (Code.CODE_STORE, 0, 0, 0, 0, 1, 9, 0)),
    (op.store("Y", -9, "relaxed"), (Code.CODE_STORE, ATOMIC, 0, 0, 0, 1, -9, 0)),
    (
        op.store("Y", "s", "release"),
        (Code.CODE_STORE, RELEASE | Flag.FLAG_REG, 0, 0, 0, 1, 1, 0),
    ),
    (op.fetch_add("Y", 5, "s"), (Code.CODE_FETCH_ADD, 0, 1, 0, 0, 1, 5, 0)),
    (op.fetch_add("Y", 5), (Code.CODE_FETCH_ADD, 0, 2, 0, 0, 1, 5, 0)),
    (op.exchange("Y", 5, "s"), (Code.CODE_EXCHANGE, 0, 1, 0, 0, 1, 5, 0)),
    (op.cas("Y", 5, 6, "s"), (Code.CODE_CAS, 0, 1, 0, 0, 1, 5, 6)),
    (op.fence("acquire"), (Code.CODE_FENCE, ACQUIRE, 0, 0, 0, 0, 0, 0)),
    (op.fence("release"), (Code.CODE_FENCE, RELEASE, 0, 0, 0, 0, 0, 0)),
    (op.fence("acq_rel"), (Code.CODE_FENCE, ACQUIRE | RELEASE, 0, 0, 0, 0, 0, 0)),
    (op.fence("seq_cst"), (Code.CODE_FENCE, Flag.FLAG_SEQ_CST, 0, 0, 0, 0, 0, 0)),
    (op.wait_while("Y", 1), (Code.CODE_WAIT_WHILE, 0, 0, 0, 0, 1, 1, 0)),
    (op.wait_until("Y", 1), (Code.CODE_WAIT_UNTIL, 0, 0, 0, 0, 1, 1, 0)),
    (op.sleep("Y"), (Code.CODE_SLEEP, 0, 0, 0, 0, 1, 0, 0)),
    (op.wake("Y"), (Code.CODE_WAKE, 0, 0, 0, 0, 1, 0, 0)),
    (op.might_sleep(), (Code.CODE_MIGHT_SLEEP, 0, 0, 0, 0, 0, 0, 0)),
    (op.preempt_disable(), (Code.CODE_PREEMPT_DISABLE, 0, 0, 0, 0, 0, 0, 0)),
    (op.preempt_enable(), (Code.CODE_PREEMPT_ENABLE, 0, 0, 0, 0, 0, 0, 0)),
    (op.set("s", 7), (Code.CODE_SET, 0, 1, 0, 0, 7, 0, 0)),
    (op.move("r", "s"), (Code.CODE_MOVE, 0, 0, 0, 0, 1, 0, 0)),
    (op.add("s", -7), (Code.CODE_ADD, 0, 1, 0, 0, -7, 0, 0)),
    (op.add("r", "s"), (Code.CODE_ADD, Flag.FLAG_REG, 0, 0, 0, 1, 0, 0)),
    (op.multiply("s", 7), (Code.CODE_MULTIPLY, 0, 1, 0, 0, 7, 0, 0)),
    (op.expect("s", "<", 7, "second"), (Code.CODE_EXPECT, 0, 1, LT, 0, 7, 0, 1)),
    (op.expect("r", "!=", "s", "first"), (Code.CODE_EXPECT, Flag.FLAG_REG, 0, NE, 0, 1, 0, 0)),
]


def test_the_table_of_bytes_has_every_operation() -> None:
    """died is for a finish: test_deaths.py."""
    assert {each.name for each, _ in BYTES} | {"died"} == set(OPERANDS)


@pytest.mark.parametrize(("value", "expected"), BYTES, ids=[str(each) for each, _ in BYTES])
def test_an_operation_becomes_these_bytes(value: Op, expected: tuple[int, ...]) -> None:
    setup = [
        *(op.create_pool(1), op.create_pool(2), op.alloc("a", 100), op.alloc("b", 100, pool=1)),
        *(op.lock("X"), op.lock("Y"), op.set("r", 0)),
        *(op.expect("r", "==", 0, "first"), op.expect("r", "==", 0, "second")),
    ]
    before = [op.set("r", 0), op.set("s", 0), op.map("b"), op.isolate(op.page_of("a"))]
    program = compiled(*before, value, setup=setup).program
    assert program[4 * 32 : 5 * 32] == INSTRUCTION.pack(*expected)
    assert program[5 * 32 :] == INSTRUCTION.pack(Code.CODE_END, *[0] * 7)


def test_a_scenario_compiles_as_a_whole() -> None:
    whole = compile_scenario(full())
    mapper, migrator, kworker = whole.actors
    assert [actor.name for actor in whole.actors] == ["mapper", "migrator", "kworker"]
    assert [actor.cpu for actor in whole.actors] == [0, 1, 0]
    assert [actor.daemon for actor in whole.actors] == [False, False, True]
    assert mapper.source == ("map a", "check a", "unmap a", "end")
    assert (kworker.kworker, migrator.kworker) == (1, 0)
    assert (whole.objects, whole.words, whole.initial) == (("a",), ("w",), {0: 7})
    assert whole.messages == ()
    assert whole.setup_source == ("alloc a 1200", "fill a", "end")
    for program, source in (
        (whole.setup, whole.setup_source),
        (whole.finish, whole.finish_source),
        *((actor.program, actor.source) for actor in whole.actors),
    ):
        assert len(instructions(program)) == len(source)
        assert instructions(program)[-1] == (Code.CODE_END, *[0] * 7)


def test_names_are_numbered_as_they_appear_setup_first_and_finish_last() -> None:
    whole = compile_scenario(
        Scenario(
            setup=[op.alloc("z", 16), op.store("last", 1)],
            actors={
                "one": [op.migrate_pages(op.page_of("y")), op.repeat(2, [op.lock("m")])],
                "two": [op.alloc("y", 16), op.alloc("x", 16)],
            },
            finish=[op.alloc("w", 16), op.load("fin", "r"), op.expect("r", "==", 0, "why")],
            words={"fin": -1, "m": 0},
        )
    )
    assert whole.objects == ("z", "y", "x", "w")
    assert whole.words == ("last", "m", "fin")
    assert whole.initial == {2: -1}
    assert whole.messages == ("why",)


@pytest.mark.parametrize(
    ("which", "code", "number"),
    [("compact", Code.CODE_COMPACT_WORK, 1), ("release", Code.CODE_RELEASE_WORK, 2)],
)
def test_a_kworker_is_a_daemon_in_a_loop(
    which: Literal["compact", "release"], code: Code, number: int
) -> None:
    actor = compiled(op.kworker(which, pool=1), setup=[op.create_pool(1)])
    assert (actor.daemon, actor.kworker) == (True, number)
    assert instructions(actor.program) == [
        (code, 0, 0, 0, 1, 0, 0, 0),
        (Code.CODE_JUMP, 0, 0, 0, 0, 0, 0, 0),
        (Code.CODE_END, 0, 0, 0, 0, 0, 0, 0),
    ]


def test_a_loop_counts_in_a_register_above_the_named_ones() -> None:
    actor = compiled(op.repeat(3, [op.load("X", "r")]), op.load("X", "s"))
    assert instructions(actor.program) == [
        (Code.CODE_SET, 0, 2, 0, 0, 3, 0, 0),
        (Code.CODE_LOAD, 0, 0, 0, 0, 0, 0, 0),
        (Code.CODE_ADD, 0, 2, 0, 0, -1, 0, 0),
        (Code.CODE_JUMP_UNLESS, 0, 2, EQ, 0, 1, 0, 0),
        (Code.CODE_LOAD, 0, 1, 0, 0, 0, 0, 0),
        (Code.CODE_END, 0, 0, 0, 0, 0, 0, 0),
    ]
    assert actor.source == (
        *("repeat 3", "load X -> r", "repeat 3: count", "repeat 3: again", "load X -> s", "end"),
    )


def test_loops_inside_each_other_have_registers_of_their_own_and_others_share() -> None:
    inner = op.repeat(2, [op.fetch_add("X", 1)])
    actor = compiled(op.repeat(3, [inner, inner]), inner)
    counters = [each[2] for each in instructions(actor.program) if each[0] == Code.CODE_SET]
    dropped = [each[2] for each in instructions(actor.program) if each[0] == Code.CODE_FETCH_ADD]
    assert counters == [0, 1, 1, 0]
    assert dropped == [2, 2, 1]
    registers = [op.load("X", f"r{number}") for number in range(MOST_REGISTERS - 2)]
    compiled(*registers, op.repeat(2, [op.repeat(2, [op.audit()])]))
    with pytest.raises(ScenarioError, match="registers"):
        compiled(*registers, op.load("X", "more"), op.repeat(2, [op.repeat(2, [op.audit()])]))


def test_a_when_jumps_over_its_body() -> None:
    actor = compiled(
        op.load("X", "r"),
        op.load("X", "s"),
        op.when("r", "<", "s", [op.lock("X"), op.unlock("X")]),
        op.unless("s", [op.audit()]),
    )
    assert instructions(actor.program)[2:] == [
        (Code.CODE_JUMP_UNLESS, Flag.FLAG_REG, 0, LT, 0, 5, 1, 0),
        (Code.CODE_LOCK, 0, 0, 0, 0, 0, 0, 0),
        (Code.CODE_UNLOCK, 0, 0, 0, 0, 0, 0, 0),
        (Code.CODE_JUMP_UNLESS, 0, 1, EQ, 0, 7, 0, 0),
        (Code.CODE_AUDIT, 0, 0, 0, 0, 0, 0, 0),
        (Code.CODE_END, 0, 0, 0, 0, 0, 0, 0),
    ]


COMPARE: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
BY_NUMBER = {int(number): COMPARE[text] for text, number in COMPARISONS.items()}


def as_written(ops: Sequence[Op], registers: dict[str, int]) -> None:
    """What a program of registers does, by what it says."""

    def value(of: int | str) -> int:
        return registers.get(of, 0) if isinstance(of, str) else of

    for each in ops:
        named = each.named
        if each.name == "repeat":
            for _ in range(named["times"]):
                as_written(each.body, registers)
        elif each.name == "when":
            if COMPARE[named["compare"]](value(named["reg"]), value(named["value"])):
                as_written(each.body, registers)
        elif each.name == "set":
            registers[named["reg"]] = named["value"]
        elif each.name == "move":
            registers[named["reg"]] = value(named["from_"])
        else:
            assert each.name == "add"
            registers[named["reg"]] = value(named["reg"]) + value(named["value"])


def as_compiled(program: bytes) -> list[int]:
    """What its instructions do, by what program.pxi says."""
    registers, at, code = [0] * MOST_REGISTERS, 0, instructions(program)
    for _ in range(100_000):
        what, flags, register, compare, _pool, a, b, _c = code[at]
        at += 1
        if what == Code.CODE_END:
            return registers
        if what == Code.CODE_JUMP_UNLESS:
            other = registers[b] if flags & Flag.FLAG_REG else b
            at = at if BY_NUMBER[compare](registers[register], other) else a
        elif what == Code.CODE_SET:
            registers[register] = a
        elif what == Code.CODE_MOVE:
            registers[register] = registers[a]
        else:
            assert what == Code.CODE_ADD
            registers[register] += registers[a] if flags & Flag.FLAG_REG else a
    raise AssertionError("the program does not end")


REGISTERS = st.sampled_from(["p", "q", "r"])
SMALL = st.integers(-3, 3)
register_op = st.one_of(
    st.builds(op.set, REGISTERS, SMALL),
    st.builds(op.move, REGISTERS, REGISTERS),
    st.builds(op.add, REGISTERS, SMALL | REGISTERS),
)
register_programs = st.lists(
    st.recursive(
        register_op,
        lambda inner: st.one_of(
            st.builds(op.repeat, st.integers(1, 3), st.lists(inner, min_size=1, max_size=3)),
            st.builds(
                op.when,
                REGISTERS,
                st.sampled_from(sorted(COMPARE)),
                SMALL | REGISTERS,
                st.lists(inner, min_size=1, max_size=3),
            ),
        ),
        max_leaves=8,
    ),
    max_size=5,
)


@given(register_programs)
def test_blocks_do_what_they_say(ops: list[Op]) -> None:
    ops = [op.set("p", 1), op.set("q", 2), op.set("r", 3), *ops]
    expected: dict[str, int] = {}
    as_written(ops, expected)
    assert as_compiled(compiled(*ops).program)[:3] == list(expected.values())


# files


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


GOOD = STORY + 'scenario = Scenario(actors={"one": [op.audit()]})\n'


def test_a_file_gives_a_scenario_its_name_and_its_story(tmp_path: Path) -> None:
    (scenario,) = load_file(write(tmp_path / "two_words.py", GOOD))
    assert scenario.name == "two-words"
    assert scenario.story == "The first line.\n\nThe rest."


def test_what_a_scenario_says_itself_stays(tmp_path: Path) -> None:
    text = GOOD.replace("Scenario(a", 'Scenario(name="own", story="Own.", a')
    (scenario,) = load_file(write(tmp_path / "x.py", text))
    assert (scenario.name, scenario.story) == ("own", "Own.")


def test_a_file_may_hold_several(tmp_path: Path) -> None:
    text = STORY + (
        'scenarios = [Scenario(name=name, actors={"one": [op.audit()]}) for name in ("", "b", "")]'
    )
    made = load_file(write(tmp_path / "some.py", text))
    assert [scenario.name for scenario in made] == ["some-1", "b", "some-3"]
    assert {scenario.story for scenario in made} == {"The first line.\n\nThe rest."}


def test_a_json_file_holds_a_scenario_or_a_finding(tmp_path: Path) -> None:
    data = full().to_json()
    assert load_file(write(tmp_path / "a.json", json.dumps(data))) == [full()]
    finding = {"finding": 1, "scenario": data, "seed": 3}
    assert load_file(write(tmp_path / "b.json", json.dumps(finding))) == [full()]
    unnamed = {**data, "name": ""}
    (scenario,) = load_file(write(tmp_path / "c_d.json", json.dumps(unnamed)))
    assert scenario.name == "c-d"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (\n", r"x\.py, line 1: SyntaxError: '\(' was never closed"),
        ("\n\n1 / 0\n", r"x\.py, line 3: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit('no')\n", r"x\.py, line 2: SystemExit: no"),
        (
            STORY + "def f():\n    return op.load('X', 'r', 'aquire')\nf()\n",
            r"x\.py, line 7: load: order cannot be 'aquire'",
        ),
        (STORY + "scenario = Scenario(\n    actors={},\n)", r"x\.py, line 6: .* no actors"),
        (STORY, "x.py defines neither of 'scenario' and 'scenarios'"),
        (GOOD + "scenarios = [scenario]\n", "x.py defines both"),
        ("scenario = 5", "x.py: 5 is no Scenario"),
        ("scenarios = 5", "x.py: 'scenarios' is 5: make it a list"),
        (
            GOOD + 'del scenario\nscenarios = [Scenario(name="n", actors={f"a{i}": [op.audit()]}) '
            "for i in range(2)]",
            "x.py: two scenarios are named 'n'",
        ),
        ("\0", "x.py: .*null bytes"),
        ("raise KeyboardInterrupt", ""),
    ],
    ids=lambda value: value[-40:],
)
def test_a_python_file_that_fails_says_where(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "x.py", text)
    if not message:
        with pytest.raises(KeyboardInterrupt):
            load_file(path)
        return
    with pytest.raises(ScenarioError, match=message) as caught:
        load_file(path)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "x.json is not JSON"),
        ("[" * 100_000, "x.json is not JSON"),
        ("\xff", "x.json is not JSON"),
        ("[]", "x.json: .* is no scenario"),
        ('{"scenario": 1, "scenario": 1}', "the key 'scenario' is twice in one object"),
        ('{"scenario": {"scenario": 9}}', "x.json: the scenario is of version 9"),
        ('{"scenario": 1, "actors": []}', "x.json: the scenario has no actors"),
    ],
    ids=lambda value: value[:40],
)
def test_a_json_file_that_fails_says_why(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ScenarioError, match=message):
        load_file(path)


def test_a_file_of_another_kind_or_none_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"give a file that ends in \.py or \.json"):
        load_file(tmp_path / "x.txt")
    with pytest.raises(ScenarioError, match=r"cannot read .*x\.py: No such file"):
        load_file(tmp_path / "x.py")
    with pytest.raises(ScenarioError, match=r"cannot be named 'a b'.*rename the file"):
        load_file(write(tmp_path / "a b.py", GOOD))


# the library


@pytest.fixture
def built_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small library in the place of the built-in one."""
    folder = tmp_path / "built_in"
    write(folder / "__init__.py", "")
    write(folder / "group" / "__init__.py", "")
    write(folder / "group" / "z_first.py", GOOD)
    write(folder / "group" / "pair.py", GOOD.replace("scenario = ", "scenarios = 2 * [") + "]")
    write(folder / "other" / "a_second.py", GOOD)
    monkeypatch.setattr(library, "built_in_folder", lambda: folder)
    return folder


def named(scenarios: list[Scenario]) -> list[str]:
    return [scenario.name for scenario in scenarios]


def test_all_are_sorted_by_name(built_in: Path) -> None:
    assert named(all_scenarios()) == ["a-second", "pair-1", "pair-2", "z-first"]


def test_scenarios_are_found_by_name_file_folder_and_group(built_in: Path) -> None:
    assert named(load(["z-first"])) == ["z-first"]
    assert named(load(["pair-2"])) == ["pair-2"]
    assert named(load([str(built_in / "other" / "a_second.py")])) == ["a-second"]
    assert named(load([str(built_in / "group")])) == ["pair-1", "pair-2", "z-first"]
    assert named(load(["group"])) == ["pair-1", "pair-2", "z-first"]
    assert named(load(["z-first", "group", "a-second"])) == [
        *("z-first", "pair-1", "pair-2", "a-second"),
    ]
    assert load([]) == []


def test_a_name_that_is_not_there_is_told_the_nearest(built_in: Path, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no scenario is named 'z-fist'; the nearest is 'z-fir"):
        load(["z-fist"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ScenarioError, match="no scenario is in"):
        load([str(tmp_path / "empty")])


def test_two_scenarios_of_one_name_are_refused(built_in: Path) -> None:
    write(built_in / "other" / "z_first.py", GOOD.replace("op.audit()", "op.drain()"))
    with pytest.raises(ScenarioError, match="two scenarios are named 'z-first'"):
        all_scenarios()


def test_a_broken_file_does_not_hide_the_others(built_in: Path) -> None:
    write(built_in / "other" / "broken.py", "1 / 0")
    assert named(load(["a-second"])) == ["a-second"]
    with pytest.raises(ScenarioError, match=r"broken\.py, line 1"):
        all_scenarios()


# the scenarios that come with the package


def test_the_built_in_scenarios_load_compile_and_round_trip() -> None:
    assert (built_in_folder() / "textbook" / "abba.py").is_file()
    everything = all_scenarios()
    assert {"abba", "lost-update"} <= {scenario.name for scenario in everything}
    for scenario in everything:
        assert scenario.story, f"{scenario.name} tells no story"
        assert scenario.tags, f"{scenario.name} has no tag"
        compile_scenario(scenario)
        assert Scenario.from_json(json.loads(json.dumps(scenario.to_json()))) == scenario


def test_what_a_built_in_scenario_expects_is_of_its_defects() -> None:
    for scenario in all_scenarios():
        for defect in scenario.shows:
            assert scenario.expect & set(DEFECTS[defect].verdicts), scenario.name


def test_the_scenarios_to_try_it_with() -> None:
    abba, lost_update = load(["abba", "lost-update"])
    assert abba.expected("sound") == {"deadlock", "lock-order"}
    assert compile_scenario(abba).words == ("A", "B")
    assert lost_update.expected("sound") == {"data-race", "invariant"}
    assert [each.name for each in walk(lost_update.finish)] == ["load", "expect"]
