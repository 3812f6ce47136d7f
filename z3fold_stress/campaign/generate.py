"""Scenarios made up from a seed: 2 to 4 actors with 1 to 6 operations each, and their mutants.

Owns the grammar: what may follow what, so that what is generated keeps the duties of the
allocator's users (the object table sees to the rest).  Same seed, same scenarios, on any machine.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from z3fold_stress import settings
from z3fold_stress.errors import ScenarioError
from z3fold_stress.scenario import Op, Page, Scenario, op

__all__ = ["generate", "mutate"]

OBJECTS = ("a", "b", "c", "d")
SIZES = (64, 600, 1200, 1900, 2600, 3700, 4090)
"""First, middle and last fits, a page nearly full, and one without a header."""
FAULTS = tuple(fault for fault in settings.FAULTS if fault != "create")
MOST_OPS = 6
TRIES = 20


def _phrase(choose: random.Random, objects: tuple[str, ...]) -> list[Op]:
    """A few operations that belong together."""
    a = choose.choice(objects)
    page = op.page_of(a)
    phrases: tuple[tuple[int, Callable[[], list[Op]]], ...] = (
        (4, lambda: [op.map(a), op.check(a), op.unmap(a)]),
        (4, lambda: [op.free(a)]),
        (3, lambda: [op.alloc(a, choose.choice(SIZES), atomic=choose.random() < 0.2, fill=True)]),
        (4, lambda: [op.migrate_pages(page, passes=choose.choice((1, 2, 10)))]),
        (2, lambda: [op.migrate_pages(page, sync=False, keep_failed=choose.random() < 0.3)]),
        (2, lambda: [op.isolate(page), op.migrate(page), op.putback(page)]),
        (1, lambda: [op.isolate(page), op.putback(page)]),
        (3, lambda: [op.reclaim(choose.choice((1, 2)))]),
        (2, lambda: [op.compact_work()]),
        (1, lambda: [op.release_work()]),
        (1, lambda: [op.compact_memory(0, 4)]),
        (1, lambda: [op.offline(0, 2, 1)]),
        (1, lambda: [op.fill(a)]),
    )
    (make,) = choose.choices([p for _, p in phrases], [w for w, _ in phrases])
    return make()


def _actor(choose: random.Random, objects: tuple[str, ...]) -> tuple[Op, ...]:
    ops: list[Op] = []
    length = choose.randint(1, MOST_OPS)
    while len(ops) < length:
        ops += _phrase(choose, objects)
    return _closed(ops)


def _closed(ops: list[Op]) -> tuple[Op, ...]:
    """What is mapped is unmapped in the end, what is isolated put back: the user's duty."""
    open_maps: dict[str, None] = {}
    isolated: dict[Page, None] = {}
    for one in ops:
        if one.name == "map":
            open_maps[str(one.args[0])] = None
        elif one.name == "unmap":
            open_maps.pop(str(one.args[0]), None)
        elif one.name == "isolate" and isinstance(one.args[0], Page):
            isolated[one.args[0]] = None
        elif one.name == "putback" and isinstance(one.args[0], Page):
            isolated.pop(one.args[0], None)
    closing = [op.unmap(name) for name in open_maps] + [op.putback(page) for page in isolated]
    return (*ops, *closing)


def _setup(choose: random.Random, objects: tuple[str, ...]) -> tuple[Op, ...]:
    ops: list[Op] = []
    for name in objects[: choose.randint(1, len(objects))]:
        ops.append(op.alloc(name, choose.choice(SIZES), fill=True))
        if choose.random() < 0.15:
            ops.append(op.free(name))
    if choose.random() < 0.3:
        ops.append(op.drain())
    return tuple(ops)


def _attempt(choose: random.Random, name: str) -> Scenario:
    objects = OBJECTS[: choose.randint(1, len(OBJECTS))]
    actors: dict[str, tuple[Op, ...]] = {
        f"task{number}": _actor(choose, objects) for number in range(1, choose.randint(2, 3) + 1)
    }
    if choose.random() < 0.6:
        actors["compactor"] = (op.kworker("compact"),)
    if choose.random() < 0.4 and len(actors) < 4:
        actors["releaser"] = (op.kworker("release"),)
    cpus = {actor: 1 for actor in actors if choose.random() < 0.3}
    faults = {choose.choice(FAULTS): 1} if choose.random() < 0.3 else {}
    setup = _setup(choose, objects)
    if choose.random() < 0.2:
        actors["destroyer"] = (*(op.free(name) for name in objects), op.compact_work())
    used = {o for ops in (setup, *actors.values()) for one in ops for o in one.args}
    spare = [o for o in objects if o in used and not _allocates(setup, actors, o)]
    setup = (*setup, *(op.alloc(o, 600, fill=True) for o in spare))
    return Scenario(
        name=name,
        story="Made up by fuzz.",
        setup=setup,
        actors=actors,
        cpus=cpus,
        faults=faults,
        tags=("fuzz",),
        finish=(op.drain(), op.probe(4), op.drain()),
    )


def _allocates(setup: tuple[Op, ...], actors: dict[str, tuple[Op, ...]], name: str) -> bool:
    return any(
        one.name == "alloc" and one.args[0] == name
        for ops in (setup, *actors.values())
        for one in ops
    )


def generate(seed: int, number: int) -> Scenario:
    """The scenario with this number of this seed."""
    choose = random.Random(f"z3fold-stress {seed} {number}")
    for _ in range(TRIES):
        try:
            return _attempt(choose, f"fuzz-{seed}-{number}")
        except ScenarioError:
            continue
    return Scenario(
        name=f"fuzz-{seed}-{number}",
        setup=[op.alloc("a", 600), op.fill("a")],
        actors={"task1": [op.free("a")], "task2": [op.map("a"), op.check("a"), op.unmap("a")]},
        tags=("fuzz",),
    )


def mutate(parent: Scenario, other: Scenario, seed: int, number: int) -> Scenario:
    """One change of a scenario that showed something new; ``other`` may lend an actor."""
    choose = random.Random(f"z3fold-stress mutant {seed} {number}")
    for _ in range(TRIES):
        try:
            return replace(_mutant(choose, parent, other), name=f"fuzz-{seed}-{number}")
        except ScenarioError:
            continue
    return replace(parent, name=f"fuzz-{seed}-{number}")


def _mutant(choose: random.Random, parent: Scenario, other: Scenario) -> Scenario:
    actors = dict(parent.actors)
    name = choose.choice([actor for actor in actors if actor.startswith("task")] or list(actors))
    ops = list(actors[name])
    allocated = dict.fromkeys(str(one.args[0]) for one in parent.setup if one.name == "alloc")
    objects = tuple(allocated) or ("a",)
    match choose.randrange(6):
        case 0:
            at = choose.randint(0, len(ops))
            ops[at:at] = _phrase(choose, objects)
        case 1 if len(ops) > 1:
            del ops[choose.randrange(len(ops))]
        case 2:
            at = choose.randrange(len(ops))
            ops[at : at + 1] = _phrase(choose, objects)
        case 3:
            lent = choose.choice(list(other.actors))
            if len(actors) < 4 and lent not in actors:
                actors[lent] = other.actors[lent]
        case 4:
            fault = choose.choice(FAULTS)
            return replace(parent, faults={fault: 1 + parent.faults.get(fault, 0)})
        case _:
            cpus = {actor: 1 for actor in actors if choose.random() < 0.5}
            return replace(parent, cpus=cpus)
    actors[name] = _closed(ops)
    return replace(parent, actors=actors)
