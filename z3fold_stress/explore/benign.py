"""Races that are known and harmless: each with the reason why it may stay.

The source marks the access (``data_race``, as in the kernel); the engine counts how often it was
seen to race, and reports say so: known is not silent.
"""

from __future__ import annotations

from dataclasses import dataclass

from z3fold_stress._vocabulary import KNOWN_RACE_NAMES
from z3fold_stress.explore.sites import resolve, subject_site
from z3fold_stress.explore.world import World

__all__ = ["REASONS", "SeenRace", "seen_races"]

REASONS = KNOWN_RACE_NAMES


@dataclass(frozen=True, slots=True)
class SeenRace:
    """A known race that an exploration met."""

    site: str
    other: str
    times: int
    reason: str

    def __str__(self) -> str:
        return f"known benign: {self.site} races with {self.other} ({self.times}x): {self.reason}"


def seen_races(world: World) -> list[SeenRace]:
    """The known races that this world has met so far, by site."""
    seen = world.simulator.known_races()
    sites = resolve(pc for _, pc, other, _ in seen for pc in (pc, other))
    return sorted(
        (
            SeenRace(
                str(subject_site(sites.get(pc, ()))),
                str(subject_site(sites.get(other, ()))),
                times,
                REASONS[reason],
            )
            for reason, pc, other, times in seen
        ),
        key=str,
    )
