"""What one execution showed, seen again with everything recorded.

An exploration keeps only the schedule; all else comes from doing it once more.  That is also the
first proof that it replays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from z3fold_stress._vocabulary import (
    EVENT_WRITES,
    EventKind,
    PointKind,
)
from z3fold_stress.explore.names import Names
from z3fold_stress.explore.sites import Site, resolve, subject_site
from z3fold_stress.explore.world import World
from z3fold_stress.findings.points import POINT_NAMES
from z3fold_stress.findings.sim_identity import identity_of, lock_order_identity
from z3fold_stress.verdicts import Verdict

__all__ = ["Access", "Event", "Evidence", "Schedule", "gather"]

Schedule = tuple[tuple[int, int, int, int], ...]
"""Interventions: task, its clock, decision, task to go to (see _sim.Choice)."""
_WRITE_POINTS = (PointKind.POINT_STORE, PointKind.POINT_RMW)


@dataclass(frozen=True, slots=True)
class Event:
    """One step of one task."""

    step: int
    task: int
    kind: str
    size: int
    writes: bool
    at: int
    """The instruction of the task's program."""
    clock: int
    object: int
    value: int
    """What was there before."""
    sites: tuple[Site, ...]
    held: tuple[int, ...]
    what: int = 0
    """Which failure."""
    pc: int = 0


@dataclass(frozen=True, slots=True)
class Access:
    """One side of what went wrong."""

    task: str
    what: str
    site: str
    chain: tuple[str, ...]
    held: tuple[str, ...]
    event: int = -1
    """Which of the recorded events it is; -1: none of them."""

    def to_json(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "what": self.what,
            "site": self.site,
            "chain": list(self.chain),
            "held": list(self.held),
        }


@dataclass(slots=True)
class Evidence:
    """A failed execution, explained as far as the engine can."""

    verdict: Verdict | None
    where: str
    text: str
    hash: int
    steps: int
    switches: int
    preemptions: int
    schedule: Schedule
    unused: int
    sides: tuple[Access, ...] = ()
    events: list[Event] = field(default_factory=list)
    objects: frozenset[int] = frozenset()
    """Offsets that the failure is about."""
    signature: str = ""
    """Empty where events were not recorded, which it takes."""


def gather(
    world: World,
    schedule: Sequence[tuple[int, int, int, int]],
    lead: Sequence[Schedule] = (),
    *,
    text: str = "",
    record: int = 2,
) -> Evidence:
    """Do one execution again and explain it.  ``lead``: of a lock-order finding, the executions to
    look for its cycle in, which is told as ``text``; without, what went wrong in this one counts.
    """
    simulator = world.simulator
    for one in (*lead, tuple(schedule)) if lead else ():
        outcome = simulator.replay(list(one), False, record)
        if outcome["order"] is not None:
            return _lock_order(world, outcome, schedule, text)
    outcome = simulator.replay(list(schedule), False, record)
    verdict = world.verdict(outcome)
    found = outcome["verdict"] or {"where": "", "text": "", "lock": 0, "page": 0, "object": 0}
    evidence = Evidence(
        verdict=verdict,
        where=found["where"],
        text=found["text"],
        hash=outcome["hash"],
        steps=outcome["steps"],
        switches=outcome["switches"],
        preemptions=outcome["preemptions"],
        schedule=tuple(map(tuple, schedule)),  # type: ignore[arg-type]
        unused=outcome["unused"],
    )
    if verdict is None:
        return evidence
    names = Names(world)
    if record > 1:
        evidence.events = _events(simulator.events())
    evidence.text = _named_text(world, names, outcome, evidence)
    evidence.sides = _sides(world, names, outcome, evidence.events)
    evidence.objects = frozenset(
        offset for offset in (found["object"], found["lock"], found["page"]) if offset
    )
    if record > 1:
        evidence.signature = identity_of(world, names, outcome, evidence).signature
    return evidence


def _events(raw: list[tuple[Any, ...]]) -> list[Event]:
    calls = {(event[8], event[9]) for event in raw}  # few, however long a livelock is
    sites = resolve(pc for pc, stack in calls for pc in (pc, *stack))
    chains = {
        (pc, stack): tuple(
            dict.fromkeys(
                site
                for frame in (pc, *stack)
                for site in sites.get(frame, ())
                if site.file.endswith(".pxi")
            )
        )
        for pc, stack in calls
    }
    events = []
    for step, task, kind, size, at, clock, obj, value, pc, stack, held in raw:
        events.append(
            Event(
                step,
                task,
                POINT_NAMES.get(kind, f"event {kind}"),
                size & ~EVENT_WRITES,
                bool(size & EVENT_WRITES) or kind in _WRITE_POINTS,
                at,
                clock,
                obj,
                value,
                chains[pc, stack],
                held,
                obj if kind == EventKind.EVENT_FAIL else 0,
                pc,
            )
        )
    return events


def _locks(names: Names, held: Sequence[int]) -> tuple[str, ...]:
    return tuple(names.of(offset) for offset in held)


def _chain(sites: Sequence[Site]) -> tuple[str, ...]:
    shown = [site for site in sites if not site.file.startswith(("face/", "run/", "sim/"))]
    return tuple(str(site) for site in (shown or sites))


def _side(
    world: World,
    names: Names,
    task: int,
    what: str,
    sites: tuple[Site, ...],
    held: Sequence[int],
    event: int = -1,
) -> Access:
    return Access(
        world.actor(task), what, str(subject_site(sites)), _chain(sites), _locks(names, held), event
    )


