"""Runs of pytest within a test: what the tests of the plugin share."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

TIMEOUT = 300.0
"""Seconds after which a run is taken to hang; nothing waits for it when all is well."""

HEAD = """
from z3fold_stress.scenario import Scenario, op
AB = {
    "ab": [op.lock("A"), op.lock("B"), op.unlock("B"), op.unlock("A")],
    "ba": [op.lock("B"), op.lock("A"), op.unlock("A"), op.unlock("B")],
}
ADD = [op.load("n", "r"), op.add("r", 1), op.store("n", "r")]
LOST = [op.load("n", "r"), op.expect("r", "==", 2, "both count")]
SAFE = [op.lock("L"), *ADD, op.unlock("L")]
"""
TESTS = HEAD + "import os, pytest, signal\nhunt = pytest.mark.z3fold_stress\n"


def run(pytester: pytest.Pytester, *args: object) -> pytest.RunResult:
    return pytester.runpytest_subprocess(
        "-p", "no:cacheprovider", "-p", "no:hypothesispytest", *map(str, args), timeout=TIMEOUT
    )


def outcomes(path: Path) -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Of a JUnit file: what each test was, and its properties."""
    told = {}
    for case in ElementTree.parse(path).iter("testcase"):
        kinds = [one.tag for one in case if one.tag in ("failure", "error", "skipped")]
        properties = [(p.get("name", ""), p.get("value", "")) for p in case.iter("property")]
        name = f"{case.get('classname')}::{case.get('name')}"
        told[name] = (kinds[0] if kinds else "passed", properties)
    return told
