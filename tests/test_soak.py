"""Soaks with real processes: a sound design passes with evidence, a faulty one is named, and
whatever ends a run ends it in order."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from commanding import started

from z3fold_stress.cli.soak import soak as soak_command
from z3fold_stress.designs import resolve
from z3fold_stress.dump import load
from z3fold_stress.errors import SettingsError
from z3fold_stress.soak import Soak, SoakReport, SoakSettings, as_text, run
from z3fold_stress.soak.report import command_of

SMALL: dict[str, Any] = {"objects": 400, "workers": 2, "seed": 7}


def soak(*defects: str, **settings: Any) -> SoakReport:
    design = resolve("sound", defects)
    return run(SoakSettings(design=design, **{**SMALL, **settings}))


def test_a_sound_design_passes_with_evidence() -> None:
    report = soak(operations=60_000, quiet_interval=0.2, faults={"page": 0.01, "trylock": 0.02})
    assert report.status == 0, as_text(report)
    assert report.verdict == "clean"
    assert report.counts["verified"] > 1000
    assert report.counts["migrated"] > 0
    assert report.counts["pools"] > 0
    assert set(report.workers) == {"worker-1", "worker-2"}
    assert all(operations > 0 for operations in report.workers.values())
    assert report.counts["alloc"] == report.counts["free"], "all is given back at the end"


@pytest.mark.parametrize("lock", ["ticket", "mcs"])
def test_the_queued_locks_work_too(lock: str) -> None:
    report = soak(operations=300, workers=1, lock=lock, churners=0, seconds=60)
    assert report.status == 0, as_text(report)


@pytest.mark.parametrize(
    ("defect", "verdicts"),
    [
        ("migrate-double-page-lock", {"eagain-contract"}),
        ("movable-without-page-lock", {"lock-misuse"}),
        ("migrate-copies-live-header", {"list-corruption", "use-after-free"}),
        ("pool-lookup-through-freed-slots", {"use-after-free"}),
        ("atomic-alloc-sleeps", {"sleep-in-atomic"}),
        ("headless-slots-leak", {"leak"}),
        ("headless-claim-not-cleared", {"leak", "livelock", "invariant"}),
        ("reclaim-fail-forgets-unbuddied", {"lost-page"}),
        ("destroy-wait-inverted", {"deadlock", "leak", "use-after-free"}),
    ],
)
def test_a_defect_is_found_and_named(defect: str, verdicts: set[str]) -> None:
    report = soak(defect, seconds=60, quiet_interval=0.1)
    assert report.status == 1
    assert report.verdict in verdicts, as_text(report)
    assert str(report.judgements[0].verdict) in as_text(report)


def test_a_masked_migration_says_that_nothing_moved() -> None:
    report = soak("migrate-double-page-lock", seconds=60, quiet_interval=0.1)
    assert report.counts["migrated"] == 0
    assert {str(j.verdict) for j in report.judgements} == {"eagain-contract"}
    assert "NO page was ever migrated" in as_text(report)


def test_as_posted_fails_at_once() -> None:
    report = run(SoakSettings(design=resolve("as-posted"), **SMALL))
    assert report.status == 1
    assert report.seconds < 30


def test_a_failed_run_leaves_a_dump_that_tells_as_much(tmp_path: Path) -> None:
    path = tmp_path / "failed.dump"
    settings = SoakSettings(design=resolve("sound", ["headless-slots-leak"]), **SMALL)
    report = run(settings, dump=path)
    assert report.dump == str(path)
    arena, header = load(path)
    with arena:
        assert [j.text for j in arena.judgements()] == [j.text for j in report.judgements]
    assert header["report"]["verdict"] == "leak"


def test_no_work_is_no_pass() -> None:
    report = soak(seconds=0.05, objects=10, frames=16, faults={"page": 1.0}, churners=0)
    assert report.counts["verified"] == 0
    assert report.status == 4
    assert "INCONCLUSIVE" in as_text(report)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"workers": 0}, "workers"),
        ({"workers": 99}, "too many"),
        ({"cpus": 1000}, "cpus"),
        ({"objects": 3, "workers": 2}, "objects"),
        ({"frames": 4}, "too small"),
        ({"fill": 1.5}, "fill"),
        ({"faults": {"nosuch": 0.1}}, "nosuch"),
        ({"lock": "rw"}, "lock"),
        ({"seconds": 0}, "seconds"),
        ({"delay_rate": 2.0}, "delay_rate"),
        ({"ring": 100}, "ring"),
        ({"churners": 4}, "churners"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        SoakSettings(**settings)


def test_the_command_to_run_it_again_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says, parsed by the command, makes the same settings."""
    settings = SoakSettings(
        design=resolve("sound", ["putback-forgets-unbuddied"]),
        seed=9,
        workers=3,
        reclaimers=2,
        objects=1500,
        frames=1200,
        sizes="uniform",
        hot=0.3,
        linger=0.2,
        delay_rate=0.002,
        reclaim_interval_us=50,
        faults={"page": 0.25},
        ring=0,
        kill=True,
        offline=False,
    )
    made: list[SoakSettings] = []

    class Caught(Exception):
        pass

    def catch(soak: Any, as_json: bool) -> None:
        made.append(soak.settings)
        raise Caught

    monkeypatch.setattr("z3fold_stress.cli.soak._run", catch)
    words = command_of(settings).split()[2:]
    with pytest.raises(Caught):
        soak_command(words, standalone_mode=False)
    assert made == [settings]


