"""A finding as a file: what it is called, and how it gets there.

A file is there whole or not at all, whoever writes the same one at the same time.
"""

from __future__ import annotations

import os
from pathlib import Path

from z3fold_stress.findings.finding import Finding

__all__ = ["file_name", "write_finding"]


def file_name(finding: Finding, mark: str = "") -> str:
    """``SCENARIO-VERDICT-SIGNATURE.json``; the same failure has the same name. ``mark``: added to
    it, so that what a finding was made into does not take its place."""
    parts = (finding.scenario.name, finding.verdict, finding.signature[:8], mark)
    return "-".join(part for part in parts if part) + ".json"


def write_finding(finding: Finding, folder: Path, mark: str = "") -> Path:
    """Save it in this folder, which is made where it is missing. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name(finding, mark)
    draft = folder / f".{path.name}.{os.getpid()}"
    try:
        draft.write_text(finding.dumps())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path
