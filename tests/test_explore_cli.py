"""The commands of the sim world: what they print, their exit status, and what they leave when they
are interrupted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_files import scenario_file
from commanding import Run, interrupted, refused, started, works_on

from z3fold_stress.campaign import fuzz as fuzzing
from z3fold_stress.campaign import museum as exhibiting
from z3fold_stress.campaign.hunt import Trail
from z3fold_stress.cli.explore import trail_lines
from z3fold_stress.explore.explorer import Budget
from z3fold_stress.findings import Finding, load_finding, replay
from z3fold_stress.findings.replay import Result
from z3fold_stress.scenario import all_scenarios, load_file

QUIET = ("--no-save", "--seed", "1")


# explore


def test_explore_finds_nothing(run: Run) -> None:
    answer = run("explore", "counter", "--executions", 500, *QUIET)
    assert answer.status == 0
    assert answer.out.startswith("counter, design sound, seed 1\n")
    assert " executions, " in answer.out
    assert answer.err == ""


def test_explore_says_what_is_complete(run: Run) -> None:
    answer = run("explore", "counter", "--strategy", "dfs", "--bound", 2, *QUIET)
    assert answer.status == 0
    assert ": complete\n" in answer.out
    assert "complete: all executions with at most 2 preemptions" in answer.out


def test_explore_says_how_much_is_left(run: Run) -> None:
    args = ("explore", "dining-philosophers-3-ordered", "--strategy", "dfs", "--executions")
    answer = run(*args, 20, *QUIET)
    assert answer.status == 0
    assert "dfs-2: about " in answer.out
    assert "by estimate" in answer.out


def test_explore_estimates_nothing_where_that_says_nothing(run: Run) -> None:
    """A share next to none; and whatever is left where something was found."""
    large = run(
        "explore", "slot-read-before-page-lock", "--strategy", "dfs", "--executions", 50, *QUIET
    )
    found = run("explore", "abba", "--strategy", "dfs", *QUIET)
    assert (large.status, found.status) == (0, 1)
    for answer in (large, found):
        assert "by estimate" not in answer.out


def test_the_portfolio_is_done_when_all_was_seen(run: Run) -> None:
    """By its first strategy, which has no bound: no time is used up on a handful of executions."""
    answer = run("explore", "dining-philosophers-3-ordered", "--seconds", 300, *QUIET)
    assert answer.status == 0
    assert ": complete\n" in answer.out
    assert "complete: an execution of every equivalence class" in answer.out
    assert "by estimate" not in answer.out


def test_explore_finds_saves_and_replays(run: Run, tmp_path: Path) -> None:
    answer = run("explore", "putback-forgets-unbuddied", "--shown", "--seed", 3)
    assert answer.status == 1
    assert "LOST-PAGE in scenario putback-forgets-unbuddied" in answer.out
    (path,) = tmp_path.glob("putback-forgets-unbuddied-lost-page-*.json")
    assert f"Replay: z3fold-stress replay {path.name}" in answer.out
    assert "The story: z3fold-stress defects putback-forgets-unbuddied" in answer.out
    again = run("replay", path)
    assert again.status == 1
    assert again.out.startswith("replayed: the same failure, by the same events")
    assert run("explore", path, "--executions", 300).status == 0, "its scenario, in design sound"


def test_explore_with_a_single_defect(run: Run) -> None:
    answer = run(
        *("explore", "putback-forgets-unbuddied", "--defect", "putback-forgets-unbuddied"),
        *("--executions", 500, *QUIET),
    )
    assert answer.status == 1
    assert "design sound+putback-forgets-unbuddied" in answer.out


def test_explore_several_scenarios_as_json(run: Run) -> None:
    answer = run("explore", "lost-update", "counter", "--executions", 300, "--json", *QUIET)
    assert answer.status == 1
    assert answer.err == ""
    told = answer.json()
    assert told["seed"] == 1
    assert told["saved"] == []
    assert [trail["scenario"] for trail in told["trails"]] == ["lost-update", "counter"]
    (value,) = told["trails"][0]["findings"]
    assert replay(Finding.from_json(value)).result is Result.IDENTICAL


def test_explore_json_names_what_it_saved(run: Run, tmp_path: Path) -> None:
    answer = run("explore", "lost-update", "--json", "--out", tmp_path / "a" / "b")
    (path,) = answer.json()["saved"]
    assert load_finding(path).verdict == "data-race"
    assert Path(path).parent == tmp_path / "a" / "b"


def test_explore_tells_the_seed_that_it_drew(run: Run) -> None:
    first = run("explore", "counter", "--executions", 20, "--json", "--no-save").json()
    again = run(
        "explore", "counter", "--executions", 20, "--json", "--no-save", "--seed", first["seed"]
    ).json()
    assert first["trails"][0]["steps"] == again["trails"][0]["steps"]


@pytest.mark.parametrize("strategy", ["random", "pct", "pos", "surw", "dfs", "dpor", "delay"])
def test_explore_by_each_strategy(run: Run, strategy: str) -> None:
    answer = run(
        *("explore", "lost-update", "--strategy", strategy, "--executions", 500),
        *("--json", *QUIET),
    )
    assert answer.status == 1
    (trail,) = answer.json()["trails"]
    assert trail["findings"][0]["verdict"] == "data-race"
    assert trail["findings"][0]["found"]["strategy"].startswith(strategy)


def test_explore_more_than_one_verdict(run: Run) -> None:
    answer = run("explore", "abba", "--most", 2, "--executions", 500, "--json", *QUIET)
    (trail,) = answer.json()["trails"]
    assert [value["verdict"] for value in trail["findings"]] == ["lock-order", "deadlock"]


def test_explore_up_to_the_step_limit_is_inconclusive(run: Run, tmp_path: Path) -> None:
    path = scenario_file(
        tmp_path,
        "long",
        "scenario = Scenario(actors={n: [op.fetch_add('x', 1)] * 40 for n in ('a', 'b')})",
    )
    args = ("explore", path, "--strategy", "random", "--executions", 20, "--max-steps", 30)
    answer = run(*args, *QUIET)
    assert answer.status == 4
    assert "20 executions were cut at the step limit (--max-steps)" in answer.out
    answer = run(*args, "--json", *QUIET)
    assert answer.status == 4
    assert answer.json()["trails"][0]["status"] == "inconclusive"
    assert answer.json()["trails"][0]["limited"] == 20


@pytest.mark.parametrize(
    "setup",
    ["op.lock('L'), op.lock('L')", "op.wait_until('x', 1)", "op.lock('L'), op.might_sleep()"],
    ids=["deadlock", "wait", "sleep"],
)
def test_set_up_that_fails_is_told_in_words(run: Run, tmp_path: Path, setup: str) -> None:
    path = scenario_file(
        tmp_path,
        "dead",
        f"scenario = Scenario(setup=[{setup}], actors={{'t': [op.load('x', 'x')]}})",
    )
    answer = run("explore", path, "--executions", 10, *QUIET)
    assert answer.status == 1
    assert "the set-up fails by itself: " in answer.out
    assert "0 executions" in answer.out
    answer = run("explore", path, "--executions", 10, "--json", *QUIET)
    assert answer.status == 1
    (trail,) = answer.json()["trails"]
    assert trail["status"] == "setup-failed"
    assert trail["setup"] != ""
    assert run("hunt", path, "--seconds", 1, "--jobs", 1, *QUIET).status == 4


def test_set_up_that_does_not_end(run: Run, tmp_path: Path) -> None:
    path = scenario_file(
        tmp_path,
        "endless",
        "scenario = Scenario(setup=[op.repeat(30_000, [op.fetch_add('x', 1)])],"
        " actors={'t': [op.load('x', 'x')]})",
    )
    answer = run("explore", path, "--executions", 10, *QUIET)
    assert answer.status in (1, 2)
    assert "steps" in answer.out + answer.err


def test_interrupted_trail_is_told() -> None:
    trail = Trail("x", "inconclusive", 5, 5, True, 50, 0, 0, 0.1, [], {}, {}, interrupted=True)
    assert trail_lines(trail)[-1] == "  interrupted"


# hunt


def test_hunt_through_all_that_is_bounded(run: Run) -> None:
    args = ("hunt", "--strategy", "dfs", "--bound", 0, "--seconds", 600, "--jobs", 1, *QUIET)
    answer = run(*args, "--json")
    assert answer.status == 0
    told = answer.json()
    assert told["status"] == "complete"
    assert told["findings"] == []
    assert len(told["trails"]) == sum(bool(scenario.shows) for scenario in all_scenarios())
    assert all(trail["executions"] for trail in told["trails"])


def test_hunt_finds_saves_and_replays(run: Run, tmp_path: Path) -> None:
    answer = run(
        *("hunt", "putback-forgets-unbuddied", "--defect", "putback-forgets-unbuddied"),
        *("--seconds", 600, "--jobs", 1, "--seed", 1, "--out", tmp_path / "found"),
    )
    assert answer.status == 1
    assert "hunt: 1 scenarios, design sound+putback-forgets-unbuddied, 600 s, seed 1" in answer.out
    assert "1 of 1 scenarios, " in answer.out
    (path,) = (tmp_path / "found").iterdir()
    assert run("replay", path, "--quiet").status == 1


def test_hunt_with_two_jobs(run: Run) -> None:
    names = ("putback-forgets-unbuddied", "headless-slots-leak")
    answer = run(
        *("hunt", *names, "--strategy", "dfs", "--bound", 1, "--seconds", 600, "--jobs", 2),
        *("--json", *QUIET),
    )
    assert answer.status == 0
    assert {trail["scenario"] for trail in answer.json()["trails"]} == set(names)


# fuzz


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short rounds, and little time to make findings small."""
    monkeypatch.setattr(fuzzing, "PROGRAMS", 3)
    monkeypatch.setattr(fuzzing, "SECOND_LOOK", Budget(executions=200))
    monkeypatch.setattr(fuzzing, "SHRINK_SECONDS", 0.05)
    monkeypatch.setattr(exhibiting, "FIND", Budget(executions=300))
    monkeypatch.setattr(exhibiting, "CONTROL", Budget(executions=100))


