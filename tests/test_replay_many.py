"""A thousand findings of mixed verdicts, each replayed in a process of its own: the same events.

Minutes long: run with -m soak. A smaller number of them is always run.
"""

from __future__ import annotations

import multiprocessing

import pytest

from z3fold_stress.defects import DEFECTS
from z3fold_stress.designs import resolve
from z3fold_stress.explore.explorer import Budget, explore_world
from z3fold_stress.explore.portfolio import Arm
from z3fold_stress.explore.world import World
from z3fold_stress.findings import load_finding, replay
from z3fold_stress.findings.finding import make_finding
from z3fold_stress.scenario import all_scenarios

ARMS = (Arm("random"), Arm("pos"), Arm("pct", depth=3), Arm("surw"), Arm("dfs", depth=2))


def collect(most: int) -> list[str]:
    """Lines of findings, seed after seed over all scenarios."""
    lines: dict[str, None] = {}
    broken = [s for s in all_scenarios() if s.expect and "sctbench" not in s.tags]
    for seed in range(100):
        for scenario in broken:
            needs = [need for name in scenario.shows for need in DEFECTS[name].needs]
            with World(scenario, resolve("sound", [*scenario.shows, *needs])) as world:
                arm = ARMS[seed % len(ARMS)]
                tally = explore_world(
                    world, (arm,), budget=Budget(executions=400), seed=seed, most=3
                )
                for found in tally.found:
                    lines[make_finding(world, found, seed=seed)[0].line()] = None
            if len(lines) >= most:
                return list(lines)[:most]
    return list(lines)


def again(line: str) -> tuple[str, str, str]:
    """In a fresh process: what came of it, the verdict, the hash."""
    finding = load_finding(line)
    done = replay(finding, record=1)
    return str(done.result), str(finding.verdict), f"{done.evidence.hash:016x}"


def check(number: int) -> dict[str, int]:
    lines = collect(number)
    assert len(lines) == number
    context = multiprocessing.get_context("spawn")
    with context.Pool(2, maxtasksperchild=1) as pool:
        results = pool.map(again, lines, chunksize=1)
    verdicts: dict[str, int] = {}
    for line, (result, verdict, digest) in zip(lines, results, strict=True):
        assert (result, digest) == ("identical", load_finding(line).hash), line
        verdicts[verdict] = verdicts.get(verdict, 0) + 1
    return verdicts


def test_findings_replay_in_fresh_processes() -> None:
    assert len(check(12)) >= 3


@pytest.mark.soak
def test_a_thousand_findings_replay_in_fresh_processes() -> None:
    verdicts = check(1000)
    print(verdicts)
    assert len(verdicts) >= 8
