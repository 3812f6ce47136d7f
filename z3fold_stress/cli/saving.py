"""Findings to files.  A file that cannot be written costs the file: it is said on standard error,
with the remedy, and the report is told all the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from z3fold_stress.findings import Finding, gather
from z3fold_stress.findings.files import write_finding, write_scenario
from z3fold_stress.findings.finding import world_of
from z3fold_stress.findings.shrink import Flip
from z3fold_stress.report import report_text, unrepeated_text

__all__ = ["Saving", "finding_report", "not_written"]


def finding_report(finding: Finding, *, flip: Flip | None = None, saved: str = "") -> str:
    """The text report of a finding, which is done once more for it."""
    if not finding.repeated:
        return unrepeated_text(finding, saved)
    with world_of(finding) as world:
        evidence = gather(world, finding.schedule, finding.lead, text=finding.text)
        return report_text(world, finding, evidence, flip=flip, saved=saved)


def not_written(path: Path, error: OSError | ValueError, remedy: str) -> str:
    """Say that a file is lost, and nothing else; returns what was said."""
    why = error.strerror if isinstance(error, OSError) else None
    message = f"{path} cannot be written ({why or error}): {remedy}"
    click.echo(f"warning: {message}", err=True)
    return message


class Saving:
    """The files of one command, in the folder ``folder``; none where it is None."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.paths: list[Path] = []
        self.failed = ""
        """Why files are missing, if some are."""

    def save(self, finding: Finding, *, mark: str = "", scenario: bool = False) -> Path | None:
        """A finding, and with ``scenario`` that in a file beside it; where the finding is, or None
        where it is in no file."""
        if self.folder is None:
            return None
        try:
            path = write_finding(finding, self.folder, mark)
        except (OSError, ValueError) as error:
            self._fail(error)
            return None
        self.paths.append(path)
        if scenario:
            try:
                self.paths.append(write_scenario(finding, path))
            except (OSError, ValueError) as error:
                self._fail(error)
        return path

    def save_all(self, findings: Sequence[Finding], *, say: bool) -> None:
        """Each with its report on the screen, if ``say``."""
        for finding in findings:
            path = self.save(finding)
            if say:
                click.echo("\n" + finding_report(finding, saved=str(path or "")) + "\n")

    def _fail(self, error: OSError | ValueError) -> None:
        """Said once: the next one fails for the same reason, most likely."""
        assert self.folder is not None
        if not self.failed:
            remedy = "the findings are not saved; give --out a writable directory, or --no-save"
            self.failed = not_written(self.folder, error, remedy)
