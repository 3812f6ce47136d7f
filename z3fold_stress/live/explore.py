"""Explores a scenario with real processes: the strategies that need no more than the choice of who
goes on."""

from __future__ import annotations

import functools
from collections.abc import Callable

from z3fold_stress.campaign.hunt import HuntSettings, Trail, explore_one
from z3fold_stress.errors import SettingsError
from z3fold_stress.explore.explorer import Exploration
from z3fold_stress.explore.portfolio import Arm, arms_of
from z3fold_stress.live.world import PATIENCE, LiveWorld
from z3fold_stress.scenario import Scenario

__all__ = ["STRATEGIES", "explore_live", "live_arms"]

STRATEGIES = ("random", "pct")


def live_arms(strategy: str, bound: int | None = None) -> tuple[Arm, ...]:
    """The arms of a strategy that can drive processes; ``portfolio`` is both of them, in turns.

    Raises SettingsError for one that cannot.
    """
    if strategy == "portfolio":
        return (*arms_of("random"), *arms_of("pct", bound))
    arms = arms_of(strategy, bound)
    if strategy not in STRATEGIES:
        raise SettingsError(
            f"strategy {strategy!r} cannot drive processes: with --live there are "
            f"{' and '.join(STRATEGIES)} (leave --live out to explore by {strategy!r})"
        )
    return arms


def explore_live(
    scenario: Scenario,
    settings: HuntSettings,
    tell: Callable[[Exploration], None] | None = None,
    *,
    patience: float = PATIENCE,
) -> Trail:
    """As explore_one(), by processes. The same seed and strategy make the same executions.

    Raises SettingsError as live_arms() and LiveWorld do, LiveError when a process fails by itself.
    """
    return explore_one(
        scenario,
        settings,
        tell,
        world_of=functools.partial(LiveWorld, patience=patience),
        arms=live_arms(settings.strategy, settings.bound),
    )
