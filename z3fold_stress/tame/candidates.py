"""Scenarios that may show a wild failure again, the most faithful first.

Owns what is tried, in which order and with which share of the work; a wild failure and a seed
always give the same candidates.  Never runs anything.

1. *recorded*: the failing page as it was, and each task with its own last operations on it.
2. *relaxed*: small sets of the operations that were seen near the page, each with an actor of its
   own, on pages of one to three objects; those seen last come first.  Once with the objects there
   already, made by the correct protocol, and once with all made by the design that failed.
3. *mutant*: changes of those, without an end.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations, product
from typing import Any

from z3fold_stress.campaign.generate import mutate
from z3fold_stress.errors import ScenarioError
from z3fold_stress.scenario import Op, Scenario, op
from z3fold_stress.tame.recorded import Recorded, arena_of, daemons, finish_of, recorded
from z3fold_stress.tame.wild import Wild

__all__ = ["Candidate", "candidates"]

GLANCE, LOOK, STARE = 256, 1500, 12_000
"""Executions for one of many, for one of some, and for what is closest to the run."""
SCANNED = 8
"""Frames: all that a scenario has."""
CLOSEST = 40
"""Relaxed candidates that are looked at again for longer."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One scenario to explore, and for how many executions."""

    origin: str
    """``recorded``, ``relaxed`` or ``mutant``."""
    scenario: Scenario
    executions: int


@dataclass(frozen=True, slots=True)
class _Part:
    """Something that one actor does."""

    kind: str
    ops: tuple[Op, ...]


@dataclass(frozen=True, slots=True)
class _Page:
    """Objects that are there at first, by name; ``fit``: sizes of others that still fit beside."""

    objects: tuple[tuple[str, int], ...]
    fit: tuple[int, ...]


OWN_LATER = 2
"""How much later those come whose objects are made by the design that failed."""
PAGES = (
    _Page((("a", 1200),), (600, 2000)),
    _Page((("a", 1200), ("b", 900)), (600,)),
    _Page((("a", 4090),), (4090,)),
    _Page((("a", 900), ("b", 1200), ("c", 1000)), (300,)),
    _Page((("a", 3700),), (3700,)),
    _Page((("a", 2600), ("b", 2600)), (1200,)),
    _Page((("a", 640), ("b", 4090)), (600,)),
    _Page((("a", 4090), ("b", 1200)), (600,)),
)
"""A page with one object, two, three; a headless one; a full one; two with room; one of each kind,
either older."""

SEEN_AS = {
    "alloc": "alloc",
    "free": "free",
    "map": "map",
    "unmap": "map",
    "isolate": "migrate",
    "migrate": "migrate",
    "putback": "migrate",
    "migrate_pages": "migrate",
    "reclaim": "reclaim",
    "evict": "reclaim",
    "destroy_pool": "churn",
    "create_pool": "churn",
    "compact": "compact",
    "release": "release",
}
"""What an actor would do to be seen doing that."""
KINDS = ("free", "migrate", "reclaim", "map", "alloc", "churn", "compact", "release", "rewrite")
"""In this order where nothing was seen."""


def candidates(wild: Wild, seed: int = 0) -> Iterator[Candidate]:
    """All of them, without an end; ``seed`` is for the mutants."""
    first = list(recorded(wild))
    parents = [each.scenario for each in first]
    for scenario in parents:
        yield Candidate("recorded", scenario, LOOK)
    longer = [Candidate("recorded", scenario, STARE) for scenario in parents]
    relaxed = chain(*(_relaxed(wild, first, size) for size in (1, 2, 3)))
    for number, scenario in enumerate(relaxed):
        yield Candidate("relaxed", scenario, GLANCE)
        if number < CLOSEST:
            parents.append(scenario)
            longer.append(Candidate("relaxed", scenario, STARE))
        elif number % 8 == 0 and longer:
            yield longer.pop(0)
        elif number % 8 == 4:
            yield Candidate("mutant", _mutant(parents, seed, number), LOOK)
    number = -1
    while parents:
        yield Candidate("mutant", _mutant(parents, seed, number), LOOK)
        number -= 1


def _mutant(parents: Sequence[Scenario], seed: int, number: int) -> Scenario:
    choose = random.Random(f"z3fold-stress tame {seed} {number}")
    scenario = choose.choice(parents)
    for step in range(choose.randint(1, 3)):
        scenario = mutate(scenario, choose.choice(parents), seed, 8 * number + step)
    return replace(scenario, name="tamed")


# relaxed


