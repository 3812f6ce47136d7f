"""What a step of a failed execution is: an operation of a program, a synchronisation operation,
a failure, or a run of plain accesses of one task in one function.

Groups events and names them.  What the arena was after each step is in ``course``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from z3fold_stress._vocabulary import HEADER_SIZE, OWNER_MASK, PAGE_SIZE, SLOTS_SIZE
from z3fold_stress.explore.names import Names
from z3fold_stress.explore.sites import subject_site
from z3fold_stress.explore.world import World
from z3fold_stress.findings.evidence import Event, Evidence
from z3fold_stress.report.state import State
from z3fold_stress.settings import FAULTS

__all__ = ["LOCKING", "PLAIN", "RELEASING", "Grouping", "Step", "Switch"]

LOCKING = frozenset(("lock", "read_lock", "write_lock", "wait until free", "trylock"))
RELEASING = frozenset(("unlock", "read_unlock"))
PLAIN = frozenset(("load", "store", "atomic", "access"))
MARKS = frozenset(("fails", "dies", "allocates", "frees"))
VERBS = {
    "lock": "takes",
    "read_lock": "takes",
    "write_lock": "takes",
    "unlock": "lets go of",
    "read_unlock": "lets go of",
}
MODES = {"read_lock": " to read", "write_lock": " to write", "read_unlock": " (reader)"}
OTHER_WAITS = {"wait for a change", "wait for a value", "wait for work"}
WEIGHT = ("minor", "read", "write", "sync", "operation", "fault")
"""What a step is, when it is several."""


@dataclass(frozen=True, slots=True)
class Switch:
    """Why another task goes on at a step."""

    of: str
    """The task that ran before."""
    why: str
    """Empty where there is nothing to say."""
    chosen: bool = False
    """Whether the schedule says so, or it would have gone on here by itself."""


@dataclass(slots=True)
class Step:
    """What one task did without anybody between."""

    task: int
    kind: str
    """operation, sync, write, read, fault; minor: reads that hardly ever matter"""
    first: int
    last: int
    """Of the events."""
    title: str = ""
    operation: str = ""
    """The operation of the program that it is part of."""
    site: str = ""
    chain: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    """Before it."""
    details: list[str] = field(default_factory=list)
    mark: int = 0
    """Which side of what went wrong, from 1; 0: none."""
    touches: bool = False
    """Whether it is about the memory or the lock that the failure is about."""
    switch: Switch | None = None
    state: State = field(default_factory=dict)
    """After it."""


class Grouping:
    """The events of one execution as steps."""

    def __init__(self, world: World, evidence: Evidence) -> None:
        self.world = world
        self.evidence = evidence
        self.names = Names(world)
        self.events = evidence.events
        self.actors = len(world.compiled.actors)
        at = self.names.layout.arena
        self.frames, self.nr_frames = at("frames"), at("nr_frames")
        self.objects = (at("objects"), at("swapmap"))
        self.pools, self.slots = at("pools"), at("slots")
        self.marks = {
            side.event: number
            for number, side in enumerate(evidence.sides, 1)
            if side.event >= 0 and len(evidence.sides) < 9
        }
        self.allocator = any(
            event.object >= self.pools
            for event in self.events
            if event.task < self.actors and (event.kind != "begins" and event.kind != "fails")
        )

    def steps(self) -> list[Step]:
        """All of them, without states and switches."""
        steps: list[Step] = []
        operation: dict[int, str] = {}
        for at, event in enumerate(self.events):
            if event.kind == "begins":
                source = self._source(event)
                operation[event.task] = source
                if source:
                    title = "ends" if source == "end" else source
                    steps.append(self._step(at, "operation", title, source))
                continue
            kind = self._kind(at, event)
            last = steps[-1] if steps else None
            if last is not None and self._joins(last, kind, event, at):
                last.last = at
                if not (self.paired(at) and last.kind == "sync"):
                    last.kind = max((kind, last.kind), key=WEIGHT.index)
                last.mark = last.mark or self.marks.get(at, 0)
                continue
            steps.append(self._step(at, kind, "", operation.get(event.task, "")))
        for step in steps:
            if step.kind != "operation":
                self._title(step)
                step.touches = any(self._touches(at) for at in range(step.first, step.last + 1))
        return steps

    def _step(self, at: int, kind: str, title: str, operation: str) -> Step:
        event = self.events[at]
        site = subject_site(event.sites)
        shown = [s for s in event.sites if not s.file.startswith(("face/", "run/", "sim/"))]
        return Step(
            task=event.task,
            kind=kind,
            first=at,
            last=at,
            title=title,
            operation=operation,
            site=str(site) if kind != "operation" else "",
            chain=tuple(str(s) for s in (shown or event.sites)) if kind != "operation" else (),
            held=tuple(self.names.of(lock) for lock in event.held),
            mark=self.marks.get(at, 0),
        )

    def _source(self, event: Event) -> str:
        compiled = self.world.compiled
        if event.task < self.actors:
            source: Sequence[str] = compiled.actors[event.task].source
        else:
            source = compiled.finish_source if event.task > self.actors else compiled.setup_source
        return source[event.at] if event.at < len(source) else ""

    def _kind(self, at: int, event: Event) -> str:
        if event.kind in MARKS:
            return "fault"
        if event.kind not in PLAIN:
            return "sync"
        place = self.place(event.object)
        if at in self.marks:
            return "write" if event.writes else "read"
        if place == "bookkeeping":
            return "minor"
        if event.kind == "atomic" or (self.paired(at) and self.events[at - 1].kind == "atomic"):
            return "sync"
        if event.writes:
            return "write"
        return "read" if place in ("words", "slots") else "minor"

    def paired(self, at: int) -> bool:
        """Whether this event is the access that the point before it announced."""
        event, before = self.events[at], self.events[at - 1] if at else self.events[at]
        return (
            event.kind == "access"
            and before.kind in PLAIN - {"access"}
            and (before.task, before.clock, before.object)
            == (event.task, event.clock, event.object)
        )

    def place(self, offset: int) -> str:
        """What kind of memory it is: words, bookkeeping, payload, slots, structure."""
        if offset < self.pools:
            return "words" if offset >= self.names.scratch else "bookkeeping"
        if self.objects[0] <= offset < self.objects[1]:
            return "bookkeeping"
        if offset >= self.frames and (offset - self.frames) % PAGE_SIZE >= HEADER_SIZE:
            return "payload"
        if self.slots <= offset < self.objects[0] and (offset - self.slots) % SLOTS_SIZE < 4 * 8:
            return "slots"
        return "structure"

    def _touches(self, at: int) -> bool:
        event = self.events[at]
        size = PAGE_SIZE if event.kind in ("allocates", "frees") else max(event.size, 1)
        if event.kind == "fails":
            return False
        return any(event.object <= o < event.object + size for o in self.evidence.objects)

    def _joins(self, step: Step, kind: str, event: Event, at: int) -> bool:
        """Whether this event is part of the step before it."""
        if event.task != step.task:
            return False
        if self.paired(at) and step.last == at - 1:
            return True
        if event.task >= self.actors:  # the finish: a step an operation
            return kind != "fault"
        if step.mark or at in self.marks or at + 1 in self.marks:
            return False
        if kind == "minor" and step.kind in ("minor", "write"):
            return True
        if kind != "write" or step.kind != "write" or self.place(event.object) == "words":
            return False
        return str(subject_site(event.sites)).split(" ")[-1] == step.site.split(" ")[-1]

    # words

    def _title(self, step: Step) -> None:
        event = self.events[step.first]
        name = self.names.of(event.object)
        if step.kind == "fault":
            step.title = self._fault(event)
        elif step.kind == "sync":
            step.title = self._sync(step, event, name)
        else:
            step.title = self._accesses(step)

    def _fault(self, event: Event) -> str:
        if event.kind == "fails":
            what = FAULTS[event.what] if event.what < len(FAULTS) else f"fault {event.what}"
            return f"{what} fails on purpose"
        if event.kind == "dies":
            return "dies here"
        return f"{event.kind} {self.names.memory(event.object)}"

    def _sync(self, step: Step, event: Event, name: str) -> str:
        if event.kind == "yield":
            return "gives way"
        if event.kind == "trylock":
            busy = event.value & OWNER_MASK
            owner = f", {self.world.actor(busy - 1)} has it" if busy else ""
            return f"tries {name}: {'busy' + owner if busy else 'got it'}"
        if event.kind in PLAIN:
            last = self.events[step.last]
            what = "changes" if last.writes else "looks at"
            return f"{what} {name} (atomic)"
        if event.kind in OTHER_WAITS:
            return f"{event.kind}: {name}"
        return f"{VERBS.get(event.kind, event.kind)} {name}{MODES.get(event.kind, '')}"

    def _accesses(self, step: Step) -> str:
        seen: dict[str, bool] = {}
        payload = ""
        for at in range(step.first, step.last + 1):
            event = self.events[at]
            place = self.place(event.object)
            if place == "payload":
                frame = (event.object - self.frames) // PAGE_SIZE
                payload = f"contents of frame {frame}"
                seen[payload] = seen.get(payload, False) or event.writes
                continue
            name = self.names.of(event.object)
            seen[name] = seen.get(name, False) or (event.writes and place != "bookkeeping")
        verb = "writes" if step.kind == "write" else "reads"
        names = [name for name, wrote in seen.items() if wrote or step.kind != "write"]
        told = ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
        return f"{verb} {told}"
