"""Scenarios made up from a seed: 2 to 5 actors with a few operations each, and their mutants.

Owns the grammar: what may follow what, so that what is generated keeps the duties of the
allocator's users (the object table sees to the rest): who maps, unmaps; who isolates, puts back;
a pool is used while it is there, and empty when it goes.  Same seed, same scenarios, anywhere.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from z3fold_stress._vocabulary import CHUNK_SIZE, PAGE_SIZE, TOTAL_CHUNKS
from z3fold_stress.errors import ScenarioError
from z3fold_stress.scenario import Op, Page, Scenario, op

__all__ = ["generate", "mutate"]

OBJECTS = ("a", "b", "c", "d")
GUESTS = ("x", "y")
"""Objects of pool 1, which comes and goes."""
SIZES = (64, 600, 1200, 1900, 2600, 3700, 4090)
"""First, middle and last fits, a page nearly full, and one without a header."""
ROOM = TOTAL_CHUNKS - 2
"""Chunks of a page beside its header."""
EDGE = PAGE_SIZE - 3 * CHUNK_SIZE
"""The largest object that shares a page; one byte more, and it has none to share."""
EDGES = (16, EDGE - 1, EDGE, EDGE + 1, ROOM * CHUNK_SIZE, PAGE_SIZE)
FAULTS = ("page", "slots", "target", "evict", "trylock", "create")
MOST_OPS = 6
MOST_ACTORS = 5
TRIES = 20


def _size(choose: random.Random) -> int:
    """Any: from a list, by the chunk (give or take a byte), or at an edge."""
    kind = choose.random()
    if kind < 0.4:
        return choose.choice(SIZES)
    if kind < 0.85:
        return max(16, choose.randint(1, ROOM - 1) * CHUNK_SIZE + choose.choice((0, 0, -1, 1)))
    return choose.choice(EDGES)


def _parts(choose: random.Random) -> list[int]:
    """Sizes of two or three objects that fill a page to the last chunk."""
    cuts = sorted(choose.sample(range(1, ROOM), choose.choice((1, 2))))
    return [(b - a) * CHUNK_SIZE for a, b in zip([0, *cuts], [*cuts, ROOM], strict=True)]


def _alloc(choose: random.Random, name: str) -> Op:
    pool = int(name in GUESTS)
    return op.alloc(name, _size(choose), atomic=choose.random() < 0.2, fill=True, pool=pool)


def _tries(choose: random.Random, page: Page) -> Op:
    """A migration, as the callers of migrate_pages differ."""
    return op.migrate_pages(
        page,
        passes=choose.choice((1, 2, 4, 10)),
        sync=choose.random() < 0.7,
        keep_failed=choose.random() < 0.3,
        in_reclaim=choose.random() < 0.1,
        putback=choose.random() < 0.8,
    )


def _several(choose: random.Random, objects: Sequence[str]) -> list[Op]:
    """Two pages isolated at once, each tried, and put back in any order."""
    first, second = (op.page_of(name) for name in choose.choices(objects, k=2))
    tries = [op.migrate(page) for page in choose.choices((first, second), k=choose.randint(1, 3))]
    back = choose.sample((first, second), 2)
    return [op.isolate(first), op.isolate(second), *tries, *map(op.putback, back)]


def _phrase(choose: random.Random, objects: Sequence[str], seen: Sequence[str] = ()) -> list[Op]:
    """A few operations that belong together. ``seen``: objects whose pages may be dealt with, but
    which are not this actor's to use."""
    a = choose.choice(objects)
    pages = (*objects, *seen)
    page = op.page_of(choose.choice(pages))
    pool = int(a in GUESTS)
    phrases: tuple[tuple[int, Callable[[], list[Op]]], ...] = (
        (4, lambda: [op.map(a), op.check(a), op.unmap(a)]),
        (4, lambda: [op.free(a)]),
        (3, lambda: [_alloc(choose, a)]),
        (6, lambda: [_tries(choose, page)]),
        (2, lambda: [op.isolate(page), op.migrate(page), op.putback(page)]),
        (1, lambda: [op.isolate(page), op.putback(page)]),
        (2, lambda: _several(choose, pages)),
        (3, lambda: [op.reclaim(choose.choice((1, 2, 3)), pool=pool)]),
        (2, lambda: [op.compact_work(pool)]),
        (1, lambda: [op.release_work(pool)]),
        (1, lambda: [op.compact_memory(choose.choice((0, 2)), 4)]),
        (1, lambda: [op.offline(choose.choice((0, 1)), 2, 1)]),
        (1, lambda: [op.fill(a)]),
    )
    (make,) = choose.choices([p for _, p in phrases], [w for w, _ in phrases])
    return make()


def _actor(
    choose: random.Random, objects: Sequence[str], seen: Sequence[str] = ()
) -> tuple[Op, ...]:
    ops: list[Op] = []
    length = choose.randint(1, MOST_OPS)
    while len(ops) < length:
        ops += _phrase(choose, objects, seen)
    return _closed(ops)


def _closed(ops: list[Op]) -> tuple[Op, ...]:
    """What is mapped is unmapped in the end, what is isolated put back: the user's duty."""
    open_maps: dict[str, None] = {}
    isolated: dict[Page, None] = {}
    for one in ops:
        named = one.named
        if one.name == "map":
            open_maps[named["obj"]] = None
        elif one.name == "unmap":
            open_maps.pop(named["obj"], None)
        elif one.name == "isolate" or (one.name == "migrate_pages" and not named["putback"]):
            isolated[named["page"]] = None
        elif one.name == "putback":
            isolated.pop(named["page"], None)
    closing = [op.unmap(name) for name in open_maps] + [op.putback(page) for page in isolated]
    return (*ops, *closing)


