"""A failed execution for a reader: its steps, why it went from task to task, and the arena after
each step.

The states are exact.  The arena as the failure left it is put back, event by event, from the log
of what was overwritten; who waits is what each task is about to do.  Nothing is run again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from z3fold_stress._vocabulary import LIST_POISON1, LIST_POISON2, Decision, SimTaskState
from z3fold_stress.explore.world import World
from z3fold_stress.findings.evidence import Event, Evidence
from z3fold_stress.findings.points import POINT_NAMES
from z3fold_stress.inspection.pages import flag_names
from z3fold_stress.layout import PAGE_SIZE
from z3fold_stress.report.state import FREED, Reader, shown_number
from z3fold_stress.report.steps import LOCKING, PLAIN, RELEASING, Grouping, Step, Switch

__all__ = ["MOST", "Course", "course_of"]

MOST = 1500
"""Steps that are kept: the last ones."""
WAITING = LOCKING - {"trylock"}
OTHER_WAITS = frozenset(("wait for a change", "wait for a value", "wait for work"))
START = "each task is brought to where it has a choice"
POISON = {LIST_POISON1: "LIST_POISON1", LIST_POISON2: "LIST_POISON2"}
SWITCH = Decision.DECIDE_SWITCH
FINISHED, KILLED = SimTaskState.TASK_FINISHED, SimTaskState.TASK_KILLED


@dataclass(slots=True)
class Course:
    """All of an execution that is worth reading."""

    tasks: list[str]
    """The names of the lanes; a step's task is an index of them."""
    steps: list[Step]
    left_out: int
    """Steps before these."""
    allocator: bool
    """Whether pages matter, or only scratch words."""


@dataclass(frozen=True, slots=True)
class _End:
    """How the execution left a task."""

    state: int
    coming: str
    object: int
    clock: int
    held: tuple[int, ...]


def course_of(world: World, evidence: Evidence) -> Course:
    """The steps of the execution that was replayed last, by which ``evidence`` was gathered.
    Its arena is used up: it is as at the beginning afterwards."""
    grouping = Grouping(world, evidence)
    steps = grouping.steps()
    left_out = max(0, len(steps) - MOST)
    steps = steps[left_out:]
    teller = _Teller(world, evidence, grouping)
    teller.states(steps)
    used = sorted({step.task for step in steps} | set(range(grouping.actors)))
    lanes = {task: lane for lane, task in enumerate(used)}
    for step in steps:
        step.task = lanes[step.task]
    return Course([world.actor(task) for task in used], steps, left_out, grouping.allocator)


def _start(steps: Sequence[Step], actors: int) -> int:
    """How many steps there are before the last of the actors has come to its first: they are
    brought there one after the other, before anything is chosen."""
    first: dict[int, int] = {}
    for number, step in enumerate(steps):
        if step.task < actors:
            first.setdefault(step.task, number)
    return max(first.values(), default=0)


