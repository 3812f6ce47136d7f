"""Who waits for whom when nobody can go on: the cycle, or those whose waits nothing can end.

Reads the engine's tasks and the lock words as an execution left them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from z3fold_stress._vocabulary import OWNER_MASK
from z3fold_stress.explore.world import World
from z3fold_stress.findings.points import POINT_NAMES

__all__ = ["Wait", "cycles", "stuck", "waits_of"]

LOCKS = frozenset(("lock", "read_lock", "write_lock", "wait until free"))
WAITING = 1


@dataclass(frozen=True, slots=True)
class Wait:
    """One task that waits."""

    task: int
    what: str
    """As in POINT_NAMES."""
    place: int
    """Offset of what it waits for."""
    at: int
    """The instruction of its program."""
    pc: int
    owners: tuple[int, ...]
    """Tasks that hold what it waits for; none where that is no lock."""


def waits_of(world: World) -> dict[int, Wait]:
    """By task: all that wait, but for daemons that have nothing to do."""
    simulator = world.simulator
    held = simulator.held()
    waits = {}
    for task, (state, kind, place, _) in enumerate(simulator.pending()):
        what = POINT_NAMES.get(kind, "")
        if state != WAITING or (what == "wait for work" and world.compiled.actors[task].daemon):
            continue
        _, at, pc, _ = held[task]
        waits[task] = Wait(task, what, place, at, pc, _owners(world, held, task, what, place))
    return waits


def _owners(
    world: World, held: Sequence[tuple[int, int, int, list[tuple[int, int]]]], task: int, what: str,
    place: int,
) -> tuple[int, ...]:  # fmt: skip
    if what not in LOCKS:
        return ()
    owner = int.from_bytes(world.simulator.memory[place : place + 4], "little") & OWNER_MASK
    if owner:
        return (owner - 1,)
    return tuple(
        other for other, (*_, locks) in enumerate(held) if place in [lock for lock, _ in locks]
    )


def cycles(waits: dict[int, Wait]) -> list[list[Wait]]:
    """Each cycle of tasks that wait for each other, in the order of waiting."""
    found = []

    def follow(path: list[int]) -> None:
        for owner in waits[path[-1]].owners:
            if owner == path[0]:
                found.append([waits[task] for task in path])
            elif owner in waits and owner > path[0] and owner not in path:
                follow([*path, owner])

    for task in waits:
        follow([task])
    return found


def stuck(waits: dict[int, Wait]) -> list[Wait]:
    """Those that wait for no other waiting task: their waits are why all others last."""
    return [wait for wait in waits.values() if not any(owner in waits for owner in wait.owners)]
