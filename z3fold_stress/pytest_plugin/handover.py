"""Where a finding that fails a test leaves pytest's hands: the one place to give it to a store."""

from __future__ import annotations

from pathlib import Path

from z3fold_stress.findings import Finding
from z3fold_stress.findings.files import write_finding
from z3fold_stress.pytest_plugin.options import Settings

__all__ = ["hand_over"]


def hand_over(finding: Finding, settings: Settings) -> str:
    """Keep it where the run was told to; the path, or empty where it was told nothing.

    Raises OSError, which says why it cannot be kept. The test tells all of it then, as a line.
    """
    return str(write_finding(finding, Path(settings.save))) if settings.save else ""
