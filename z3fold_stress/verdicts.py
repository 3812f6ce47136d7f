"""The closed list of verdicts: all that the tool can say has gone wrong.

The order is fixed. The engine numbers the verdicts from 1 in this order (0 is "nothing wrong"),
and the numbers are stored in arenas and findings.
"""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """A kind of failure.  It is its own stable name: ``Verdict.LEAK == "leak"``."""

    meaning: str
    """One sentence for people."""

    def __new__(cls, name: str, meaning: str = "") -> Verdict:
        member = str.__new__(cls, name)
        member._value_ = name
        member.meaning = meaning
        return member

    DATA_RACE = (
        "data-race",
        "Two tasks touched the same bytes, at least one of them writing, and nothing ordered them.",
    )
    CORRUPTION = (
        "corruption",
        "The contents of a live object are not what its owner wrote.",
    )
    USE_AFTER_FREE = (
        "use-after-free",
        "A page, a slots object, a queue or a pool was touched after it had been freed.",
    )
    DOUBLE_FREE = (
        "double-free",
        "A page, a slots object or an object was freed a second time.",
    )
    REFCOUNT = (
        "refcount",
        "A reference count is not the number of references that can be found, or went below zero.",
    )
    LIST_CORRUPTION = (
        "list-corruption",
        "A list does not hold together: a torn link, one link on two lists, or a foreign entry.",
    )
    LOST_PAGE = (
        "lost-page",
        "A live page that no one holds is missing from a list on which its state demands it.",
    )
    STALE_HANDLE = (
        "stale-handle",
        "A handle was used that no longer names the object it was made for.",
    )
    LEAK = (
        "leak",
        "Memory is still allocated that no one can reach or will ever free.",
    )
    DEADLOCK = (
        "deadlock",
        "Tasks wait in a cycle, or for something that no task left can ever do.",
    )
    LIVELOCK = (
        "livelock",
        "Tasks keep running and retrying, and none of them gets anywhere.",
    )
    LOCK_MISUSE = (
        "lock-misuse",
        "A lock was taken twice, released by a stranger, never released, or not held where needed.",
    )
    LOCK_ORDER = (
        "lock-order",
        "Two classes of locks were taken in both orders, which can deadlock even if it did not.",
    )
    SLEEP_IN_ATOMIC = (
        "sleep-in-atomic",
        "Something that may sleep was called with a spinlock held or where sleeping is forbidden.",
    )
    EAGAIN_CONTRACT = (
        "eagain-contract",
        "Migration broke the rules of -EAGAIN: change nothing, be retried, succeed if undisturbed.",
    )
    INVARIANT = (
        "invariant",
        "The audit, or an assertion of the subject, found a state that must not exist.",
    )
    ORPHANED_LOCK = (
        "orphaned-lock",
        "A lock is held by a process that is dead.",
    )
    STALL = (
        "stall",
        "A process made no progress for the time allowed, and no cycle explains it.",
    )
    CRASH = (
        "crash",
        "A process died of a signal, or the subject followed a null or wild address.",
    )

    @property
    def number(self) -> int:
        """The number that the engine uses for this verdict, from 1."""
        return _ORDER.index(self) + 1

    @classmethod
    def numbered(cls, number: int) -> Verdict:
        """The verdict with this number of the engine."""
        if not 1 <= number <= len(_ORDER):
            raise ValueError(f"no verdict has the number {number}; they go from 1 to {len(_ORDER)}")
        return _ORDER[number - 1]


_ORDER = tuple(Verdict)
