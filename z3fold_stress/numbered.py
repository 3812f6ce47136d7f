"""The kind of enum that the engine's numbers with a stable name become in Python."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Numbered(StrEnum):
    """Each member is its own name, ``Verdict.LEAK == "leak"``, and has the engine's number."""

    number: int
    meaning: str
    """One sentence for people."""

    def __new__(cls, name: str, number: int = 0, meaning: str = "") -> Self:
        member = str.__new__(cls, name)
        member._value_ = name
        member.number = number
        member.meaning = meaning
        return member

    @classmethod
    def numbered(cls, number: int) -> Self:
        """The member that has this number in the engine."""
        for member in cls:
            if member.number == number:
                return member
        numbers = [member.number for member in cls]
        raise ValueError(
            f"no {cls.__name__.lower()} has the number {number}; "
            f"they go from {min(numbers)} to {max(numbers)}"
        )
