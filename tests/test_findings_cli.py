"""``z3fold-stress findings``, and what campaigns leave in the store."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from commanding import Run, interrupted, refused, started

from z3fold_stress.findings import load_finding
from z3fold_stress.findings.database import ENVIRONMENT
from z3fold_stress.findings.size import size_of
from z3fold_stress.findings.store import Store

LOST_UPDATE = ("explore", "lost-update", "--executions", 500, "--seed", 1)
SOAK = ("soak", "--objects", 400, "--workers", 2, "--seed", 7, "--no-dump", "--seconds", 60)


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "usual.db"))


def listed(run: Run, *args: object) -> list[dict[str, Any]]:
    answer = run("findings", "list", "--json", *args)
    assert (answer.status, answer.err) == (0, "")
    found: list[dict[str, Any]] = answer.json()["findings"]
    return found


# what campaigns leave


def test_explore_stores_and_says_so(run: Run, tmp_path: Path) -> None:
    answer = run(*LOST_UPDATE)
    assert answer.status == 1
    (found,) = listed(run)
    assert f"\nStored: z3fold-stress findings show {found['signature']}\n" in answer.out
    assert found["verdict"] == "data-race"
    assert (found["origins"], found["count"], found["replays"]) == ({"explore": 1}, 1, True)
    assert found["first"] == found["last"]
    again = run(*LOST_UPDATE, "--json")
    assert again.json()["stored"] == {
        "store": str(tmp_path / "usual.db"),
        "signatures": [found["signature"]],
        "new": [],
        "failed": None,
    }
    assert listed(run)[0]["count"] == 2


@pytest.mark.parametrize("option", ["--no-store", "--no-save"])
def test_store_can_be_left_alone(run: Run, tmp_path: Path, option: str) -> None:
    answer = run(*LOST_UPDATE, option)
    assert answer.status == 1
    assert "Stored" not in answer.out
    assert not (tmp_path / "usual.db").exists()
    assert run(*LOST_UPDATE, option, "--json").json()["stored"] is None
    saved = list(tmp_path.glob("lost-update-*.json"))
    assert bool(saved) == (option == "--no-store")


def test_nothing_found_makes_no_store(run: Run, tmp_path: Path) -> None:
    answer = run("explore", "counter", "--executions", 300, "--seed", 1, "--json")
    assert (answer.status, answer.json()["stored"]["signatures"]) == (0, [])
    assert list(tmp_path.iterdir()) == []


def test_store_elsewhere(run: Run, tmp_path: Path) -> None:
    run(*LOST_UPDATE, "--store", "new/mine.db")
    assert not (tmp_path / "usual.db").exists()
    assert len(listed(run, "--store", "new/mine.db")) == 1
    assert listed(run) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_hunt_stores(run: Run, jobs: int) -> None:
    names = ("lost-update", "counter", "putback-forgets-unbuddied")
    answer = run(
        *("hunt", *names, "--defect", "putback-forgets-unbuddied", "--jobs", jobs),
        *("--seconds", 600, "--seed", 1, "--json"),
    )
    assert answer.status == 1
    told = answer.json()
    assert {found["signature"] for found in told["findings"]} == set(told["stored"]["signatures"])
    assert {found["signature"]: found["origins"] for found in listed(run)} == {
        signature: {"hunt": 1} for signature in told["stored"]["signatures"]
    }


def test_fuzz_stores_how_often_and_the_small_one(run: Run) -> None:
    answer = run(
        *("fuzz", "--design", "as-posted", "--programs", 8, "--seed", 3, "--jobs", 1, "--json")
    )
    assert answer.status == 1
    told = answer.json()
    counts = {found["signature"]: found["count"] for found in listed(run)}
    assert {name: counts[name] for name in told["times"]} == told["times"]
    for value in told["findings"]:
        (path,) = Path("fuzz-findings").glob(f"*-{value['signature'][:8]}.json")
        kept = Store().lookup(value["signature"])
        assert kept.size <= size_of(load_finding(str(path)))


def test_shrink_stores_the_smaller_without_counting(run: Run) -> None:
    run("explore", "putback-forgets-unbuddied", "--shown", "--seed", 3, "--strategy", "random")
    (path,) = Path().glob("putback-*.json")
    before = listed(run)
    answer = run("shrink", path, "--seconds", 600, "--json")
    assert answer.json()["stored"]["signatures"] == [before[0]["signature"]]
    (after,) = listed(run)
    assert after["operations"] < before[0]["operations"]
    assert after["count"] == before[0]["count"] == 1


def test_soak_stores_its_verdict(run: Run) -> None:
    answer = run(*SOAK, "--defect", "headless-slots-leak", "--operations", 2000, "--json")
    assert answer.status == 1
    (signature,) = answer.json()["stored"]["signatures"]
    (found,) = listed(run)
    assert (found["signature"], found["verdict"], found["replays"]) == (signature, "leak", False)
    assert found["origins"] == {"soak": 1}
    shown = run("findings", "show", signature[:4])
    assert "A soak found it: there is no replay." in shown.out
    assert f"Again: {answer.json()['command']}" in shown.out
    assert run("findings", "show", signature, "--json").json()["soak"]["seed"] == 7
    refused(run("findings", "export", signature), "which are not replayed; run it again: z3fold")
    everything = run("findings", "export", "--all", "all")
    assert (everything.status, everything.out) == (0, "")
    assert f"without a replay, of soaks or not repeated: {signature}" in everything.err


def test_sound_soak_stores_nothing(run: Run, tmp_path: Path) -> None:
    answer = run(*SOAK, "--operations", 300, "--churners", 0, "--json")
    assert (answer.status, answer.json()["stored"]["signatures"]) == (0, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "line",
    [
        ("explore", "lost-update"),
        ("hunt", "lost-update"),
        ("fuzz", "--programs", 1),
        ("soak", "--no-dump"),
    ],
    ids=lambda line: line[0],
)
def test_store_that_was_asked_for_and_is_none(
    run: Run, tmp_path: Path, line: tuple[object, ...]
) -> None:
    """Before anything is done."""
    (tmp_path / "README.md").write_text("# mine\n")
    refused(run(*line, "--store", "README.md"), "README.md is not a findings store")
    assert [file.name for file in tmp_path.iterdir()] == ["README.md"]


def test_usual_store_that_is_none_stops_no_campaign(run: Run, tmp_path: Path) -> None:
    (tmp_path / "usual.db").write_text("junk")
    answer = run(*LOST_UPDATE, "--json")
    assert answer.status == 1
    assert "is not a findings store" in answer.json()["stored"]["failed"]
    assert answer.json()["stored"]["signatures"] == []
    assert answer.err.startswith("note: nothing can be stored: ")
    assert len(list(tmp_path.glob("lost-update-*.json"))) == 1
    assert (tmp_path / "usual.db").read_text() == "junk"


def test_user_without_a_home_may_explore(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (ENVIRONMENT, "XDG_DATA_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    answer = run(*LOST_UPDATE, "--json")
    assert answer.status == 1
    assert answer.json()["stored"]["store"] is None
    assert "this user has no home" in answer.json()["stored"]["failed"]
    refused(run("findings", "list"), "this user has no home")


def test_store_that_cannot_be_written_stops_no_campaign(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answer = run(*LOST_UPDATE, "--store", "file/findings.db", "--seed", 2, "--out", "out")
    refused(answer, "cannot be read: Not a directory")
    answer = run(*LOST_UPDATE, "--store", "/proc/nobody/findings.db")
    assert answer.status == 1
    assert answer.err.startswith("note: nothing can be stored: ")
    assert answer.err.count("\n") == 1


# the command


@pytest.fixture
def stored(run: Run) -> str:
    """The signature of a finding that is in the store."""
    return str(run(*LOST_UPDATE, "--json").json()["stored"]["signatures"][0])


def test_list(run: Run, stored: str, tmp_path: Path) -> None:
    answer = run("findings", "list")
    line, end = answer.out.splitlines()
    assert line.startswith(stored)
    for word in ("1x", "data-race", "sound: lost-update", "explore 1", "8 operations"):
        assert word in line
    assert end.startswith(f"1 findings in {tmp_path / 'usual.db'}.")


def test_list_of_a_store_that_does_not_exist(run: Run, tmp_path: Path) -> None:
    answer = run("findings", "list", "--store", "new.db", "--json")
    assert (answer.status, answer.err) == (0, "")
    assert answer.json() == {"store": "new.db", "findings": []}
    assert run("findings", "list", "--store", "new.db").out == "0 findings in new.db.\n"
    assert list(tmp_path.iterdir()) == []


def test_show_tells_what_report_tells(run: Run, stored: str) -> None:
    answer = run("findings", "show", stored[:5])
    assert answer.status == 0
    assert answer.out.startswith(f"{stored}  seen 1x, first ")
    (path,) = Path().glob("lost-update-*.json")
    report = run("report", path).out
    body = [line for line in report.splitlines() if not line.startswith("Replay: ")]
    assert len(body) > 5
    assert set(body) <= set(answer.out.splitlines())
    told = run("findings", "show", stored, "--json").json()
    assert told["finding"] == json.loads(path.read_text())


def test_export_writes_what_replay_takes(run: Run, stored: str) -> None:
    answer = run("findings", "export", stored[:6], "-o", "it.json")
    assert (answer.status, answer.out) == (0, "Replay: z3fold-stress replay it.json\n")
    again = run("replay", "it.json")
    assert again.status == 1
    assert again.out.startswith("replayed: the same failure, by the same events")
    assert run("findings", "export", stored).out == Path("it.json").read_text()
    everything = run("findings", "export", "--all", "folder")
    (name,) = everything.out.splitlines()
    assert Path(name).parent == Path("folder")
    assert Path(name).read_text() == Path("it.json").read_text()


def test_prune(run: Run, stored: str) -> None:
    dry = run("findings", "prune", "--verdict", "data-race", "--dry-run")
    assert (dry.status, dry.out.startswith(stored)) == (0, True)
    assert "1 findings of " in dry.out
    assert "would be forgotten; 1 are in it" in dry.out
    assert "0 findings of " in run("findings", "prune", "--older-than", "0.5").out
    assert "0 findings of " in run("findings", "prune", "--keep", 1).out
    assert len(listed(run)) == 1
    assert "are forgotten; 0 are in it" in run("findings", "prune", "--keep", 0).out
    assert listed(run) == []


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("list --store README.md", "README.md is not a findings store"),
        ("show abc --store README.md", "README.md is not a findings store"),
        ("export abc --store README.md", "README.md is not a findings store"),
        ("prune --keep 0 --store README.md", "README.md is not a findings store"),
        ("list --store .", "is a directory"),
        ("show", "Missing argument 'SIGNATURE'"),
        ("show zzzz", "begins with 'zzzz'; the nearest: {stored}"),
        ("show zzzz --json", "begins with 'zzzz'; the nearest: {stored}"),
        ("show zzzz --store none.db", "begins with 'zzzz': there is none in it"),
        ("export zzzz", "the nearest: {stored}"),
        ("export", "export one SIGNATURE, or all with --all DIR"),
        ("export {stored} --all x", "export one SIGNATURE, or all with --all DIR"),
        ("export --all x -o y", "leave -o out"),
        ("export {stored} -o README.md/x", "README.md/x cannot be written: Not a directory"),
        (
            "export --all README.md/x",
            "README.md/x cannot be written (Not a directory): give --all another",
        ),
        ("prune", "prune what? give --older-than DAYS"),
        ("prune --dry-run", "prune what?"),
        (
            "prune --verdict data-rice",
            "no verdict is named 'data-rice'; the nearest is 'data-race'",
        ),
        ("prune --older-than -1", "'--older-than'"),
        ("prune --keep -1", "'--keep'"),
        ("lost", "No such command 'lost'"),
    ],
)
def test_bad_input(run: Run, stored: str, tmp_path: Path, line: str, says: str) -> None:
    (tmp_path / "README.md").write_text("# mine\n")
    before = sorted(file.name for file in tmp_path.iterdir())
    refused(run("findings", *line.format(stored=stored).split()), says.format(stored=stored))
    assert sorted(file.name for file in tmp_path.iterdir()) == before
    assert len(listed(run)) == 1


def test_without_a_subcommand_it_tells_what_there_is(run: Run) -> None:
    answer = run("findings")
    assert answer.status == 2
    for word in ("list", "show", "export", "prune"):
        assert word in answer.out + answer.err


def test_interrupted_campaign_has_stored_what_it_found(tmp_path: Path) -> None:
    """A hunt that found something and goes on is stopped: the store has it already."""
    store = Store(tmp_path / "findings.db")
    hunt = ("hunt", "lost-update", "counter", "--strategy", "random", "--jobs", 1)
    how = ("--seconds", 3600, "--seed", 1, "--store", store.path)
    with started(*hunt, *how, cwd=tmp_path) as process:
        while not store.entries() and process.poll() is None:
            time.sleep(0.05)
        (kept,) = store.entries()
        answer = interrupted(process)
    assert (answer.status, answer.err) == (1, "")
    assert f"findings show {kept.signature}" in answer.out
    assert answer.out.endswith("(interrupted)\n")


def test_interrupted_while_another_holds_the_store(run: Run, stored: str) -> None:
    """Ctrl-C is heard by who waits."""

    def interrupts(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    handler = signal.signal(signal.SIGALRM, interrupts)
    with contextlib.closing(sqlite3.connect(Store().path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        try:
            signal.setitimer(signal.ITIMER_REAL, 1.0)
            answer = run("findings", "prune", "--keep", 0)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, handler)
    assert (answer.status, answer.out) == (4, "")
    assert answer.err.startswith("z3fold-stress: interrupted: ")
    assert [found["signature"] for found in listed(run)] == [stored]


def test_two_faults_are_two_findings(run: Run, tmp_path: Path) -> None:
    """Of one kind, in two scenarios; saved as no file, and stored where it was asked for."""
    for number in (1, 2):
        (tmp_path / f"s{number}.py").write_text(
            "from z3fold_stress import Scenario, op\n"
            f'scenario = Scenario(actors={{"a": [op.fetch_add("x{number}", 1, "r"), '
            f'op.expect("r", "==", 1, "fault {number}")]}}, expect={{"invariant"}})\n'
        )
        line = ("--executions", 100, "--seed", 1, "--store", "two.db", "--no-save")
        assert run("explore", f"s{number}.py", *line).status == 1
    assert not list(tmp_path.glob("*.json"))
    kept = run("findings", "list", "--store", "two.db", "--json").json()["findings"]
    assert sorted(one["text"].partition(":")[0] for one in kept) == ["fault 1", "fault 2"]