# from outside: signals


@pytest.fixture
def command(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A soak that goes on until it is ended, as a command."""
    how = ("--seconds", 300, "--workers", 2, "--objects", 400, "--seed", 3, "--tame", 0)
    with started("soak", *how, cwd=tmp_path) as process:
        yield process


def children_at_work(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The soak's processes, once all of them are named: then they are at work."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        children = [
            child
            for child in psutil.Process(process.pid).children()
            if child.is_running() and child.name().startswith("z3f-")
        ]
        if len(children) == 7:
            return children
        time.sleep(0.05)
    raise AssertionError("the soak's processes did not start")


def test_ctrl_c_ends_with_the_report(command: subprocess.Popen[str], tmp_path: Path) -> None:
    children = children_at_work(command)
    command.send_signal(signal.SIGINT)
    output, errors = command.communicate(timeout=120)
    assert command.returncode == 4
    assert "INCONCLUSIVE: interrupted" in output
    assert "Traceback" not in errors
    assert not psutil.wait_procs(children, timeout=60)[1]
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_when_the_parent_is_killed(command: subprocess.Popen[str]) -> None:
    children = children_at_work(command)
    named = names_in_shared_memory([command.pid, *(child.pid for child in children)])
    command.kill()
    command.communicate(timeout=120)
    assert not psutil.wait_procs(children, timeout=60)[1], "children outlive their parent"
    assert [name for name in named if os.path.exists(name)] == []


def names_in_shared_memory(pids: list[int]) -> set[str]:
    """What these processes have mapped there: other tests have files there, too."""
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    assert any("memfd:" in line for line in lines), "the arena is not among what is mapped"
    return {line.split()[-1] for line in lines if "/dev/shm/" in line and "(deleted)" not in line}


class Stops(threading.Thread):
    """Stops members of a soak at random, each for up to a second: what a machine may do to anybody
    that has other work. For so long, and then all go on."""

    def __init__(self, soak: Soak, seconds: float) -> None:
        super().__init__()
        self.soak = soak
        self.seconds = seconds
        self.choose = random.Random(soak.settings.seed)
        self.times = 0

    def run(self) -> None:
        stopped: dict[int, float] = {}
        while not self.soak.elapsed:
            time.sleep(0.01)
        end = time.monotonic() + self.seconds
        while (now := time.monotonic()) < end or stopped:
            for pid in [pid for pid, until in stopped.items() if until <= now]:
                del stopped[pid]
                send(pid, signal.SIGCONT)
            members = list(self.soak.processes.values())
            pid = self.choose.choice(members).pid if members and now < end else 0
            if pid and pid not in stopped:
                stopped[pid] = now + self.choose.random()
                self.times += 1
                send(pid, signal.SIGSTOP)
            time.sleep(self.choose.random() * 0.2)


def send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def stopping_soak(seconds: float, **settings: Any) -> tuple[SoakReport, int]:
    """A soak whose members are stopped in this time, and a little longer than the run lasts."""
    soak = Soak(SoakSettings(seconds=seconds, **settings))
    stops = Stops(soak, seconds + 0.3)
    stops.start()
    report = soak.run()
    stops.join()
    return report, stops.times


def test_stopped_processes_are_no_verdict() -> None:
    report, times = stopping_soak(8.0, seed=7, objects=400, workers=2, quiet_interval=0.5)
    assert times > 20
    assert report.judgements == [], as_text(report)
    assert report.status == 0, as_text(report)


def test_process_that_stays_stopped_is_no_verdict(command: subprocess.Popen[str]) -> None:
    """For longer than any stall limit, and at the end of the run as well."""
    worker = next(c for c in children_at_work(command) if c.name() == "z3f-worker-1")
    for _ in range(4):
        worker.suspend()
        time.sleep(2.0)
        assert command.poll() is None
        worker.resume()
        time.sleep(0.1)
    worker.suspend()
    command.send_signal(signal.SIGINT)
    output, _ = command.communicate(timeout=120)
    assert command.returncode == 4, output
    assert "FOUND" not in output


def test_run_that_is_stopped_as_a_whole_is_no_verdict(command: subprocess.Popen[str]) -> None:
    """As a machine that is suspended, or a container that is given no CPU."""
    everyone = [psutil.Process(command.pid), *children_at_work(command)]
    for one in everyone:
        one.suspend()
    time.sleep(3.0)
    for one in everyone[1:]:
        one.suspend()
    everyone[0].resume()  # it sees the others not move at all
    time.sleep(3.0)
    for one in everyone:
        one.resume()
    time.sleep(1.0)
    assert command.poll() is None
    command.send_signal(signal.SIGTERM)
    output, _ = command.communicate(timeout=120)
    assert command.returncode == 4, output
    assert "FOUND" not in output


def breaks_everyone(soak: Soak) -> None:
    """Where the per-CPU lists are, is nothing. Nobody has half of the old address: that would end
    in lists that are broken."""
    with soak.at_rest() as quiet:
        if quiet:
            soak.layout.poke("pool", soak.layout.pool_offset(0), percpu=1 << 45)


def test_a_segfault_is_a_crash_verdict() -> None:
    settings = SoakSettings(seconds=60, **SMALL)
    report = Soak(settings, on_tick=breaks_everyone).run()
    assert report.status == 1
    assert report.verdict == "crash", as_text(report)
    assert "signal 11" in str(report.judgements[0])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGUSR1])
def test_a_signal_from_outside_is_no_verdict(number: int) -> None:
    """Sent again and again, until it meets a process inside an operation."""

    def shoot(soak: Soak) -> None:
        for task, process in soak.processes.items():
            if soak.layout.task_field(task, "depth"):
                send(process.pid, number)
                return

    settings = SoakSettings(seconds=60, **SMALL)
    report = Soak(settings, on_tick=shoot).run()
    assert report.judgements == [], as_text(report)
    assert report.status == 4, as_text(report)
    name = signal.Signals(number).name
    assert f"was killed by {name}, which the run did not send, inside" in as_text(report)
    assert "INCONCLUSIVE" in as_text(report)
    assert all(death["sent_by"] == "somebody else" for death in report.deaths)


def test_a_request_to_a_single_process_is_not_heard(command: subprocess.Popen[str]) -> None:
    """It is for the run to end its processes."""
    children = children_at_work(command)
    for child in children:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            child.send_signal(number)
    time.sleep(1.0)
    assert command.poll() is None
    assert all(child.is_running() for child in children)
    command.send_signal(signal.SIGTERM)
    output, _ = command.communicate(timeout=120)
    assert command.returncode == 4, output


def test_a_kill_is_judged_rightly() -> None:
    """A death inside the allocator is the verdict, one outside goes on: never anything else."""
    report = soak(seconds=6, kill=True, kill_interval=0.05)
    if report.judgements:
        assert report.verdict in ("orphaned-lock", "crash"), as_text(report)
        assert any(death["inside"] for death in report.deaths), as_text(report)
    else:
        assert report.status == 0
        assert report.restarts > 0, "but for who dies as the run ends"
    assert report.deaths


# minutes


@pytest.mark.soak
@pytest.mark.parametrize("lock", ["ttas", "mcs"])
@pytest.mark.parametrize("seed", range(4))
def test_stopped_processes_are_no_verdict_for_long(seed: int, lock: str) -> None:
    workers = 4 if lock == "ttas" else 2
    report, times = stopping_soak(60.0, seed=seed, workers=workers, lock=lock)
    assert times > 200
    assert report.judgements == [], as_text(report)
    assert report.status == 0, as_text(report)


@pytest.mark.soak
def test_ten_minutes_of_sound() -> None:
    report = run(
        SoakSettings(
            workers=3,
            migrators=1,
            seconds=600,
            seed=20190417,
            faults={"page": 0.01, "slots": 0.01, "target": 0.02, "evict": 0.1, "trylock": 0.02},
            delay_rate=0.001,
        )
    )
    assert report.status == 0, as_text(report)
    assert report.quiet_points > 100


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100))
def test_a_hundred_kills(seed: int) -> None:
    report = run(SoakSettings(workers=3, seconds=4, seed=seed, kill=True))
    inside = any(death["inside"] for death in report.deaths)
    assert report.status == (1 if inside else 0), as_text(report)
