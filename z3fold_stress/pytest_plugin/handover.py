"""Where a finding that fails a test leaves pytest's hands: the one place to give it to a store."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from z3fold_stress.findings import Finding
from z3fold_stress.findings.files import write_finding
from z3fold_stress.pytest_plugin.options import Settings

__all__ = ["hand_over"]


def hand_over(finding: Finding, settings: Settings) -> str:
    """Keep it where the run was told to; the path, or empty. Where it cannot be kept the test
    still tells all of it, as a line."""
    if not settings.save:
        return ""
    try:
        return str(write_finding(finding, Path(settings.save)))
    except OSError as error:
        warnings.warn(
            pytest.PytestWarning(
                f"--hunt-save: no finding can be saved in {settings.save}: "
                f"{error.strerror or error}; it is told as a line instead"
            ),
            stacklevel=2,
        )
        return ""
