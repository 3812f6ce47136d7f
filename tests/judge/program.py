"""A scenario on scratch words, as the judge reads it.

Owns the translation of blocks into jumps. Takes only the data of a scenario (names and arguments
of its operations), nothing of what the engine makes of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from z3fold_stress.scenario import Scenario
from z3fold_stress.scenario.value import Op

LOCAL = frozenset(("set", "move", "add", "multiply", "jump", "jump_unless"))
"""Instructions that touch nothing but the task's own registers."""
LOCKS = frozenset(
    ("lock", "trylock", "unlock", "read_lock", "read_unlock", "write_lock", "write_unlock")
)
ACCESSES = LOCKS | {"load", "store", "fetch_add", "exchange", "cas", "wait_while", "wait_until"}
OTHERS = frozenset(("expect", "fence", "might_sleep", "preempt_disable", "preempt_enable"))


class NotJudged(Exception):
    """The scenario does what this judge knows nothing about."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """``what`` and its operands; a register is a number, a word too."""

    what: str
    word: int = 0
    reg: int = 0
    value: int = 0
    other: int = -1
    """A register to be used instead of ``value``; -1: none."""
    order: str = ""
    compare: str = ""
    new: int = 0
    """cas: the value to be stored; jumps: where to."""
    check: int = -1
    """expect: its number, over the whole scenario."""


@dataclass(frozen=True, slots=True)
class Program:
    """A scenario's programs: actors in order, then set-up and finish."""

    tasks: tuple[tuple[Instruction, ...], ...]
    registers: tuple[int, ...]
    """Of each task, how many."""
    words: tuple[str, ...]
    initial: tuple[int, ...]
    checks: tuple[str, ...]
    """Of each expect: the program that it is in, and its message."""
    mortal: frozenset[int]
    budget: tuple[int, int]
    """How many of the mortal may die, and how many tries may fail for no reason."""
    deadlock_ok: bool

    @property
    def actors(self) -> int:
        return len(self.tasks) - 2


def program_of(scenario: Scenario) -> Program:
    """Raises NotJudged where an operation is not one of words, locks and registers."""
    words: dict[str, int] = {}
    checks: list[str] = []
    mortal = scenario.deaths["actors"]
    named = [*scenario.actors.items(), ("setup", scenario.setup), ("finish", scenario.finish)]
    parts = [_Part(name, words, checks) for name, _ in named]
    tasks = tuple(part.translate(ops) for part, (_, ops) in zip(parts, named, strict=True))
    if set(scenario.faults) - {"trylock"}:
        raise NotJudged("failures of the allocator")
    return Program(
        tasks,
        tuple(part.most for part in parts),
        tuple(words),
        tuple(scenario.words.get(word, 0) & 2**64 - 1 for word in words),
        tuple(checks),
        frozenset(n for n, name in enumerate(scenario.actors) if name in mortal),
        (scenario.deaths["budget"] if mortal else 0, scenario.faults.get("trylock", 0)),
        scenario.deadlock_ok,
    )


class _Part:
    """One program being translated."""

    def __init__(self, name: str, words: dict[str, int], checks: list[str]) -> None:
        self.name, self.words, self.checks = name, words, checks
        self.registers: dict[str, int] = {}
        self.made: list[Instruction] = []
        self.most = 0

    def translate(self, ops: Sequence[Op]) -> tuple[Instruction, ...]:
        if self.name == "finish" and [one.name for one in ops] == ["drain"]:
            return ()  # the finish of who says nothing about it; no work is queued here
        self._all(ops)
        self.most = len(self.registers)
        return tuple(self.made)

    def _register(self, name: str | None) -> int:
        return self.registers.setdefault(name or "(dropped)", len(self.registers))

    def _all(self, ops: Sequence[Op]) -> None:
        for one in ops:
            if one.name == "when":
                self._when(one)
            elif one.name == "repeat":
                self._repeat(one)
            else:
                self.made += self._plain(one)

    def _when(self, one: Op) -> None:
        at = len(self.made)
        value, other = self._value(one.named["value"])
        reg, compare = self._register(one.named["reg"]), one.named["compare"]
        self.made.append(Instruction("jump_unless"))
        self._all(one.body)
        self.made[at] = Instruction(
            "jump_unless",
            reg=reg,
            compare=compare,
            value=value,
            other=other,
            new=len(self.made),
        )

    def _repeat(self, one: Op) -> None:
        """As often as it says: copies do as well as a counter."""
        for _ in range(one.named["times"]):
            self._all(one.body)

    def _value(self, value: int | str) -> tuple[int, int]:
        return (0, self._register(value)) if isinstance(value, str) else (value, -1)

    def _plain(self, one: Op) -> list[Instruction]:
        """An operation that is no block: one instruction, but for sleep."""
        name, named = one.name, one.named
        if name not in ACCESSES | OTHERS | LOCAL | {"sleep", "wake"}:
            raise NotJudged(f"operation {name}")
        word = self.words.setdefault(named["word"], len(self.words)) if "word" in named else 0
        if name == "sleep":
            seen = self._register("(seen)")
            return [
                Instruction("might_sleep"),
                Instruction("load", word, seen, order="acquire"),
                Instruction("wait_while", word, other=seen),
            ]
        if name == "wake":
            return [Instruction("fetch_add", word, self._register(None), 1)]
        reg = 0
        if "reg" in named or "into" in named:
            reg = self._register(named.get("reg", named.get("into")))
        if name == "move":
            return [Instruction("move", reg=reg, other=self._register(named["from_"]))]
        number = next((named[key] for key in ("value", "n", "expected") if key in named), 0)
        value, other = self._value(number)
        check = -1
        if name == "expect":
            check = len(self.checks)
            self.checks.append(f"{self.name}: {named['message']}")
        return [
            Instruction(
                name,
                word,
                reg,
                value,
                other,
                named.get("order", ""),
                named.get("compare", ""),
                named.get("new", 0),
                check,
            )
        ]
