"""What a soak has not seen, from what it has: Good-Turing, with the windows as the samples.

If a kind of order was seen in one window only, others of its rarity were not seen at all; the
chance that the next observation is of an unseen kind is about singletons / observations (Good
1953).  How far the truth may be from that is for Esty (1983) a matter of singletons and doubletons,
one by one.  But kinds come together: of those that one situation makes each shows all.  So it is
the windows that are independent, and the variance is theirs: of the singletons a window has, and of
the doubletons that a pair of windows shares; what is drawn at once counts as one.  For few of those
the bound is that of a Poisson number (3 for none, at 95 %).

This says how much behaviour that the measure can tell apart is still to come.  It is not the chance
that the design is wrong: ASSUMPTIONS are what would have to hold for that.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

__all__ = ["ASSUMPTIONS", "Incidences", "Residual", "good_turing", "residual"]

Kind = TypeVar("Kind", bound=Hashable)

ENOUGH_WINDOWS = 30
ENOUGH_OBSERVATIONS = 200
ONE_SIDED_95 = 1.645
TENTHS = 10
ASSUMPTIONS = (
    "windows are independent, and of one unchanged mix",
    "three operations in a row on a page tell orders apart; instructions inside them are not seen",
    "a fault shows only in a kind of order that was not seen yet",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """How far the coverage of a soak has come."""

    windows: int
    observations: int
    """Each kind once a window."""
    kinds: int
    singletons: int
    """Kinds that one window only showed."""
    doubletons: int
    discovery: tuple[int, ...]
    """New kinds in each tenth of the run."""
    new_per_minute: float
    """In its second half."""
    chance: float | None
    """That the next observation is of a kind not seen; None: too little was seen to say."""
    at_most: float | None
    """The same, with 95 % confidence."""
    too_little: str
    """Why there is no chance."""
    assumptions: tuple[str, ...]
    cost: float
    """Part of one CPU that looking took."""


class Incidences(Generic[Kind]):
    """In which windows each kind was."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        """How many kinds each window had."""
        self.counts: dict[Kind, int] = {}
        """In how many windows each was."""
        self._together: dict[Kind, int] = {}

    def add(self, kinds: Collection[Kind]) -> int:
        """One window more; how many of its kinds are new."""
        before = len(self.counts)
        for kind in kinds:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            self._together[kind] = hash((self._together.get(kind, 0), len(self.sizes)))
        self.sizes.append(len(kinds))
        return len(self.counts) - before

    def groups(self, times: int | None = None) -> dict[int, int]:
        """Of the kinds that were in so many windows (None: of all): the numbers of those that
        were in the same ones, by a number for these."""
        groups: dict[int, int] = {}
        for kind, together in self._together.items():
            if times is None or self.counts[kind] == times:
                groups[together] = groups.get(together, 0) + 1
        return groups

    def singletons(self) -> list[int]:
        """How many each window has, in the order of the windows."""
        groups = self.groups(1)
        return [groups.get(hash((0, window)), 0) for window in range(len(self.sizes))]


def good_turing(seen: Incidences[Any]) -> tuple[float, float]:
    """The chance of something unseen, and its upper bound.

    Raises ValueError where nothing was seen.
    """
    windows, n = len(seen.sizes), sum(seen.sizes)
    if n == 0:
        raise ValueError("nothing was seen")
    alone = seen.singletons()
    pairs = seen.groups(2)
    once, twice = sum(alone), sum(pairs.values())
    chance = once / n
    spread = sum((u - chance * size) ** 2 for u, size in zip(alone, seen.sizes, strict=True))
    spread *= windows / max(1, windows - 1)
    shared = sum(group * group for group in pairs.values())
    at_once = max(1.0, spread / once if once else 1.0, shared / twice if twice else 1.0)
    if not once and not twice:
        groups = seen.groups()
        at_once = sum(group * group for group in groups.values()) / sum(groups.values())
    draws = (spread + 2 * shared) / at_once**2
    return chance, min(1.0, chance + at_once * _excess(draws) / n)


def _excess(draws: float) -> float:
    """By how much the mean of a Poisson number may be above what came, one-sided 95 %: the
    quantile of a gamma distribution, after Wilson and Hilferty (1931)."""
    shape = draws + 1
    root = 1 - 1 / (9 * shape) + ONE_SIDED_95 / (3 * math.sqrt(shape))
    return shape * root**3 - draws


def residual(
    seen: Incidences[Any],
    discovered: Sequence[float],
    *,
    seconds: float,
    spent: float,
    recorded: bool = True,
) -> Residual:
    """``discovered``: when each kind was new."""
    values = list(seen.counts.values())
    windows, observations = len(seen.sizes), sum(seen.sizes)
    too_little = ""
    if not recorded:
        too_little = "the recorder is off (--recorder 0)"
    elif windows < ENOUGH_WINDOWS or observations < ENOUGH_OBSERVATIONS:
        too_little = (
            f"{observations:,} observations in {windows:,} windows are too few "
            f"({ENOUGH_OBSERVATIONS} in {ENOUGH_WINDOWS} are needed): run longer"
        )
    chance, at_most = (
        (None, None) if too_little else tuple(round(part, 6) for part in good_turing(seen))
    )
    late = sum(when >= seconds / 2 for when in discovered)
    return Residual(
        windows=windows,
        observations=observations,
        kinds=len(values),
        singletons=values.count(1),
        doubletons=values.count(2),
        discovery=_tenths(discovered, seconds),
        new_per_minute=round(late / (seconds / 2) * 60, 2) if seconds > 0 else 0.0,
        chance=chance,
        at_most=at_most,
        too_little=too_little,
        assumptions=ASSUMPTIONS,
        cost=round(spent / seconds, 5) if seconds > 0 else 0.0,
    )


def _tenths(discovered: Sequence[float], seconds: float) -> tuple[int, ...]:
    tenths = [0] * TENTHS
    for when in discovered:
        part = int(when / seconds * TENTHS) if seconds > 0 else 0
        tenths[min(TENTHS - 1, part)] += 1
    return tuple(tenths)
