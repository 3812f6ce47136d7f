"""Findings to be replayed, told and made small: each met by one seed, once in a process."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from z3fold_stress.defects import DEFECTS
from z3fold_stress.designs import resolve
from z3fold_stress.explore.explorer import Budget, explore_world
from z3fold_stress.explore.portfolio import PORTFOLIO, Arm
from z3fold_stress.explore.world import World
from z3fold_stress.findings import Evidence, Finding
from z3fold_stress.findings.finding import make_finding, world_of
from z3fold_stress.findings.replay import Replayed, Result, replay_in
from z3fold_stress.scenario import Scenario, load, op
from z3fold_stress.verdicts import Verdict

ENOUGH = Budget(executions=20_000)
CASES = [
    ("abba", "lock-order"),
    ("abba", "deadlock"),
    ("atomic-alloc-sleeps", "sleep-in-atomic"),
    ("broken-seqlock", "invariant"),
    ("compact-ignores-claim", "list-corruption"),
    ("create-error-leak", "leak"),
    ("lost-update", "data-race"),
    ("migrate-double-page-lock", "eagain-contract"),
    ("movable-without-page-lock", "lock-misuse"),
    ("orphaned-lock", "orphaned-lock"),
    ("putback-forgets-unbuddied", "lost-page"),
    ("reclaim-handles-in-shared-slots", "stale-handle"),
    ("reclaim-readds-released-page", "refcount"),
    ("slot-read-before-page-lock", "corruption"),
    ("slot-read-before-page-lock", "use-after-free"),
    ("trylock-loop", "livelock"),
]
"""Scenario and verdict: an injected failure and a death among them, and one with a lead."""


REPORTED = [
    ("abba", "deadlock"),
    ("abba", "lock-order"),
    ("lost-update", "data-race"),
    ("orphaned-lock", "orphaned-lock"),
    ("isolate-unlinks-outside-pool-lock", "data-race"),
    ("slot-read-before-page-lock", "use-after-free"),
    ("putback-forgets-unbuddied", "lost-page"),
]
"""What reports are made of: each has something of its own to tell."""
EVIL = "</script><img src=x onerror='window.hacked=1'><!-- & {{data}} \u2028"
"""Words that want to run."""
RELAXED = Scenario(
    name="lost-update-relaxed",
    setup=[op.alloc("spare", 100)],
    actors={
        name: [
            op.load("other", "m", "relaxed"),
            op.load("n", "n", "relaxed"),
            op.add("n", 1),
            op.store("n", "n", "relaxed"),
            op.fetch_add("done", 1),
        ]
        for name in ("one", "two", "three")
    },
    finish=[op.load("n", "n", "relaxed"), op.expect("n", ">=", 2, "one addition may be lost")],
)
"""Needs two of its actors and two of their operations; nothing in it is a data race."""


def bent(scenario: Scenario) -> str:
    """The correct protocol with what the scenario shows, and what that needs to bite."""
    needs = [need for name in scenario.shows for need in DEFECTS[name].needs]
    return resolve("sound", [*scenario.shows, *needs]).name


def find_in(
    scenario: Scenario,
    verdict: str,
    *,
    arms: tuple[Arm, ...] = PORTFOLIO,
    seed: int = 1,
    **how: Any,
) -> tuple[Finding, Evidence]:
    """The first failure of this kind that a seed meets."""
    wanted = frozenset({Verdict(verdict)})
    with World(scenario, resolve(bent(scenario)), **how) as world:
        tally = explore_world(world, arms, budget=ENOUGH, seed=seed, most=99, wanted=wanted)
        (found,) = [found for found in tally.found if found.verdict == verdict]
        return make_finding(world, found, seed=seed)


def scenario_named(name: str) -> Scenario:
    """It alone, though its file may have others."""
    (scenario,) = [scenario for scenario in load([name]) if scenario.name == name]
    return scenario


@functools.cache
def evidence_of(name: str, verdict: str) -> tuple[Finding, Evidence]:
    return find_in(scenario_named(name), verdict)


def finding_of(name: str = "lost-update", verdict: str = "data-race") -> Finding:
    return evidence_of(name, verdict)[0]


@functools.cache
def relaxed() -> Finding:
    return find_in(RELAXED, "invariant")[0]


@contextmanager
def replayed(finding: Finding) -> Iterator[tuple[World, Replayed]]:
    """Its world as the failure left it."""
    with world_of(finding) as world:
        done = replay_in(world, finding)
        assert done.result is Result.IDENTICAL
        yield world, done


def evil() -> Finding:
    """A failure whose words want to run."""
    adds = [op.load("n", "n", "relaxed"), op.add("n", 1), op.store("n", "n", "relaxed")]
    return find_in(
        Scenario(
            name="evil",
            story=EVIL,
            actors={"one": adds, "two": adds},
            finish=[op.load("n", "n", "relaxed"), op.expect("n", "==", 2, EVIL)],
        ),
        "invariant",
    )[0]
