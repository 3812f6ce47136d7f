"""Findings as steps and pages: the states are the arena's own, a page holds all that it shows and
nothing that runs, and what is written is written whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from commanding import Run
from found import EVIL, REPORTED, evil, find_in, finding_of, replayed

from z3fold_stress.findings import Finding, load_finding
from z3fold_stress.layout import Layout
from z3fold_stress.report.course import Course, course_of
from z3fold_stress.report.html import page_of
from z3fold_stress.scenario import Scenario, op


def course(name: str, verdict: str) -> Course:
    with replayed(finding_of(name, verdict)) as (world, done):
        return course_of(world, done.evidence)


def page(finding: Finding) -> str:
    with replayed(finding) as (world, done):
        return page_of(world, finding, done.evidence)


def data_of(text: str) -> dict[str, Any]:
    (block,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    found: dict[str, Any] = json.loads(block)
    return found


# states


@pytest.mark.parametrize(("name", "verdict"), REPORTED)
def test_rewinding_gives_what_each_event_saw(name: str, verdict: str) -> None:
    """The recorder notes what was in a place when it was touched; the log of overwritten words,
    which knows nothing of that, puts the same there again."""
    finding = finding_of(name, verdict)
    with replayed(finding) as (world, done):
        compared = 0
        memory = world.simulator.memory
        for at in range(len(done.evidence.events) - 1, -1, -1):
            event = done.evidence.events[at]
            world.simulator.rewind(at)
            if 0 < event.size <= 8:
                now = memory[event.object : event.object + event.size]
                assert int.from_bytes(now, "little") == event.value
                compared += 1
        assert compared
        first = bytes(memory)
        world.simulator.replay([], False, 2)
        world.simulator.rewind(0)
        assert bytes(memory)[: _window(memory)] == first[: _window(memory)]
        with pytest.raises(IndexError):
            world.simulator.rewind(len(world.simulator.events()))


def _window(memory: Any) -> int:
    """Where the contexts of the tasks begin: they are kept apart."""
    return Layout(memory).arena("tasks")


def test_a_deadlock_ends_with_who_waits_for_whom() -> None:
    done = course("abba", "deadlock")
    last = done.steps[-1].state
    assert not done.allocator
    assert done.tasks == ["ab", "ba"]
    assert last["locks"] == {
        "A": {"owner": "ab", "readers": [], "waiters": ["ba"]},
        "B": {"owner": "ba", "readers": [], "waiters": ["ab"]},
    }
    assert last["tasks"]["ab"] == {"state": "waits", "waits_for": "B", "holds": ["A"]}
    assert done.steps[0].state["locks"] == {}
    assert sorted(step.mark for step in done.steps if step.mark) == [1, 2]
    chosen = [step.switch for step in done.steps if step.switch and step.switch.chosen]
    assert [switch.of for switch in chosen] == ["ab"]


def test_a_waiting_task_is_named_at_a_switch() -> None:
    """A task that has to wait was not interrupted."""
    scenario = Scenario(
        name="queue",
        actors={
            "first": [op.lock("L"), op.load("n", "n"), op.store("n", 1), op.unlock("L")],
            "second": [
                op.lock("L"),
                op.load("n", "n"),
                op.expect("n", "==", 0, "it is first"),
                op.unlock("L"),
            ],
        },
    )
    with replayed(find_in(scenario, "invariant")[0]) as (world, done):
        steps = course_of(world, done.evidence).steps
    assert steps[-1].state["locks"]["L"]["owner"] == "second"
    assert [step.title for step in steps if step.kind == "sync"][:2] == [
        "takes L",
        "lets go of L",
    ]


def test_a_race_is_marked_on_both_sides_and_states_are_told() -> None:
    finding = finding_of("isolate-unlinks-outside-pool-lock", "data-race")
    done = course("isolate-unlinks-outside-pool-lock", "data-race")
    marked = [step for step in done.steps if step.mark]
    assert [step.mark for step in marked] == [1, 2]
    assert marked[0].task != marked[1].task
    assert all(step.touches for step in marked)
    assert done.allocator
    first, last = done.steps[0].state, done.steps[-1].state
    assert set(first) == {"words", "pages", "slots", "lists", "objects", "tasks", "locks"}
    page = last["pages"]["0"]
    assert len(page["chunks"]) == 64
    assert page["kref"] == page["kref_rest"] == 1
    assert page["refcount"] == 2  # engine holds one more than at rest
    assert page["refcount_rest"] == 1
    assert last["tasks"]["engine"]["holds"] == ["PG lock of frame 0", "page lock of frame 0"]
    assert finding.sides[1]["task"] == "engine"


def test_a_page_that_is_freed_is_shown_free() -> None:
    done = course("slot-read-before-page-lock", "use-after-free")
    kinds = [step.state["pages"]["0"]["kind"] for step in done.steps]
    assert kinds[0] == "buddied"
    assert kinds[-1] == "free"
    freed = next(step for step in done.steps if step.title == "frees frame 0")
    assert freed.touches
    slot = next(step for step in done.steps if step.title.startswith("slot 1 of slots 0: "))
    assert slot.title == "slot 1 of slots 0: frame 0 + 1 → frame 1 + 1"
    assert slot.state["slots"]["0"]["words"]["1"] == "FIRST of frame 1"


def test_plain_reads_are_gathered() -> None:
    """Far fewer steps than events, and none is left out."""
    finding = finding_of("slot-read-before-page-lock", "use-after-free")
    with replayed(finding) as (world, done):
        events = len(done.evidence.events)
        steps = course_of(world, done.evidence).steps
    assert len(steps) < events / 3
    assert steps[0].first == 0
    assert steps[-1].last == events - 1
    for before, after in pairwise(steps):
        assert after.first == before.last + 1


# the page


def test_a_page_is_the_same_every_time_and_small() -> None:
    finding = finding_of("slot-read-before-page-lock", "use-after-free")
    text = page(finding)
    assert text == page(finding)
    assert len(text) < 1_000_000


def test_states_come_back_from_deltas() -> None:
    finding = finding_of("isolate-unlinks-outside-pool-lock", "data-race")
    told = data_of(page(finding))
    state: dict[str, dict[str, Any]] = {}
    steps = course("isolate-unlinks-outside-pool-lock", "data-race").steps
    for step, made in zip(steps, told["steps"], strict=False):
        for section, delta in made["delta"].items():
            for name, entry in delta:
                state.setdefault(section, {}).pop(name, None)
                if entry is not None:
                    state[section][name] = entry
        for section, entries in step.state.items():
            assert state.get(section, {}) == json.loads(json.dumps(entries))
    assert len(told["steps"]) == len(steps) + 1
    assert told["defects"][0]["fix"]
    assert told["about"] == [0]


def test_nothing_of_a_finding_runs() -> None:
    text = page(evil())
    assert text.count("<script") == text.count("</script>") == 2
    assert "<img" not in text
    assert "\u2028" not in text
    told = data_of(text)
    assert EVIL in told["text"]
    assert told["story"] == EVIL


def test_the_policy_names_the_script_and_nothing_else() -> None:
    text = page(finding_of("abba", "deadlock"))
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    script = text.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html.unescape(policy)
    assert html.unescape(policy).startswith("default-src 'none'; ")
    assert "http" not in text.replace("http-equiv", "")


# the command


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "abba.json"
    path.write_text(finding_of("abba", "deadlock").dumps())
    return path


def test_forms_and_where_they_go(saved: Path, run: Run) -> None:
    assert run("report", saved) == run("report", saved, "--text")
    status, out, _ = run("report", saved, "--html")
    assert status == 0
    (made,) = Path().glob("abba-deadlock-*.html")
    assert out == f"written: {made}\n"
    assert run("report", saved, "--html", "-o", "-")[1] == made.read_text()
    assert run("report", saved, "--perfetto", "-o", "t.json")[0] == 0
    assert json.loads(Path("t.json").read_text())["traceEvents"]
    assert run("report", saved, "--text", "-o", "t.txt")[1] == "written: t.txt\n"
    assert Path("t.txt").read_text().startswith("DEADLOCK in scenario abba")
    status, out, _ = run("report", saved, "--json", "-o", "again.json")
    assert load_finding("again.json") == load_finding(str(saved))


@pytest.mark.parametrize("form", ["--html", "--text", "--json", "--perfetto"])
def test_nothing_is_left_half_written(saved: Path, run: Run, form: str, tmp_path: Path) -> None:
    status, _, err = run("report", saved, form, "-o", tmp_path / "none" / "page.html")
    assert status == 2
    assert "page.html cannot be written: No such file or directory" in err
    before = sorted(os.listdir(tmp_path))
    (tmp_path / "taken").mkdir()
    assert run("report", saved, form, "-o", "taken")[0] == 2
    assert sorted(os.listdir(tmp_path)) == sorted([*before, "taken"])


def test_what_does_not_replay_is_not_reported(saved: Path, run: Run, tmp_path: Path) -> None:
    finding = finding_of("abba", "deadlock")
    other = tmp_path / "other.json"
    other.write_text(replace(finding, schedule=(), build="another").dumps())
    status, out, err = run("report", other, "--html")
    assert status == 4
    assert out == ""
    assert "built of other sources" in err
    assert "nothing to report" in err
    assert not list(Path().glob("*.html"))
    again = tmp_path / "again.json"
    again.write_text(replace(finding, hash="0" * 16, signature="x", build="another").dumps())
    assert run("report", again, "--html")[0] == 4
    status, _, err = run("report", again, "--html", "--policy", "default", "-o", "p.html")
    assert status == 0
    told = data_of(Path("p.html").read_text())
    assert len(told["warnings"]) == 2
    assert "other sources" in told["warnings"][0]


def test_a_file_that_is_no_finding(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "no.json"
    path.write_text("{}")
    status, _, err = run("report", path, "--html")
    assert status == 2
    assert "not a finding" in err
