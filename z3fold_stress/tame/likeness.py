"""How much alike two failures are: the one that a real run met, and one of an explored scenario.

Three degrees, and only the first is called the same failure:

- ``same``: the same verdict, given at the same place.  A place is the function whose check failed
  or, where the sim world saw the access before the check could, a function that the access was in.
  Checks that several functions share are one place: the links of a list, with the words of what is
  torn; the bytes of a payload.  A deadlock is in the operation that waits.  Where the audit speaks
  its words count, numbers left out; where the watcher does, which sees that something is wrong and
  not where, the verdict counts alone.
- ``akin``: the same verdict, given elsewhere: what was damaged was noticed by somebody else.  Also
  a wait without an end, for a stall: the sim world has no clock, but knows who waits for ever.
- ``other``: another verdict of the same design.  Told, and never claimed to be the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum

from z3fold_stress.tame.wild import Wild
from z3fold_stress.verdicts import Verdict

__all__ = ["Likeness", "likeness", "wanted"]

_NUMBERS = re.compile(r"0x[0-9a-f]+|\d+")
_PAYLOAD = frozenset(("map", "map held", "check", "read", "write_back"))
"""Places that all compare a payload with what was written."""
_LISTS = frozenset(("list_add", "list_add_tail", "list_del", "list_del_init"))
"""Whoever next follows a torn link notices it."""
_OUTSIDE = frozenset(("watch", "quiet point", "end of the run", "outside", "signal"))
"""Places of the supervisor: it sees that something is wrong, not where."""


class Likeness(IntEnum):
    """Greater is more alike."""

    OTHER = 1
    AKIN = 2
    SAME = 3

    def __str__(self) -> str:
        return self.name.lower()


WAITS = frozenset((Verdict.DEADLOCK, Verdict.LIVELOCK))


def wanted(wild: Wild) -> frozenset[Verdict]:
    """The verdicts that can be more than another failure."""
    return WAITS if wild.verdict is Verdict.STALL else frozenset((wild.verdict,))


def likeness(
    wild: Wild, verdict: Verdict, where: str, text: str, functions: Iterable[str] = ()
) -> Likeness:
    """``where``, ``text``: of the explored failure, as the engine said them; ``functions``: that
    took part in it, and operations in which somebody waits."""
    took_part = frozenset(functions)
    if verdict not in wanted(wild):
        return Likeness.OTHER
    if verdict is not wild.verdict:
        return Likeness.AKIN
    if wild.where.startswith("audit"):
        alike = where == "audit" and words(text) == words(wild.text)
    elif wild.where in _OUTSIDE or verdict is Verdict.ORPHANED_LOCK:
        alike = True  # who waits for a dead task's lock is chance
    elif {where, wild.where} <= _LISTS:
        alike = words(text) == words(wild.text)
    else:
        alike = _place(where) == _place(wild.where) or wild.where in took_part
        # A map that leads beside its object: seen at the access, before bytes are compared.
        alike |= verdict is Verdict.DEADLOCK and wild.op in took_part
        alike |= verdict is Verdict.CORRUPTION and where == "access" and wild.where in _PAYLOAD
    return Likeness.SAME if alike else Likeness.AKIN


def _place(where: str) -> str:
    return "payload" if where in _PAYLOAD else where


def words(text: str) -> str:
    """What is said, without the numbers that differ from run to run."""
    return " ".join(_NUMBERS.sub("#", text).split())