@pytest.mark.usefixtures("short")
def test_fuzz_finds_nothing(run: Run, tmp_path: Path) -> None:
    args = ("fuzz", "--programs", 3, "--jobs", 1, "--seed", 1)
    answer = run(*args)
    assert answer.status == 0
    assert answer.out.startswith("fuzz: design sound, seed 1\n")
    assert "3 programs, " in answer.out
    assert not (tmp_path / "fuzz-findings").exists()
    told = run(*args, "--json").json()
    assert told["findings"] == []
    assert told["programs"] == 3
    assert told["executions"] > 3


@pytest.mark.usefixtures("short")
def test_fuzz_saves_findings_and_scenarios(run: Run, tmp_path: Path) -> None:
    args = ("fuzz", "--design", "as-posted", "--programs", 3, "--jobs", 1, "--seed", 1)
    answer = run(*args)
    assert answer.status == 1
    files = sorted((tmp_path / "fuzz-findings").iterdir())
    findings = [path for path in files if not path.name.endswith(".scenario.json")]
    assert len(findings) * 2 == len(files)
    for path in findings:
        assert run("replay", path, "--quiet").status == 1
        (scenario,) = load_file(path.with_suffix(".scenario.json"))
        assert scenario == load_finding(str(path)).scenario
    told = run(*args, "--json", "--no-save")
    assert told.status == 1
    assert told.json()["saved"] == []
    assert len(told.json()["findings"]) == len(findings)


