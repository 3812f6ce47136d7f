"""The two command lines of the README, as a new user would type them: each works alone in a
fresh checkout, makes its own environment, and can be run again. What is packaged is what should
be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.readme


def lines_of_the_readme() -> list[str]:
    """The indented lines that make an environment."""
    text = (ROOT / "README.md").read_text()
    return [line.strip() for line in text.splitlines() if line.startswith("    python3 -m venv")]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The tree without what builds and runs left in it."""
    left = shutil.ignore_patterns(
        ".git", ".venv*", "build", "dist", "*.egg-info", "*.so", "__pycache__", ".*_cache", "*.dump"
    )
    return Path(shutil.copytree(ROOT, tmp_path / "checkout", ignore=left))


def type_in(checkout: Path, line: str) -> subprocess.CompletedProcess[str]:
    clean = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PYTHON", "VIRTUAL"))
    }
    clean["PATH"] = f"{Path(sys.base_prefix) / 'bin'}:{clean['PATH']}"
    return subprocess.run(
        ["bash", "-c", line], cwd=checkout, env=clean, capture_output=True, text=True, timeout=1800
    )


def test_there_are_two() -> None:
    soak, tests = lines_of_the_readme()
    assert "z3fold-stress soak --seconds 20" in soak
    assert tests.endswith("pytest -n auto")


def test_the_main_job_runs_and_runs_again(checkout: Path) -> None:
    line = lines_of_the_readme()[0]
    for _ in range(2):
        done = type_in(checkout, line)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "CLEAN: nothing was found" in done.stdout


def test_the_tests_pass(checkout: Path) -> None:
    done = type_in(checkout, lines_of_the_readme()[1])
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert " passed" in done.stdout


def test_the_wheel_holds_the_package_and_no_stray_sources(checkout: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    pip = [str(tmp_path / "env" / "bin" / "python"), "-m", "pip"]
    subprocess.run(
        [*pip, "wheel", "-q", "--no-deps", "-w", str(tmp_path), "."], cwd=checkout, check=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.startswith("z3fold_stress/_live.") and name.endswith(".so") for name in names)
    assert "z3fold_stress/py.typed" in names
    stray = [n for n in names if n.endswith((".c", ".pyx", ".pxi", ".h")) or "tests/" in n]
    assert stray == []


def test_an_editable_install_works(checkout: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    python = str(tmp_path / "env" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", "-e", "."], cwd=checkout, check=True)
    subprocess.run(
        [python, "-c", "import z3fold_stress as z; z.Arena(frames=16).close()"], check=True
    )
