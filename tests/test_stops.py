"""Any command, asked to end at any moment by a signal to its whole process group (as a terminal and
timeout(1) do): it ends soon, with status 4 and its report, accuses nobody, and leaves nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from z3fold_stress import stopping

SIGNALS = ("INT", "TERM", "HUP")
COMMANDS = {
    "soak": ("soak", "--seconds", "60", "--workers", "3"),
    "hunt": ("hunt", "--seconds", "60"),
    "fuzz": ("fuzz", "--seconds", "60"),
    "fuzz-alone": ("fuzz", "--seconds", "60", "--jobs", "1"),
    "explore": ("explore", "slot-read-before-page-lock", "--seconds", "60", "--strategy", "random"),
    "explore-live": ("explore", "slot-read-before-page-lock", "--seconds", "60", "--live"),
    "museum": ("museum",),
}
LISTENS = """
import sys
from z3fold_stress import stopping
try:
    with stopping.listening(to_the_end=True):
        print("listening", file=sys.stderr, flush=True)
        from z3fold_stress.command import main
        status = main()
except KeyboardInterrupt:
    status = 4
sys.exit(status)
"""
"""The command, which says when it can be asked to end."""
SOON = 2.0
"""Seconds in which a run ends; on a machine that does much else, some more."""
SLOWLY = 15.0


@dataclass(frozen=True)
class Ended:
    status: int
    seconds: float
    output: str


class Run:
    """A command in a process group of its own."""

    def __init__(self, words: tuple[str, ...], folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", LISTENS, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"listening\n"

    def group(self) -> list[psutil.Process]:
        """Everyone in it who is not a zombie."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                alive = process.status() != psutil.STATUS_ZOMBIE
                if alive and os.getpgid(process.pid) == self.process.pid:
                    found.append(process)
        return found

    def stop(self, number: int) -> Ended:
        began = time.monotonic()
        os.killpg(self.process.pid, number)
        output, _ = self.process.communicate(timeout=60)
        seconds = time.monotonic() - began
        return Ended(self.process.returncode, seconds, output.decode(errors="replace"))

    def left(self) -> list[psutil.Process]:
        """Who outlives it, after a moment in which the last of them may go."""
        deadline = time.monotonic() + 10
        while (left := self.group()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return left


@contextlib.contextmanager
def command(name: str, folder: Path) -> Iterator[Run]:
    run = Run(COMMANDS[name], folder)
    try:
        yield run
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.process.pid, signal.SIGKILL)
        run.process.wait()


def named_in_shared_memory(processes: list[psutil.Process]) -> set[str]:
    """What these have mapped that has a name there, or had when they mapped it."""
    lines = set()
    for process in processes:
        with contextlib.suppress(OSError):
            maps = Path(f"/proc/{process.pid}/maps").read_text().splitlines()
            lines |= {line.split(maxsplit=5)[-1] for line in maps if "/dev/shm/" in line}
    return lines


def stopped(name: str, number: int, after: float, folder: Path) -> Ended:
    """Stop it after so long, and check what must hold of each stop."""
    with command(name, folder) as run:
        time.sleep(after)
        assert named_in_shared_memory(run.group()) == set()
        ended = run.stop(number)
        assert ended.status == 4, (after, ended)
        assert "FOUND" not in ended.output, (after, ended.output)
        assert "Traceback" not in ended.output, (after, ended.output)
        assert ended.seconds < SLOWLY
        assert run.left() == [], "somebody outlives it"
        assert list(folder.iterdir()) == []
    return ended


# short: a moment or two of each


@pytest.mark.parametrize("signal_name", SIGNALS)
@pytest.mark.parametrize("name", ["soak", "hunt", "fuzz"])
def test_stop_at_some_moment(name: str, signal_name: str, tmp_path: Path) -> None:
    number = signal.Signals[f"SIG{signal_name}"]
    early = 0.1 * (1 + SIGNALS.index(signal_name))
    stopped(name, number, early, tmp_path)
    stopped(name, number, 2.0 + 3 * early, tmp_path)


