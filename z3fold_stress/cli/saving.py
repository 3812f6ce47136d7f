"""Findings to files, each with its report on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from z3fold_stress.errors import SettingsError
from z3fold_stress.findings import Finding, gather
from z3fold_stress.findings.files import write_finding
from z3fold_stress.findings.finding import world_of
from z3fold_stress.findings.shrink import Flip
from z3fold_stress.report import report_text

__all__ = ["finding_report", "save_finding", "save_findings"]


def finding_report(finding: Finding, *, flip: Flip | None = None, saved: str = "") -> str:
    """The text report of a finding, which is done once more for it."""
    with world_of(finding) as world:
        evidence = gather(world, finding.schedule, finding.lead)
        return report_text(world, finding, evidence, flip=flip, saved=saved)


def save_finding(finding: Finding, folder: Path, mark: str = "") -> Path:
    """See write_finding. Raises SettingsError, with the finding as a line."""
    try:
        return write_finding(finding, folder, mark)
    except OSError as error:
        raise SettingsError(
            f"no finding can be saved in {folder}: {error.strerror or error}; give --out or "
            f"--no-save.  It is: {finding.line()}"
        ) from None


def save_findings(findings: Sequence[Finding], folder: Path | None, *, say: bool) -> list[Path]:
    """Save them (unless the folder is None), and print their reports."""
    saved = []
    for finding in findings:
        path = None if folder is None else save_finding(finding, folder)
        if path is not None:
            saved.append(path)
        if say:
            click.echo("\n" + finding_report(finding, saved=str(path or "")) + "\n")
    return saved
