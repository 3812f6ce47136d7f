"""The watcher and the coroner on arenas made to look like each case: they speak when they
should, and are silent when they should be."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import multiprocess
import pytest

from z3fold_stress import Arena, Verdict, _live
from z3fold_stress._live import Call, Role, TaskState
from z3fold_stress.soak.death import judge_death, oom_kills
from z3fold_stress.soak.processes import Member
from z3fold_stress.soak.watch import PATIENCE, Alarm, Rounds, Watcher

STALL_TICKS = 6
NAMES = {2: "worker-1", 3: "worker-2", 4: "migrator-1"}


class FakeProcess:
    """A process whose share of the CPU the test decides."""

    cpu: ClassVar[dict[int, float]] = {}
    sleeps: ClassVar[dict[int, int]] = {}

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def cpu_times(self) -> tuple[float, float]:
        return (self.cpu.get(self.pid, 0.0), 0.0)

    def num_ctx_switches(self) -> tuple[int, int]:
        return (self.sleeps.get(self.pid, 0), 0)


FAKE: Any = FakeProcess


def spins(*tasks: int) -> None:
    """These use a CPU for some moments."""
    for task in tasks:
        FakeProcess.cpu[task] = FakeProcess.cpu.get(task, 0.0) + 0.02


def sleeps(*tasks: int) -> None:
    """These have all the CPU that they want, and give it up."""
    for task in tasks:
        FakeProcess.sleeps[task] = FakeProcess.sleeps.get(task, 0) + 1


@pytest.fixture
def arena() -> Iterator[Arena]:
    FakeProcess.cpu.clear()
    FakeProcess.sleeps.clear()
    with Arena(frames=16, tasks=4) as arena:
        for task in NAMES:
            poke(arena, task, state=TaskState.TASK_RUNNING, pid=task)
        yield arena


def poke(arena: Arena, task: int, **values: int) -> None:
    arena.layout.poke("task", arena.layout.task_offset(task), **values)


def scratch(arena: Arena, number: int) -> int:
    offset: int = _live.fields()["arena"][1]["scratch"][0]
    return offset + 64 * number


def own(arena: Arena, lock: int, task: int) -> None:
    arena.memory[lock : lock + 4] = task.to_bytes(4, "little")


def watcher(arena: Arena) -> Watcher:
    return Watcher(arena.layout, NAMES, STALL_TICKS, process=FAKE)


def looks(watch: Watcher, times: int, meanwhile: Callable[[], None] = lambda: None) -> list[Alarm]:
    """What it says in so many looks."""
    alarms = []
    for _ in range(times):
        meanwhile()
        alarms.append(watch.look())
    return [alarm for alarm in alarms if alarm is not None]


LONG = 4 * PATIENCE * STALL_TICKS


def test_silent_over_tasks_that_get_on(arena: Arena) -> None:
    watch = watcher(arena)
    for tick in range(100):
        for task in NAMES:
            poke(arena, task, depth=1, progress=tick)
        spins(*NAMES)
        assert watch.look() is None


def test_silent_over_idle_tasks(arena: Arena) -> None:
    assert looks(watcher(arena), 100, lambda: spins(*NAMES)) == []


# cycles


def wait_in_a_ring(arena: Arena) -> None:
    for task, lock, owner in ((2, 1, 3), (3, 2, 4), (4, 3, 2)):
        own(arena, scratch(arena, lock), owner)
        wait = scratch(arena, lock)
        poke(arena, task, depth=1, waits_for=wait, waits_class=7, wait_number=5)


def test_a_cycle_that_stays_is_a_deadlock(arena: Arena) -> None:
    watch = watcher(arena)
    wait_in_a_ring(arena)
    assert watch.look() is None, "one look is not enough"
    alarm = watch.look()
    assert alarm is not None
    assert alarm.verdict is Verdict.DEADLOCK
    assert all(name in alarm.text for name in NAMES.values())


@pytest.mark.parametrize("moves", ["progress", "wait_number"])
def test_a_cycle_that_moves_is_none(arena: Arena, moves: str) -> None:
    """The same locks and owners, but each time another wait: it held what it holds for a moment."""
    watch = watcher(arena)
    wait_in_a_ring(arena)
    for tick in range(50):
        poke(arena, 2, **{moves: tick})
        alarm = watch.look()
        assert alarm is None or alarm.verdict is not Verdict.DEADLOCK


def test_who_has_got_the_lock_and_not_said_so_is_no_cycle(arena: Arena) -> None:
    """It was stopped between the two."""
    watch = watcher(arena)
    own(arena, scratch(arena, 1), 2)
    poke(arena, 2, depth=1, waits_for=scratch(arena, 1), waits_class=7, wait_number=5)
    assert looks(watch, LONG) == []


# who does not get on


def test_spinning_without_progress_is_a_livelock(arena: Arena) -> None:
    watch = watcher(arena)
    poke(arena, 2, depth=1)

    def meanwhile() -> None:
        spins(2)
        sleeps(3, 4)

    found = looks(watch, 5 * STALL_TICKS, meanwhile)
    assert found
    assert found[0].verdict is Verdict.LIVELOCK
    assert "worker-1" in found[0].text


def test_who_spins_for_one_that_gets_no_cpu_is_not_judged(arena: Arena) -> None:
    """One waits without a lock (for a queue to drain); who could end it is stopped, or starves."""
    watch = watcher(arena)
    poke(arena, 2, depth=1)
    poke(arena, 3, depth=1)
    assert looks(watch, LONG, lambda: spins(2, 4)) == []


def test_who_waits_for_a_lock_of_one_that_gets_no_cpu_is_not_judged(arena: Arena) -> None:
    watch = watcher(arena)
    own(arena, scratch(arena, 1), 3)
    poke(arena, 2, depth=1, waits_for=scratch(arena, 1), waits_class=7)
    poke(arena, 3, depth=1)
    assert looks(watch, LONG, lambda: sleeps(2, 4)) == []


def test_nobody_is_judged_while_all_are_stopped(arena: Arena) -> None:
    """A throttled container, a suspended machine: the clock goes on, and means nothing."""
    watch = watcher(arena)
    for task in NAMES:
        poke(arena, task, depth=1)
    assert looks(watch, LONG) == []


def test_but_when_all_go_on_and_one_does_not_get_on_it_is(arena: Arena) -> None:
    watch = watcher(arena)
    for task in NAMES:
        poke(arena, task, depth=1)
    assert looks(watch, LONG) == []
    found = looks(watch, 3 * STALL_TICKS, lambda: spins(*NAMES))
    assert found
    assert found[0].verdict is Verdict.LIVELOCK


def test_who_sleeps_and_sleeps_is_a_stall_in_the_end(arena: Arena) -> None:
    watch = watcher(arena)
    poke(arena, 2, depth=1)
    assert looks(watch, 2 * STALL_TICKS, lambda: sleeps(*NAMES)) == []
    found = looks(watch, LONG, lambda: sleeps(*NAMES))
    assert found
    assert found[0].verdict is Verdict.STALL


def test_lock_of_one_that_does_not_get_on_is_a_stall_in_the_end(arena: Arena) -> None:
    watch = watcher(arena)
    own(arena, scratch(arena, 1), 3)
    poke(arena, 2, depth=1, waits_for=scratch(arena, 1), waits_class=7)
    poke(arena, 3, depth=1)
    found = looks(watch, LONG, lambda: sleeps(*NAMES))
    assert found
    assert found[0].verdict is Verdict.STALL


def test_who_waits_for_one_that_gets_on_is_left_alone(arena: Arena) -> None:
    watch = watcher(arena)
    own(arena, scratch(arena, 1), 3)
    poke(arena, 2, depth=1, waits_for=scratch(arena, 1), waits_class=7)
    for tick in range(LONG):
        poke(arena, 3, depth=1, progress=tick)
        sleeps(*NAMES)
        assert watch.look() is None


# rounds


def test_round_is_done_when_each_had_a_turn() -> None:
    FakeProcess.cpu.clear()
    FakeProcess.sleeps.clear()
    rounds = Rounds(FAKE)
    rounds.look([2, 3])
    assert rounds.done == 0
    spins(2)
    rounds.look([2, 3])
    assert rounds.done == 0, "one had none"
    sleeps(3)
    rounds.look([2, 3])
    assert rounds.done == 1
    rounds.look([2, 3])
    assert rounds.done == 1, "each needs another"
    spins(2, 3)
    rounds.look([2, 3, 4])
    assert rounds.done == 1, "one has come to it"
    sleeps(4)
    rounds.look([2, 4])
    assert rounds.done == 2, "and one has gone"
    rounds.look([])
    assert rounds.done == 2


# deaths

WORKER = Member(task=2, role=int(Role.ROLE_WORKER), name="worker-1", cpu=0)


def test_a_kill_outside_costs_nothing(arena: Arena) -> None:
    arena.call(Call.CALL_CREATE_POOL)
    death = judge_death(arena.layout, WORKER, 9)
    assert death.verdict is None
    assert death.signal == "SIGKILL"


def test_a_kill_inside_is_a_half_done_operation(arena: Arena) -> None:
    arena.call(Call.CALL_CREATE_POOL)
    poke(arena, 2, depth=1)
    death = judge_death(arena.layout, WORKER, 9)
    assert death.verdict is Verdict.CRASH
    assert "half done" in death.text


def test_a_kill_with_a_lock_held_is_an_orphaned_lock(arena: Arena) -> None:
    _, pool, _ = arena.call(Call.CALL_CREATE_POOL)
    poke(arena, 2, depth=1)
    own(arena, pool + _live.fields()["pool"][1]["lock"][0], 2)
    death = judge_death(arena.layout, WORKER, 9)
    assert death.verdict is Verdict.ORPHANED_LOCK
    assert "pool lock" in death.text


def test_a_segfault_is_a_crash_wherever(arena: Arena) -> None:
    arena.call(Call.CALL_CREATE_POOL)
    assert judge_death(arena.layout, WORKER, 11).verdict is Verdict.CRASH
    poke(arena, 2, depth=1)
    assert judge_death(arena.layout, WORKER, 11).verdict is Verdict.CRASH


@pytest.mark.parametrize("number", [9, 15, 1, 24])
def test_what_the_run_did_not_send_is_no_verdict(arena: Arena, number: int) -> None:
    _, pool, _ = arena.call(Call.CALL_CREATE_POOL)
    poke(arena, 2, depth=1)
    own(arena, pool + _live.fields()["pool"][1]["lock"][0], 2)
    death = judge_death(arena.layout, WORKER, number, by_run=False)
    assert death.verdict is None
    assert death.foreign
    assert "which the run did not send, inside" in death.text


def test_a_fault_that_another_process_sent_is_no_verdict(arena: Arena) -> None:
    arena.call(Call.CALL_CREATE_POOL)
    poke(arena, 2, depth=1, killed_by=11)
    assert judge_death(arena.layout, WORKER, 11, by_run=False).verdict is None
    poke(arena, 2, depth=1, killed_by=0)
    assert judge_death(arena.layout, WORKER, 11, by_run=False).verdict is Verdict.CRASH


def test_kills_by_the_kernel_are_counted() -> None:
    assert oom_kills() >= 0


# crashes: who sent the signal


def _crash(arena: Arena, number: int) -> None:
    arena.become(2)
    _live.catch_crashes_here()
    if number:
        os.kill(os.getpid(), number)
    signal.pause()


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT])
def test_own_fault_is_a_crash_and_a_sent_one_is_not(number: int) -> None:
    for by_itself in (True, False):
        with Arena(frames=16, tasks=3) as arena:
            process = multiprocess.get_context("fork").Process(
                target=_crash, args=(arena, number if by_itself else 0)
            )
            process.start()
            while not by_itself and not pauses(process.pid):
                time.sleep(0.01)
            if not by_itself:
                os.kill(process.pid, number)
            process.join(60)
            assert process.exitcode == -number
            assert [j.verdict for j in arena.judgements()] == [Verdict.CRASH] * by_itself
            assert arena.layout.task_field(2, "killed_by") == (0 if by_itself else number)


def pauses(pid: int) -> bool:
    """Whether it is in pause(2)."""
    return Path(f"/proc/{pid}/syscall").read_text().split()[0] == "34"
