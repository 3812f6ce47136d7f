"""Whether a task's own relaxed store continues a release sequence: C11 says so, C++20 does not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from commanding import Run, refused

from z3fold_stress.campaign import fuzz as fuzzing
from z3fold_stress.campaign.fuzz import FuzzSettings, fuzz
from z3fold_stress.campaign.hunt import HuntSettings, explore_one
from z3fold_stress.designs import resolve
from z3fold_stress.errors import SettingsError
from z3fold_stress.explore.explorer import Budget, explore
from z3fold_stress.findings import replay, shrink
from z3fold_stress.findings.finding import Finding
from z3fold_stress.findings.replay import Result
from z3fold_stress.pytest_plugin.hunting import plans
from z3fold_stress.pytest_plugin.marker import Wish, plan_of
from z3fold_stress.pytest_plugin.options import Settings, settle
from z3fold_stress.scenario import Scenario, op

pytest_plugins = ["pytester"]

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


# Wherever races are looked for


def found(rule: str) -> Finding:
    settings = HuntSettings("sound", "dfs", -1, executions=1000, release_sequence=rule)
    (value,) = explore_one(SAME_TASK, settings).findings
    return Finding.from_json(value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "same_task.json"
    path.write_text(json.dumps(SAME_TASK.to_json()))
    return path


@pytest.mark.parametrize(
    "how",
    [
        ("explore", "--strategy", "dfs", "--bound", "-1"),
        ("explore",),
        ("hunt", "--seconds", "600", "--jobs", "1"),
    ],
    ids=" ".join,
)
def test_commands_take_it(run: Run, file: Path, how: tuple[str, ...]) -> None:
    command = [how[0], str(file), *how[1:], "--no-save", "--no-store", "--seed", "1"]
    assert run(*command).status == 0
    for rule, status in ("c11", 0), ("c20", 1):
        assert run(*command, "--release-sequence", rule).status == status
    refused(run(*command, "--release-sequence", "c17"), "'c17' is not one of 'c11', 'c20'")


def test_fuzz_takes_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzing, "generate", lambda seed, number: SAME_TASK)
    for rule, verdicts in ("c11", []), ("c20", ["data-race"]):
        settings = FuzzSettings("sound", 1, release_sequence=rule)
        done = fuzz(settings, seconds=None, programs=1, processes=1)
        assert [str(finding.verdict) for finding in done.findings.values()] == verdicts
        assert {f.release_sequence for f in done.findings.values()} <= {rule}
    done = run(
        *("fuzz", "--programs", 1, "--jobs", 1, "--release-sequence", "c20", "--json"),
        *("--no-save", "--no-store"),
    )
    assert done.status == 1
    assert done.json()["findings"][0]["release_sequence"] == "c20"


def test_explore_of_python_takes_it() -> None:
    for rule, verdicts in ("c11", set()), ("c20", {"data-race"}):
        tally = explore(
            SAME_TASK, resolve("sound"), budget=Budget(1000), seed=1, release_sequence=rule
        )
        assert tally.verdicts == verdicts
    with pytest.raises(SettingsError, match="'c17': there are c11 and c20"):
        explore(SAME_TASK, resolve("sound"), budget=Budget(1), release_sequence="c17")


def test_a_finding_is_replayed_and_shrunk_by_its_rule(run: Run, tmp_path: Path) -> None:
    finding = found("c20")
    small = shrink(finding, seconds=600.0).finding
    assert small.release_sequence == "c20"
    assert replay(small).result is Result.IDENTICAL
    assert replay(replace(finding, release_sequence="c11")).result is Result.NO_FAILURE
    path = tmp_path / "finding.json"
    path.write_text(finding.dumps())
    done = run("replay", path)
    assert done.status == 1
    assert "(--release-sequence c20)" in done.out
    assert run("replay", finding.line()).status == 1


def test_pytest_takes_it(pytester: pytest.Pytester) -> None:
    """From the command line, the ini file and the marker, which wins."""
    assert settle(pytester.parseconfig()).release_sequence == "c11"
    assert settle(pytester.parseconfig("--hunt-release-sequence=c20")).release_sequence == "c20"
    with pytest.raises(pytest.UsageError, match=r"--hunt-release-sequence: .*'c17'"):
        settle(pytester.parseconfig("--hunt-release-sequence=c17"))
    settings = Settings(1, "run", release_sequence="c20")
    assert {plan.hunt.release_sequence for plan in plans(SAME_TASK, settings)} == {"c20"}
    for wish, rule in (Wish(), "c20"), (Wish(release_sequence="c11"), "c11"):
        assert plan_of(SAME_TASK, wish, settings, 0).hunt.release_sequence == rule


def test_runs_of_pytest_differ_by_it(pytester: pytest.Pytester) -> None:
    head = f"""
import json, pytest
from z3fold_stress.scenario import Scenario
SAME_TASK = Scenario.from_json(json.loads({json.dumps(SAME_TASK.to_json())!r}))
"""
    pytester.makepyfile(
        head
        + """
@pytest.mark.z3fold_stress
def test_asked():
    return SAME_TASK

@pytest.mark.z3fold_stress(release_sequence="c11")
def test_c11():
    return SAME_TASK

@pytest.mark.z3fold_stress(release_sequence="c20", expect="data-race")
def test_c20():
    return SAME_TASK
"""
    )
    quiet = ("-p", "no:cacheprovider", "-p", "no:xdist", "--hunt-store=off")
    pytester.runpytest_subprocess(*quiet).assert_outcomes(passed=3)
    done = pytester.runpytest_subprocess(*quiet, "--hunt-release-sequence=c20")
    done.assert_outcomes(passed=2, failed=1)
    pytester.makepyfile(
        head
        + """
@pytest.mark.z3fold_stress(release_sequence="c17")
def test_c17():
    return SAME_TASK
"""
    )
    done = pytester.runpytest_subprocess(*quiet)
    done.stdout.fnmatch_lines(["*marker z3fold_stress: no release sequence is called 'c17'*"])
