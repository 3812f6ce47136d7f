"""Soak tests: real processes on one arena, watched, audited and reported.

    from z3fold_stress.soak import SoakSettings, run
    report = run(SoakSettings(seconds=20, seed=7))

A script that calls this needs the ``if __name__ == "__main__"`` guard: processes are spawned.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from z3fold_stress.soak.report import SoakReport
from z3fold_stress.soak.settings import SoakSettings
from z3fold_stress.soak.supervisor import Soak, ToolFailed
from z3fold_stress.soak.text import as_text

__all__ = ["Soak", "SoakReport", "SoakSettings", "ToolFailed", "as_text", "run"]


def run(
    settings: SoakSettings,
    on_tick: Callable[[Soak], None] | None = None,
    dump: Path | None = None,
) -> SoakReport:
    """Do a soak. ``dump``: where to save the arena when something was found."""
    soak = Soak(settings, on_tick, dump)
    return soak.run()