# museum


@pytest.mark.usefixtures("short")
def test_museum_is_as_expected(run: Run) -> None:
    answer = run("museum", "lost-update", "putback-forgets-unbuddied", "--jobs", 1)
    assert answer.status == 0
    assert "2 of 2 as expected" in answer.out
    told = run("museum", "lost-update", "--jobs", 1, "--json")
    assert told.status == 0
    assert told.json()["as_expected"] == told.json()["of"] == 1


@pytest.mark.usefixtures("short")
def test_museum_is_not_as_expected(run: Run, tmp_path: Path) -> None:
    path = scenario_file(
        tmp_path,
        "calm",
        "scenario = Scenario(actors={'t': [op.fetch_add('x', 1)]}, expect={'leak'})",
    )
    answer = run("museum", path, "--jobs", 1)
    assert answer.status == 1
    assert "<-- NOT AS EXPECTED" in answer.out
    assert "0 of 1 as expected" in answer.out
    (piece,) = run("museum", path, "--jobs", 1, "--json").json()["exhibits"]
    assert piece["as_expected"] is False


# replay, shrink, report, scenarios


def test_replay_of_a_file_and_of_a_line(run: Run, saved: Path) -> None:
    answer = run("replay", saved)
    assert answer.status == 1
    assert "DATA-RACE in scenario lost-update" in answer.out
    assert f"Replay: z3fold-stress replay {saved}" in answer.out
    line = load_finding(str(saved)).line()
    again = run("replay", line)
    assert again.status == 1
    assert again.out.splitlines()[:-1] == answer.out.splitlines()[:-1]
    assert again.out.splitlines()[-1] == f"Replay: z3fold-stress replay {line}"
    told = run("replay", line, "--json")
    assert told.status == 1
    assert told.json()["result"] == "identical"
    assert told.json()["hash"] == told.json()["expected_hash"]


