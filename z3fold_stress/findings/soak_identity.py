"""The identity of what a soak told (see identity.py), as the sim world would tell the same.

The processes of a soak know which check failed, in which operation and about which lock; a checked
one knows both sides of a race.  Where the sim world knows more (who called a list's or a lock's
check, which lines were on the way), the two cannot be told to be one bug, and are not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from z3fold_stress.explore.names import Names
from z3fold_stress.findings.identity import Identity, of_check, of_cycle, words
from z3fold_stress.judgement import Judgement
from z3fold_stress.verdicts import Verdict

if TYPE_CHECKING:
    from z3fold_stress.soak.accesses import AccessChecks, AccessFault, AccessSide

__all__ = ["soak_identity"]

_WAITED_FOR = re.compile(r"waits for the \w+ lock (0x[0-9a-f]+)")


def soak_identity(
    judgement: Judgement, names: Names, checks: AccessChecks | None = None
) -> Identity:
    """``judgement``: as the engine recorded it; ``names``: of its arena, while it is there."""
    fault = _fault(judgement, checks)
    if fault is not None:
        return _of_access(judgement, fault, names)
    verdict, where = judgement.verdict, judgement.where
    if where.startswith("audit"):
        return Identity(verdict, "audit", (words(judgement.text),))
    if where == "watch" and verdict is Verdict.DEADLOCK:
        ring = [names.kind(int(lock, 16)) for lock in _WAITED_FOR.findall(judgement.text)]
        return of_cycle(verdict, "deadlock", ring)
    lock = names.kind(judgement.lock) if judgement.lock else ""
    if verdict is Verdict.ORPHANED_LOCK and lock:
        return Identity(verdict, "dead", (lock,))
    return of_check(verdict, where, judgement.text, lock=lock, caller=judgement.op)


def _fault(judgement: Judgement, checks: AccessChecks | None) -> AccessFault | None:
    faults = () if checks is None else checks.faults
    return next((one for one in faults if judgement.where == f"access {one.number}"), None)


def _of_access(judgement: Judgement, fault: AccessFault, names: Names) -> Identity:
    sides = [fault.side] if fault.other is None else [fault.side, fault.other]
    told = sorted(map(_side, sides))
    if fault.fault in ("race", "changed"):
        return Identity(judgement.verdict, "race", (names.kind(fault.side.offset), *told))
    return Identity(judgement.verdict, "access", (fault.fault, *told))


def _side(side: AccessSide) -> str:
    """``z3fold_map@z3fold/map.pxi``, of ``z3fold/map.pxi:41 z3fold_map``."""
    place, _, function = side.site.partition(" ")
    return f"{function}@{place.rpartition(':')[0]}"
