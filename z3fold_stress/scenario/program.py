"""Programs as the engine runs them: operations become instructions of 32 bytes (program.pxi).

Numbers what a scenario names: objects and words over all of it, registers in each program. A
scenario was checked when it was made (checks.py), so nothing is refused here. Never runs
anything.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import z3fold_stress.scenario.op  # noqa: F401  (PARAMETERS has what it defines)
from z3fold_stress._vocabulary import (
    INSTRUCTION_FORMAT,
    WORK_COMPACT,
    WORK_RELEASE,
    Code,
    Compare,
    Flag,
)
from z3fold_stress.scenario.value import PARAMETERS, Op, Page, walk

if TYPE_CHECKING:
    from z3fold_stress.scenario.scenario import Scenario

__all__ = ["INSTRUCTION", "CompiledActor", "CompiledScenario", "compile_scenario"]

INSTRUCTION = struct.Struct(INSTRUCTION_FORMAT)
"""code, flags, register, compare, pool, a, b, c"""

KWORKERS = {
    "compact": (WORK_COMPACT, Code.CODE_COMPACT_WORK),
    "release": (WORK_RELEASE, Code.CODE_RELEASE_WORK),
}

FLAGS: dict[tuple[str, Any], int] = {
    ("atomic", True): Flag.FLAG_ATOMIC,
    ("fill", True): Flag.FLAG_FILL,
    ("order", "relaxed"): Flag.FLAG_ATOMIC,
    ("order", "acquire"): Flag.FLAG_ACQUIRE,
    ("order", "release"): Flag.FLAG_RELEASE,
    ("order", "acq_rel"): Flag.FLAG_ACQUIRE | Flag.FLAG_RELEASE,
    ("order", "seq_cst"): Flag.FLAG_SEQ_CST,
    ("sync", False): Flag.FLAG_ASYNC,
    ("keep_failed", True): Flag.FLAG_KEEP_FAILED,
    ("putback", False): Flag.FLAG_NO_PUTBACK,
    ("in_reclaim", True): Flag.FLAG_IN_RECLAIM,
}
"""What an argument's value adds to an instruction's flags."""


def _operands(name: str) -> tuple[str, ...]:
    """What the operands a, b and c of an operation are: its arguments in their order, less those
    that have a place of their own in an instruction."""
    elsewhere = {"reg", "into", "compare", "pool", *(argument for argument, _ in FLAGS)}
    if name == "expect":
        return ("value", "", "message")
    return tuple(p.name for p in PARAMETERS[name] if p.name not in elsewhere)


OPERANDS: dict[str, tuple[Code, tuple[str, ...]]] = {
    name: (Code[code], _operands(name))
    for name in PARAMETERS
    if (code := f"CODE_{name.upper()}") in Code.__members__
}
"""The code of an operation, and which of its arguments are the operands a, b and c."""

COMPARISONS = {
    "==": Compare.COMPARE_EQ,
    "!=": Compare.COMPARE_NE,
    "<": Compare.COMPARE_LT,
    "<=": Compare.COMPARE_LE,
    ">": Compare.COMPARE_GT,
    ">=": Compare.COMPARE_GE,
}


@dataclass(frozen=True, slots=True)
class CompiledActor:
    """A task to be: its program, and where it runs."""

    name: str
    program: bytes
    cpu: int
    daemon: bool
    """Never ends; the execution is over when all others have ended."""
    kworker: int
    """0, or the queue that it works on: WORK_COMPACT or WORK_RELEASE."""
    source: tuple[str, ...]
    """What each instruction comes from."""


@dataclass(frozen=True, slots=True)
class CompiledScenario:
    """All programs of a scenario, and the names behind their numbers."""

    setup: bytes
    actors: tuple[CompiledActor, ...]
    finish: bytes
    objects: tuple[str, ...]
    words: tuple[str, ...]
    initial: dict[int, int]
    """Values of words, by number, that are not 0 at first."""
    messages: tuple[str, ...]
    """Operand c of CODE_EXPECT is an index of these."""
    setup_source: tuple[str, ...]
    finish_source: tuple[str, ...]


def compile_scenario(scenario: Scenario) -> CompiledScenario:
    """The instructions of every program; the same scenario gives the same bytes."""
    programs = [scenario.setup, *scenario.actors.values(), scenario.finish]
    names = _Names(programs, scenario.actors)
    setup, *actors, finish = [_Program(names, ops) for ops in programs]
    return CompiledScenario(
        setup=setup.code(),
        actors=tuple(
            CompiledActor(
                name=name,
                program=program.code(),
                cpu=scenario.cpus.get(name, 0),
                daemon=bool(program.kworker),
                kworker=program.kworker,
                source=tuple(program.source),
            )
            for name, program in zip(scenario.actors, actors, strict=True)
        ),
        finish=finish.code(),
        objects=tuple(names.objects),
        words=tuple(names.words),
        initial={names.words[word]: value for word, value in scenario.words.items()},
        messages=tuple(names.messages),
        setup_source=tuple(setup.source),
        finish_source=tuple(finish.source),
    )


def objects_of(op: Op) -> tuple[str, ...]:
    """The object that an operation names, if it names one."""
    named = op.named
    page = named.get("page")
    if isinstance(page, Page) and isinstance(page.which, str):
        return (page.which,)
    return (named["obj"],) if "obj" in named else ()


def reads_of(op: Op) -> tuple[str, ...]:
    """The registers whose value matters to an operation."""
    named = op.named
    read = [named["from_"]] if "from_" in named else []
    if op.name in ("expect", "when"):
        read.append(named["reg"])
    if isinstance(named.get("value"), str):
        read.append(named["value"])
    return tuple(read)


def writes_of(op: Op) -> tuple[str, ...]:
    """The registers that an operation sets."""
    named = op.named
    target = named.get("into")
    if op.name in ("set", "move", "add", "multiply"):
        target = named["reg"]
    return (target,) if target else ()


def registers_of(ops: Iterable[Op]) -> list[str]:
    """The registers that a program names, in order of first appearance."""
    return list(
        dict.fromkeys(register for op in walk(ops) for register in (*writes_of(op), *reads_of(op)))
    )


def hidden_registers(ops: Sequence[Op]) -> int:
    """The registers that a program takes besides those it names: see _Program."""
    return max((_hidden(op) for op in ops), default=0)


def _hidden(op: Op) -> int:
    if op.name == "fetch_add":
        return int(op.named["into"] is None)
    return int(op.name == "repeat") + hidden_registers(op.body)


def _numbered(names: Iterable[str]) -> dict[str, int]:
    """A number for each, in order of first appearance."""
    return {name: number for number, name in enumerate(dict.fromkeys(names))}


class _Names:
    """The numbers of all that a scenario names."""

    def __init__(self, programs: Sequence[Sequence[Op]], actors: Iterable[str]) -> None:
        self.actors = _numbered(actors)
        ops = [op for program in programs for op in walk(program)]
        self.objects = _numbered(name for op in ops for name in objects_of(op))
        self.words = _numbered(op.named["word"] for op in ops if "word" in op.named)
        self.messages = _numbered(op.named["message"] for op in ops if "message" in op.named)
        self.pools = {op.named["obj"]: op.named["pool"] for op in ops if op.name == "alloc"}

    def pool(self, op: Op) -> int:
        """The pool of an operation: said by itself, or by the allocation of its object."""
        named = op.named
        if "pool" in named:
            return int(named["pool"])
        return next((self.pools[name] for name in objects_of(op) if name in self.pools), 0)


@dataclass(slots=True)
class _Instruction:
    """One instruction while its target may still be unknown."""

    code: Code
    flags: int = 0
    register: int = 0
    compare: int = 0
    pool: int = 0
    operands: list[int] = field(default_factory=lambda: [0, 0, 0])

    def pack(self) -> bytes:
        return INSTRUCTION.pack(
            self.code, self.flags, self.register, self.compare, self.pool, *self.operands
        )


class _Program:
    """One program being put together.

    Named registers come first. Above them, a loop counts in one of its own for as long as it
    lasts, so loops after each other share one; what nobody wants to keep goes to the next free.
    """

    def __init__(self, names: _Names, ops: Sequence[Op]) -> None:
        self.names = names
        self.registers = _numbered(registers_of(ops))
        self.free_register = len(self.registers)
        self.instructions: list[_Instruction] = []
        self.source: list[str] = []
        self.kworker = 0
        for op in ops:
            self._add(op)
        self._emit("end", _Instruction(Code.CODE_END))

    def code(self) -> bytes:
        return b"".join(instruction.pack() for instruction in self.instructions)

    def _emit(self, text: str, instruction: _Instruction) -> _Instruction:
        self.instructions.append(instruction)
        self.source.append(text)
        return instruction

    def _add(self, op: Op) -> None:
        if op.name == "repeat":
            self._repeat(op)
        elif op.name == "when":
            self._when(op)
        elif op.name == "kworker":
            self._work_for_ever(op)
        else:
            self._emit(str(op), self._plain(op))

    def _plain(self, op: Op) -> _Instruction:
        """An operation that is one instruction."""
        named = op.named
        code, operands = OPERANDS[op.name]
        made = _Instruction(code, pool=self.names.pool(op))
        for argument, value in named.items():
            made.flags |= FLAGS.get((argument, value), 0)
        if "reg" in named:
            made.register = self.registers[named["reg"]]
        elif "into" in named:
            into = named["into"]
            made.register = self.free_register if into is None else self.registers[into]
        if "compare" in named:
            made.compare = COMPARISONS[named["compare"]]
        for place, argument in enumerate(operands):
            if argument:
                made.operands[place] = self._operand(made, argument, named)
        return made

    def _operand(self, made: _Instruction, argument: str, named: Mapping[str, Any]) -> int:
        value = named[argument]
        if isinstance(value, Page):
            if isinstance(value.which, int):
                return value.which
            made.flags |= Flag.FLAG_PAGE_OF
            return self.names.objects[value.which]
        if isinstance(value, int):
            return int(value)
        if argument == "value":
            made.flags |= Flag.FLAG_REG
        numbers = {
            "obj": self.names.objects,
            "word": self.names.words,
            "message": self.names.messages,
            "actor": self.names.actors,
        }
        return numbers.get(argument, self.registers)[value]

    def _when(self, op: Op) -> None:
        named = op.named
        jump = _Instruction(
            Code.CODE_JUMP_UNLESS,
            register=self.registers[named["reg"]],
            compare=COMPARISONS[named["compare"]],
        )
        jump.operands[1] = self._operand(jump, "value", named)
        self._emit(op.head, jump)
        for inner in op.body:
            self._add(inner)
        jump.operands[0] = len(self.instructions)

    def _repeat(self, op: Op) -> None:
        """Count down from ``times``; the body runs before the count is looked at."""
        counter = self.free_register
        self.free_register += 1
        self._emit(op.head, self._on(counter, Code.CODE_SET, op.named["times"]))
        start = len(self.instructions)
        for inner in op.body:
            self._add(inner)
        self._emit(f"{op.head}: count", self._on(counter, Code.CODE_ADD, -1))
        again = self._on(counter, Code.CODE_JUMP_UNLESS, start)
        again.compare = Compare.COMPARE_EQ  # with operand b, 0
        self._emit(f"{op.head}: again", again)
        self.free_register = counter

    def _on(self, register: int, code: Code, a: int) -> _Instruction:
        return _Instruction(code, register=register, operands=[a, 0, 0])

    def _work_for_ever(self, op: Op) -> None:
        self.kworker, code = KWORKERS[op.named["which"]]
        self._emit(str(op), _Instruction(code, pool=self.names.pool(op)))
        self._emit(f"{op}: again", _Instruction(Code.CODE_JUMP))
