"""A file that cannot be written costs the file: never the report, nor the exit status."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from commanding import Answer, Run
from lost_update import lost_update

from z3fold_stress.findings import load_finding

FOUND = "DATA-RACE in scenario lost-update"
ONE = ("--seed", "1", "--seconds", "60")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A command in a process and a folder of its own; ``limit``: bytes that a file may have."""
    (tmp_path / "finding.json").write_text(lost_update().dumps())
    (tmp_path / "taken").write_text("a file where a folder is wanted\n")
    environment = {**os.environ, "Z3FOLD_STRESS_STORE": str(tmp_path / "store.db")}

    def run(*args: object, limit: int | None = None, into: str | None = None) -> Answer:
        def narrow() -> None:
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        with open(into or os.devnull, "w") as output:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "z3fold_stress", *map(str, args)],
                cwd=tmp_path,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output if into else subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                timeout=300,
                preexec_fn=narrow,
            )
        assert "Traceback" not in (done.stdout or "") + done.stderr
        return Answer(done.returncode, done.stdout or "", done.stderr)

    return run


def warned(err: str, *says: str) -> None:
    """One line, which names the place and the remedy."""
    lines = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert len(lines) == 1, err
    assert "cannot be written" in lines[0]
    for what in says:
        assert what in lines[0]


@pytest.mark.parametrize("place", ["taken/folder", "/proc/1/none"])
def test_explore_reports_what_it_cannot_save(run: Run, place: str) -> None:
    answer = run("explore", "lost-update", *ONE, "--out", place)
    assert answer.status == 1
    assert FOUND in answer.out
    warned(answer.err, place, "--out", "--no-save")
    line = answer.out.split("Replay: z3fold-stress replay ")[1].split()[0]
    assert load_finding(line).verdict == "data-race"


def test_explore_for_programs(run: Run) -> None:
    answer = run("explore", "lost-update", "abba", *ONE, "--out", "taken/folder", "--json")
    assert answer.status == 1
    warned(answer.err, "taken/folder")
    told = json.loads(answer.out)
    assert told["saved"] == []
    assert "taken/folder cannot be written" in told["save_failed"]
    assert len(told["trails"]) == 2
    assert all(trail["findings"] for trail in told["trails"])


def test_full_disk(run: Run) -> None:
    """Neither the finding nor the store has room."""
    answer = run("explore", "lost-update", *ONE, limit=512)
    assert answer.status == 1
    assert FOUND in answer.out
    warned(answer.err, "File too large")
    assert "note: nothing can be stored" in answer.err


def test_hunt_and_fuzz(run: Run) -> None:
    design = ("--defect", "putback-forgets-unbuddied", "--seconds", "600", "--jobs", "1")
    answer = run("hunt", "putback-forgets-unbuddied", *design, "--out", "taken/folder")
    assert answer.status == 1
    assert "LOST-PAGE in scenario" in answer.out
    warned(answer.err, "taken/folder")
    fuzz = ("fuzz", "--design", "as-posted", "--programs", "8", "--jobs", "1", "--seed", "3")
    answer = run(*fuzz, "--out", "taken/folder")
    assert answer.status == 1
    assert "Replay: z3fold-stress replay zs1:" in answer.out
    warned(answer.err, "taken/folder")


def test_shrink(run: Run) -> None:
    answer = run("shrink", "finding.json", "--out", "taken/folder")
    assert answer.status == 1
    assert FOUND in answer.out
    warned(answer.err, "taken/folder")


@pytest.mark.parametrize("form", ["--text", "--html", "--json", "--perfetto"])
def test_report_is_told_where_its_file_cannot_be(run: Run, form: str) -> None:
    """The file was what was asked for: status 2."""
    answer = run("report", "finding.json", form, "-o", "taken/file")
    assert answer.status == 2
    assert "taken/file cannot be written" in answer.err
    assert (FOUND in answer.out) or json.loads(answer.out)["verdict"] == "data-race"


@pytest.mark.parametrize("store", ["taken/store.db", "/proc/1/store.db"])
def test_store_that_cannot_be_made(run: Run, store: str) -> None:
    answer = run("explore", "lost-update", *ONE, "--store", store)
    assert answer.status in (1, 2)
    if answer.status == 2:  # known before anything was done
        assert answer.out == ""
        assert store in answer.err
    else:
        assert FOUND in answer.out
        assert f"note: nothing can be stored: the store {store}" in answer.err


def test_full_disk_under_standard_output(run: Run) -> None:
    """What it refuses is told on standard error."""
    answer = run("explore", "lost-update", *ONE, into="/dev/full")
    assert answer.status == 1
    assert "standard output cannot be written (No space left on device)" in answer.err
    assert FOUND in answer.err


def test_soak_without_room_for_its_page_and_dump(run: Run) -> None:
    soak = ("soak", "--design", "as-posted", "--seconds", "60", "--seed", "7", "--tame", "0")
    answer = run(*soak, "--html", "taken/page.html", "--dump", "taken/arena.dump")
    assert answer.status == 1
    assert "FOUND: " in answer.out
    assert "The arena could NOT be saved: taken/arena.dump: Not a directory" in answer.out
    warned(answer.err, "taken/page.html")
