"""A deadlock, for real: the processes that the schedule left waiting go on without it, into the
live world's own waits, and stay there for a debugger.

The scheduler's word is not taken for it: each is watched, and what it does is told.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psutil

from z3fold_stress import _sim
from z3fold_stress._vocabulary import OWNER_MASK
from z3fold_stress.explore.names import Names
from z3fold_stress.explore.sites import resolve, subject_site
from z3fold_stress.findings.points import POINT_NAMES
from z3fold_stress.live.world import LiveWorld
from z3fold_stress.verdicts import Verdict

__all__ = ["DEADLOCKS", "Deadlock", "Stuck", "wait_for_real"]

DEADLOCKS = frozenset((Verdict.DEADLOCK, Verdict.ORPHANED_LOCK))
LOCKS = frozenset(("lock", "read_lock", "write_lock"))
WAITS = LOCKS | {"wait until free", "wait for a change", "wait for a value"}
WAITING = 1
"""A task's state, as the engine counts it; then finished, and killed."""
STATES = {2: "has finished", 3: "was killed"}
ARRIVES = 10.0
"""Seconds in which a process must come to its wait."""
WATCHED = 0.25
"""Seconds for which it is then seen to stay in it."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """One process that waits for what cannot come."""

    actor: str
    pid: int
    doing: str
    """The operation of its program."""
    site: str
    """Its line in the subject."""
    waits_for: str
    owners: tuple[str, ...]
    """Who holds that; empty where it is no lock."""
    holds: tuple[str, ...]
    stuck: bool
    """Whether it was seen to wait, alive and without progress."""
    seen: str
    """What it was seen to do."""

    def to_json(self) -> dict[str, Any]:
        return {
            "actor": self.actor,
            "pid": self.pid,
            "doing": self.doing,
            "site": self.site,
            "waits_for": self.waits_for,
            "owners": list(self.owners),
            "holds": list(self.holds),
            "stuck": self.stuck,
            "seen": self.seen,
            "attach": [f"gdb -p {self.pid}", f"py-spy dump --pid {self.pid}"],
        }


@dataclass(slots=True)
class Deadlock:
    """The processes of a deadlocked execution."""

    world: LiveWorld
    members: tuple[Stuck, ...]
    others: tuple[str, ...]
    """The actors that do not wait for a lock: what became of them."""
    noticed: tuple[str, ...]
    """What waiting processes said themselves: the subject asks after owners."""

    @property
    def real(self) -> bool:
        return bool(self.members) and all(member.stuck for member in self.members)

    def still(self) -> bool:
        """Whether nothing has changed since."""
        return all(
            _alive(member.pid) and _sim.remote_state(self.world.simulator, actor)["runs"]
            for actor, member in _numbered(self.world, self.members)
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "real": self.real,
            "processes": [member.to_json() for member in self.members],
            "others": list(self.others),
            "noticed": list(self.noticed),
        }

    def lines(self) -> list[str]:
        """For a person."""
        one = len(self.members) == 1
        told = [
            f"{'truly' if self.real else 'NOT truly'} deadlocked: {len(self.members)} "
            f"{'process waits' if one else 'processes wait'} for what cannot come"
        ]
        for member in self.members:
            held = f" held by {' and '.join(member.owners)}" if member.owners else ""
            told += [
                f"  {member.actor}, pid {member.pid}: waits for {member.waits_for}{held}",
                f"    holds {', '.join(member.holds) or 'nothing'}; in {member.doing}, "
                f"{member.site}",
                f"    {member.seen}",
                f"    gdb -p {member.pid}    py-spy dump --pid {member.pid}",
            ]
        told += [f"  {other}" for other in self.others]
        told += [f"  a waiting process noticed it by itself: {text}" for text in self.noticed]
        return told


def _numbered(world: LiveWorld, members: tuple[Stuck, ...]) -> Iterator[tuple[int, Stuck]]:
    names = [actor.name for actor in world.compiled.actors]
    return ((names.index(member.actor), member) for member in members)


def wait_for_real(world: LiveWorld, outcome: dict[str, Any]) -> Deadlock:
    """After an execution of the processes that ended in a deadlock: let those that wait do so by
    themselves, and watch them."""
    simulator = world.simulator
    actors = range(len(world.compiled.actors))
    states = [_state(simulator, actor) for actor in actors]
    blamed = outcome["verdict"]["task"]
    waiting = [
        actor
        for actor, state in enumerate(states)
        if state["state"] == WAITING
        and state["asks"] in WAITS
        and (state["blocked"] or actor == blamed)
    ]
    names = Names(world)
    told = {actor: _told(world, names, states, actor) for actor in waiting}
    for actor in actors:
        _sim.remote_number(simulator, actor, world.processes[actor].pid)
    world.unpin()  # several of them may spin, and this process has to see it
    _sim.remote_wait_for_real(simulator, waiting)
    seen = _watch(world, states, waiting)
    others = tuple(
        f"{world.actor(actor)}: {_fate(states[actor])}" for actor in actors if actor not in waiting
    )
    return Deadlock(
        world,
        tuple(Stuck(**told[actor], stuck=seen[actor][0], seen=seen[actor][1]) for actor in waiting),
        others,
        tuple(text for _, _, text in _sim.remote_verdicts(simulator)),
    )


def _state(simulator: _sim.Simulator, actor: int) -> dict[str, Any]:
    """What the engine knows of a process; ``asks`` names the access that it has announced."""
    state = _sim.remote_state(simulator, actor)
    if state["asks"] in ("access", "lock", "wait"):
        state["asks"] = POINT_NAMES[state["point"]]
    return state


def _fate(state: dict[str, Any]) -> str:
    if state["state"] in STATES:
        return STATES[state["state"]]
    if state["asks"] == "wait for work":
        return "waits for work, as it may"
    return f"was stopped at its next step ({state['asks']})"


def _told(
    world: LiveWorld, names: Names, states: list[dict[str, Any]], actor: int
) -> dict[str, Any]:
    state = states[actor]
    source = world.compiled.actors[actor].source
    at = state["instruction"]
    what = names.of(state["object"])
    if state["asks"] == "wait for a change":
        what = f"a change of {what}, which is {state['value']}"
    elif state["asks"] == "wait for a value":
        what = f"{what} to be {state['value']}"
    return {
        "actor": world.actor(actor),
        "pid": int(world.processes[actor].pid),
        "doing": source[at] if at < len(source) else "?",
        "site": str(subject_site(resolve([state["pc"]]).get(state["pc"], ()))),
        "waits_for": what,
        "owners": _owners(world, states, actor),
        "holds": tuple(names.of(lock) for lock in state["held"]),
    }


def _owners(world: LiveWorld, states: list[dict[str, Any]], actor: int) -> tuple[str, ...]:
    state = states[actor]
    if state["asks"] not in LOCKS and state["asks"] != "wait until free":
        return ()
    owner = _sim.remote_word(world.simulator, state["object"], 4) & OWNER_MASK
    holders = (
        [owner - 1]
        if 0 < owner <= len(states)
        else [other for other, its in enumerate(states) if state["object"] in its["held"]]
    )
    return tuple(
        "itself"
        if holder == actor
        else f"{world.actor(holder)}, which {STATES[states[holder]['state']]}"
        if states[holder]["state"] in STATES
        else world.actor(holder)
        for holder in holders
    )


def _alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _watch(
    world: LiveWorld, states: list[dict[str, Any]], waiting: list[int]
) -> dict[int, tuple[bool, str]]:
    """Of each: whether it truly waits, and what it was seen to do."""
    deadline = time.monotonic() + ARRIVES
    for actor in waiting:
        while not _arrived(world, states[actor], actor) and time.monotonic() < deadline:
            time.sleep(0.005)
    before = {actor: _work(world.processes[actor].pid) for actor in waiting}
    time.sleep(WATCHED)
    return {actor: _seen(world, states[actor], actor, before[actor]) for actor in waiting}


def _arrived(world: LiveWorld, state: dict[str, Any], actor: int) -> bool:
    now = _sim.remote_state(world.simulator, actor)
    return state["asks"] not in LOCKS or now["waits_for"] == state["object"]


def _work(pid: int) -> tuple[int, float]:
    """How often it was switched away from, and the CPU time that it used."""
    try:
        process = psutil.Process(pid)
        switches, times = process.num_ctx_switches(), process.cpu_times()
    except psutil.NoSuchProcess:
        return 0, 0.0
    return switches.voluntary + switches.involuntary, times.user + times.system


def _seen(
    world: LiveWorld, state: dict[str, Any], actor: int, before: tuple[int, float]
) -> tuple[bool, str]:
    now = _sim.remote_state(world.simulator, actor)
    pid = world.processes[actor].pid
    if not _alive(pid):
        return False, "it died while it waited"
    if not now["runs"]:
        return False, f"it went on: it {now['asks']} now"
    if not _arrived(world, state, actor):
        return False, "it was not seen to come to its wait"
    switches, used = _work(pid)
    how = "sleeps on the lock word" if state["asks"] in LOCKS else "looks again and again"
    return True, (
        f"{how}: no progress in {WATCHED:g} s, {switches - before[0]} switches, "
        f"{used - before[1]:.2f} s of CPU time"
    )
