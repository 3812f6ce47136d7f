"""Whether a task's own relaxed store continues a release sequence: C11 says so, C++20 does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from z3fold_stress.campaign.hunt import HuntSettings, explore_one
from z3fold_stress.findings import replay
from z3fold_stress.findings.finding import Finding
from z3fold_stress.findings.replay import Result
from z3fold_stress.scenario import Scenario, op

SAME_TASK = Scenario(
    name="same-task",
    actors={
        "a": [op.store("data", 1), op.store("flag", 1, "release"), op.store("flag", 2, "relaxed")],
        "b": [op.load("flag", "f", "acquire"), op.when("f", "==", 2, [op.load("data", "d")])],
    },
)


@pytest.mark.parametrize(("rule", "verdicts"), [("c11", set()), ("c20", {"data-race"})])
def test_a_relaxed_store_of_the_same_task(rule: str, verdicts: set[str]) -> None:
    settings = HuntSettings("sound", "dfs", -1, executions=1000, release_sequence=rule)
    trail = explore_one(SAME_TASK, settings)
    findings = [Finding.from_json(value) for value in trail.findings]
    assert {str(finding.verdict) for finding in findings} == verdicts
    for finding in findings:
        assert finding.release_sequence == rule
        assert replay(finding).result is Result.IDENTICAL


def test_a_finding_of_another_rule_is_refused(tmp_path: Path) -> None:
    settings = HuntSettings("sound", "dfs", -1, executions=1000, release_sequence="c20")
    value = dict(explore_one(SAME_TASK, settings).findings[0], release_sequence="c99")
    with pytest.raises(Exception, match="c99"):
        Finding.from_json(value)
