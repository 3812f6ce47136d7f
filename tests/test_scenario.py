"""Scenarios as values: their normal form, how they read, and what is refused, by name."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from scenarios_of import DEFECT, full, scenario_of

from z3fold_stress.scenario import Op, Scenario, ScenarioError, op
from z3fold_stress.verdicts import Verdict

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
