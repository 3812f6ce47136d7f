"""The stub of the engine names what the engine has."""

import ast
import enum
from pathlib import Path

import z3fold_stress
from z3fold_stress import _live


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


def test_every_enum_has_the_members_of_the_engine() -> None:
    stub = stub_classes()
    enums = {
        name: set(value.__members__)
        for name, value in vars(_live).items()
        if isinstance(value, type) and issubclass(value, enum.Enum)
    }
    assert enums
    for name, members in enums.items():
        assert stub[name] == members


def test_every_function_exists() -> None:
    tree = ast.parse((Path(z3fold_stress.__file__).parent / "_live.pyi").read_text())
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert functions
    for name in functions:
        assert callable(getattr(_live, name))
