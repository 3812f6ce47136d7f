"""Watches a running soak from outside: deadlocks, orphaned locks, stalls, livelocks.

Reads owner words and progress counters at each tick, and judges only what is stable over
several. It counts its own ticks rather than the clock, so a machine that stops for a second
makes no stall; and a task that merely waits for a CPU is not one that stalls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil

from z3fold_stress import _live
from z3fold_stress.layout import OWNER_MASK, Layout, class_name
from z3fold_stress.verdicts import Verdict

__all__ = ["Alarm", "Watcher"]

SPIN_SECONDS = 0.15
"""CPU time inside one operation that no operation takes: it spins."""
PATIENCE = 8
"""A task that gets no CPU is given this many times the stall limit."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """What the watcher concluded; ``lock`` is an offset, 0 for none."""

    verdict: Verdict
    text: str
    lock: int = 0


@dataclass(slots=True)
class _Pulse:
    """A task as seen at a tick."""

    progress: int = -1
    since: int = 0
    cpu_at_start: float | None = None


@dataclass(slots=True)
class Watcher:
    layout: Layout
    names: Mapping[int, str]
    stall_ticks: int
    slack: float = 0.0
    """CPU seconds that injected delays may cost inside one operation."""
    process: Callable[[int], psutil.Process] = psutil.Process
    _tick: int = 0
    _pulses: dict[int, _Pulse] = field(default_factory=dict)
    _last_cycle: tuple[tuple[int, int, int, int], ...] = ()

    def look(self) -> Alarm | None:
        """One tick; the first thing that is certainly wrong, or None."""
        self._tick += 1
        running = {
            task: state
            for task in self.names
            if (state := self.layout.task(task))["state"] == _live.TaskState.TASK_RUNNING
        }
        return self._deadlock(running) or self._stall(running)

    # who waits for whom

    def owner(self, lock: int, waiter: int) -> int:
        """The task that holds a lock: from its word, or the first of its readers; 0: nobody."""
        word = int.from_bytes(self.layout.buffer[lock : lock + 4], "little")
        if word & OWNER_MASK:
            return word & OWNER_MASK
        for task in self.layout.tasks():
            state = self.layout.task(task)
            if task != waiter and any(h.lock == lock for h in self.layout.held(state)):
                return task
        return 0

    def _cycle(self, running: dict[int, dict[str, Any]]) -> list[tuple[int, int, int, int]]:
        """A cycle of (task, lock, owner, the task's progress), or nothing."""
        waits = {
            task: (state["waits_for"], self.owner(state["waits_for"], task), state["progress"])
            for task, state in running.items()
            if state["waits_for"]
        }
        for start in waits:
            path: list[int] = []
            task = start
            while task in waits and task not in path:
                path.append(task)
                task = waits[task][1]
            if task in path:
                ring = path[path.index(task) :]
                first = ring.index(min(ring))
                return [(t, *waits[t]) for t in ring[first:] + ring[:first]]
        return []

    def _deadlock(self, running: dict[int, dict[str, Any]]) -> Alarm | None:
        cycle = tuple(self._cycle(running))
        stable = cycle and cycle == self._last_cycle
        self._last_cycle = cycle
        if not stable:
            return None
        story = "; ".join(
            f"{self.names[task]} waits for the {class_name(running[task]['waits_class'])} lock "
            f"0x{lock:x} held by {self.names.get(owner, owner)}"
            for task, lock, owner, _ in cycle
        )
        return Alarm(Verdict.DEADLOCK, story, cycle[0][1])

    # who does not get on

    def _stall(self, running: dict[int, dict[str, Any]]) -> Alarm | None:
        for task, state in running.items():
            pulse = self._pulses.setdefault(task, _Pulse())
            if state["depth"] == 0 or state["progress"] != pulse.progress:
                self._pulses[task] = _Pulse(state["progress"], self._tick)
                continue
            waited = self._tick - pulse.since
            if waited < self.stall_ticks // 2:
                continue
            alarm = self._judge(task, state, pulse, waited)
            if alarm is not None:
                return alarm
        return None

    def _judge(self, task: int, state: dict[str, Any], pulse: _Pulse, waited: int) -> Alarm | None:
        """A task has been inside one operation for some ticks. Why?"""
        try:
            process = self.process(state["pid"])
            cpu = sum(process.cpu_times()[:2])
            status = process.status()
        except psutil.Error:
            return None  # it died: that is the supervisor's to judge
        if pulse.cpu_at_start is None:
            pulse.cpu_at_start = cpu
            return None
        if waited < self.stall_ticks:
            return None
        inside = " > ".join(name for name, _, _ in self.layout.inside(state))
        spent = cpu - pulse.cpu_at_start
        who = f"{self.names[task]} has been inside {inside}"
        if status == psutil.STATUS_STOPPED:
            return Alarm(Verdict.STALL, f"{who}, and its process is stopped")
        if state["waits_for"]:
            return self._judge_wait(task, state, waited, who)
        if waited < PATIENCE * self.stall_ticks and self._someone_starves(task):
            return None  # it may wait for one that only lacks a CPU
        if spent >= SPIN_SECONDS + self.slack:
            return Alarm(
                Verdict.LIVELOCK, f"{who} for {spent:.1f} s of CPU time, without getting on"
            )
        if waited >= PATIENCE * self.stall_ticks:
            return Alarm(Verdict.STALL, f"{who}, and does not get on (process {status})")
        return None

    def _judge_wait(self, task: int, state: dict[str, Any], waited: int, who: str) -> Alarm | None:
        lock = state["waits_for"]
        owner = self.owner(lock, task)
        what = f"{who}, waiting for the {class_name(state['waits_class'])} lock 0x{lock:x}"
        held_by = self._pulses.get(owner)
        if owner and held_by is not None and self._tick - held_by.since < self.stall_ticks:
            return None  # its owner gets on: this one starves, but is not stuck
        if owner in self.names and self._is_starved(owner) and waited < PATIENCE * self.stall_ticks:
            return None
        if owner:
            return Alarm(
                Verdict.STALL, f"{what}, held by {self.names.get(owner, f'task {owner}')}", lock
            )
        if waited >= PATIENCE * self.stall_ticks:
            return Alarm(Verdict.STALL, f"{what}, which nobody holds", lock)
        return None

    def _someone_starves(self, but: int) -> bool:
        """Whether another task is stuck inside an operation merely for want of a CPU."""
        stuck = self._tick - self.stall_ticks // 2
        return any(
            task != but and pulse.since <= stuck and self._is_starved(task)
            for task, pulse in self._pulses.items()
        )

    def _is_starved(self, task: int) -> bool:
        """Whether a task is ready to run but gets next to no CPU."""
        pulse = self._pulses.get(task)
        if pulse is None or not self.layout.task_field(task, "depth"):
            return False
        try:
            process = self.process(self.layout.task_field(task, "pid"))
            spent = sum(process.cpu_times()[:2]) - (pulse.cpu_at_start or 0.0)
            ready = process.status() == psutil.STATUS_RUNNING
        except psutil.Error:
            return False
        return ready and (pulse.cpu_at_start is None or spent < SPIN_SECONDS)
