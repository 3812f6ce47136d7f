"""A failure that does not come again when it is repeated: kept as such, no accusation, no pass,
and the campaign goes on.  The engine does that only where it is at fault: here the repetition is
bent, to show nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commanding import Run

from z3fold_stress.campaign.fuzz import Fuzz, FuzzSettings, fuzz
from z3fold_stress.campaign.hunt import HuntSettings, explore_one
from z3fold_stress.campaign.museum import museum
from z3fold_stress.findings import Finding, finding, load_finding
from z3fold_stress.findings.evidence import Evidence, gather
from z3fold_stress.findings.replay import Result, replay
from z3fold_stress.findings.store import Store
from z3fold_stress.pytest_plugin.hunting import plans, pursue
from z3fold_stress.pytest_plugin.options import Settings
from z3fold_stress.scenario import Scenario, load

QUIET = ("--seed", "1", "--no-store")


@pytest.fixture(autouse=True)
def bent(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_nothing(*args: Any, **how: Any) -> Evidence:
        evidence = gather(*args, **how)
        evidence.verdict = None
        return evidence

    monkeypatch.setattr(finding, "gather", of_nothing)


def named(name: str) -> Scenario:
    (scenario,) = [scenario for scenario in load([name]) if scenario.name == name]
    return scenario


def test_it_is_kept_with_its_seed_and_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    trail = explore_one(named("lost-update"), HuntSettings("sound", seed=5, executions=500))
    assert trail.findings == []
    assert trail.status == "inconclusive"
    (value,) = trail.unrepeated
    it = Finding.from_json(value)
    assert (it.repeated, it.verdict, it.found["seed"]) == (False, "data-race", 5)
    assert "this did not repeat: doing the same again shows nothing" in it.text
    assert load_finding(it.line()).repeated is False
    monkeypatch.undo()
    assert replay(it).evidence.verdict == "data-race", "its schedule is the one that failed"
    assert replay(it).result is not Result.NO_FAILURE


def test_it_has_a_signature_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def signature() -> str:
        trail = explore_one(named("lost-update"), HuntSettings("sound", executions=500))
        return str((trail.findings + trail.unrepeated)[0]["signature"])

    once = signature()
    monkeypatch.undo()
    assert once != signature()


def test_explore_goes_on_and_is_inconclusive(run: Run) -> None:
    answer = run("explore", "lost-update", "counter", "--executions", 500, *QUIET)
    assert answer.status == 4
    assert "DID NOT REPEAT: data-race in scenario lost-update" in answer.out
    assert "no verdict about the design, and no pass" in answer.out
    assert "seed 1, execution" in answer.out
    assert "counter, design" in answer.out, "the next one was explored"
    (path,) = Path().glob("lost-update-data-race-*.json")
    assert load_finding(str(path)).repeated is False


def test_store_tells_it_apart(run: Run, tmp_path: Path) -> None:
    store = tmp_path / "f.db"
    run("explore", "lost-update", "--executions", 500, "--seed", 1, "--store", store)
    (kept,) = Store(store).entries()
    assert not kept.replays
    assert "did not repeat" in run("findings", "list", "--store", store).out
    shown = run("findings", "show", kept.signature, "--store", store)
    assert "DID NOT REPEAT" in shown.out
    told = json.loads(run("findings", "show", kept.signature, "--store", store, "--json").out)
    assert told["finding"]["repeated"] is False


def test_fuzz_goes_on(run: Run) -> None:
    result = fuzz(FuzzSettings("as-posted", 3), seconds=None, programs=30, processes=1, most=None)
    assert isinstance(result, Fuzz)
    assert result.programs == 30
    assert result.findings == {}
    assert result.unrepeated
    answer = run("fuzz", "--design", "as-posted", "--programs", 24, "--jobs", 1, "--seed", 3,
                 "--no-store")  # fmt: skip
    assert answer.status == 4
    assert "did not repeat: " in answer.out
    assert list(Path("fuzz-findings").glob("*.json"))


def test_hunt_goes_on(run: Run) -> None:
    answer = run("hunt", "lost-update", "counter", "--seconds", 600, "--jobs", 1, *QUIET)
    assert answer.status == 4
    assert "DID NOT REPEAT" in answer.out
    assert "2 of 2 scenarios" in answer.out


def test_museum_does_not_take_it_for_found() -> None:
    result = museum([named("lost-update"), named("abba")], processes=1)
    assert len(result.exhibits) == 2
    assert not result.good
    assert all(piece.found.endswith("(did not repeat)") for piece in result.exhibits)


def test_pytest_is_inconclusive(tmp_path: Path) -> None:
    scenario = named("lost-update")
    settings = Settings(save=str(tmp_path), store="off", seed=1, run="test")
    (plan,) = plans(Scenario.from_json({**scenario.to_json(), "expect": []}), settings)
    record, told = pursue(plan, settings)
    assert record.outcome == "inconclusive"
    assert record.findings == []
    assert "did not come again" in told
    assert len(list(tmp_path.glob("*.json"))) == 1