def _setup(choose: random.Random, objects: tuple[str, ...]) -> tuple[Op, ...]:
    ops: list[Op] = []
    made = objects[: choose.randint(1, len(objects))]
    sizes = _parts(choose) if choose.random() < 0.4 else []
    for number, name in enumerate(made):
        size = sizes[number] if number < len(sizes) else _size(choose)
        ops.append(op.alloc(name, max(16, size), fill=True))
        if choose.random() < 0.15:
            ops.append(op.free(name))
    if choose.random() < 0.3:
        ops.append(op.drain())
    return tuple(ops)


def _second_pool(choose: random.Random) -> dict[str, tuple[Op, ...]]:
    """A pool that comes and goes: the landlord makes it, lets the guest in, waits until the guest
    has left, frees what is left, and destroys it with its work still queued."""
    objects = GUESTS[: choose.randint(1, 2)]
    begin = [op.create_pool(1, choose.random() < 0.5)]
    begin += [_alloc(choose, name) for name in objects]
    stay = [one for _ in range(choose.randint(0, 2)) for one in _phrase(choose, objects)]
    end = [*(op.free(name) for name in objects), op.destroy_pool(1)]
    if choose.random() < 0.4:
        alone = [*begin, *_closed(stay), *end]
        return {"landlord": tuple(alone * choose.choice((1, 1, 2)))}
    visit = [one for _ in range(choose.randint(1, 2)) for one in _phrase(choose, objects)]
    inn, out = op.store("open", 1, "release"), op.store("left", 1, "release")
    return {
        "landlord": (*begin, inn, *_closed(stay), op.wait_until("left", 1), *end),
        "guest": (op.wait_until("open", 1), *_closed(visit), out),
    }


def _readers_and_writer(choose: random.Random) -> dict[str, tuple[Op, ...]]:
    """A word that a reader-writer lock guards, beside it all."""
    read = (op.read_lock("guard"), op.load("guarded", "r"), op.read_unlock("guard"))
    write = (
        *(op.write_lock("guard"), op.load("guarded", "r"), op.add("r", 1)),
        *(op.store("guarded", "r"), op.write_unlock("guard")),
    )
    return {"reader": read * choose.choice((1, 2)), "writer": choose.choice((write, read + write))}


def _attempt(choose: random.Random, name: str) -> Scenario:
    objects = OBJECTS[: choose.randint(1, len(OBJECTS))]
    actors = _second_pool(choose) if choose.random() < 0.3 else {}
    seen = GUESTS[:1] if actors else ()
    for number in range(1, choose.randint(2, 3) + 1 - (len(actors) > 1)):
        actors[f"task{number}"] = _actor(choose, objects, seen)
    if choose.random() < 0.6:
        actors["compactor"] = (op.kworker("compact"),)
    if choose.random() < 0.4 and len(actors) < MOST_ACTORS:
        actors["releaser"] = (op.kworker("release"),)
    if seen and choose.random() < 0.3 and len(actors) < MOST_ACTORS:
        actors["compactor-1"] = (op.kworker("compact", 1),)
    if choose.random() < 0.05 and len(actors) < MOST_ACTORS - 1:
        actors |= _readers_and_writer(choose)
    cpus = {actor: 1 for actor in actors if choose.random() < 0.4}
    faults = {choose.choice(FAULTS): 1} if choose.random() < 0.3 else {}
    setup = _setup(choose, objects)
    if choose.random() < 0.2 and len(actors) < MOST_ACTORS:
        actors["destroyer"] = (*(op.free(name) for name in objects), op.compact_work())
    used = {o for ops in (setup, *actors.values()) for one in ops for o in _objects(one)}
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


def _objects(one: Op) -> list[str]:
    named = one.named
    page = named.get("page")
    inside = [page.which] if isinstance(page, Page) else []
    return [o for o in (named.get("obj"), *inside) if isinstance(o, str)]


def _allocates(setup: tuple[Op, ...], actors: dict[str, tuple[Op, ...]], name: str) -> bool:
    return any(
        one.name == "alloc" and one.named["obj"] == name
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
    """Only actors that owe nothing to others are changed, or lent."""
    actors = dict(parent.actors)
    name = choose.choice([actor for actor in actors if actor.startswith("task")] or [""])
    ops = list(actors.get(name, ()))
    allocated = dict.fromkeys(one.named["obj"] for one in parent.setup if one.name == "alloc")
    objects = tuple(allocated) or ("a",)
    seen = GUESTS[:1] if "landlord" in actors else ()
    kind = choose.randrange(6) if name else choose.choice((4, 5))
    match kind:
        case 0:
            at = choose.randint(0, len(ops))
            ops[at:at] = _phrase(choose, objects, seen)
        case 1 if len(ops) > 1:
            del ops[choose.randrange(len(ops))]
        case 2:
            at = choose.randrange(len(ops))
            ops[at : at + 1] = _phrase(choose, objects, seen)
        case 3:
            lent = choose.choice([o for o in other.actors if o not in ("landlord", "guest")])
            if len(actors) < MOST_ACTORS and lent not in actors:
                actors[lent] = other.actors[lent]
        case 4:
            fault = choose.choice(FAULTS)
            return replace(parent, faults={fault: 1 + parent.faults.get(fault, 0)})
        case _:
            cpus = {actor: 1 for actor in actors if choose.random() < 0.5}
            return replace(parent, cpus=cpus)
    actors[name] = _closed(ops)
    return replace(parent, actors=actors)
