"""The stub of the engine, and what Python knows of its vocabulary, name what the engine has."""

import ast
import enum
from pathlib import Path
from types import ModuleType

import pytest

import z3fold_stress
from z3fold_stress import _live, _sim, _vocabulary
from z3fold_stress.verdicts import Verdict


def stub_classes() -> dict[str, set[str]]:
    tree = ast.parse((Path(z3fold_stress.__file__).parent / "_live.pyi").read_text())
    return {
        node.name: {
            target.id
            for line in node.body
            if isinstance(line, ast.Assign)
            for target in line.targets
            if isinstance(target, ast.Name)
        }
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }


def enums_of(module: ModuleType) -> dict[str, dict[str, int]]:
    return {
        name: {member: int(value) for member, value in found.__members__.items()}
        for name, found in vars(module).items()
        if isinstance(found, type) and issubclass(found, enum.Enum)
        if found is not Verdict and found.__members__
    }


@pytest.mark.parametrize("engine", [_live, _sim])
def test_every_enum_has_the_numbers_of_the_engine(engine: ModuleType) -> None:
    compiled = enums_of(engine)
    stub = stub_classes()
    assert set(compiled.pop("Call")) == stub["Call"]
    verdicts = compiled.pop("Verdict")
    assert verdicts.pop("V_NONE") == 0
    assert {f"V_{verdict.name}": verdict.number for verdict in Verdict} == verdicts
    assert {name: enums_of(_vocabulary)[name] for name in _vocabulary.__all__} == compiled


@pytest.mark.parametrize("engine", [_live, _sim])
def test_every_constant_has_the_value_of_the_engine(engine: ModuleType) -> None:
    constants = {
        name: value
        for name, value in vars(_vocabulary).items()
        if name.isupper() and isinstance(value, int)
    }
    assert len(constants) > 30
    assert constants == engine.CONSTANTS


def test_every_function_exists() -> None:
    tree = ast.parse((Path(z3fold_stress.__file__).parent / "_live.pyi").read_text())
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert functions
    for name in functions:
        assert callable(getattr(_live, name))
