"""What fuzz makes up: it reaches what it should, and keeps the duties of the allocator's users."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import pytest

from z3fold_stress.campaign.generate import EDGE, GUESTS, MOST_ACTORS, ROOM, generate, mutate
from z3fold_stress.scenario import Op, Page, Scenario

PROGRAMS = [generate(7, number) for number in range(1500)]
MUTANTS = [
    mutate(parent, other, 7, number) for number, (parent, other) in enumerate(pairwise(PROGRAMS))
]


def operations(scenario: Scenario) -> Iterator[Op]:
    yield from scenario.setup
    for ops in scenario.actors.values():
        yield from ops


def chunks(size: int) -> int:
    return (size + 63) // 64


def fills_a_page(scenario: Scenario) -> bool:
    sizes = [chunks(one.named["size"]) for one in scenario.setup if one.name == "alloc"]
    return any(sum(sizes[:n]) == ROOM and max(sizes[:n]) < ROOM for n in (2, 3))


def most_isolated(ops: Sequence[Op]) -> int:
    """Pages that an actor may have isolated at once."""
    isolated: set[Page] = set()
    most = 0
    for one in ops:
        if one.name == "isolate" or (one.name == "migrate_pages" and not one.named["putback"]):
            isolated.add(one.named["page"])
        elif one.name == "putback":
            isolated.discard(one.named["page"])
        most = max(most, len(isolated))
    return most


def sizes_of(scenario: Scenario) -> set[int]:
    return {one.named["size"] for one in operations(scenario) if one.name == "alloc"}


def has(name: str, **arguments: object) -> Callable[[Scenario], bool]:
    return lambda scenario: any(
        one.name == name and arguments.items() <= one.named.items() for one in operations(scenario)
    )


REACHED: dict[str, Callable[[Scenario], bool]] = {
    "a pool is created": has("create_pool", pool=1),
    "a pool that evicts": has("create_pool", pool=1, evicts=True),
    "a pool is destroyed": has("destroy_pool", pool=1),
    "a pool has a guest": lambda s: "guest" in s.actors,
    "a pool has a worker": lambda s: "compactor-1" in s.actors,
    "a stranger moves its pages": lambda s: any(
        one.named.get("page") == Page("x") for one in s.actors.get("task1", ())
    ),
    "reclaim in it": has("reclaim", pool=1),
    "a page is filled exactly": fills_a_page,
    "the largest with a header": lambda s: EDGE in sizes_of(s),
    "the smallest without": lambda s: EDGE + 1 in sizes_of(s),
    "several pages isolated": lambda s: any(most_isolated(ops) > 1 for ops in s.actors.values()),
    "kept failures": has("migrate_pages", keep_failed=True),
    "kept failures, waiting": has("migrate_pages", keep_failed=True, sync=True),
    "no putback": has("migrate_pages", putback=False),
    "in reclaim": has("migrate_pages", in_reclaim=True),
    "a reader-writer lock": has("write_lock"),
    "two CPUs": lambda s: bool(s.cpus),
    "a creation that fails": lambda s: "create" in s.faults,
}


@pytest.mark.parametrize("what", REACHED)
def test_it_reaches(what: str) -> None:
    assert sum(REACHED[what](scenario) for scenario in PROGRAMS) >= 8


@pytest.mark.parametrize("programs", [PROGRAMS, MUTANTS], ids=["made up", "mutants"])
def test_users_keep_their_duties(programs: Sequence[Scenario]) -> None:
    for scenario in programs:
        assert 1 <= len(scenario.actors) <= MOST_ACTORS
        for actor, ops in scenario.actors.items():
            mapped = [one.named["obj"] for one in ops if one.name == "map"]
            assert {*mapped} == {one.named["obj"] for one in ops if one.name == "unmap"}
            isolated = [
                one.named["page"]
                for one in ops
                if one.name == "isolate"
                or (one.name == "migrate_pages" and not one.named["putback"])
            ]
            assert {*isolated} <= {one.named["page"] for one in ops if one.name == "putback"}
            if actor not in ("landlord", "guest"):
                used = {one.named.get("obj") for one in ops}
                assert used.isdisjoint(GUESTS), "who does not know when the pool is there"


def test_the_landlord_leaves_an_empty_pool() -> None:
    landlords = [s.actors["landlord"] for s in PROGRAMS if "landlord" in s.actors]
    assert len(landlords) > 300
    for ops in landlords:
        made = {one.named["obj"] for one in ops if one.name == "alloc"}
        end = max(n for n, one in enumerate(ops) if one.name == "destroy_pool")
        assert end == len(ops) - 1
        freed = {one.named["obj"] for one in ops[-1 - len(made) : end] if one.name == "free"}
        assert made <= freed


def test_most_mutants_differ_from_their_parents() -> None:
    differ = sum(
        (m.actors, m.cpus, m.faults) != (p.actors, p.cpus, p.faults)
        for m, p in zip(MUTANTS, PROGRAMS, strict=False)
    )
    assert differ > 0.7 * len(MUTANTS)


def test_it_never_gives_up() -> None:
    """What it falls back on, where nothing that it tries is a scenario, has no story."""
    assert all(scenario.story for scenario in PROGRAMS)
