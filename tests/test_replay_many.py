"""A thousand findings of mixed verdicts, each replayed in a process of its own: the same events.

Minutes long: run with -m soak. A smaller number of them is always run.
"""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from z3fold_stress.defects import DEFECTS
from z3fold_stress.designs import resolve
from z3fold_stress.explore.explorer import Budget, explore_world
from z3fold_stress.explore.portfolio import Arm
from z3fold_stress.explore.world import World
from z3fold_stress.findings import load_finding
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


def again(line: str) -> tuple[str, str]:
    """The command, in a process of its own: what came of it, and the hash of its events."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "z3fold_stress", "replay", line, "--json"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    told = json.loads(done.stdout)
    return told["result"], told["hash"]


def check(number: int) -> dict[str, int]:
    lines = collect(number)
    assert len(lines) == number
    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(again, lines))
    verdicts: dict[str, int] = {}
    for line, result in zip(lines, results, strict=True):
        finding = load_finding(line)
        assert result == ("identical", finding.hash), line
        verdicts[str(finding.verdict)] = verdicts.get(str(finding.verdict), 0) + 1
    return verdicts


def test_findings_replay_in_fresh_processes() -> None:
    assert len(check(12)) >= 3


@pytest.mark.soak
def test_a_thousand_findings_replay_in_fresh_processes() -> None:
    verdicts = check(1000)
    print(verdicts)
    assert len(verdicts) >= 8
