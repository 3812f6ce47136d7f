"""Finds scenarios and reads their files: the built-in ones by name, any other by its path.

A ``.py`` file is a program, and is run; a ``.json`` file is data, and is only read.
"""

from __future__ import annotations

import importlib.resources
import json
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import z3fold_stress
from z3fold_stress.errors import ScenarioError
from z3fold_stress.scenario.scenario import Scenario
from z3fold_stress.scenario.value import nearest, shown

__all__ = ["all_scenarios", "built_in_folder", "load", "load_file"]

PACKAGE = "z3fold_stress.scenarios"
SUFFIXES = (".py", ".json")


def built_in_folder() -> Path:
    """Where the scenarios are that come with the package."""
    try:
        return Path(str(importlib.resources.files(PACKAGE)))
    except ModuleNotFoundError:  # a checkout that is used without being installed
        return Path(z3fold_stress.__file__).parents[1] / "scenarios"


def all_scenarios() -> list[Scenario]:
    """The built-in scenarios, sorted by name."""
    return sorted(_unique(_of_folder(built_in_folder())), key=lambda scenario: scenario.name)


def load(names_or_paths: Sequence[str]) -> list[Scenario]:
    """Scenarios by name, file or folder, in the order asked for, each once."""
    return _unique(scenario for each in names_or_paths for scenario in _load_one(each))


def load_file(path: str | Path) -> list[Scenario]:
    """The scenarios of a file. Raises ScenarioError, which names the file, and the line."""
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ScenarioError(f"{path} is no scenario: give a file that ends in .py or .json")
    try:
        source = path.read_bytes()
    except OSError as error:
        raise ScenarioError(f"cannot read {path}: {error.strerror}") from None
    if path.suffix == ".json":
        return [_named(path, _of_json(path, source))]
    return _of_python(path, source)


def _load_one(name: str) -> list[Scenario]:
    """A built-in name (a file's stands for all in it, unless one of them has that very name), then
    what is there, then a group of the built-in ones."""
    for path in _files(built_in_folder()):
        if _name_of(path) == name:
            found = load_file(path)
            return [one for one in found if one.name == name] or found
    path = Path(name)
    if path.is_dir():
        return _of_folder(path)
    if path.suffix in SUFFIXES:
        return load_file(path)
    if name.isidentifier() and (built_in_folder() / name).is_dir():
        return _of_folder(built_in_folder() / name)
    known = {scenario.name: scenario for scenario in all_scenarios()}
    if name not in known:
        raise ScenarioError(
            f"no scenario is named {shown(name)}{nearest(name, known)} "
            "(z3fold-stress scenarios lists them all; or give a file or a folder)"
        )
    return [known[name]]


def _unique(scenarios: Iterable[Scenario]) -> list[Scenario]:
    """Each scenario once; two different ones may not have the same name."""
    known: dict[str, Scenario] = {}
    for scenario in scenarios:
        if known.setdefault(scenario.name, scenario) != scenario:
            raise ScenarioError(f"two scenarios are named {scenario.name!r}: rename one of them")
    return list(known.values())


def _files(folder: Path) -> Iterator[Path]:
    """The scenario files of a folder and those in it, in the order of their paths."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
        if path.suffix in SUFFIXES and not hidden and path.is_file():
            yield path


def _of_folder(folder: Path) -> list[Scenario]:
    files = list(_files(folder))
    if not files:
        raise ScenarioError(f"no scenario is in {folder}: they are files that end in .py or .json")
    return [scenario for path in files for scenario in load_file(path)]


def _name_of(path: Path) -> str:
    return path.stem.replace("_", "-")


def _named(path: Path, scenario: Scenario, number: int = 0, story: str = "") -> Scenario:
    """The scenario with the name and the story that its file gives it."""
    name = scenario.name or _name_of(path) + (f"-{number}" if number else "")
    try:
        return replace(scenario, name=name, story=scenario.story or story)
    except ScenarioError as error:
        raise ScenarioError(f"{path}: {error}; rename the file, or give name=") from None


# JSON


def _of_json(path: Path, source: bytes) -> Scenario:
    try:
        data = json.loads(source, object_pairs_hook=_object)
        if isinstance(data, dict) and isinstance(data.get("scenario"), dict):
            data = data["scenario"]  # a finding
        return Scenario.from_json(data)
    except ScenarioError as error:
        raise ScenarioError(f"{path}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ScenarioError(f"{path} is not JSON: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ScenarioError(f"the key {shown(twice)} is twice in one object: remove one of them")
    return made


# Python


def _of_python(path: Path, source: bytes) -> list[Scenario]:
    module: dict[str, Any] = {"__name__": f"scenario_file_{path.stem}", "__file__": str(path)}
    _run(path, source, module)
    story = module.get("__doc__") or ""
    if ("scenario" in module) == ("scenarios" in module):
        how = "both" if "scenario" in module else "neither"
        raise ScenarioError(f"{path} defines {how} of 'scenario' and 'scenarios': define one")
    if "scenario" in module:
        found, single = [module["scenario"]], True
    elif isinstance(module["scenarios"], list | tuple):
        found, single = list(module["scenarios"]), False
    else:
        raise ScenarioError(f"{path}: 'scenarios' is {shown(module['scenarios'])}: make it a list")
    for each in found:
        if not isinstance(each, Scenario):
            raise ScenarioError(f"{path}: {shown(each)} is no Scenario: make it one")
    made = [
        _named(path, scenario, 0 if single else number, story)
        for number, scenario in enumerate(found, start=1)
    ]
    try:
        return _unique(made)
    except ScenarioError as error:
        raise ScenarioError(f"{path}: {error}") from None


def _run(path: Path, source: bytes, module: dict[str, Any]) -> None:
    """Run a file; whatever it raises becomes one line that says where."""
    try:
        exec(compile(source, str(path), "exec", dont_inherit=True), module)
    except (Exception, SystemExit) as error:
        raise ScenarioError(f"{_place(path, error)}: {_what(error)}") from None


def _place(path: Path, error: BaseException) -> str:
    """The file, and the last line of it that took part in an error."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines.append(error.lineno)
    return f"{path}, line {lines[-1]}" if lines and lines[-1] else str(path)


def _what(error: BaseException) -> str:
    if isinstance(error, ScenarioError):
        return str(error)
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {' '.join(text.split())}"
