"""Names for the engine's numbers."""

from __future__ import annotations

from enum import IntEnum, StrEnum
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


def names_of(numbers: type[IntEnum], prefix: str) -> tuple[str, ...]:
    """``("ttas", "ticket", "mcs")`` for KIND_TTAS and so on: each stands at its number."""
    members = [name for name in numbers.__members__ if name.startswith(prefix)]
    assert [numbers[name] for name in members] == list(range(len(members)))
    return tuple(name.removeprefix(prefix).lower() for name in members)
