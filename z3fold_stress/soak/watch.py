"""Watches a running soak from outside: deadlocks, orphaned locks, stalls, livelocks.

A deadlock is a cycle of waits that all stood at one moment: each task is in the same wait (by its
number) before and after the owners were read, so none of them can have let go of anything between.

Who does not get on is judged by turns, never by the clock. In one round every process was given CPU
time, or gave it up by itself; a machine that is suspended, a throttled container, a stopped process
complete no round, and while they last nobody is accused: the one who is stopped may be the one whom
another waits for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import psutil

from z3fold_stress import _live
from z3fold_stress.layout import OWNER_MASK, Layout, class_name
from z3fold_stress.verdicts import Verdict

__all__ = ["Alarm", "Rounds", "Watcher"]

TURN_SECONDS = 0.01
"""CPU time that is a turn; who sleeps by itself has had one, however short."""
SPIN_SECONDS = 0.15
"""CPU time inside one operation that no operation takes: it spins."""
PATIENCE = 8
"""Where nobody is seen to spin, this many times the stall limit has to pass, in rounds."""
PRESENT = (_live.TaskState.TASK_RUNNING, _live.TaskState.TASK_PARKED)


@dataclass(frozen=True, slots=True)
class Alarm:
    """What the watcher concluded; ``lock`` is an offset, 0 for none."""

    verdict: Verdict
    text: str
    lock: int = 0


class _Given(NamedTuple):
    """What a process was given by the scheduler, since it began."""

    cpu: float
    sleeps: int


@dataclass(slots=True)
class Rounds:
    """Counts the rounds in which each of some processes had its turn."""

    process: Callable[[int], psutil.Process] = psutil.Process
    done: int = 0
    _began: dict[int, _Given] = field(default_factory=dict)
    _waiting: set[int] = field(default_factory=set)

    def given(self, pid: int) -> _Given | None:
        """None: there is no such process."""
        try:
            process = self.process(pid)
            times, switches = process.cpu_times(), process.num_ctx_switches()
        except psutil.Error:
            return None
        return _Given(times[0] + times[1], switches[0])

    def look(self, pids: Iterable[int]) -> None:
        """See who of them had a turn; when nobody is left who had none, a round is done."""
        now = {pid: given for pid in pids if (given := self.given(pid)) is not None}
        fresh = now.keys() - self._began.keys()
        self._began = {pid: self._began.get(pid, given) for pid, given in now.items()}
        self._waiting = {
            pid
            for pid in (self._waiting & now.keys()) | fresh
            if now[pid].sleeps == self._began[pid].sleeps
            and now[pid].cpu - self._began[pid].cpu < TURN_SECONDS
        }
        if now and not self._waiting:
            self.done += 1
            self._began, self._waiting = now, set(now)

    def restart(self) -> None:
        """The round under way does not count."""
        self._began.clear()
        self._waiting.clear()


@dataclass(slots=True)
class _Pulse:
    """A task inside one operation, since it last got on."""

    progress: int = -1
    since: int = 0
    """A tick; likewise the round and the CPU time from which it is suspected."""
    round: int | None = None
    cpu: float = 0.0


@dataclass(slots=True)
class Watcher:
    layout: Layout
    names: Mapping[int, str]
    stall_ticks: int
    slack: float = 0.0
    """CPU seconds that injected delays may cost inside one operation."""
    process: Callable[[int], psutil.Process] = psutil.Process
    rounds: Rounds = field(init=False)
    _tick: int = 0
    _pulses: dict[int, _Pulse] = field(default_factory=dict)
    _last_cycle: tuple[tuple[int, ...], ...] = ()
    _counting: bool = False

    def __post_init__(self) -> None:
        self.rounds = Rounds(self.process)

    def look(self, *, count: bool = False) -> Alarm | None:
        """One tick; the first thing that is certainly wrong, or None. ``count``: count the
        rounds, even if nobody is suspected."""
        self._tick += 1
        tasks = {task: self.layout.task(task) for task in self.names}
        running = {
            task: state
            for task, state in tasks.items()
            if state["state"] == _live.TaskState.TASK_RUNNING
        }
        suspects = self._suspects(running)
        if suspects or count:
            if not self._counting:
                self.rounds.restart()
            present = (state["pid"] for state in tasks.values() if state["state"] in PRESENT)
            self.rounds.look(present)
        self._counting = bool(suspects) or count
        return self._deadlock(running) or self._stall(running, suspects)

    # who waits for whom

    def owner(self, lock: int, waiter: int) -> int:
        """The task that holds a lock: from its word, or the first of its readers; 0: nobody."""
        word = self._word(lock)
        if word & OWNER_MASK:
            return word & OWNER_MASK
        for task in self.layout.tasks():
            state = self.layout.task(task)
            if task != waiter and any(h.lock == lock for h in self.layout.held(state)):
                return task
        return 0

    def _word(self, lock: int) -> int:
        return int.from_bytes(self.layout.buffer[lock : lock + 4], "little")

    def _cycle(self, running: dict[int, dict[str, Any]]) -> list[tuple[int, ...]]:
        """A cycle of (task, lock, owner, number of the wait, progress), or nothing.

        Who is the owner of what it waits for has got it, and not said so yet.
        """
        waits = {}
        for task, state in running.items():
            if state["waits_for"]:
                owner = self.owner(state["waits_for"], task)
                if owner != task:
                    wait = (state["waits_for"], owner, state["wait_number"], state["progress"])
                    waits[task] = wait
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
            for task, lock, owner, *_ in cycle
        )
        return Alarm(Verdict.DEADLOCK, story, cycle[0][1])

    # who does not get on

    def _suspects(self, running: dict[int, dict[str, Any]]) -> list[int]:
        """Who has been inside one operation for some ticks; first those that wait for no lock."""
        found = []
        for task, state in running.items():
            pulse = self._pulses.setdefault(task, _Pulse())
            if state["depth"] == 0 or state["progress"] != pulse.progress:
                self._pulses[task] = _Pulse(state["progress"], self._tick)
            elif self._tick - pulse.since >= self.stall_ticks // 2:
                found.append(task)
        return sorted(found, key=lambda task: running[task]["waits_for"] != 0)

    def _stall(self, running: dict[int, dict[str, Any]], suspects: list[int]) -> Alarm | None:
        for task in suspects:
            alarm = self._judge(task, running[task], self._pulses[task])
            if alarm is not None:
                return alarm
        return None

    def _judge(self, task: int, state: dict[str, Any], pulse: _Pulse) -> Alarm | None:
        """A task has been inside one operation for some ticks. Why?"""
        given = self.rounds.given(state["pid"])
        if given is None:
            return None  # it died: that is the supervisor's to judge
        if pulse.round is None:
            pulse.round, pulse.cpu = self.rounds.done, given.cpu
        turns = self.rounds.done - pulse.round
        if turns < self.stall_ticks // 2:
            return None
        spent = given.cpu - pulse.cpu
        inside = " > ".join(name for name, _, _ in self.layout.inside(state))
        who = f"{self.names[task]} has been inside {inside}"
        long = turns >= PATIENCE * self.stall_ticks
        if state["waits_for"]:
            return self._judge_wait(task, state, long, who)
        if spent >= SPIN_SECONDS + self.slack:
            return Alarm(
                Verdict.LIVELOCK, f"{who} for {spent:.1f} s of CPU time, without getting on"
            )
        return Alarm(Verdict.STALL, f"{who}, and does not get on") if long else None

    def _judge_wait(self, task: int, state: dict[str, Any], long: bool, who: str) -> Alarm | None:
        lock = state["waits_for"]
        owner = self.owner(lock, task)
        what = f"{who}, waiting for the {class_name(state['waits_class'])} lock 0x{lock:x}"
        if owner in (0, task):
            return Alarm(Verdict.STALL, f"{what}, which nobody holds", lock) if long else None
        held_by = self._pulses.get(owner)
        if held_by is not None and self._tick - held_by.since < self.stall_ticks:
            return None  # its owner gets on: this one starves, but is not stuck
        if owner in self.names and not long:
            return None  # what its owner does is judged first
        return Alarm(
            Verdict.STALL, f"{what}, held by {self.names.get(owner, f'task {owner}')}", lock
        )
