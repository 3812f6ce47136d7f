"""Findings and scenario files that commands are given."""

from __future__ import annotations

from pathlib import Path

import pytest
from lost_update import lost_update

HEAD = "from z3fold_stress.scenario import Scenario, op\n"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "lost-update.json"
    path.write_text(lost_update().dumps())
    return path


def scenario_file(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text(HEAD + text)
    return path
