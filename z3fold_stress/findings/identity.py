"""What makes two failures the same bug: what a maintainer would call one.

Owns the scheme: an identity is a verdict, who noticed it, and the parts that name it: places in
the user's terms (an operation of the scenario, a function of the subject), words, fields and lock
classes by name, the words of the check.  Never who did it, when, by which schedule, or a number
that another run may have otherwise.  Its hash is the signature.

Both worlds make identities (sim_identity.py, soak_identity.py); what both know of a failure is
said here, so that they say it alike.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from z3fold_stress.verdicts import Verdict

__all__ = ["SCHEME", "Identity", "is_shared", "of_check", "of_cycle", "rotated", "words"]

SCHEME = 2
"""Of signatures.  1 took the number of an expectation, and no names."""

_NUMBERS = re.compile(r"-?(0x[0-9a-f]+|\d+)")
_SHARED = re.compile(r"(list|kref|spin)_|(read|write)_(un)?lock$|op_leave$|check_no_locks_in$")
"""Checks of what all the subject uses: who called it says which bug it is."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One bug."""

    verdict: Verdict
    check: str
    """Who noticed: a detector (``race``, ``deadlock``, ``audit``), or the function that checked."""
    parts: tuple[str, ...] = ()
    scenario: str = ""
    """Where the parts are operations and words of a scenario: they mean something only in it."""

    @property
    def signature(self) -> str:
        whole = "\0".join((str(SCHEME), self.verdict, self.check, self.scenario, *self.parts))
        return hashlib.sha256(whole.encode(errors="backslashreplace")).hexdigest()[:12]


def words(text: str) -> str:
    """What a check said, without what differs from run to run."""
    return " ".join(_NUMBERS.sub("#", text).split())


def is_shared(where: str) -> bool:
    """Whether this check stands in a lock, a list or a count, which many use."""
    return _SHARED.match(where) is not None


def of_check(
    verdict: Verdict, where: str, text: str, *, lock: str = "", caller: str = "", scenario: str = ""
) -> Identity:
    """A check of the subject that failed in the function ``where``.

    ``lock``: what kind of lock it speaks of; ``caller``: who used what is shared, as far as it is
    known.  The two worlds check locks in words of their own, so there the lock itself counts.
    """
    shared = is_shared(where)
    about_lock = bool(lock) and (shared or verdict is Verdict.SLEEP_IN_ATOMIC)
    parts = (caller if shared or scenario else "", lock if about_lock else words(text))
    return Identity(verdict, where, parts, scenario)


def of_cycle(verdict: Verdict, check: str, members: Sequence[str], scenario: str = "") -> Identity:
    """A cycle of waits, or of lock classes: the same wherever one begins to tell it."""
    return Identity(verdict, check, rotated(members), scenario)


def rotated(cycle: Sequence[str]) -> tuple[str, ...]:
    """The rotation of a cycle that comes first in the alphabet."""
    return min((tuple(cycle[i:]) + tuple(cycle[:i]) for i in range(len(cycle))), default=())
