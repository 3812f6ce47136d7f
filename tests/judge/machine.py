"""What each operation does to registers, words and locks, one at a time, in one order for all.

Owns the state of an execution: of each task where it is, its registers and what it holds, and the
words. Says nothing about order (order.py) and chooses nothing (search.py). Source: the docstrings
of the operations; of lock words, the layout that the allocator's own are said to have.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import NamedTuple

from judge.program import LOCAL, Instruction, Program

OWNER = 0x3FF
"""A lock word: who holds it for writing, counted from 1; above, a count (of locks taken, or of
readers). The upper half of the 64 bits is no part of the lock."""
COUNT = 0x400
LOCK = 0xFFFFFFFF
WORD = 2**64 - 1
SIGN = 2**63

COMPARE: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def signed(value: int) -> int:
    value &= WORD
    return value - 2**64 if value & SIGN else value


class Event(NamedTuple):
    """What others can notice of a step."""

    what: str
    word: int
    reads: bool
    writes: bool
    atomic: bool = True
    acquires: bool = False
    releases: bool = False


class Local(NamedTuple):
    """A task between two steps. It stands at an access, at what ends the execution, or at its
    end: whatever concerns only itself is done."""

    at: int
    registers: tuple[int, ...]
    held: tuple[tuple[int, bool], ...] = ()
    """Words of locks, as often as they are held, and whether for reading."""
    atomic: int = 0
    dead: bool = False


class Fence(NamedTuple):
    """What a task does between two accesses to what it knows and hands on."""

    acquires: bool
    releases: bool


FENCES = {
    "acquire": Fence(True, False),
    "release": Fence(False, True),
    "acq_rel": Fence(True, True),
    "seq_cst": Fence(True, True),
}
"""Every execution is sequentially consistent as it is."""


class Settled(NamedTuple):
    """Where a task comes to by itself, and what it did on the way."""

    local: Local
    failed: frozenset[int]
    """Checks that did not hold."""
    fences: tuple[Fence, ...]


class Step(NamedTuple):
    """What comes of one step of a task, the word being what it was."""

    event: Event | None
    local: Local
    value: int
    failed: frozenset[int] = frozenset()
    """Checks that did not hold, in what the task did for itself after its access."""
    fences: tuple[Fence, ...] = ()
    """That it passed after its access."""
    verdict: str = ""
    """What ends the execution, in the place of the step."""


class Machine:
    """Steps of one program, each worked out once."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.made: list[dict[tuple[Local, int], Step | None]] = [{} for _ in program.tasks]

    def begin(self, task: int) -> Settled:
        """A task before its first access."""
        return self._settle(task, Local(0, (0,) * self.program.registers[task]))

    def ended(self, task: int, local: Local) -> bool:
        return local.at == len(self.program.tasks[task])

    def word_of(self, task: int, local: Local) -> int:
        """The word that the task's next step is about."""
        return self.program.tasks[task][local.at].word

    def step(self, task: int, local: Local, value: int) -> Step | None:
        """The next step of a task that has not ended; None: it cannot go on now."""
        made = self.made[task]
        key = local, value
        if key not in made:
            made[key] = self._step(task, local, value)
        return made[key]

    def failing(self, task: int, local: Local, value: int) -> Step | None:
        """The try that is the task's next step, failing though the lock is free; None: it is no
        such step."""
        i = self.program.tasks[task][local.at]
        return None if i.what != "trylock" or value & OWNER else self._fails(task, local, value, i)

    # What concerns only the task.

    def _settle(self, task: int, local: Local) -> Settled:
        code = self.program.tasks[task]
        at, registers, atomic = local.at, list(local.registers), local.atomic
        failed, fences = set(), []
        while at < len(code):
            i = code[at]
            value = i.value if i.other < 0 else registers[i.other]
            if i.what == "expect":
                if not COMPARE[i.compare](registers[i.reg], value):
                    failed.add(i.check)
            elif i.what == "fence":
                fences.append(FENCES[i.order])
            elif i.what == "might_sleep":
                if atomic or local.held:
                    break
            elif i.what == "preempt_disable":
                atomic += 1
            elif i.what == "preempt_enable":
                atomic -= 1
            elif i.what not in LOCAL:
                break
            at = self._local(i, at, registers, value)
        settled = Local(at, tuple(registers), local.held, atomic)
        return Settled(settled, frozenset(failed), tuple(fences))

    @staticmethod
    def _local(i: Instruction, at: int, registers: list[int], value: int) -> int:
        """Where the task is then."""
        if i.what in ("set", "move"):
            registers[i.reg] = value
        elif i.what == "add":
            registers[i.reg] = signed(registers[i.reg] + value)
        elif i.what == "multiply":
            registers[i.reg] = signed(registers[i.reg] * value)
        elif i.what == "jump_unless" and not COMPARE[i.compare](registers[i.reg], value):
            return i.new
        return at + 1

    # What others notice.

    def _step(self, task: int, local: Local, value: int) -> Step | None:
        i = self.program.tasks[task][local.at]
        if i.what == "might_sleep":
            return Step(None, local, value, verdict="sleep-in-atomic")
        if i.what.endswith("lock"):
            return self._lock(task, local, value, i)
        operand = (i.value if i.other < 0 else local.registers[i.other]) & WORD
        if (i.what == "wait_until" and value != operand) or (
            i.what == "wait_while" and value == operand
        ):
            return None
        registers = list(local.registers)
        after = value
        reads, writes, atomic, acquires, releases = True, True, True, True, True
        if i.what in ("wait_until", "wait_while"):
            writes = releases = False
        elif i.what == "load":
            registers[i.reg] = signed(value)
            writes = releases = False
            atomic, acquires = i.order != "plain", i.order == "acquire"
        elif i.what == "store":
            after = operand
            reads = acquires = False
            atomic, releases = i.order != "plain", i.order == "release"
        elif i.what == "fetch_add":
            registers[i.reg], after = signed(value), (value + operand) & WORD
        elif i.what == "exchange":
            registers[i.reg], after = signed(value), operand
        elif value == operand:
            registers[i.reg], after = 1, i.new & WORD
        else:  # a compare-and-swap that fails has only looked
            registers[i.reg] = 0
            writes = acquires = releases = False
        event = Event(i.what, i.word, reads, writes, atomic, acquires, releases)
        return self._done(task, event, Local(local.at, tuple(registers), *_rest(local)), after)

    def _done(self, task: int, event: Event, local: Local, value: int) -> Step:
        after = self._settle(task, Local(local.at + 1, local.registers, local.held, local.atomic))
        return Step(event, after.local, value, after.failed, after.fences)

    def _lock(self, task: int, local: Local, value: int, i: Instruction) -> Step | None:
        word, owner = value & LOCK, value & OWNER
        mine, held = owner == task + 1, local.held
        mark = i.word, i.what in ("read_lock", "read_unlock")
        holds = any(word == i.word for word, _ in held)
        registers = local.registers

        def ends(verdict: str) -> Step:
            """The wrong word is seen by an access: to wait for itself a task needs none."""
            takes = not i.what.endswith("unlock")
            event = Event(i.what, i.word, True, True, True, takes, not takes)
            return Step(event if verdict != "deadlock" else None, local, value, verdict=verdict)

        if i.what in ("unlock", "write_unlock") and not mine:
            return ends("lock-misuse")
        if i.what == "read_unlock" and (not holds or word < COUNT):
            return ends("lock-misuse")
        if (i.what == "lock" and mine) or (i.what == "write_lock" and holds):
            return ends("deadlock")
        if i.what == "read_lock" and mine and holds:
            return ends("deadlock")
        if i.what in ("lock", "read_lock", "write_lock") and owner > len(self.program.tasks):
            return ends("corruption")
        if i.what == "trylock":
            if owner:
                return self._fails(task, local, value, i)
            registers = (*registers[: i.reg], 1, *registers[i.reg + 1 :])
        elif (i.what == "write_lock" and word) or (i.what in ("lock", "read_lock") and owner):
            return None
        if i.what in ("lock", "trylock"):
            word += COUNT + task + 1
        elif i.what == "read_lock":
            word += COUNT
        elif i.what == "write_lock":
            word = task + 1
        elif i.what == "unlock":
            word -= owner
        elif i.what == "read_unlock":
            word -= COUNT
        else:
            word = 0
        takes = not i.what.endswith("unlock")
        if takes:
            held = tuple(sorted((*held, mark)))
        else:
            at = held.index(mark) if mark in held else len(held)
            held = (*held[:at], *held[at + 1 :])
        event = Event(i.what, i.word, True, True, True, takes, not takes)
        after = (value & ~LOCK) | (word & LOCK)
        return self._done(task, event, Local(local.at, registers, held, local.atomic), after)

    def _fails(self, task: int, local: Local, value: int, i: Instruction) -> Step:
        """A try that fails has only looked."""
        registers = (*local.registers[: i.reg], 0, *local.registers[i.reg + 1 :])
        event = Event("trylock", i.word, True, False)
        return self._done(task, event, Local(local.at, registers, *_rest(local)), value)


def _rest(local: Local) -> tuple[tuple[tuple[int, bool], ...], int]:
    return local.held, local.atomic