def test_replay_of_what_fails_no_more(run: Run, tmp_path: Path) -> None:
    run("explore", "putback-forgets-unbuddied", "--shown", "--seed", 3)
    (path,) = tmp_path.glob("*.json")
    value = json.loads(path.read_text())
    value["design"] = "sound"
    path.write_text(json.dumps(value))
    answer = run("replay", path)
    assert answer.status == 4
    assert answer.out.startswith("not replayed: nothing fails")
    assert run("replay", path, "--json").json()["result"] == "no-failure"
    answer = run("shrink", path)
    assert answer.status == 4
    assert "there is nothing to shrink" in answer.err


def test_replay_of_another_build_is_warned_about(run: Run, saved: Path) -> None:
    value = json.loads(saved.read_text())
    value["build"] = "another"
    saved.write_text(json.dumps(value))
    answer = run("replay", saved, "--quiet")
    assert answer.status == 1
    assert answer.err.startswith("warning: found with an engine built of other sources (another")
    (warning,) = run("replay", saved, "--json").json()["warnings"]
    assert "built of other sources" in warning


def test_replay_against_a_scenario_that_was_changed(run: Run, saved: Path, tmp_path: Path) -> None:
    path = scenario_file(
        tmp_path,
        "changed",
        "adds = [op.fetch_add('counter', 1)]\n"
        "scenario = Scenario(actors={'one': adds, 'two': adds})",
    )
    refused(run("replay", saved, "--scenario", path), "was changed since this was found")
    answer = run("replay", saved, "--scenario", path, "--policy", "default", "--quiet")
    assert answer.status == 4
    assert "warning: the scenario was changed since this was found" in answer.err
    assert run("replay", saved, "--scenario", "lost-update", "--quiet").status == 1


def test_replay_against_a_scenario_of_a_file_with_others(run: Run) -> None:
    """Its exact name says which."""
    run("explore", "orphaned-lock", "--seed", 1, "--executions", 500)
    (path,) = Path().glob("orphaned-lock-orphaned-lock-*.json")
    assert run("replay", path, "--scenario", "orphaned-lock", "--quiet").status == 1


