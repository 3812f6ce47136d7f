"""Findings for the tests of reports: each met by one seed, once in a process."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

from z3fold_stress.defects import DEFECTS
from z3fold_stress.designs import resolve
from z3fold_stress.explore.explorer import Budget, explore_world
from z3fold_stress.explore.portfolio import PORTFOLIO
from z3fold_stress.explore.world import World
from z3fold_stress.findings import Finding
from z3fold_stress.findings.finding import make_finding, world_of
from z3fold_stress.findings.replay import Replayed, Result, replay_in
from z3fold_stress.scenario import Scenario, load, op
from z3fold_stress.verdicts import Verdict

__all__ = ["EVIL", "evil", "finding_in", "finding_of", "replayed"]

EVIL = "</script><img src=x onerror='window.hacked=1'><!-- & {{data}} \u2028"
"""Words that want to run."""


def finding_in(scenario: Scenario, verdict: str) -> Finding:
    """The first failure of this kind, with the defects that the scenario shows."""
    needs = [need for name in scenario.shows for need in DEFECTS[name].needs]
    design = resolve("sound", [*scenario.shows, *needs])
    wanted = frozenset({Verdict(verdict)})
    with World(scenario, design) as world:
        tally = explore_world(
            world, PORTFOLIO, budget=Budget(executions=20_000), seed=1, most=99, wanted=wanted
        )
        (found,) = [found for found in tally.found if found.verdict == verdict]
        return make_finding(world, found, seed=1)[0]


@functools.cache
def finding_of(name: str, verdict: str) -> Finding:
    (scenario,) = [scenario for scenario in load([name]) if scenario.name == name]
    return finding_in(scenario, verdict)


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
    return finding_in(
        Scenario(
            name="evil",
            story=EVIL,
            actors={"one": adds, "two": adds},
            finish=[op.load("n", "n", "relaxed"), op.expect("n", "==", 2, EVIL)],
        ),
        "invariant",
    )
