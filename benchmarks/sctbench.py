"""How many executions each strategy needs to the bug of each SCTBench program, beside what the
artefact of SURW (Zhao et al., ASPLOS 2025) published: the tables of docs/strategies.md.

python benchmarks/sctbench.py [--trials 20] [--executions 10000] [--markdown] [NAME ...]

A cell is the mean over the trials that found the bug; where not all did, how many of them. Every
access is a schedule point and a race is no verdict, as in the artefact. Two tables: all actors
are there from the beginning; and an actor more creates them one by one, as the C programs do
(only where there are few).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from statistics import mean

from tables import show

from z3fold_stress.designs import resolve
from z3fold_stress.explore.portfolio import Arm
from z3fold_stress.explore.world import World
from z3fold_stress.scenario import Op, Scenario, load, op

ARMS = (Arm("surw"), Arm("pct", depth=3), Arm("pct", depth=10), Arm("pos"), Arm("random"))
FOREVER = 10**15
MOST_CREATED = 10
"""More actors do not get a word each."""

# Mean schedules to the first bug of SURW, PCT-3, PCT-10, POS and the random walk, limit 10,000,
# 20 trials: stats/period/out.tex of github.com/zhaohuanqdcn/SURW. "*": not all trials found it.
PUBLISHED: dict[str, tuple[str, str, str, str, str]] = {
    "reorder-3": ("7", "185", "148", "86", "-"),
    "reorder-4": ("7", "554", "362", "533", "-"),
    "reorder-5": ("10", "647", "1094", "2169", "-"),
    "reorder-10": ("17", "3225*", "4462*", "-", "-"),
    "reorder-20": ("6", "3005", "3297*", "-", "-"),
    "twostage": ("8", "13", "9", "15", "464"),
    "twostage-20": ("6", "159", "101", "156", "-"),
    "twostage-50": ("20", "1676", "692", "1637", "-"),
    "twostage-100": ("454", "7466*", "5726*", "6674*", "-"),
    "account": ("6", "4", "4", "4", "18"),
    "deadlock01": ("2", "13", "7", "4", "3"),
    "lazy01": ("2", "5", "5", "5", "21"),
    "stack": ("5", "3", "3", "2", "176"),
    "token-ring": ("8", "8", "8", "9", "13"),
    "wronglock": ("7", "51", "20", "10", "36"),
    "wronglock-3": ("9", "58", "14", "11", "36"),
    "bluetooth-driver": ("70", "112", "83", "36", "215"),
}


def created(scenario: Scenario, own: int = 4) -> Scenario:
    """The scenario with an actor that creates the others one by one, in their order.

    Each waits for a word of its own, of which a program has few. ``own`` more accesses of the
    creator stand for the variables of a loop that was compiled with -O0.
    """
    main: list[Op] = []
    actors: dict[str, Sequence[Op]] = {"main": main}
    for name, ops in scenario.actors.items():
        main += [op.load("main-variable", "r")] * own
        main.append(op.store(f"create-{name}", 1))
        actors[name] = [op.wait_until(f"create-{name}", 1), *ops]
    return Scenario(name=scenario.name, actors=actors, words=scenario.words, expect=scenario.expect)


def executions_to_bug(scenario: Scenario, arm: Arm, seed: int, most: int) -> int | None:
    with World(scenario, resolve("sound"), races=False, every_access=True) as world:
        simulator = world.simulator
        simulator.begin(arm.strategy, seed, depth=arm.depth)
        done = 0
        while done < most:
            stop = simulator.explore(most - done, FOREVER)
            done = simulator.totals()["executions"]
            if stop == "found" and simulator.outcome()["verdict"]:  # a lock order is no bug here
                return int(done)
    return None


def cell(scenario: Scenario, arm: Arm, trials: int, most: int) -> str:
    tried = [executions_to_bug(scenario, arm, 1000 + seed, most) for seed in range(trials)]
    found = [executions for executions in tried if executions is not None]
    if not found:
        return "-"
    return f"{mean(found):.0f}" + ("" if len(found) == trials else f" ({len(found)}/{trials})")


def print_table(title: str, rows: Iterable[Sequence[str]], markdown: bool) -> None:
    header = ["program", *(f"{arm.name} {whose}" for arm in ARMS for whose in ("ours", "theirs"))]
    if not markdown:
        show(title, header, list(rows))
        return
    print(f"{title}\n")
    for row in (header, ["---"] * len(header), *rows):
        print(f"| {' | '.join(row)} |")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--executions", type=int, default=10_000)
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--created", action="store_true", help="the second table only")
    parser.add_argument("--together", action="store_true", help="the first table only")
    parser.add_argument("names", nargs="*", metavar="NAME", help="all if none")
    asked = parser.parse_args()
    known = {scenario.name: scenario for scenario in load(["sctbench"])}
    scenarios = [known[name] for name in asked.names or PUBLISHED]
    small = [scenario for scenario in scenarios if len(scenario.actors) <= MOST_CREATED]
    tables = {}
    if not asked.created:
        tables["All actors are there from the beginning"] = scenarios
    if not asked.together:
        tables["An actor more creates them one by one"] = [created(each) for each in small]
    for title, chosen in tables.items():
        rows = []
        for scenario in chosen:
            print(f"{scenario.name} ...", end="\r", file=sys.stderr, flush=True)
            theirs = PUBLISHED.get(scenario.name, ("?",) * len(ARMS))
            ours = [cell(scenario, arm, asked.trials, asked.executions) for arm in ARMS]
            pairs = zip(ours, theirs, strict=True)
            rows.append([scenario.name, *(each for pair in pairs for each in pair)])
        print_table(title, rows, asked.markdown)


if __name__ == "__main__":
    main()