@pytest.mark.parametrize("name", ["fuzz-alone", "explore", "explore-live", "museum"])
def test_stop_of_the_others(name: str, tmp_path: Path) -> None:
    stopped(name, signal.SIGTERM, 1.5, tmp_path)


def test_report_so_far_is_there(tmp_path: Path) -> None:
    with command("soak", tmp_path) as run:
        while not any(p.name().startswith("z3f-worker") for p in run.group()):
            time.sleep(0.05)
        ended = run.stop(signal.SIGTERM)
    assert "INCONCLUSIVE: interrupted (SIGTERM); nothing was found so far." in ended.output
    assert "Work done:" in ended.output
    assert "Seed " in ended.output


@pytest.mark.parametrize("name", ["soak", "hunt", "fuzz", "explore-live"])
def test_nothing_is_left_when_all_are_killed(name: str, tmp_path: Path) -> None:
    with command(name, tmp_path) as run:
        time.sleep(2.0)
        assert named_in_shared_memory(run.group()) == set()
        os.killpg(run.process.pid, signal.SIGKILL)
        run.process.wait()
        assert run.left() == []


@pytest.mark.parametrize("name", ["soak", "hunt", "fuzz", "explore-live"])
def test_nothing_is_left_when_the_parent_is_killed(name: str, tmp_path: Path) -> None:
    with command(name, tmp_path) as run:
        time.sleep(2.0)
        run.process.kill()
        run.process.wait()
        assert run.left() == []


# what a request is


@pytest.fixture
def listens() -> Iterator[None]:
    with stopping.listening():
        yield


@pytest.mark.usefixtures("listens")
def test_before_a_run_it_raises() -> None:
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    assert stopping.asked() is signal.SIGTERM


@pytest.mark.usefixtures("listens")
def test_in_a_run_it_raises_and_after_it_no_more() -> None:
    with pytest.raises(KeyboardInterrupt), stopping.interruptible():
        signal.raise_signal(signal.SIGHUP)
    signal.raise_signal(signal.SIGHUP)
    with pytest.raises(KeyboardInterrupt), stopping.interruptible():
        raise AssertionError("a further part of the run does not begin")


@pytest.mark.usefixtures("listens")
def test_what_may_not_be_disturbed_is_not() -> None:
    with stopping.interruptible():
        with stopping.undisturbed():
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            stopping.check()


@pytest.mark.usefixtures("listens")
def test_swallowed_exception_is_raised_again_by_a_check() -> None:
    with stopping.interruptible():
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            stopping.check()


@pytest.mark.usefixtures("listens")
def test_run_that_asks_is_not_interrupted() -> None:
    with stopping.noted():
        assert stopping.asked() is None
        signal.raise_signal(signal.SIGTERM)
        assert stopping.asked() is signal.SIGTERM


def test_nobody_listens_afterwards() -> None:
    before = [signal.getsignal(number) for number in stopping.SIGNALS]
    with stopping.listening():
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert [signal.getsignal(number) for number in stopping.SIGNALS] == before
    assert stopping.asked() is None


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping.listening():
            signal.raise_signal(signal.SIGHUP)
            assert stopping.asked() is None
    finally:
        signal.signal(signal.SIGHUP, before)


# long: fifty moments of each


@pytest.mark.soak
@pytest.mark.parametrize("signal_name", SIGNALS)
@pytest.mark.parametrize("name", ["soak", "hunt", "fuzz"])
def test_stop_at_fifty_moments(name: str, signal_name: str, tmp_path: Path) -> None:
    number = signal.Signals[f"SIG{signal_name}"]
    times = [stopped(name, number, 0.1 * moment, tmp_path).seconds for moment in range(50)]
    late = sum(seconds > SOON for seconds in times)
    print(f"{name} SIG{signal_name}: longest {max(times):.2f} s, {late} of 50 above {SOON:g} s")
    assert late <= 2, sorted(times)
