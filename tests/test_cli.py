"""The command line: what is printed where, and the exit status of everything that can happen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from commanding import PROGRAM, Run, refused

import z3fold_stress
from z3fold_stress import Arena, Pool, bench, cli
from z3fold_stress.defects import DEFECTS
from z3fold_stress.dump import save

GOLDEN = Path(__file__).parent / "golden"
TRACE = str(GOLDEN / "v52_uniform_4cpu_drain.csv")


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """Of an arena in which a page lost its place on the lists."""
    path = tmp_path / "a.dump"
    with Arena(frames=16, ring=16) as arena:
        pool = Pool(arena)
        page = pool.page_of(pool.alloc(100))
        arena.layout.poke("header", arena.layout.frame_offset(page), mapped_count=3)
        save(arena, path, {"command": "z3fold-stress soak --seed 5"})
    return path


@pytest.fixture
def clean_dump(tmp_path: Path) -> Path:
    path = tmp_path / "clean.dump"
    with Arena(frames=16, ring=16) as arena:
        Pool(arena).alloc(100)
        save(arena, path, {})
    return path


# the program


def test_help_lists_every_command_and_imports_none(run: Run) -> None:
    answer = run("--help")
    assert answer.status == 0
    for name in cli.COMMANDS:
        assert f"  {name} " in answer.out
    code = (
        "import sys\nfrom z3fold_stress.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print({'rich', 'psutil', 'z3fold_stress.soak'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("set()\n")


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_each_command_has_help(run: Run, command: str) -> None:
    answer = run(command, "--help")
    assert answer.status == 0
    assert answer.out.startswith(f"Usage: z3fold-stress {command} ")
    assert "Options:" in answer.out


def test_version(run: Run) -> None:
    assert run("--version") == (0, f"z3fold-stress {z3fold_stress.__version__}\n", "")


def test_no_command_is_no_pass(run: Run) -> None:
    answer = run()
    assert (answer.status, answer.out) == (2, "")
    assert "Commands:" in answer.err


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("sok", "no command 'sok'; the nearest is 'soak'"),
        ("inspct x", "the nearest is 'inspect'"),
        ("--nope", "No such option"),
        ("trace", "Missing argument 'FILE' (see 'z3fold-stress trace --help')"),
        ("trace x --nope", "No such option"),
        ("trace {trace} --frames many", "'many' is not a valid integer"),
        ("trace {trace} --frames 0", "frames is 0: it must be from 1 to"),
        ("trace {trace} --design as-postd", "the nearest is 'as-posted'"),
        ("trace {trace} --defect headless-slot-leak", "the nearest is 'headless-slots-leak'"),
        ("trace {none}", "No such file or directory"),
        ("trace {dir}", "Is a directory"),
        ("trace {empty}", "is empty"),
        ("trace {junk}", "this is no trace"),
        ("inspect {none}", "No such file or directory"),
        ("inspect {dir}", "Is a directory"),
        ("inspect {empty}", "is no dump"),
        ("inspect {junk}", "is no dump"),
        ("inspect {dump} --page 16", "page 16 does not exist: the arena has pages 0 to 15"),
        ("inspect {dump} --page 1 --section pages", "do not go together"),
        ("inspect {dump} --section nosuch", "'nosuch' is not one of"),
        ("defects headless", "the nearest is"),
        ("designs sund", "no design is named 'sund'; the nearest is 'sound'"),
        ("designs sound+nosuch", "no defect is named 'nosuch'"),
        ("bench --runs 0", "at least 1 run"),
        ("soak --design nosuch", "no design is named 'nosuch'"),
        ("soak --workers 0", "workers is 0"),
    ],
)
def test_bad_usage_is_told_in_one_line(
    run: Run, dump: Path, tmp_path: Path, line: str, says: str
) -> None:
    (tmp_path / "junk").write_bytes(bytes(range(255, 0, -1)) * 20)
    (tmp_path / "empty").touch()
    names = {name: tmp_path / name for name in ("none", "junk", "empty")}
    args = [word.format(trace=TRACE, dump=dump, dir=tmp_path, **names) for word in line.split()]
    refused(run(*args), says)


def test_truncated_dump_is_bad_input(run: Run, dump: Path) -> None:
    dump.write_bytes(dump.read_bytes()[:-20])
    refused(run("inspect", dump), "is truncated")


# what else can happen to a command


def replace_trace(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    from z3fold_stress.cli import trace

    def fail(*args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(trace, "resolve", fail)


def test_fault_of_the_tool(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_trace(monkeypatch, KeyError("no\nsuch key"))
    monkeypatch.delenv(cli.DEBUG, raising=False)
    answer = run("trace", TRACE)
    assert (answer.status, answer.out) == (3, "")
    assert answer.err.startswith("z3fold-stress: failed: KeyError: ")
    assert "please report it" in answer.err
    assert answer.err.count("\n") == 1
    monkeypatch.setenv(cli.DEBUG, "1")
    answer = run("trace", TRACE)
    assert answer.status == 3
    assert "Traceback (most recent call last)" in answer.err


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (KeyboardInterrupt(), 4, "z3fold-stress: interrupted: "),
        (FileNotFoundError(2, "No such file or directory", "x"), 2, "z3fold-stress: error: "),
        (OSError(12, "Cannot allocate memory"), 3, "z3fold-stress: failed: "),
        (click.exceptions.Exit(4), 4, ""),
        (SystemExit(1), 1, ""),
        (SystemExit(), 0, ""),
    ],
)
def test_status_of_what_is_raised(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, says: str
) -> None:
    replace_trace(monkeypatch, error)
    answer = run("trace", TRACE)
    assert answer.status == status
    assert answer.err.startswith(says)
    assert answer.err.count("\n") == bool(says)


@pytest.mark.parametrize("args", [["defects"], ["--help"], ["trace", TRACE, "--json"]])
def test_reader_that_goes_away_makes_no_noise(args: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout:
        done = subprocess.run([*PROGRAM, *args], stdout=stdout, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (141, b"")


# trace


def test_trace_as_recorded(run: Run) -> None:
    answer = run("trace", TRACE, "--design", "as-posted")
    assert answer.status == 0
    assert "SAME as recorded, in all 2,001 rows" in answer.out
    assert "Verdicts while it was played:\n  lock-misuse" in answer.out
    assert "390 objects of 811,208 bytes in 240 pages at the end; 254 pages at the" in answer.out


def test_trace_otherwise_than_recorded(run: Run) -> None:
    answer = run("trace", TRACE, "--no-drain")
    assert answer.status == 1
    assert "DIFFERS from what was recorded, first at line 22, alloc of 253 bytes" in answer.out
    answer = run("trace", TRACE, "--no-cross-cpu-search", "--json")
    assert answer.status == 1
    told = json.loads(answer.out)
    assert told["status"] == 1
    assert told["first_difference"]["expected"] == [0, 19]


def test_trace_with_few_frames(run: Run) -> None:
    answer = run("trace", TRACE, "--frames", 100)
    assert answer.status == 1
    assert "Allocations that failed: ENOMEM" in answer.out


def test_trace_that_stops(run: Run) -> None:
    answer = run("trace", TRACE, "--defect", "movable-trylock-inverted")
    assert answer.status == 1
    assert "STOPPED: an operation could not go on. line 3, free, object 0" in answer.out


# inspect


def test_inspect_tells_everything(run: Run, dump: Path) -> None:
    answer = run("inspect", dump)
    assert answer.status == 1
    assert answer.out.startswith(f"{dump}: saved arena, from: z3fold-stress soak --seed 5\n")
    for title in ("Arena", "Verdicts", "Audit", "Tasks", "Locks", "Lists", "Pages", "Slots"):
        assert f"\n{title}" in answer.out
    assert "mapped_count is 3, and 0 maps are known (audit rule 13), page 0" in answer.out
    assert answer.out.endswith("--page 0\n")
    assert f"##11{'.' * 60}" in answer.out
    assert "alloc         0  100 bytes" in answer.out


def test_inspect_clean_dump(run: Run, clean_dump: Path) -> None:
    answer = run("inspect", clean_dump)
    assert answer.status == 0
    assert "clean: every invariant holds" in answer.out


def test_inspect_parts(run: Run, dump: Path) -> None:
    answer = run("inspect", dump, "--page", 0)
    assert answer.status == 1
    assert answer.out.startswith("Page 0: allocated, buddied, at 0x")
    assert "FIRST    chunks 2 to 3" in answer.out
    answer = run("inspect", dump, "--section", "locks", "--section", "tasks")
    assert "Locks:" in answer.out
    assert "Tasks:" in answer.out
    assert "Pages:" not in answer.out


def test_inspect_json(run: Run, dump: Path) -> None:
    told = json.loads(run("inspect", dump, "--json").out)
    assert told["clean"] is False
    assert told["overview"]["frames"] == 16
    assert told["report"] == {"command": "z3fold-stress soak --seed 5"}
    assert told["pages"][0]["kref"] == 1
    told = json.loads(run("inspect", dump, "--json", "--page", 0).out)
    assert told["page"]["chunks"].startswith("##11..")
    told = json.loads(run("inspect", dump, "--json", "--section", "slots").out)
    assert set(told) == {"dump", "clean", "slots", "report"}


# the catalogue


def test_catalogue_is_complete(run: Run) -> None:
    answer = run("defects")
    assert answer.status == 0
    assert all(f"  {name} " in answer.out for name in DEFECTS)
    assert all(len(line) <= 100 for line in answer.out.splitlines())
    answer = run("designs")
    assert "  as-posted " in answer.out
    assert "  sound " in answer.out


@pytest.mark.parametrize("name", DEFECTS)
def test_story_of_each_defect(run: Run, name: str) -> None:
    answer = run("defects", name)
    assert answer.status == 0
    assert answer.out.startswith(name)
    for title in ("Fix:", "Symptom:", "Verdicts, the likeliest first:"):
        assert f"\n{title}\n  " in answer.out
    assert answer.out.endswith(f"z3fold-stress soak --defect {name}\n")


def test_catalogue_as_json(run: Run) -> None:
    told = json.loads(run("defects", "--json").out)
    assert [defect["name"] for defect in told] == list(DEFECTS)
    assert set(told[0]) >= {"summary", "story", "fix", "symptom", "verdicts", "as_posted", "masks"}
    one = json.loads(run("defects", "headless-slots-leak", "--json").out)
    assert one["name"] == "headless-slots-leak"
    told = json.loads(run("designs", "--json").out)
    assert {design["name"]: len(design["defects"]) for design in told}["sound"] == 0
    one = json.loads(run("designs", "sound+headless-slots-leak", "--json").out)
    assert one["defects"] == ["headless-slots-leak"]


def test_design_and_its_defects(run: Run) -> None:
    answer = run("designs", "sound+headless-slots-leak")
    assert answer.out.startswith("sound+headless-slots-leak\n")
    assert "\n  headless-slots-leak " in answer.out
    assert "no defects" in run("designs", "sound").out


# bench

KEYS = {
    "free_alloc_ns",
    "map_unmap_ns",
    "soak_allocs_per_s",
    "soak_frees_per_s",
    "soak_maps_per_s",
    "lock_pairs_per_s",
    "explore_live_per_s",
}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """All measurements for real, each for a moment; the soak is left out."""
    allocator, locks = bench.allocator, bench.locks
    monkeypatch.setattr(bench, "allocator", lambda runs, **only: allocator(runs, 0.01, **only))
    monkeypatch.setattr(bench, "locks", lambda: locks(1, 0.01, processes=(1, 2)))
    rates = {f"soak_{name}_per_s": 1000 for name in ("allocs", "frees", "maps")}
    live_speed = bench.live_speed
    monkeypatch.setattr(bench, "live_speed", lambda runs: live_speed(runs, 0.05))
    monkeypatch.setattr(bench, "soaks", lambda runs, seconds: {"": rates})


@pytest.mark.usefixtures("short")
def test_bench_json_has_its_keys(run: Run) -> None:
    answer = run("bench", "--runs", 1, "--json")
    assert answer.status == 0
    told = json.loads(answer.out)
    assert set(told) >= KEYS
    assert told["free_alloc_ns"] > 1
    assert told["explore_live_per_s"] > 1
    assert told["map_unmap_recorder_ns"] > 1
    assert set(told["lock_pairs_per_s"]) == {"ttas", "ticket", "mcs"}
    assert all(n > 1 for row in told["lock_pairs_per_s"].values() for n in row.values())
    assert set(told["lock_pairs_per_s"]["mcs"]) == {"1", "2"}


@pytest.mark.usefixtures("short")
def test_bench_for_people(run: Run) -> None:
    answer = run("bench", "--runs", 1)
    assert answer.status == 0
    for word in ("free+alloc", "with the flight recorder", "ttas", "processes", "1,000"):
        assert word in answer.out


def test_soak_that_finds_something_has_no_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    from z3fold_stress import soak

    class Report:
        judgements = ("corruption: a byte",)

    monkeypatch.setattr(soak, "run", lambda settings: Report())
    with pytest.raises(RuntimeError, match="the soak found something: corruption"):
        bench.soaks(1, 1.0)