def _relaxed(wild: Wild, first: Sequence[Recorded], size: int) -> Iterator[Scenario]:
    """Sets of so many parts, on each page, the likeliest first."""
    ranks = _ranks(wild)
    ranked = []
    for at, page in enumerate(_pages(wild, first)):
        parts = [part for kind in ranks for part in _parts(kind, page)]
        for chosen in combinations(range(len(parts)), size):
            kinds = [parts[i].kind for i in chosen]
            weight = sum(ranks[kind] for kind in kinds) + at
            for own, fails in product((False, True), (False, True) if wild.faults else (False,)):
                later = OWN_LATER * own * (size - 1) + fails
                key = (weight + later, at, chosen, own, fails)
                ranked.append((key, page, [parts[i] for i in chosen]))
    ranked.sort(key=lambda one: one[0])
    for (_, _, _, own, fails), page, parts in ranked:
        scenario = _scenario(wild, page, parts, own, wild.faults if fails else ())
        if scenario is not None:
            yield scenario


def _ranks(wild: Wild) -> dict[str, int]:
    """What was seen last comes first; what was not seen comes at the end."""
    seen: dict[str, None] = {}
    if wild.op in SEEN_AS:
        seen[SEEN_AS[wild.op]] = None
    if wild.pool or (wild.op in ("", "destroy_pool") and wild.page is None):
        seen["churn"] = None
    for deed in reversed(wild.deeds):
        if deed.role == "churner":
            seen["churn"] = None
        if deed.op in SEEN_AS:
            seen[SEEN_AS[deed.op]] = None
    return {kind: rank for rank, kind in enumerate(dict.fromkeys((*seen, *KINDS)))}


def _pages(wild: Wild, first: Sequence[Recorded]) -> list[_Page]:
    """As the run had it, then the usual ones; headless ones first where it was one."""
    known = [_Page(r.objects[:3], (600, 1200)) for r in first if r.objects][:1]
    usual = sorted(PAGES, key=lambda page: (page.objects[0][1] > 4000) != wild.headless)
    return [*known, *(page for page in usual if page not in known)]


def _parts(kind: str, page: _Page) -> list[_Part]:
    return [_Part(kind, ops) for ops in _phrases(kind, page)]


def _phrases(kind: str, page: _Page) -> list[tuple[Op, ...]]:
    """What an actor may do to a page so that it is seen doing that."""
    names = [name for name, _ in page.objects]
    a = names[0]
    match kind:
        case "free":
            found: list[tuple[Op, ...]] = [(op.free(name),) for name in names]
            return [*found, tuple(op.free(name) for name in names)] if len(names) > 1 else found
        case "map":
            found = [(op.map(name), op.check(name), op.unmap(name)) for name in names[:2]]
            if len(names) > 1:
                both = (op.map(a), op.map(names[1]), op.check(a))
                found.append((*both, op.unmap(names[1]), op.unmap(a)))
            return found
        case "alloc":
            one = (op.alloc("n", page.fit[0], fill=True),)
            more = [(op.alloc("m", size, fill=True), op.free("m")) for size in page.fit]
            return [one, *more, (op.alloc("k", page.fit[0], atomic=True, fill=True),)]
        case "migrate":
            where = op.page_of(a)
            put_back = (op.isolate(where), op.putback(where))
            return [(op.migrate_pages(where),), put_back, (op.compact_memory(0, SCANNED),)]
        case "reclaim":
            return [(op.reclaim(1),), (op.reclaim(3),)]
        case "compact":
            return [(op.compact_work(),)]
        case "release":
            return [(op.free(a), op.release_work())]
        case "rewrite":
            return [(op.fill(a),)]
        case "churn":
            p, q = op.alloc("p", 1200, fill=True, pool=1), op.alloc("q", 900, fill=True, pool=1)
            new, gone = op.create_pool(1), op.destroy_pool(1)
            return [
                (new, p, q, op.free("p"), op.free("q"), gone),
                (new, op.alloc("p", 4090, fill=True, pool=1), op.free("p"), gone),
                (new, gone),
            ]
    return []


def _scenario(
    wild: Wild, page: _Page, parts: Sequence[_Part], own: bool, faults: Sequence[str]
) -> Scenario | None:
    """An actor for each part; with ``own`` the first of them makes the objects too."""
    making = tuple(op.alloc(name, size, fill=True) for name, size in page.objects)
    names = (f"{part.kind}{number}" for number, part in enumerate(parts, start=1))
    actors = {name: part.ops for name, part in zip(names, parts, strict=True)}
    churns = any(part.kind == "churn" for part in parts)
    if own:
        opener = next(iter(actors))
        actors[opener] = (*making, *actors[opener])
    if churns:  # the page that moves is one of the pool that goes
        churned = (op.migrate_pages(op.page_of("p")),)
        actors = {
            name: churned if ops[0].name == "migrate_pages" else ops for name, ops in actors.items()
        }
    settings: dict[str, Any] = {
        "name": "tamed",
        "design": wild.design,
        "setup": () if own else making,
        "actors": {**actors, **daemons()},
        "finish": finish_of(wild),
        "faults": dict.fromkeys(faults, 1),
        "arena": arena_of(wild),
    }
    try:
        return Scenario(**settings)
    except ScenarioError:
        return None  # two parts that do not go together
