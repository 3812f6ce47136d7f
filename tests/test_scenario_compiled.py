"""What a scenario compiles to: instructions, numbers, registers; and that they do what it says."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenarios_of import full, scenario_of

from z3fold_stress import _live
from z3fold_stress._live import Code, Compare, Flag
from z3fold_stress.scenario import (
    CompiledActor,
    Op,
    Scenario,
    ScenarioError,
    compile_scenario,
    op,
)
from z3fold_stress.scenario.checks import MOST_REGISTERS
from z3fold_stress.scenario.program import COMPARISONS, INSTRUCTION, OPERANDS
from z3fold_stress.scenario.value import PARAMETERS


def instructions(program: bytes) -> list[tuple[int, ...]]:
    assert len(program) % 32 == 0
    return list(INSTRUCTION.iter_unpack(program))


def compiled(*ops: Op, **fields: Any) -> CompiledActor:
    (actor,) = compile_scenario(scenario_of(*ops, **fields)).actors
    return actor


def test_the_engine_and_the_compiler_agree() -> None:
    assert INSTRUCTION.size == 32
    assert _live.LIMITS["registers"] == MOST_REGISTERS
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
