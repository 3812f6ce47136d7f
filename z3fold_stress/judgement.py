"""What a check said: a verdict with the task, the function and the objects it speaks of, and a
finding of the audit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from z3fold_stress import _live
from z3fold_stress.verdicts import Verdict

__all__ = ["AuditFinding", "Judgement", "verdict_of"]

_OPS = {
    int(value): name.removeprefix("OP_").lower() for name, value in _live.Op.__members__.items()
}


def verdict_of(kind: int) -> Verdict:
    """The verdict that the engine numbers so, from 1."""
    return Verdict.numbered(kind)


def op_name(op: int) -> str:
    """``migrate_pages`` for OP_MIGRATE_PAGES; empty for none. A damaged arena may hold any."""
    return "" if op == 0 else _OPS.get(op, f"operation {op}")


@dataclass(frozen=True, slots=True)
class Judgement:
    """A failed check, as recorded in the arena while tasks ran.

    ``page``, ``handle`` and ``lock`` are offsets in the arena, 0 where the check has none.
    """

    verdict: Verdict
    text: str
    where: str
    task: int
    op: str
    page: int = 0
    handle: int = 0
    lock: int = 0

    @classmethod
    def of(cls, record: dict[str, Any]) -> Judgement:
        return cls(
            verdict=verdict_of(record["kind"]),
            text=record["text"],
            where=record["where"],
            task=record["task"],
            op=op_name(record["op"]),
            page=record["page"],
            handle=record["handle"],
            lock=record["lock"],
        )

    def __str__(self) -> str:
        during = f", during {self.op}" if self.op else ""
        return f"{self.verdict}: {self.text} (task {self.task}, in {self.where}{during})"


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """A broken invariant of a quiet arena, under the number of its rule (pyx/check/audit.pxi)."""

    rule: int
    verdict: Verdict
    text: str
    page: int = 0
    handle: int = 0

    def __str__(self) -> str:
        return f"{self.verdict}: {self.text} (audit rule {self.rule})"
