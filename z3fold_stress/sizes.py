"""Sizes of objects for soaks: drawn from a named distribution, or from a file of sizes.

The same spec, count and seed give the same sizes on every machine and version of Python.
"""

from __future__ import annotations

import difflib
import math
import os
from array import array
from collections.abc import Callable

from z3fold_stress._vocabulary import PAGE_SIZE
from z3fold_stress.errors import SettingsError

__all__ = ["DISTRIBUTIONS", "SplitMix64", "sizes"]

LARGEST = PAGE_SIZE
LONGEST_FILE = 64 << 20


class SplitMix64:
    """The splitmix64 generator of pseudo-random 64-bit words."""

    MASK = 2**64 - 1

    def __init__(self, seed: int) -> None:
        self._state = seed & self.MASK

    def word(self) -> int:
        self._state = (self._state + 0x9E3779B97F4A7C15) & self.MASK
        z = self._state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & self.MASK
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & self.MASK
        return z ^ (z >> 31)

    def unit(self) -> float:
        """A double in [0, 1) with 53 random bits."""
        return (self.word() >> 11) * 2.0**-53


def _uniform(random: SplitMix64) -> int:
    return 1 + random.word() % LARGEST


def _zswap(random: SplitMix64) -> int:
    """Lognormal around 1300 bytes, as compressed pages are."""
    u1 = random.unit() or 2.0**-53
    z = math.sqrt(-2.0 * math.log(u1)) * math.cos(2.0 * math.pi * random.unit())
    return min(max(math.floor(math.exp(math.log(1300) - 0.125 + 0.5 * z)), 1), LARGEST)


def _bimodal(random: SplitMix64) -> int:
    """Small or large: the class is one draw, the size another."""
    if random.word() >> 63:
        return 100 + random.word() % 301
    return 2400 + random.word() % 801


DISTRIBUTIONS: dict[str, Callable[[SplitMix64], int]] = {
    "uniform": _uniform,
    "zswap": _zswap,
    "bimodal": _bimodal,
}


def sizes(spec: str, n: int, seed: int) -> array[int]:
    """``n`` sizes of a distribution, or of a file with one size a line.

    A file's sizes come in random order, each as often as the others. Raises SettingsError for a
    spec that names neither, and for a file that does not parse.
    """
    random = SplitMix64(seed)
    draw = DISTRIBUTIONS.get(spec)
    if draw is not None:
        return array("H", (draw(random) for _ in range(n)))
    known = _read(spec)
    drawn = array("H")
    while len(drawn) < n:
        for i in range(len(known) - 1, 0, -1):
            j = random.word() % (i + 1)
            known[i], known[j] = known[j], known[i]
        drawn.extend(known)
    return drawn[:n]


def _read(path: str) -> array[int]:
    """The sizes in a file: one a line, after an optional line ``size``; # begins a comment."""
    known = array("H")
    for number, raw in enumerate(_content(path).splitlines(), start=1):
        line = raw.partition(b"#")[0].strip()
        if not line or (not known and line.lower() == b"size"):
            continue
        if not line.isdigit():
            text = repr(raw[:24])[1:]
            raise SettingsError(
                f"{path}, line {number}: {text} is no size; "
                f"write one whole number from 1 to {LARGEST} a line"
            )
        if len(line) > 9 or not 1 <= int(line) <= LARGEST:
            text = line[:24].decode()
            raise SettingsError(
                f"{path}, line {number}: size {text} is out of range; "
                f"sizes are from 1 to {LARGEST} bytes"
            )
        known.append(int(line))
    if not known:
        raise SettingsError(
            f"{path} holds no size; write one whole number from 1 to {LARGEST} a line"
        )
    return known


def _content(path: str) -> bytes:
    if not os.path.lexists(path) and os.sep not in path:
        near = difflib.get_close_matches(path, DISTRIBUTIONS, n=1)
        raise SettingsError(
            f"sizes is {path!r}: no file has this name, and the distributions are "
            f"{', '.join(DISTRIBUTIONS)}" + (f"; did you mean {near[0]!r}?" if near else "")
        )
    if os.path.isdir(path):
        raise SettingsError(f"{path} is a directory; give a file with one size a line")
    try:
        with open(path, "rb") as file:
            content = file.read(LONGEST_FILE + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(
            f"cannot read sizes from {path!r}: {why}; give a readable file with one size a line"
        ) from error
    if len(content) > LONGEST_FILE:
        raise SettingsError(
            f"{path} is larger than {LONGEST_FILE >> 20} MiB; give a file with one size a line"
        )
    return content.removeprefix(b"\xef\xbb\xbf")
