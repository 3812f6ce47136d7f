"""What the engine's numbers of points and events are called in reports."""

from __future__ import annotations

from z3fold_stress._vocabulary import EVENT_KIND_NAMES, POINT_KIND_NAMES

__all__ = ["POINT_NAMES"]

POINT_NAMES = {**POINT_KIND_NAMES, **EVENT_KIND_NAMES}
