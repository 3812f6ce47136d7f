"""What a soak has not seen, from what it has: Good-Turing.

If a kind of order was seen once only, others of its rarity were not seen at all; the chance that
the next observation is of an unseen kind is about singletons / observations (Good 1953).  The bound
is that of Esty (1983), who gives the variance from singletons and doubletons; with none of either,
3 / observations is what 95 % confidence allows.

This says how much behaviour that the measure can tell apart is still to come.  It is not the chance
that the design is wrong: ASSUMPTIONS are what would have to hold for that.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

__all__ = ["ASSUMPTIONS", "Residual", "residual"]

ENOUGH_WINDOWS = 30
ENOUGH_OBSERVATIONS = 200
ONE_SIDED_95 = 1.645
RULE_OF_THREE = 3.0
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


def good_turing(counts: Iterable[int]) -> tuple[float, float]:
    """The chance of something unseen, and its upper bound, from how often each thing was seen.

    Raises ValueError where nothing was seen.
    """
    seen = list(counts)
    n = sum(seen)
    if n == 0:
        raise ValueError("nothing was seen")
    once, twice = seen.count(1), seen.count(2)
    chance = once / n
    spread = math.sqrt(max(0.0, once * (1 - chance) + 2 * twice))
    bound = max(chance + ONE_SIDED_95 * spread / n, RULE_OF_THREE / n)
    return chance, min(1.0, bound)


def residual(
    counts: Collection[int],
    windows: int,
    discovered: Sequence[float],
    *,
    seconds: float,
    spent: float,
    recorded: bool = True,
) -> Residual:
    """``counts``: in how many windows each kind was; ``discovered``: when each was new."""
    values = list(counts)
    observations = sum(values)
    too_little = ""
    if not recorded:
        too_little = "the recorder is off (--recorder 0)"
    elif windows < ENOUGH_WINDOWS or observations < ENOUGH_OBSERVATIONS:
        too_little = (
            f"{observations:,} observations in {windows:,} windows are too few "
            f"({ENOUGH_OBSERVATIONS} in {ENOUGH_WINDOWS} are needed): run longer"
        )
    chance, at_most = (
        (None, None) if too_little else tuple(round(part, 6) for part in good_turing(values))
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
