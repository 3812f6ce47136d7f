"""Traces for ui.perfetto.dev: well formed, with the tracks, slices and arrows that they promise;
and the reader that says so fires where one is not."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from commanding import Run
from found import REPORTED, finding_of, replayed
from trace_format import TraceFault, check_trace

from z3fold_stress import Arena, Pool
from z3fold_stress.dump import save
from z3fold_stress.findings import Finding
from z3fold_stress.report.perfetto import trace_of


def trace(finding: Finding) -> str:
    with replayed(finding) as (world, done):
        return trace_of(world, finding, done.evidence)


def named(events: list[dict[str, Any]], phase: str, name: str) -> list[dict[str, Any]]:
    return [event for event in events if event["ph"] == phase and event["name"] == name]


@pytest.mark.parametrize(("name", "verdict"), REPORTED)
def test_every_trace_is_well_formed(name: str, verdict: str) -> None:
    finding = finding_of(name, verdict)
    text = trace(finding)
    events = check_trace(text)
    assert text == trace(finding)
    groups = {event["args"]["name"] for event in events if event["name"] == "process_name"}
    assert groups >= set(finding.scenario.actors)
    (verdict_mark,) = [event for event in events if event.get("s") == "g"]
    assert verdict_mark["name"].startswith(f"{verdict}: ")


def test_a_deadlock_has_its_holds_and_its_waits() -> None:
    events = check_trace(trace(finding_of("abba", "deadlock")))
    end = max(event["ts"] for event in events)
    for lock, owner, waiter in (("A", 1, 2), ("B", 2, 1)):
        (hold,) = named(events, "X", f"holds {lock}")
        (wait,) = named(events, "X", f"waits for {lock}")
        assert (hold["pid"], wait["pid"]) == (owner, waiter)
        assert hold["ts"] + hold["dur"] == wait["ts"] + wait["dur"] == end
        assert wait["args"] == {"held by": ("ab", "ba")[owner - 1]}
    (operation,) = [e for e in named(events, "X", "lock B") if e["pid"] == 1]
    assert operation["ts"] + operation["dur"] == end


def test_locks_and_objects_are_handed_on() -> None:
    events = check_trace(trace(finding_of("slot-read-before-page-lock", "use-after-free")))
    locks = named(events, "f", "lock handed on")
    assert locks
    starts = {event["id"]: event for event in events if event["ph"] == "s"}
    for event in locks:
        assert starts[event["id"]]["pid"] != event["pid"]
    assert named(events, "f", "object handed on")
    assert named(events, "i", "frees frame 0")


def test_a_death_and_a_failure_are_marked() -> None:
    assert named(check_trace(trace(finding_of("orphaned-lock", "orphaned-lock"))), "i", "dies here")
    events = check_trace(trace(finding_of("putback-forgets-unbuddied", "lost-page")))
    assert named(events, "i", "target fails on purpose")


# a soak's recorder


@pytest.mark.parametrize(("name", "verdict"), REPORTED)
def test_perfettos_own_reader_takes_it(name: str, verdict: str, tmp_path: Path) -> None:
    """Where this machine has Perfetto's trace processor: its package would download one."""
    reader = os.environ.get("TRACE_PROCESSOR") or shutil.which("trace_processor_shell")
    if reader is None:
        pytest.skip("no trace_processor_shell on the path, nor named by TRACE_PROCESSOR")
    perfetto = pytest.importorskip("perfetto.trace_processor")
    finding = finding_of(name, verdict)
    path = tmp_path / "trace.json"
    path.write_text(trace(finding))
    config = perfetto.TraceProcessorConfig(bin_path=reader)
    with perfetto.TraceProcessor(trace=str(path), config=config) as processor:
        faults = processor.query("select name from stats where severity = 'error' and value > 0")
        assert [row.name for row in faults] == []
        tracks = {row.name for row in processor.query("select name from process")}
        assert tracks >= set(finding.scenario.actors)
        written = check_trace(path.read_text())
        (slices,) = processor.query("select count(*) as n from slice where dur > 0")
        assert slices.n == sum(event["ph"] == "X" and event["dur"] > 0 for event in written)


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    path = tmp_path / "some.dump"
    with Arena(frames=16, tasks=4, ring=64) as arena, Pool(arena) as pool:
        handles = [pool.alloc(1200) for _ in range(3)]
        for handle in handles:
            with pool.map(handle):
                pass
        pool.free(handles[0])
        save(arena, path, {})
    return path


def test_a_dump_as_a_trace(dump: Path, tmp_path: Path, run: Run) -> None:
    path = tmp_path / "trace.json"
    status, out, _ = run("inspect", dump, "--perfetto", path)
    assert status == 0
    assert out == f"written: {path}\n"
    events = check_trace(path.read_text())
    operations = [event["name"] for event in events if event["ph"] == "X"]
    assert operations.count("alloc") == 3
    assert operations.count("map") == 3
    assert operations.count("free") == 1
    assert run("inspect", dump, "--perfetto", "-")[1] == path.read_text()


def test_a_dump_as_a_trace_that_cannot_be(dump: Path, tmp_path: Path, run: Run) -> None:
    assert run("inspect", dump, "--perfetto", tmp_path / "none" / "t.json")[0] == 2
    status, _, err = run("inspect", dump, "--perfetto", tmp_path / "t.json", "--json")
    assert status == 2
    assert "--perfetto stands alone" in err
    assert list(tmp_path.iterdir()) == [dump]


# the reader itself


def event(phase: str, at: float, **more: Any) -> dict[str, Any]:
    return {"ph": phase, "name": "x", "pid": 1, "tid": 1, "ts": at, **more}


NAMES = [
    {"ph": "M", "name": "process_name", "pid": 1, "tid": 0, "ts": 0, "args": {"name": "p"}},
    {"ph": "M", "name": "thread_name", "pid": 1, "tid": 1, "ts": 0, "args": {"name": "t"}},
]
START = event("s", 1, id=1, cat="c")
END = event("f", 3, id=1, cat="c", bp="e")
GOOD = [event("X", 0, dur=4), START, event("X", 2, dur=2), END]


def read(events: list[dict[str, Any]], names: list[dict[str, Any]] = NAMES) -> None:
    check_trace(json.dumps({"traceEvents": [*names, *events]}))


def test_the_reader_is_content_with_what_is_right() -> None:
    read(GOOD)
    read([event("B", 0), event("B", 1), event("E", 2), event("E", 2), event("i", 3, s="t")])


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ([event("X", 2, dur=1), event("X", 1, dur=1)], "time goes back"),
        ([event("X", 0)], "without dur"),
        ([event("X", 0, dur=-1)], "ends before it begins"),
        ([event("X", 0, dur=2), event("X", 1, dur=2)], "cross"),
        ([event("B", 0)], "begin without an end"),
        ([event("E", 0)], "end without a begin"),
        ([event("i", 0)], "instant without scope"),
        ([event("Q", 0)], "phase"),
        ([{**event("X", 0, dur=1), "ts": "0"}], "ts is missing"),
        ([event("X", 0, dur=1, tid=7)], "track without a name"),
        ([event("X", 0, dur=4), START], "one end"),
        ([START, event("X", 2, dur=2), END], "outside every slice"),
        ([event("X", 0, dur=4), START, {**END, "bp": "x"}], "binds to the next"),
        ([event("X", 0, dur=4), {**END, "ts": 1}, {**START, "ts": 2}], "into the past"),
    ],
)
def test_the_reader_refuses_what_is_wrong(events: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(TraceFault, match=says):
        read(events)
