"""A failed execution as a trace for ui.perfetto.dev: a group of tracks for each task, with its
operations, and each lock that it held or waited for; arrows where a lock or an object went from
one task to another.

An event is a microsecond: there is no clock in it, the same finding gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from z3fold_stress.explore.names import Names
from z3fold_stress.explore.sites import subject_site
from z3fold_stress.explore.world import World
from z3fold_stress.findings.evidence import Event, Evidence
from z3fold_stress.findings.finding import Finding
from z3fold_stress.findings.points import POINT_NAMES
from z3fold_stress.report.steps import LOCKING
from z3fold_stress.report.trace_events import Track, Tracks
from z3fold_stress.settings import FAULTS

__all__ = ["trace_of"]

WAITING = LOCKING - {"trylock"}
WAITS = 1
"""The state of a task that is not over, as the engine numbers it."""
INSIDE = 0.25
"""An arrow begins and ends so far inside its slices."""


@dataclass(frozen=True, slots=True)
class _Span:
    """An operation or a lock held, from an event up to another."""

    task: int
    what: str
    start: int
    end: int
    track: Track


def trace_of(world: World, finding: Finding, evidence: Evidence) -> str:
    """The trace of the execution that was replayed last."""
    return _Tracer(world, evidence).trace(finding)


class _Tracer:
    def __init__(self, world: World, evidence: Evidence) -> None:
        self.world = world
        self.evidence = evidence
        self.names = Names(world)
        self.events = evidence.events
        self.end = len(self.events) + 1  # the moment in which it was found
        self.tracks = Tracks()
        self.mine: dict[int, list[int]] = {}
        for at, event in enumerate(self.events):
            self.mine.setdefault(event.task, []).append(at)
        for task in sorted(self.mine):
            self.tracks.group(task + 1, world.actor(task))
            self.tracks.track(task + 1, "operations")

    def trace(self, finding: Finding) -> str:
        operations = [span for task in sorted(self.mine) for span in self._operations(task)]
        holds = [span for task in sorted(self.mine) for span in self._holds(task)]
        for task in sorted(self.mine):
            self._waits(task, holds)
        self._arrows("lock handed on", holds)
        self._arrows("object handed on", self._by_object(operations))
        self._instants()
        return self.tracks.dumps(
            {
                "verdict": f"{self.evidence.verdict}: {self.evidence.text}",
                "scenario": finding.scenario.name,
                "design": finding.design,
                "time": "an event is a microsecond: there is no clock in it",
                "replay": f"z3fold-stress replay {finding.line()}",
            }
        )

    # slices

    def _operations(self, task: int) -> list[_Span]:
        begun = [at for at in self.mine[task] if self.events[at].kind == "begins"]
        over = self.end if self._goes_on(task) else self.mine[task][-1] + 1
        spans = []
        for at, until in zip(begun, [*begun[1:], over], strict=True):
            source = self._source(self.events[at])
            if source and source != "end":
                track = self.tracks.track(task + 1, "operations")
                self.tracks.slice(track, source, at, until, {"events": until - at})
                spans.append(_Span(task, source, at, until, track))
        return spans

    def _goes_on(self, task: int) -> bool:
        """Whether the end of the execution found it in the middle of something."""
        pending = self.world.simulator.pending()
        return task < len(pending) and pending[task][0] == WAITS

    def _source(self, event: Event) -> str:
        compiled = self.world.compiled
        actors = compiled.actors
        sources = (
            actors[event.task].source
            if event.task < len(actors)
            else compiled.finish_source
            if event.task > len(actors)
            else compiled.setup_source
        )
        return sources[event.at] if event.at < len(sources) else ""

    def _holds(self, task: int) -> list[_Span]:
        """What an event says is held was taken by the task's event before it."""
        spans = []
        since: dict[int, int] = {}
        before = -1
        final: tuple[int, ...] = ()
        if task < len(self.world.compiled.actors):
            final = tuple(lock for lock, _ in self.world.simulator.held()[task][3])
        for at in self.mine[task]:
            spans += self._change(task, since, self.events[at].held, before)
            before = at
        spans += self._change(task, since, final, before)
        return spans + [self._hold(task, lock, at, self.end) for lock, at in since.items()]

    def _change(
        self, task: int, since: dict[int, int], held: Iterable[int], at: int
    ) -> list[_Span]:
        now = set(held)
        gone = [lock for lock in since if lock not in now]
        spans = [self._hold(task, lock, since.pop(lock), at) for lock in gone]
        for lock in sorted(now - since.keys()):
            since[lock] = max(at, 0)
        return spans

    def _hold(self, task: int, lock: int, start: int, end: int) -> _Span:
        name = self.names.of(lock)
        track = self.tracks.track(task + 1, name)
        site = subject_site(self.events[start].sites) if self.events[start].sites else "?"
        self.tracks.slice(track, f"holds {name}", start, max(end, start + 1), {"at": str(site)})
        return _Span(task, name, start, max(end, start + 1), track)

    def _waits(self, task: int, holds: list[_Span]) -> None:
        before = -1
        for at in self.mine[task]:
            event = self.events[at]
            if event.kind in WAITING:
                self._wait(task, event.object, before + 1, at, holds)
            before = at
        if task < len(self.world.compiled.actors):
            state, kind, place, _ = self.world.simulator.pending()[task]
            if state == WAITS and POINT_NAMES.get(kind) in WAITING:
                self._wait(task, place, before + 1, self.end, holds)

    def _wait(self, task: int, lock: int, start: int, end: int, holds: list[_Span]) -> None:
        """From when somebody else has it while the task wants it."""
        name = self.names.of(lock)
        others = [
            span
            for span in holds
            if span.what == name and span.task != task and span.start < end and span.end > start
        ]
        if not others or end <= start:
            return
        owners = sorted({self.world.actor(span.task) for span in others})
        self.tracks.slice(
            self.tracks.track(task + 1, name),
            f"waits for {name}",
            start,
            end,
            {"held by": ", ".join(owners)},
        )

    # arrows and marks

    def _arrows(self, name: str, spans: list[_Span]) -> None:
        last: dict[str, _Span] = {}
        for span in sorted(spans, key=lambda span: (span.start, span.end)):
            giver = last.get(span.what)
            last[span.what] = span
            if giver is None or giver.task == span.task or giver.start >= span.start:
                continue
            leaves = min(giver.end, span.start) - INSIDE
            self.tracks.flow(name, (giver.track, leaves), (span.track, span.start + INSIDE))

    def _by_object(self, operations: list[_Span]) -> list[_Span]:
        objects = set(self.world.compiled.objects)
        return [
            _Span(span.task, word, span.start, span.end, span.track)
            for span in operations
            for word in sorted(objects & set(re.findall(r"[\w.+-]+", span.what)))
        ]

    def _instants(self) -> None:
        for at, event in enumerate(self.events):
            if event.kind not in ("fails", "dies", "allocates", "frees"):
                continue
            name = f"{event.kind} "
            if event.kind == "fails":
                what = FAULTS[event.what] if event.what < len(FAULTS) else event.what
                name = f"{what} fails on purpose"
            elif event.kind == "dies":
                name = "dies here"
            else:
                name += self.names.memory(event.object)
            track = self.tracks.track(event.task + 1, "operations")
            self.tracks.instant(track, name, at, {}, everywhere=False)
        for number, side in enumerate(self.evidence.sides, 1):
            if side.event >= 0:
                track = self.tracks.track(self.events[side.event].task + 1, "operations")
                told = {"at": " < ".join(side.chain), "holding": ", ".join(side.held)}
                self.tracks.instant(
                    track, f"({number}) {side.what}", side.event, told, everywhere=False
                )
        if self.mine:
            track = self.tracks.track(min(self.mine) + 1, "operations")
            name = f"{self.evidence.verdict}: {self.evidence.text}"
            self.tracks.instant(track, name, self.end, {}, everywhere=True)
