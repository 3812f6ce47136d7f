"""A finding as a file: what it is called, and how it gets there."""

from __future__ import annotations

import json
from pathlib import Path

from z3fold_stress.findings.finding import Finding
from z3fold_stress.whole_file import whole_file

__all__ = ["file_name", "write_finding", "write_scenario"]


def file_name(finding: Finding, mark: str = "") -> str:
    """``SCENARIO-VERDICT-SIGNATURE.json``; the same failure has the same name. ``mark``: added to
    it, so that what a finding was made into does not take its place."""
    parts = (finding.scenario.name, finding.verdict, finding.signature[:8], mark)
    return "-".join(part for part in parts if part) + ".json"


def write_finding(finding: Finding, folder: Path, mark: str = "") -> Path:
    """Save it in this folder, which is made where it is missing. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name(finding, mark)
    with whole_file(path) as part:
        part.write_text(finding.dumps())
    return path


def write_scenario(finding: Finding, path: Path) -> Path:
    """The scenario of the finding in the file ``path``, beside it, to be explored by itself. Raises
    OSError."""
    beside = path.with_suffix(".scenario.json")
    with whole_file(beside) as part:
        part.write_text(json.dumps(finding.scenario.to_json(), indent=1) + "\n")
    return beside
