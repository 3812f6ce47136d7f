"""A finding to keep, and what it could be otherwise."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

from z3fold_stress.campaign.hunt import HuntSettings, explore_one
from z3fold_stress.findings import Finding
from z3fold_stress.scenario import load


@functools.cache
def lost_update() -> Finding:
    trail = explore_one(load(["lost-update"])[0], HuntSettings(design="sound", executions=500))
    return Finding.from_json(trail.findings[0])


def finding(signature: str = "", **changes: Any) -> Finding:
    it = lost_update()
    return replace(it, signature=signature or it.signature, **changes)


def schedule(switches: int) -> tuple[tuple[int, int, int, int], ...]:
    return tuple((0, clock, 0, 1) for clock in range(switches))