class _Teller:
    def __init__(self, world: World, evidence: Evidence, grouping: Grouping) -> None:
        self.world = world
        self.grouping = grouping
        self.names = grouping.names
        self.events = evidence.events
        self.chosen = {
            (task, at) for task, at, decision, _ in evidence.schedule if decision == SWITCH
        }
        self.reader = Reader(world, self.names, grouping.allocator)
        simulator = world.simulator
        self.ends = [
            _End(state, POINT_NAMES.get(kind, ""), place, clock, tuple(lock for lock, _ in held))
            for (state, kind, place, clock), (*_, held) in zip(
                simulator.pending(), simulator.held(), strict=True
            )
        ]
        taken = {e.object for e in self.events if e.kind in LOCKING or e.kind in RELEASING}
        taken |= {lock for event in self.events for lock in event.held}
        taken |= {end.object for end in self.ends if end.coming in WAITING}
        self.locks = sorted(taken)
        self.lock_names = {self.names.of(lock) for lock in taken}

    # states

    def states(self, steps: Sequence[Step]) -> None:
        """Fill in the arena after each step, what its writes wrote, and why who comes next is
        another; from the last to the first."""
        coming: dict[int, Event] = {}
        at = len(self.events)
        start = _start(steps, len(self.ends))
        follower: Step | None = None
        for number in range(len(steps) - 1, -1, -1):
            step = steps[number]
            if step.last + 1 < len(self.events):
                self.world.simulator.rewind(step.last + 1)
            while at > step.last + 1:
                at -= 1
                coming[self.events[at].task] = self.events[at]
            memory = self.reader.read()
            words = {name: v for name, v in memory["words"].items() if name not in self.lock_names}
            step.state = {**memory, "words": words, **self._tasks(coming)}
            step.details = self._details(step)
            self._retitle(step)
            if follower is not None and follower.task != step.task:
                follower.switch = self._switch(step, coming, number < start)
            follower = step

    @staticmethod
    def _retitle(step: Step) -> None:
        """A step that changed one thing is called by that."""
        changes = [line for line in step.details if " → " in line]
        if len(changes) == 1 and step.title.startswith(("writes ", "changes ")):
            step.title = changes[0]

    def _switch(self, step: Step, coming: dict[int, Event], starting: bool) -> Switch:
        """Why the task of a step does not go on after it."""
        name = self.world.actor(step.task)
        if step.task >= len(self.ends):
            return Switch(name, "")
        end, event = self.ends[step.task], coming.get(step.task)
        clock = end.clock if event is None else event.clock
        task = step.state["tasks"][name]
        if task["state"] in ("finished", "dead"):
            return Switch(name, f"it {'has finished' if task['state'] == 'finished' else 'died'}")
        if starting:
            return Switch(name, START)
        if (step.task, clock) in self.chosen:
            return Switch(name, "interrupted, the schedule says so", True)
        if task["waits_for"]:
            return Switch(name, f"it waits for {task['waits_for']}")
        if event is not None and event.kind == "yield":
            return Switch(name, "it gives way")
        return Switch(name, "")

    def _tasks(self, coming: dict[int, Event]) -> dict[str, dict[str, Any]]:
        """The sections that are told by what each task is about to do."""
        tasks: dict[str, Any] = {}
        holders: dict[int, list[str]] = {}
        waiters: dict[int, list[str]] = {}
        all_held = [
            end.held if (event := coming.get(task)) is None else event.held
            for task, end in enumerate(self.ends)
        ]
        for task, end in enumerate(self.ends):
            name = self.world.actor(task)
            event = coming.get(task)
            held = all_held[task]
            for lock in held:
                holders.setdefault(lock, []).append(name)
            kind, place = (end.coming, end.object) if event is None else (event.kind, event.object)
            state, waits_for = "can go on", ""
            if event is None and end.state in (FINISHED, KILLED):
                state = "finished" if end.state == FINISHED else "dead"
            elif kind in WAITING and self._taken(place, kind, task, all_held):
                state, waits_for = "waits", self.names.of(place)
                waiters.setdefault(place, []).append(name)
            elif kind == "wait for work" and not self._has_work(place):
                state, waits_for = "waits", f"work in the {self._queue(place)}"
            elif event is None and kind in OTHER_WAITS:
                state, waits_for = "waits", f"another value of {self.names.of(place)}"
            tasks[name] = {
                "state": state,
                "waits_for": waits_for,
                "holds": [self.names.of(lock) for lock in held],
            }
        return {"tasks": tasks, "locks": self._lock_section(holders, waiters)}

    def _lock_section(
        self, holders: dict[int, list[str]], waiters: dict[int, list[str]]
    ) -> dict[str, Any]:
        locks: dict[str, Any] = {}
        for lock in self.locks:
            owner = self.reader.owner(lock)
            held_by = holders.get(lock, [])
            waiting = waiters.get(lock, [])
            if owner or held_by or waiting:
                locks[self.names.of(lock)] = {
                    "owner": owner,
                    "readers": held_by if not owner else [],
                    "waiters": waiting,
                }
        return locks

    def _taken(self, lock: int, kind: str, task: int, held: Sequence[tuple[int, ...]]) -> bool:
        """Whether the lock keeps this task waiting: an owner, or for a writer its readers."""
        if self.reader.owner(lock) not in ("", FREED):
            return True
        return kind == "write_lock" and any(
            lock in locks for other, locks in enumerate(held) if other != task
        )

    def _has_work(self, head: int) -> bool:
        return self.reader.value(head, 8) not in (0, head)

    def _queue(self, head: int) -> str:
        return self.names.of(head).removesuffix("'s list link")

    def _details(self, step: Step) -> list[str]:
        """A line for each thing that it did; of reads at most a dozen."""
        lines: list[str] = []
        for at in range(step.first, step.last + 1):
            event = self.events[at]
            if event.kind not in PLAIN or (
                event.kind != "access" and at < step.last and self.grouping.paired(at + 1)
            ):
                continue
            name = self.names.of(event.object)
            exact = 0 < event.size <= 8
            if event.writes and exact:
                now = self.reader.value(event.object, event.size)
                before = self._value(name, event.size, event.value)
                lines.append(f"{name}: {before} → {self._value(name, event.size, now)}")
            elif event.writes:
                lines.append(f"{name}: written")
            else:
                value = self._value(name, event.size, event.value)
                lines.append(f"{name}: {value}" if exact else f"{name}: read")
        unique = sorted(dict.fromkeys(lines), key=lambda line: " → " not in line)
        if len(unique) > 12:
            unique = [*unique[:11], f"and {len(unique) - 11} more"]
        return unique

    def _value(self, name: str, size: int, value: int) -> str:
        """A value in the words of what it means there."""
        if name.startswith("flags (private)"):
            return " ".join(flag_names(value)) or "none"
        if name.startswith("cpu of ") and value == 0xFFFF:
            return "-1"
        if size != 8 or value < PAGE_SIZE:
            return shown_number(value)
        if value in POISON:
            return POISON[value]
        if value >= len(self.world.simulator.memory):
            return shown_number(value)
        pfn = self.names.layout.pfn(value)
        if pfn is None:
            return self.names.of(value)
        within = value % PAGE_SIZE
        return f"frame {pfn}" + (f" + {within}" if within else "")
