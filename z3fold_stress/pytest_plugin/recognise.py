"""Which files are scenarios, told without running any and without the engine.

A file is one when it comes with the package, when an ini pattern says so (``hunt_files``), or when
it was given on the command line, is no test module, and reads like one.
"""

from __future__ import annotations

import ast
import importlib.util
import json
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

__all__ = ["Recogniser"]

PACKAGE = "z3fold_stress.scenarios"
NAMES = ("scenario", "scenarios")
SUFFIXES = (".py", ".json")


class Recogniser:
    """Of one run."""

    def __init__(self, config: pytest.Config) -> None:
        self.root = config.rootpath
        self.patterns: list[str] = config.getini("hunt_files")
        self.test_modules: list[str] = config.getini("python_files")
        self.built_in = _built_in()

    def is_test_module(self, path: Path) -> bool:
        return path.suffix == ".py" and any(self._fits(path, one) for one in self.test_modules)

    def is_scenario(self, path: Path, given: bool) -> bool:
        """``given``: on the command line."""
        if path.suffix not in SUFFIXES or path.name.startswith(("_", ".")):
            return False
        if any(self._fits(path, pattern) for pattern in self.patterns):
            return True
        if any(folder in path.parents for folder in self.built_in):
            return True
        return given and not self.is_test_module(path) and _reads_like_one(path)

    def _fits(self, path: Path, pattern: str) -> bool:
        if "/" not in pattern:
            return fnmatchcase(path.name, pattern)
        return path.is_relative_to(self.root) and fnmatchcase(
            path.relative_to(self.root).as_posix(), pattern
        )


def _built_in() -> tuple[Path, ...]:
    """Where the scenarios are that come with the package; none in a bare checkout."""
    try:
        spec = importlib.util.find_spec(PACKAGE)
    except ModuleNotFoundError:
        return ()
    return tuple(map(Path, spec.submodule_search_locations or ())) if spec else ()


def _reads_like_one(path: Path) -> bool:
    try:
        source = path.read_bytes()
        if path.suffix == ".json":
            value = json.loads(source)
            return isinstance(value, dict) and "scenario" in value
        if b"z3fold_stress" not in source:
            return False
        body = ast.parse(source).body
    except (OSError, ValueError, SyntaxError, RecursionError):
        return False
    return any(
        isinstance(target, ast.Name) and target.id in NAMES
        for statement in body
        for target in (
            statement.targets
            if isinstance(statement, ast.Assign)
            else [statement.target]
            if isinstance(statement, ast.AnnAssign)
            else []
        )
    )
