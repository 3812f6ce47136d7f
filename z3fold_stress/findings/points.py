"""What the engine's numbers of points and events are called in reports."""

from __future__ import annotations

__all__ = ["POINT_NAMES"]

POINT_NAMES = {
    1: "load",
    2: "store",
    3: "atomic",
    4: "trylock",
    5: "unlock",
    6: "read_unlock",
    7: "yield",
    8: "lock",
    9: "read_lock",
    10: "write_lock",
    11: "wait until free",
    12: "wait for a change",
    13: "wait for a value",
    14: "wait for work",
    64: "begins",
    66: "access",
    67: "fails",
    68: "dies",
    69: "allocates",
    70: "frees",
}