def _sides(
    world: World, names: Names, outcome: dict[str, Any], events: list[Event]
) -> tuple[Access, ...]:
    found = outcome["verdict"]
    if found["where"] == "race":
        return _race_sides(world, names, found, events)
    if found["where"] in ("deadlock", "wait"):
        return _waiting_sides(world, names, events)
    pcs = resolve([found["pc"]])
    sites = pcs.get(found["pc"], ())
    held: Sequence[int] = ()
    at = _last_of(events, found["task"])
    if at >= 0:
        sites = tuple(dict.fromkeys((*sites, *events[at].sites)))
        held = events[at].held
    return (_side(world, names, found["task"], found["where"], sites, held, at),)


def _race_sides(
    world: World, names: Names, found: dict[str, Any], events: list[Event]
) -> tuple[Access, ...]:
    sites = resolve([found["pc"], found["other_pc"]])
    where = names.of(found["object"])
    sides = []
    for task, pc, writes in (
        (found["other_task"], found["other_pc"], found["other_writes"]),
        (found["task"], found["pc"], found["writes"]),
    ):
        last = -1
        for at, event in reversed(list(enumerate(events))):
            overlaps = event.object < found["object"] + found["size"] and (
                found["object"] < event.object + max(event.size, 1)
            )
            if event.task == task and event.pc == pc and overlaps:
                last = at
                break
        chain = events[last].sites if last >= 0 else sites.get(pc, ())
        what = f"{'store' if writes else 'load'} of {where}"
        near = last if last >= 0 else _last_of(events, task)
        held = events[near].held if near >= 0 else ()
        sides.append(_side(world, names, task, what, chain, held, last))
    return tuple(sides)


def _last_of(events: list[Event], task: int) -> int:
    return next((at for at in reversed(range(len(events))) if events[at].task == task), -1)


def _waiting_sides(world: World, names: Names, events: list[Event]) -> tuple[Access, ...]:
    sides = []
    for task, (state, at, pc, held) in enumerate(world.simulator.held()):
        if state != 1:
            continue
        sites = resolve([pc]).get(pc, ())
        source = world.compiled.actors[task].source
        doing = source[at] if at < len(source) else "?"
        locks = [lock for lock, _ in held]
        last = _last_of(events, task)
        sides.append(_side(world, names, task, f"waits in {doing}", sites, locks, last))
    return tuple(sides)


def _named_text(world: World, names: Names, outcome: dict[str, Any], evidence: Evidence) -> str:
    """The engine's words with names for numbers."""
    found = outcome["verdict"]
    if found["where"] == "expect":
        number = int(found["text"].split()[1])
        messages = world.compiled.messages
        said = messages[number] if number < len(messages) else ""
        return f"{said or 'an expectation'}: {found['text'].split(': ', 1)[-1]}"
    words = found["text"]
    for task in range(len(world.compiled.actors), 0, -1):
        words = words.replace(f"task {task} ", f"{world.actor(task - 1)} ")
        words = words.replace(f"task {task},", f"{world.actor(task - 1)},")
        words = words.replace(f"task {task};", f"{world.actor(task - 1)};")
        if words.endswith(f"task {task}"):
            words = words[: -len(f"task {task}")] + world.actor(task - 1)
    out = []
    for word in words.split(" "):
        bare = word.rstrip(",;.")
        if bare.startswith("0x"):
            try:
                value = int(bare, 16)
            except ValueError:
                value = 0
            if 0 < value < len(world.simulator.memory):
                word = names.of(value) + word[len(bare) :]
        out.append(word)
    return " ".join(out)


def order_text(world: World, cycle: list[dict[str, Any]]) -> str:
    """A cycle of locks as one line."""
    names = Names(world)
    steps = (f"{world.actor(step['task'])} {_step(names, step)}" for step in cycle)
    return f"{', '.join(steps)}: where they meet, each waits for ever"


def _step(names: Names, step: dict[str, Any]) -> str:
    held, wanted = (names.lock_class(step[which]["class"]) for which in ("held", "wanted"))
    return f"waits for {wanted} with {held} held"


def _lock_order(
    world: World,
    outcome: dict[str, Any],
    schedule: Sequence[tuple[int, int, int, int]],
    text: str,
) -> Evidence:
    """An execution may show several cycles: the one that is told as ``text``, or the first."""
    names = Names(world)
    cycles = {order_text(world, cycle): cycle for cycle in outcome["order"]["cycles"]}
    text = text if text in cycles else next(iter(cycles))
    sides = []
    for step in cycles[text]:
        sites = resolve([step["held"]["pc"], step["wanted"]["pc"]])
        here = sites.get(step["wanted"]["pc"], ())
        sides.append(
            Access(
                world.actor(step["task"]),
                _step(names, step),
                str(subject_site(here)),
                _chain((*here, *sites.get(step["held"]["pc"], ()))),
                (names.lock_class(step["held"]["class"]),),
            )
        )
    evidence = Evidence(
        verdict=Verdict.LOCK_ORDER,
        where="lock-order",
        text=text,
        hash=outcome["hash"],
        steps=outcome["steps"],
        switches=outcome["switches"],
        preemptions=outcome["preemptions"],
        schedule=tuple(map(tuple, schedule)),  # type: ignore[arg-type]
        unused=outcome["unused"],
        sides=tuple(sides),
    )
    evidence.events = _events(world.simulator.events())
    evidence.signature = lock_order_identity(
        world, names, [step["held"]["class"] for step in cycles[text]]
    ).signature
    return evidence
