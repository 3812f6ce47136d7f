"""What happens before what in one execution, and which accesses race.

By the definition: an access has a number within its task; a clock says of each task up to which
number its accesses are known. Source: C11 as RC11 has it (Lahav et al., PLDI 2017), for executions
where each load reads the newest store.

A release store heads a release sequence; read-modify-writes of anybody go on with it, and so do
relaxed stores of the task that began it; any other store ends it. An acquire load that reads from
the sequence knows what the head knew. A release fence is the head of whatever its task stores after
it, and an acquire fence acquires what its task read before it. Locks are the same, but that readers
who unlock are ordered with writers only. Two accesses of a word by different tasks race when
neither happens before the other, one writes and one is plain.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import NamedTuple

from judge.machine import Event, Fence
from judge.program import Program

Clock = tuple[int, ...]


class View(NamedTuple):
    """What is to be remembered of a task."""

    clock: Clock
    seen: Clock
    """What it would know had its reads acquired: an acquire fence makes it so."""
    fence: Clock | None
    """What it knew at its last release fence."""


class Cell(NamedTuple):
    """What is to be remembered of a word."""

    released: Clock
    """What who reads it with acquire comes to know."""
    readers: Clock
    """The same for who takes it for writing: what those who read it knew at their unlock."""
    heads: tuple[Clock | None, ...]
    """Of each task: its last release, which its own relaxed stores hand on."""
    accesses: tuple[Clock, Clock, Clock, Clock]
    """Numbers of the last plain and atomic reads, plain and atomic writes of each task. (If the
    last is known, those before it are.)"""


def joined(one: Clock, other: Clock) -> Clock:
    return tuple(map(max, one, other))


class Order:
    """Clocks of some tasks; each step is worked out once."""

    def __init__(self, program: Program) -> None:
        tasks = program.actors
        self.none: Clock = (0,) * tasks
        self.nothing = View(self.none, self.none, None)
        self.untouched = Cell(self.none, self.none, (None,) * tasks, (self.none,) * 4)
        self.looks_back = frozenset(
            task
            for task, code in enumerate(program.tasks)
            if any(i.what == "fence" and i.order != "release" for i in code)
        )
        """Who passes an acquire fence: of others nobody needs to know what they have seen."""
        self.made: dict[tuple[int, Event, View, Cell], tuple[View, Cell, bool]] = {}

    @staticmethod
    def pass_fences(view: View, fences: Iterable[Fence]) -> View:
        clock, seen, released = view
        for fence in fences:
            if fence.acquires:
                clock = joined(clock, seen)
            if fence.releases:
                released = clock
        return View(clock, seen, released)

    def access(self, task: int, event: Event, view: View, cell: Cell) -> tuple[View, Cell, bool]:
        """What is known of the task and the word afterwards; whether the access races."""
        key = task, event, view, cell
        if key not in self.made:
            self.made[key] = self._access(task, event, view, cell)
        return self.made[key]

    def _access(self, task: int, event: Event, view: View, cell: Cell) -> tuple[View, Cell, bool]:
        clock, seen, fence = view
        clock = (*clock[:task], clock[task] + 1, *clock[task + 1 :])
        there = cell.released
        if event.what != "read_lock":
            there = joined(there, cell.readers)
        if event.acquires:
            clock = joined(clock, there)
        elif event.atomic and event.reads and not event.releases and task in self.looks_back:
            seen = joined(seen, there)
        view = View(clock, seen, fence)
        racy = self._races(task, event, clock, cell.accesses)
        accesses = list(cell.accesses)
        for kind, does in ((0, event.reads), (2, event.writes)):
            if does:
                last = accesses[kind + event.atomic]
                accesses[kind + event.atomic] = (*last[:task], clock[task], *last[task + 1 :])
        now = (accesses[0], accesses[1], accesses[2], accesses[3])
        return view, self._released(task, event, view, cell, now), racy

    @staticmethod
    def _races(task: int, event: Event, clock: Clock, accesses: tuple[Clock, ...]) -> bool:
        """Whether some access before it by another task, that one of the two being plain and one
        writing, is not known."""
        against = [2, 3] if not event.atomic else [2]
        if event.writes:
            against += [0, 1] if not event.atomic else [0]
        return any(
            number > known
            for kind in against
            for other, (number, known) in enumerate(zip(accesses[kind], clock, strict=True))
            if other != task
        )

    def _released(
        self,
        task: int,
        event: Event,
        view: View,
        cell: Cell,
        accesses: tuple[Clock, Clock, Clock, Clock],
    ) -> Cell:
        """The word's cell, with what the access hands on."""
        clock = view.clock
        released, readers, heads = cell.released, cell.readers, cell.heads
        if event.what == "read_unlock":
            readers = joined(readers, clock)
        elif event.writes and not event.atomic:
            released = readers = self.none
            heads = (None,) * len(heads)
        elif event.releases:  # a store; or a read-modify-write, which knows what was released
            released, readers = clock, self.none
            heads = (*heads[:task], clock, *heads[task + 1 :])
        elif event.what == "store":
            own = [known for known in (heads[task], view.fence) if known is not None]
            # The later of the two knows the other.
            released = max(own, key=operator.itemgetter(task), default=self.none)
            readers = self.none
        return Cell(released, readers, heads, accesses)
