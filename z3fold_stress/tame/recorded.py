"""The most faithful scenarios of a wild failure: the failing page as it was before the last
operations, and each task with its own of them.

Never runs anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from z3fold_stress import _live
from z3fold_stress.errors import ScenarioError
from z3fold_stress.scenario import Op, Scenario, op
from z3fold_stress.tame.wild import Deed, Wild

__all__ = ["Recorded", "arena_of", "daemons", "finish_of", "recorded"]

WINDOWS = (2, 4, 8, 16)
"""So many of the last events become actors; what was before becomes set-up."""
MOST_ACTORS = 5
MOST_OPS = 6
USUAL_SIZE = 900
LETTERS = "abcdefghjk"
_MIGRATES = ("isolate", "migrate", "putback", "migrate_pages")
_RECLAIMS = ("reclaim", "evict")


@dataclass(frozen=True, slots=True)
class Recorded:
    scenario: Scenario
    objects: tuple[tuple[str, int], ...]
    """What the set-up makes: names and sizes, in the order in which they fill the page."""


def finish_of(wild: Wild) -> tuple[Op, ...]:
    """What a soak does at a quiet point; the audit comes first only where it was the one that
    spoke: else it would often speak before the check that is looked for."""
    audit = (op.audit(),) if wild.where.startswith("audit") else ()
    return (op.drain(), *audit, op.probe(8), op.drain())


def daemons() -> dict[str, tuple[Op, ...]]:
    """The two kworkers of every run."""
    return {"compactor": (op.kworker("compact"),), "releaser": (op.kworker("release"),)}


def arena_of(wild: Wild) -> dict[str, int]:
    """What of the run's arena matters to a scenario: all but its size."""
    arena: dict[str, int] = {}
    if "header_chunks" in wild.arena:
        arena["header_chunks"] = wild.arena["header_chunks"]
    for name in ("poison", "cross_cpu_search"):
        if name in wild.arena:
            arena[name] = bool(wild.arena[name])
    return arena


def recorded(wild: Wild) -> Iterator[Recorded]:
    """One for each window, shortest first: alone, with the pages beside it, with the failures of
    the run."""
    made: set[str] = set()
    sides = (0, 1, -1) if wild.neighbours else (0,)
    for side, window in product(sides, WINDOWS):
        for faults in ((), wild.faults) if wild.faults else ((),):
            one = _recorded(wild, wild.deeds[-window:], faults, side)
            if one is not None and one.scenario.content_hash() not in made:
                made.add(one.scenario.content_hash())
                yield one


class _Names:
    """A name for each handle; handles of the same object in its life are the same."""

    def __init__(self) -> None:
        self.by_handle: dict[int, str] = {}

    def __call__(self, handle: int) -> str | None:
        if handle not in self.by_handle and len(self.by_handle) < len(LETTERS):
            self.by_handle[handle] = LETTERS[len(self.by_handle)]
        return self.by_handle.get(handle)


def _recorded(
    wild: Wild, deeds: Sequence[Deed], faults: Sequence[str], side: int
) -> Recorded | None:
    """``side``: where the neighbours are: -1 older than the page, 1 younger, 0 left out."""
    names = _Names()
    born = {deed.handle for deed in deeds if deed.op == "alloc" and not deed.result}
    there: dict[str, int] = {}
    for placed in wild.placed:
        if placed.handle not in born and (name := names(placed.handle)):
            there[name] = _size(placed.size)
    for deed in deeds:
        old = deed.handle and deed.handle not in born and deed.op in ("free", "map", "unmap")
        if old and deed.role in ("worker", "caller") and (name := names(deed.handle)):
            there.setdefault(name, _size(deed.size or USUAL_SIZE))
    if not there:
        there["a"] = USUAL_SIZE
    beside = {
        f"{letter}{number}": _size(placed.size)
        for letter, page in zip("xy", wild.neighbours, strict=False)
        for number, placed in enumerate(page)
    }
    setup = [*there.items()]
    if side:
        setup = [*beside.items(), *setup] if side < 0 else [*setup, *beside.items()]
    actors = _actors(wild, deeds, names, next(iter(there)))
    if not actors:
        return None
    settings: dict[str, Any] = {
        "name": "tamed",
        "design": wild.design,
        "setup": [op.alloc(name, size, fill=True) for name, size in setup],
        "actors": {**actors, **daemons()},
        "finish": finish_of(wild),
        "faults": dict.fromkeys(faults, 1),
        "arena": arena_of(wild),
        "deaths": list(actors) if wild.deaths else None,
    }
    try:
        return Recorded(Scenario(**settings), tuple(there.items()))
    except ScenarioError:
        return None


def _size(size: int) -> int:
    return max(int(_live.LIMITS["min_payload"]), min(size, int(_live.LIMITS["page_size"])))


def _actors(
    wild: Wild, deeds: Sequence[Deed], names: _Names, target: str
) -> dict[str, tuple[Op, ...]]:
    """The tasks that took part, the latest ones where there are too many."""
    by_task: dict[int, list[Deed]] = {}
    for deed in deeds:
        by_task.setdefault(deed.task, []).append(deed)
    latest = sorted(by_task, key=lambda task: max(deeds.index(d) for d in by_task[task]))
    actors: dict[str, tuple[Op, ...]] = {}
    for task in sorted(latest[-MOST_ACTORS:]):
        ops = _program(by_task[task], names, target)
        if ops:
            actors[f"{by_task[task][0].role}{task}"] = ops
    return actors


def _program(deeds: Sequence[Deed], names: _Names, target: str) -> tuple[Op, ...]:
    """What a task did, in the words of a scenario; its kworkers are daemons anyway."""
    role = deeds[0].role
    ops: list[Op] = []
    if role == "reclaimer" or any(deed.op in _RECLAIMS for deed in deeds):
        ops.append(op.reclaim(2))
    elif role == "churner":
        ops += [
            op.create_pool(1),
            op.alloc("p", 1200, fill=True, pool=1),
            op.free("p"),
            op.destroy_pool(1),
        ]
    elif role == "migrator" or any(deed.op in _MIGRATES for deed in deeds):
        ops.append(op.migrate_pages(op.page_of(target)))
    elif not role.startswith("kworker"):
        ops += _of_worker(deeds, names)
    return tuple(ops)


def _of_worker(deeds: Sequence[Deed], names: _Names) -> list[Op]:
    ops: list[Op] = []
    mapped: list[str] = []
    for deed in deeds:
        name = names(deed.handle) if deed.handle else None
        if deed.unfinished and deed.op == "alloc":
            name = "n"
        if name is None or (len(ops) >= MOST_OPS and deed.op != "unmap"):
            continue
        match deed.op:
            case "alloc":
                ops.append(op.alloc(name, _size(deed.size), fill=True))
            case "free":
                ops.append(op.free(name))
            case "map" if name not in mapped:
                ops += [op.map(name), op.check(name)]
                mapped.append(name)
            case "unmap" if name in mapped:
                ops.append(op.unmap(name))
                mapped.remove(name)
    return [*ops, *(op.unmap(name) for name in mapped)]
