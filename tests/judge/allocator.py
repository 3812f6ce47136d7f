"""Programs of the allocator, where no judge knows the answer: searches that promise the same
check each other.

Depth-first search without reduction and the one with it, each with and without every access as a
schedule point, promise to see all that can happen; random ones promise nothing, but what they find
is there. None may say "complete" where another finds something. Owns the mix of these programs.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from judge.compare import found_by
from z3fold_stress.defects import DEFECTS
from z3fold_stress.designs import resolve
from z3fold_stress.errors import ScenarioError
from z3fold_stress.explore.explorer import Budget, Exploration, explore
from z3fold_stress.scenario import Page, Scenario, op
from z3fold_stress.scenario.value import Op

SEARCHES = (
    ("dpor", False, 8),
    ("dpor", True, 4),
    ("dfs", False, 2),
    ("dfs", True, 2),
    ("random", False, 1),
    ("pos", True, 1),
)
"""Strategy, whether every access is a schedule point, and its share of executions."""
SIZES = (64, 600, 1200, 1200, 1900, 2600, 3700, 4096)
FAULTS = ("page", "slots", "target", "evict", "trylock")
MOST_EXECUTIONS = 2_000
OBJECTS = ("a", "b", "c")


def generate(seed: int, number: int) -> Scenario:
    """The program with this number of this seed."""
    draw = random.Random(f"judge allocator {seed} {number}")
    while True:
        try:
            return _scenario(draw, f"allocator-{seed}-{number}")
        except ScenarioError:
            continue  # a word that nobody allocates, and the like: the next draw


def _scenario(draw: random.Random, name: str) -> Scenario:
    objects = OBJECTS[: draw.choice((1, 2, 2, 3))]
    setup = [op.alloc(each, draw.choice(SIZES), fill=True) for each in objects]
    if draw.random() < 0.3:
        setup.append(op.free(draw.choice(objects)))
    if draw.random() < 0.2:
        setup.append(op.drain())
    actors = {f"t{n}": _actor(draw, objects) for n in range(draw.choice((2, 2, 2, 3)))}
    if draw.random() < 0.25:
        actors["worker"] = [op.kworker(draw.choice(("compact", "release")))]
    mortals = [actor for actor in actors if actor != "worker"]
    return Scenario(
        name=name,
        setup=setup,
        actors=actors,
        finish=draw.choice(([op.drain()], [op.drain(), op.probe(2), op.drain()])),
        cpus={actor: 1 for actor in actors if draw.random() < 0.2},
        faults={draw.choice(FAULTS): 1} if draw.random() < 0.2 else {},
        deaths=[draw.choice(mortals)] if draw.random() < 0.15 else [],
        design=f"sound+{draw.choice(list(DEFECTS))}" if draw.random() < 0.6 else "sound",
        arena={"frames": draw.choice((4, 6))},
    )


def _actor(draw: random.Random, objects: tuple[str, ...]) -> list[Op]:
    ops = _phrase(draw, objects)
    if draw.random() < 0.3:
        ops += _phrase(draw, objects)
    return ops


def _phrase(draw: random.Random, objects: tuple[str, ...]) -> list[Op]:
    """A few operations that belong together."""
    each, page = draw.choice(objects), _page(draw, objects)
    rewrite = draw.choice((op.write, op.read))
    phrases = (
        (4, [op.map(each), op.check(each), op.unmap(each)]),
        (4, [op.free(each)]),
        (2, [op.alloc(draw.choice(("d", each)), draw.choice(SIZES), fill=draw.random() < 0.5)]),
        (3, [op.migrate_pages(page, passes=draw.choice((1, 2)))]),
        (1, [op.migrate_pages(page, sync=False, keep_failed=draw.random() < 0.3)]),
        (1, [op.isolate(page), op.migrate(page), op.putback(page)]),
        (1, [op.isolate(page), op.putback(page)]),
        (2, [op.reclaim(1)]),
        (1, [op.drain()]),
        (1, [op.compact_work()]),
        (1, [op.release_work()]),
        (1, [rewrite(each)]),
        (1, [op.fill(each)]),
        (1, [op.lock_header(page), op.unlock_header(page)]),
        (1, [op.trylock_page(page, "t"), op.when("t", [op.unlock_page(page)])]),
    )
    (made,) = draw.choices([p for _, p in phrases], [weight for weight, _ in phrases])
    return list(made)


def _page(draw: random.Random, objects: tuple[str, ...]) -> Page:
    return op.frame(draw.randrange(2)) if draw.random() < 0.2 else op.page_of(draw.choice(objects))


@dataclass(frozen=True, slots=True)
class Said:
    """How one search of a program ended."""

    strategy: str
    every_access: bool
    exploration: Exploration

    @property
    def complete(self) -> bool:
        return bool(self.exploration.claims) and not found_by(self.exploration)

    def __str__(self) -> str:
        found = ", ".join(sorted(found_by(self.exploration)))
        says = f"found {found}" if found else str(self.exploration.status)
        every = " --every-access" if self.every_access else ""
        return f"{self.strategy}{every}: {says} after {self.exploration.executions} executions"


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A search that was complete where another found something."""

    scenario: Scenario
    races: bool
    complete: Said
    finds: Said

    def __str__(self) -> str:
        return f"{self.scenario.design}: {self.complete}; {self.finds}"


@dataclass(slots=True)
class Tally:
    """What was compared."""

    programs: int = 0
    found: int = 0
    complete: int = 0
    """Programs where some search promised everything, and found nothing."""
    checked: int = 0
    """Claims that another search could have shown false: it also came to an end, or to a find."""
    executions: int = 0
    contradictions: list[Contradiction] = field(default_factory=list)


def search(scenario: Scenario, strategy: str, every_access: bool, races: bool, most: int) -> Said:
    return Said(
        strategy,
        every_access,
        explore(
            scenario,
            resolve(scenario.design),
            strategy=strategy,
            bound=-1 if strategy in ("dfs", "dpor") else None,
            budget=Budget(executions=most),
            races=races,
            every_access=every_access,
            max_steps=5_000,
        ),
    )


def compare(
    scenario: Scenario, tally: Tally, races: bool, most: int = MOST_EXECUTIONS
) -> list[Contradiction]:
    """All contradictions about one program, which is also added to the tally."""
    said = [search(scenario, one, every, races, share * most) for one, every, share in SEARCHES]
    finds = [one for one in said if found_by(one.exploration)]
    complete = [one for one in said if one.complete]
    tally.programs += 1
    tally.found += bool(finds)
    tally.complete += bool(complete)
    tally.checked += len(complete) > 1 or bool(finds)
    tally.executions += sum(one.exploration.executions for one in said)
    wrong = [Contradiction(scenario, races, one, finds[0]) for one in complete if finds]
    tally.contradictions += wrong
    return wrong
