"""Processes that check their accesses: what races is found with both sides, what does not is left
alone; freed memory and bounds; a killed process stops nobody; and whole soaks."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest
from checking import arena_with_room, checked_process, compiled, reports, totals, until
from click.testing import CliRunner

from z3fold_stress import Arena, _live, _sim
from z3fold_stress.cli.soak import soak as soak_command
from z3fold_stress.designs import resolve
from z3fold_stress.errors import SettingsError
from z3fold_stress.explore.sites import known_lines
from z3fold_stress.scenario import Op, op
from z3fold_stress.soak import SoakReport, SoakSettings, as_text, run
from z3fold_stress.soak.accesses import read_checks
from z3fold_stress.soak.report import command_of

MANY = 200
"""Watchpoints that a silent test waits for, of each process."""


def body(*ops: Op) -> list[Op]:
    return [op.repeat(50, ops)]


def meet(reader: Sequence[Op], writer: Sequence[Op], most: int = MANY) -> tuple[list[str], int]:
    """Two processes do this at the same time, the first with every plain access watched, until
    something is found, or the first has set so many watchpoints. The faults; the accesses."""
    programs = compiled(reader=reader, writer=writer)
    with (
        arena_with_room() as arena,
        checked_process(arena, 2, programs.actors[0].program),
        checked_process(arena, 3, programs.actors[1].program, rate=10**9),
    ):
        until(
            lambda: reports(arena) or totals(arena)["watchpoints"] >= most,
            "a race, or many watchpoints",
        )
        return [r["fault"] for r in reports(arena)], totals(arena)["accesses"]


def test_a_plain_load_and_a_plain_store_race() -> None:
    faults, _ = meet(body(op.load("word", "x")), body(op.store("word", 1)), most=10**6)
    assert faults == ["race"]


def test_two_plain_stores_race() -> None:
    faults, _ = meet(body(op.store("word", 2)), body(op.store("word", 2)), most=10**6)
    assert faults == ["race"], "also where both write the same value"


def test_a_plain_load_and_an_atomic_store_race() -> None:
    faults, _ = meet(body(op.load("word", "x")), body(op.store("word", 1, "relaxed")), most=10**6)
    assert faults == ["race"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param([op.load("word", "x")], [op.load("word", "x")], id="two loads"),
        pytest.param([op.load("word", "x")], [op.store("other", 1)], id="two words"),
        pytest.param(
            [op.lock("guard"), op.load("word", "x"), op.unlock("guard")],
            [op.lock("guard"), op.store("word", 1), op.unlock("guard")],
            id="under a lock",
        ),
        pytest.param(
            [op.load("mine", "y"), op.load("word", "x", "relaxed")],
            [op.store("word", 1, "relaxed")],
            id="atomic both",
        ),
        pytest.param(
            [op.load("mine", "y"), op.fetch_add("word", 1, "x")],
            [op.fetch_add("word", 1, "x")],
            id="read-modify-writes",
        ),
    ],
)
def test_what_does_not_race_is_left_alone(first: list[Op], second: list[Op]) -> None:
    faults, accesses = meet(body(*first), body(*second))
    assert faults == []
    assert accesses > MANY


def test_both_sides_are_told_with_their_lines_and_locks() -> None:
    programs = compiled(
        reader=body(op.lock("guard"), op.load("word", "x"), op.unlock("guard")),
        writer=body(op.store("word", 1)),
    )
    with (
        arena_with_room() as arena,
        checked_process(arena, 2, programs.actors[0].program),
        checked_process(arena, 3, programs.actors[1].program, rate=10**9),
    ):
        until(lambda: arena.judgements(), "a verdict")
        checks = read_checks(arena, {2: "reader", 3: "writer"})
        (judgement,) = arena.judgements()
    (fault,) = checks.faults
    assert fault.other is not None
    assert (fault.side.kind, fault.side.process, fault.side.size) == ("load", "reader", 8)
    assert (fault.other.kind, fault.other.process, fault.other.size) == ("store", "writer", 8)
    assert [held.split()[0] for held in fault.side.holds] == ["raw"]
    assert fault.other.holds == []
    told = checks.told(judgement)
    assert str(told.verdict) == "data-race"
    if known_lines():
        assert re.match(r"run/\w+\.pxi:\d+ load_word", fault.side.site)
        assert re.match(r"run/\w+\.pxi:\d+ store_word", fault.other.site)
        assert any("run_program" in caller for caller in fault.side.callers)
        assert fault.side.site in told.text
        assert fault.other.site in told.text


def test_a_change_by_who_is_not_seen_is_a_race_too() -> None:
    programs = compiled(reader=body(op.load("word", "x")))
    with (
        arena_with_room() as arena,
        checked_process(arena, 2, programs.actors[0].program, stall_us=2000),
    ):
        at = _live.fields()["arena"][1]["scratch"][0]
        until(lambda: totals(arena)["watchpoints"], "a watchpoint")
        value = 0

        def change() -> bool:
            nonlocal value
            value = (value + 1) % 256
            arena.memory[at] = value
            return bool(reports(arena))

        until(change, "the change is seen")
        (found,) = reports(arena)
    assert found["fault"] == "changed"
    assert found["other"] is None
    assert found["before"] != found["after"]


def test_a_race_that_is_meant_is_counted_and_not_reported() -> None:
    """Reclaim peeks at the number in a payload that its owner is writing."""
    programs = compiled(
        maker=[op.alloc("a", 300, fill=True)],
        writer=[op.repeat(5, [op.fill("a")])],
        reclaimer=[op.repeat(5, [op.reclaim(1)])],
    )
    with arena_with_room(swap=0) as arena:
        arena.call(_live.Call.CALL_CREATE_POOL, 0, 1)
        arena.engine.run_program(programs.actors[0].program)
        with (
            checked_process(arena, 2, programs.actors[1].program, rate=5, stall_us=100),
            checked_process(arena, 3, programs.actors[2].program, rate=10**9),
        ):
            until(lambda: totals(arena)["benign"] or reports(arena), "the known race")
        assert reports(arena) == []
        (told,) = read_checks(arena, {}).benign
    assert "client/evict.pxi" in told or not known_lines()
    assert "only a guess" in told


# freed memory, bounds


def faults_of_a_map(spoil: str, design: str = "sound") -> list[str]:
    """What a checked process finds when it maps and verifies an object of a spoilt arena."""
    programs = compiled(
        maker=[op.alloc("a", 300, fill=True)], user=[op.map("a"), op.check("a"), op.unmap("a")]
    )
    with arena_with_room(design=design, keep_going=True) as arena:
        arena.call(_live.Call.CALL_CREATE_POOL, 0, 1)
        arena.engine.run_program(programs.actors[0].program)
        layout = arena.layout
        if spoil == "page":
            layout.poke("page", layout.page_offset(0), state=0)
        elif spoil == "slots":
            handle = layout.read("object", layout.object_offset(0))["handle"]
            layout.poke("slots", handle & ~63, state=0)
        elif spoil == "size":
            layout.poke("header", layout.frame_offset(0), first_chunks=2)
        with checked_process(
            arena, 2, programs.actors[1].program, rate=10**9, once=True
        ) as process:
            process.join(60)
            assert process.exitcode == 0
        checks = read_checks(arena, {})
        assert checks.accesses > 10
        if known_lines():
            assert all(re.search(r"\.pxi:\d+ ", fault.side.site) for fault in checks.faults)
        verdicts = {str(j.verdict) for j in arena.judgements()}
        expected = {"freed": "use-after-free", "outside": "corruption"}
        assert {expected[fault.fault] for fault in checks.faults} <= verdicts
        return sorted({fault.fault for fault in checks.faults})


def test_an_access_to_a_live_object_is_no_fault() -> None:
    assert faults_of_a_map("nothing") == []


def test_an_access_to_a_freed_page_is_found_at_its_line() -> None:
    assert faults_of_a_map("page") == ["freed"]


def test_an_access_to_a_freed_slots_object_is_found_at_its_line() -> None:
    assert faults_of_a_map("slots") == ["freed"]


def test_an_access_beyond_the_object_is_found_at_its_line() -> None:
    assert faults_of_a_map("size") == ["outside"]


# the watchpoints

ARMED, GIVEN = 1, 3


class Watchpoint:
    """One that this test sets, as a task of its own, over eight bytes of a scratch word."""

    def __init__(self, arena: Arena, word: int, task: int) -> None:
        offset = _live.fields()["arena"][1]["scratch"][0] + 64 * word
        place = ((offset >> 6) * 0x9E3779B97F4A7C15 & 2**64 - 1) >> 56
        self.memory = arena.memory
        self.at = arena.layout.arena("size") + 8 * place
        self.armed = ARMED << 62 | task << 45 | 7 << 40 | offset

    def set(self) -> None:
        self.memory[self.at : self.at + 8] = self.armed.to_bytes(8, "little")

    def take_down(self) -> None:
        self.memory[self.at : self.at + 8] = bytes(8)

    @property
    def state(self) -> int:
        return self.word >> 62

    @property
    def claimer(self) -> int:
        return self.word >> 52 & 127

    @property
    def word(self) -> int:
        return int.from_bytes(self.memory[self.at : self.at + 8], "little")


def test_who_meets_a_watchpoint_says_so_in_it_and_leaves_one_side_at_a_time() -> None:
    """What it left is its own, until it was read: a second watchpoint has to wait for that."""
    programs = compiled(writer=body(op.store("word", 1), op.store("other", 1)))
    with (
        arena_with_room() as arena,
        checked_process(arena, 3, programs.actors[0].program, rate=10**9),
    ):
        first, second = Watchpoint(arena, 0, task=2), Watchpoint(arena, 1, task=2)
        first.set()
        until(lambda: first.state == GIVEN, "it is met")
        assert first.claimer == 3
        second.set()
        before = totals(arena)["accesses"]
        until(lambda: totals(arena)["accesses"] > before + 10_000, "it goes on")
        assert second.word == second.armed, "the first was not read yet"
        first.take_down()
        until(lambda: second.state == GIVEN, "the second is met")
        assert second.claimer == 3
        assert first.word == 0


def test_side_of_one_that_was_killed_there_is_taken_from_it() -> None:
    """A watchpoint that was claimed, and whose claimer is gone: its owner takes it down, and it
    is no race; the place serves again."""
    programs = compiled(reader=[op.load("word", "x")], again=[op.load("word", "x")])
    with arena_with_room() as arena:
        point = Watchpoint(arena, 0, task=2)
        with checked_process(
            arena, 2, programs.actors[0].program, stall_us=300_000, once=True
        ) as process:
            until(lambda: point.state == ARMED, "it is set")
            claimed = point.word & ~(3 << 62) | 2 << 62 | 5 << 52
            arena.memory[point.at : point.at + 8] = claimed.to_bytes(8, "little")
            process.join(60)
            assert process.exitcode == 0
        assert reports(arena) == []
        assert point.word == 0


def test_seq_cst_stores_of_real_processes_are() -> None:
    """A release store is not enough: each of two tasks could miss the other's (Dekker)."""
    objdump = shutil.which("objdump")
    if objdump is None:
        pytest.skip("objdump is not here")
    for bits in (8, 16, 32, 64):
        name = f"__tsan_atomic{bits}_store"
        told = subprocess.run(
            [objdump, "-d", f"--disassemble={name}", _sim.__file__],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert name in told
        assert "xchg" in told or "mfence" in told


# kill -9


def test_a_process_killed_at_its_watchpoint_stops_nobody() -> None:
    programs = compiled(
        reader=[op.load("word", "x")], writer=[op.store("word", 1)], again=[op.load("word", "x")]
    )
    with arena_with_room() as arena:
        with checked_process(arena, 2, programs.actors[0].program, stall_us=10**9) as process:
            until(lambda: totals(arena)["watchpoints"] == 1, "it waits")
            process.kill()
            process.join()
        with checked_process(arena, 3, programs.actors[1].program, rate=1, once=True) as process:
            process.join(60)
            assert process.exitcode == 0
        assert reports(arena) == [], "who met it is dead"
        before = totals(arena)
        with checked_process(arena, 2, programs.actors[2].program, once=True) as process:
            process.join(60)
            assert process.exitcode == 0
        after = totals(arena)
        assert after["watchpoints"] == before["watchpoints"] + 1, "its place is free again"
        assert after["crowded"] == before["crowded"]
        assert arena.layout.arena("stop") == 0


# whole soaks

SMALL: dict[str, Any] = {
    "objects": 300,
    "workers": 3,
    "checked": True,
    "watch_rate": 100,
    "seed": 7,
}


def soak(*defects: str, **settings: Any) -> SoakReport:
    design = resolve("sound", defects)
    return run(SoakSettings(design=design, **{**SMALL, **settings}))


def test_a_sound_design_passes_checked_with_evidence() -> None:
    report = soak(
        operations=4000, quiet_interval=0.3, access_delay=0.0005, faults={"trylock": 0.02}
    )
    assert report.status == 0, as_text(report)
    assert report.checks is not None
    assert report.checks.faults == []
    assert report.checks.accesses > 100_000
    assert report.checks.watchpoints > 500
    assert report.checks.delays > 10
    assert report.counts["injected"] > 0, "failures are injected into this build as well"
    assert report.counts["migrated"] > 0
    assert f"{report.checks.watchpoints:,} watchpoints set" in as_text(report)
    assert report.to_json()["checks"]["accesses"] == report.checks.accesses


@pytest.mark.parametrize(
    "defect",
    [
        "slot-read-before-page-lock",
        "migrate-copies-live-header",
    ],
)
def test_a_defect_is_found_checked(defect: str) -> None:
    report = soak(defect, seconds=60, quiet_interval=0.2)
    assert report.status == 1, as_text(report)
    assert report.verdict not in {"stall", "inconclusive"}, "a wild access shows in many ways"
    assert report.checks is not None
    assert report.checks.accesses > 0


def test_a_race_that_has_done_no_harm_yet_is_reported_with_both_sides() -> None:
    for seed in range(12):
        report = soak("isolate-unlinks-outside-pool-lock", seconds=60, seed=seed, watch_rate=30)
        assert report.status == 1
        if report.verdict == "data-race":
            break
    assert report.checks is not None
    fault = report.checks.faults[0]
    text = as_text(report)
    assert fault.side.site in text
    assert fault.other is None or fault.other.site in text
    assert any("page" in held for held in (*fault.side.holds, *getattr(fault.other, "holds", ())))


def test_killed_processes_do_not_fail_a_checked_soak() -> None:
    report = soak(seconds=3, kill=True, kill_interval=0.3, watch_rate=50, watch_stall_us=2000)
    assert report.deaths
    assert report.status == 0 or report.verdict in {"orphaned-lock", "crash", "stall"}, as_text(
        report
    )


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"watch_rate": 0}, "watch_rate"),
        ({"watch_stall_us": 0}, "watch_stall_us"),
        ({"watch_stall_us": 10**6}, "watch_stall_us"),
        ({"access_delay": 1.5}, "access_delay"),
        ({"access_delay": -0.1}, "access_delay"),
        ({"checked": False, "watch_rate": 10}, "only a checked soak"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        SoakSettings(**{"checked": True, **settings})


def test_the_command_says_how_it_was_checked() -> None:
    settings = SoakSettings(checked=True, watch_rate=77, watch_stall_us=33, access_delay=0.25)
    words = command_of(settings)
    assert "--checked" in words
    for part in ("--watch-rate 77", "--watch-stall-us 33", "--access-delay 0.25"):
        assert part in words
    assert "watch" not in command_of(SoakSettings())


def test_the_command_refuses_a_rate_without_the_checks() -> None:
    result = CliRunner().invoke(soak_command, ["--watch-rate", "10", "--no-dump"])
    assert isinstance(result.exception, SettingsError)
    assert "only a checked soak" in str(result.exception)


def test_no_room_beside_the_arena_is_said() -> None:
    with arena_with_room() as arena:
        assert len(arena.memory) == arena.layout.arena("size") + _sim.WATCH_BYTES
    with Arena(frames=8) as bare, pytest.raises(ValueError, match="no room beside this arena"):
        _sim.access_totals(bare.memory)
