"""What a user of the package may have to catch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from z3fold_stress.judgement import Judgement

__all__ = ["HandleError", "ScenarioError", "SettingsError", "VerdictError"]


class SettingsError(ValueError):
    """A setting that cannot work; the message names it and the remedy."""


class ScenarioError(ValueError):
    """A scenario that cannot be run, or a file that holds none; the message says where and why."""


class HandleError(ValueError):
    """A handle that was freed, or that belongs to another pool."""


class VerdictError(AssertionError):
    """A check failed while an operation ran; ``judgements`` says which, oldest first."""

    def __init__(self, judgements: Sequence[Judgement]) -> None:
        self.judgements = tuple(judgements)
        super().__init__("; ".join(str(j) for j in judgements))
