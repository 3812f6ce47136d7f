"""Happens-before from its definition, for sequences of accesses: a clock for each task, and for
each byte all that was ever done to it.  Slow, and has nothing of the engine's detector."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from z3fold_stress._vocabulary import PointKind

__all__ = ["ACQUIRE", "RELAXED", "RELEASE", "SEQ_CST", "Access", "HappensBefore"]

RELAXED, ACQUIRE, RELEASE, SEQ_CST = 0, 1, 2, 4
LOCKS = {
    PointKind.POINT_LOCK,
    PointKind.POINT_TRYLOCK,
    PointKind.POINT_READ_LOCK,
    PointKind.POINT_WRITE_LOCK,
    PointKind.POINT_UNLOCK,
    PointKind.POINT_READ_UNLOCK,
    PointKind.POINT_WRITE_UNLOCK,
}


@dataclass(frozen=True)
class Access:
    task: int
    kind: PointKind
    offset: int = 0
    size: int = 0
    order: int = RELAXED
    reads: bool = False
    writes: bool = False
    atomic: bool = False

    @property
    def hint(self) -> bool:
        return self.kind >= PointKind.POINT_FREE and self.order == RELAXED

    @property
    def point(self) -> bool:
        return self.kind >= PointKind.POINT_RMW

    @property
    def life(self) -> bool:
        return self.kind in (PointKind.POINT_BIRTH, PointKind.POINT_DEATH)

    @property
    def strength(self) -> int:
        return 0 if self.hint else 1 if self.atomic else 2


Clock = tuple[int, ...]


def join(a: Clock, b: Clock) -> Clock:
    return tuple(map(max, a, b))


@dataclass
class Done:
    """An access to a byte that was made: by whom, at which moment of its task, and its number."""

    access: Access
    moment: int
    number: int

    def before(self, clock: Clock) -> bool:
        return self.moment <= clock[self.access.task]


@dataclass
class Location:
    """What a byte hands on to those who read it."""

    released: Clock
    by_readers: Clock
    own: dict[int, Clock] = field(default_factory=dict)


@dataclass
class Conflicts:
    """What an access conflicts with: those before it that race with it; those that nothing orders
    before it until it acquires; of these the ones that no other of these is ordered after."""

    races: list[Done]
    unordered: list[Done]
    last: list[Done]


class HappensBefore:
    def __init__(self, tasks: int, c11: bool) -> None:
        self.c11 = c11
        self.none: Clock = (0,) * tasks
        self.clock = [tuple(int(i == k) for k in range(tasks)) for i in range(tasks)]
        self.seen = [self.none] * tasks
        self.fence: list[Clock] = [self.none] * tasks
        self.done: dict[int, list[Done]] = defaultdict(list)
        self.at: dict[int, Location] = {}
        self.clock_then: list[Clock] = []

    def access(self, a: Access) -> Conflicts:
        """Make it; tell what it conflicts with."""
        if a.kind is PointKind.POINT_POISON:
            self.clock_then.append(self.none)
            return Conflicts([], [], [])
        if a.kind is PointKind.POINT_FENCE:
            self.clock_then.append(self.none)
            self._fence(a)
            return Conflicts([], [], [])
        before = self.clock[a.task]
        if a.atomic and a.reads and not a.hint:
            self._acquire(a)
        now = self.clock[a.task]
        found = Conflicts([], [], [])
        number = len(self.clock_then)
        self.clock_then.append(now)
        for byte in range(a.offset, a.offset + a.size):
            unordered = [
                done
                for done in self.done[byte]
                if (a.writes or done.access.writes) and not done.before(before)
            ]
            found.unordered += unordered
            found.last += [
                done
                for done in unordered
                if not any(
                    other.number > done.number and done.before(self.clock_then[other.number])
                    for other in unordered
                )
            ]
            found.races += [
                done
                for done in unordered
                if not done.before(now)
                and not (a.atomic and done.access.atomic)
                and not (a.hint or done.access.hint)
            ]
            self.done[byte].append(Done(a, now[a.task], number))
            if a.life:
                self.at.pop(byte, None)
        if a.atomic and a.writes:
            self._release(a)
        return found

    def _tick(self, task: int) -> None:
        self.clock[task] = tuple(c + (i == task) for i, c in enumerate(self.clock[task]))

    def _acquire(self, a: Access) -> None:
        for byte in range(a.offset, a.offset + a.size):
            location = self.at.get(byte)
            if location is None:
                continue
            gets = location.released
            if a.kind is not PointKind.POINT_READ_LOCK:
                gets = join(gets, location.by_readers)
            if a.order & ACQUIRE:
                self.clock[a.task] = join(self.clock[a.task], gets)
            elif a.kind not in LOCKS or not a.writes:
                self.seen[a.task] = join(self.seen[a.task], gets)

    def _release(self, a: Access) -> None:
        now = self.clock[a.task]
        if a.kind in LOCKS and not a.order & RELEASE:
            return
        for byte in range(a.offset, a.offset + a.size):
            location = self.at.setdefault(byte, Location(self.none, self.none))
            if a.kind is PointKind.POINT_READ_UNLOCK:
                location.by_readers = join(location.by_readers, now)
                continue
            if a.order & RELEASE:
                head = location.own[a.task] = now
            else:
                head = self.fence[a.task]
                if self.c11:
                    head = join(head, location.own.get(a.task, self.none))
            if a.reads:
                location.released = join(head, location.released)
            else:
                location.released, location.by_readers = head, self.none
            if a.kind is PointKind.POINT_WRITE_UNLOCK:
                location.by_readers = self.none
        if a.order & RELEASE:
            self._tick(a.task)

    def _fence(self, a: Access) -> None:
        if a.order & (ACQUIRE | SEQ_CST):
            self.clock[a.task] = join(self.clock[a.task], self.seen[a.task])
        if a.order & (RELEASE | SEQ_CST):
            self.fence[a.task] = self.clock[a.task]
            self._tick(a.task)
