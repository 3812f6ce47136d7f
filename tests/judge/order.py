"""What happens before what in one execution, and which accesses race.

By the definition: an access has a number within its task; a clock says of each task up to which
number its accesses are known. Source: C11 as RC11 has it (Lahav et al., PLDI 2017), for executions
where each load reads the newest store.

A release store heads a release sequence; read-modify-writes of anybody go on with it, and so do
relaxed stores of the task that began it; any other store ends it. An acquire load that reads from
the sequence knows what the head knew. Locks are the same, but that readers who unlock are ordered
with writers only. Two accesses of a word by different tasks race when neither happens before the
other, one writes and one is plain.
"""

from __future__ import annotations

from typing import NamedTuple

from judge.machine import Event

Clock = tuple[int, ...]


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

    def __init__(self, tasks: int) -> None:
        self.none: Clock = (0,) * tasks
        self.untouched = Cell(self.none, self.none, (None,) * tasks, (self.none,) * 4)
        self.made: dict[tuple[int, Event, Clock, Cell], tuple[Clock, Cell, bool]] = {}

    def access(self, task: int, event: Event, clock: Clock, cell: Cell) -> tuple[Clock, Cell, bool]:
        """The task's clock and the word's cell afterwards; whether the access races."""
        key = task, event, clock, cell
        if key not in self.made:
            self.made[key] = self._access(task, event, clock, cell)
        return self.made[key]

    def _access(
        self, task: int, event: Event, clock: Clock, cell: Cell
    ) -> tuple[Clock, Cell, bool]:
        clock = (*clock[:task], clock[task] + 1, *clock[task + 1 :])
        if event.acquires:
            clock = joined(clock, cell.released)
            if event.what != "read_lock":
                clock = joined(clock, cell.readers)
        racy = self._races(task, event, clock, cell.accesses)
        accesses = list(cell.accesses)
        for kind, does in ((0, event.reads), (2, event.writes)):
            if does:
                last = accesses[kind + event.atomic]
                accesses[kind + event.atomic] = (*last[:task], clock[task], *last[task + 1 :])
        now = (accesses[0], accesses[1], accesses[2], accesses[3])
        return clock, self._released(task, event, clock, cell, now), racy

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
        clock: Clock,
        cell: Cell,
        accesses: tuple[Clock, Clock, Clock, Clock],
    ) -> Cell:
        """The word's cell, with what the access hands on."""
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
            released, readers = heads[task] or self.none, self.none
        return Cell(released, readers, heads, accesses)
