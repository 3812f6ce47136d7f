"""Where a finding that fails a test leaves pytest's hands: as a file, and to the findings store."""

from __future__ import annotations

from pathlib import Path

from z3fold_stress.findings import Finding
from z3fold_stress.findings.files import write_finding
from z3fold_stress.findings.store import Store
from z3fold_stress.pytest_plugin.options import Settings

__all__ = ["count", "hand_over"]


def hand_over(finding: Finding, settings: Settings) -> str:
    """Keep it where the run was told to; the path, or empty where it was told nothing.

    Raises OSError, which says why it cannot be kept. The test tells all of it then, as a line.
    """
    return str(write_finding(finding, Path(settings.save))) if settings.save else ""


def count(finding: Finding, settings: Settings) -> None:
    """Tell the store, if there is to be one. Raises StoreError, which says why it cannot."""
    if settings.store != "off":
        store = Store(Path(settings.store) if settings.store else None)
        store.record(finding, origin="pytest")
