"""The watcher and the coroner on arenas made to look like each case: they speak when they
should, and are silent when they should be."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from z3fold_stress import Arena, Verdict, _live
from z3fold_stress._live import Call, Role, TaskState
from z3fold_stress.soak.death import judge_death
from z3fold_stress.soak.processes import Member
from z3fold_stress.soak.watch import Watcher

STALL_TICKS = 6
NAMES = {2: "worker-1", 3: "worker-2", 4: "migrator-1"}


class FakeProcess:
    """A process whose CPU time and status the test decides."""

    cpu = 0.0
    state = psutil.STATUS_RUNNING

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def cpu_times(self) -> tuple[float, float]:
        return (FakeProcess.cpu, 0.0)

    def status(self) -> str:
        return FakeProcess.state


@pytest.fixture
def arena() -> Iterator[Arena]:
    FakeProcess.cpu, FakeProcess.state = 0.0, psutil.STATUS_RUNNING
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
    return Watcher(arena.layout, NAMES, STALL_TICKS, process=FakeProcess)  # type: ignore[arg-type]


def test_silent_over_tasks_that_get_on(arena: Arena) -> None:
    watch = watcher(arena)
    for tick in range(100):
        for task in NAMES:
            poke(arena, task, depth=1, progress=tick)
        FakeProcess.cpu += 0.1
        assert watch.look() is None


def test_silent_over_idle_tasks(arena: Arena) -> None:
    watch = watcher(arena)
    assert all(watch.look() is None for _ in range(100))


def wait_in_a_ring(arena: Arena) -> None:
    for task, lock, owner in ((2, 1, 3), (3, 2, 4), (4, 3, 2)):
        own(arena, scratch(arena, lock), owner)
        poke(arena, task, depth=1, waits_for=scratch(arena, lock), waits_class=7)


def test_a_cycle_that_stays_is_a_deadlock(arena: Arena) -> None:
    watch = watcher(arena)
    wait_in_a_ring(arena)
    assert watch.look() is None, "one look is not enough"
    alarm = watch.look()
    assert alarm is not None
    assert alarm.verdict is Verdict.DEADLOCK
    assert all(name in alarm.text for name in NAMES.values())


def test_a_cycle_that_moves_is_none(arena: Arena) -> None:
    watch = watcher(arena)
    wait_in_a_ring(arena)
    for tick in range(50):
        poke(arena, 2, progress=tick)
        alarm = watch.look()
        assert alarm is None or alarm.verdict is not Verdict.DEADLOCK
        if alarm:
            break


def test_spinning_without_progress_is_a_livelock(arena: Arena) -> None:
    watch = watcher(arena)
    poke(arena, 2, depth=1)
    alarms = []
    for _ in range(3 * STALL_TICKS):
        FakeProcess.cpu += 0.05
        alarms.append(watch.look())
    found = [alarm for alarm in alarms if alarm]
    assert found
    assert found[0].verdict is Verdict.LIVELOCK
    assert "worker-1" in found[0].text


def test_who_spins_for_one_that_gets_no_cpu_is_not_judged_soon(arena: Arena) -> None:
    """One waits without a lock (for a queue to drain), the one who could end it is starved."""

    class Starved(FakeProcess):
        def cpu_times(self) -> tuple[float, float]:
            return (0.0 if self.pid == 3 else FakeProcess.cpu, 0.0)

    watch = Watcher(arena.layout, NAMES, STALL_TICKS, process=Starved)  # type: ignore[arg-type]
    poke(arena, 2, depth=1)
    poke(arena, 3, depth=1)
    for _ in range(4 * STALL_TICKS):
        FakeProcess.cpu += 0.05
        assert watch.look() is None


def test_a_task_that_gets_no_cpu_is_not_judged_soon(arena: Arena) -> None:
    watch = watcher(arena)
    poke(arena, 2, depth=1)
    assert all(watch.look() is None for _ in range(4 * STALL_TICKS))


def test_but_it_is_in_the_end(arena: Arena) -> None:
    watch = watcher(arena)
    poke(arena, 2, depth=1)
    FakeProcess.state = psutil.STATUS_SLEEPING
    alarms = [watch.look() for _ in range(12 * STALL_TICKS)]
    found = [alarm for alarm in alarms if alarm]
    assert found
    assert found[0].verdict is Verdict.STALL


def test_a_stopped_process_is_a_stall(arena: Arena) -> None:
    watch = watcher(arena)
    poke(arena, 2, depth=1)
    FakeProcess.state = psutil.STATUS_STOPPED
    alarms = [watch.look() for _ in range(2 * STALL_TICKS)]
    found = [alarm for alarm in alarms if alarm]
    assert found
    assert found[0].verdict is Verdict.STALL
    assert "stopped" in found[0].text


def test_who_waits_for_one_that_gets_on_is_left_alone(arena: Arena) -> None:
    watch = watcher(arena)
    own(arena, scratch(arena, 1), 3)
    poke(arena, 2, depth=1, waits_for=scratch(arena, 1), waits_class=7)
    for tick in range(20 * STALL_TICKS):
        poke(arena, 3, depth=1, progress=tick)
        assert watch.look() is None


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