def test_shrink_saves_what_is_smaller(run: Run, saved: Path, tmp_path: Path) -> None:
    answer = run("shrink", saved, "--out", tmp_path / "small")
    assert answer.status == 1
    for what in ("operations", "actors", "interventions"):
        assert f"\n{what}" in f"\n{answer.out}"
    (path,) = (tmp_path / "small").iterdir()
    assert run("replay", path, "--quiet").status == 1
    told = run("shrink", saved, "--no-save", "--json")
    assert told.status == 1
    before, after = told.json()["operations"]
    assert after <= before
    assert told.json()["saved"] is None
    assert Finding.from_json(told.json()["finding"]).verdict == "data-race"


def test_report(run: Run, saved: Path) -> None:
    answer = run("report", saved)
    assert answer.status == 0
    assert answer.out.startswith("DATA-RACE in scenario lost-update, design sound\n")
    told = run("report", saved, "--json")
    assert told.status == 0
    body = told.json()
    evidence = body.pop("evidence")
    assert body == json.loads(saved.read_text())
    assert evidence["result"] == "identical"
    assert {event["task"] for event in evidence["events"]} >= {
        side["task"] for side in body["sides"]
    }
    assert run("report", load_finding(str(saved)).line()).status == 0


def test_scenarios(run: Run) -> None:
    answer = run("scenarios")
    assert answer.status == 0
    for scenario in all_scenarios():
        assert f"  {scenario.name} " in answer.out
    assert max(map(len, answer.out.splitlines())) <= 100
    told = run("scenarios", "--json")
    assert told.status == 0
    assert {value["name"] for value in told.json()} == {s.name for s in all_scenarios()}


def test_story_of_a_scenario(run: Run) -> None:
    answer = run("scenarios", "slot-read-before-page-lock")
    assert answer.status == 0
    assert "By the time the page is locked, the handle names another one." in answer.out
    assert "migrate_pages page_of(a) passes=1" in answer.out
    assert "Shows: slot-read-before-page-lock" in answer.out
    assert "Try it: z3fold-stress explore slot-read-before-page-lock --shown" in answer.out
    told = run("scenarios", "slot-read-before-page-lock", "--json")
    assert told.json()["name"] == "slot-read-before-page-lock"


# Ctrl-C


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_interrupted_explore_reports_so_far(form: tuple[str, ...]) -> None:
    with started(
        *("explore", "slot-read-before-page-lock", "counter", "--strategy", "random"),
        *("--seconds", 3600, *form, *QUIET),
    ) as process:
        assert process.stdout is not None
        if not form:
            process.stdout.readline()
        works_on(process, 1.5)
        answer = interrupted(process)
    assert answer.status == 4
    if form:
        (trail,) = answer.json()["trails"]
        assert trail["interrupted"] is True
        assert trail["executions"] > 0
    else:
        assert " executions" in answer.out
        assert answer.out.endswith("  interrupted\n")
        assert "\ncounter, design" not in answer.out


@pytest.mark.parametrize("jobs", [1, 2])
def test_interrupted_hunt_reports_so_far(jobs: int) -> None:
    names = ("alloc-null-slots", "slot-read-before-page-lock", "isolate-ignores-claim")
    with started(
        *("hunt", *names, "--strategy", "random", "--jobs", jobs, *QUIET),
        *("--seconds", 3600),
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        works_on(process, 2.5)
        answer = interrupted(process)
    assert answer.status == 4
    assert "of 3 scenarios" in answer.out
    assert ": inconclusive (interrupted)" in answer.out


def test_interrupted_fuzz_reports_so_far() -> None:
    with started("fuzz", "--jobs", 1, "--seconds", 3600, *QUIET) as process:
        assert process.stdout is not None
        process.stdout.readline()
        works_on(process, 1.0)
        answer = interrupted(process)
    assert answer.status == 4
    assert answer.out.endswith("of lines in one round (interrupted)\n")
