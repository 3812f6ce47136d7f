"""How many of a soak's failures become a deterministic scenario: the table of docs/tame.md.

python benchmarks/tame.py [--cpu-seconds 120] [--seed 1] [--dumps DIR] [NAME ...]

60 seconds of two CPUs, by default: what counts is CPU time, so that others may use the machine.
Each defect alone, with those that it needs; the soak is that of benchmarks/defects.py.  With
--dumps an arena that was saved there before is used instead of a new soak.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from defects import settings_of

from z3fold_stress.defects import DEFECTS
from z3fold_stress.dump import load
from z3fold_stress.soak import Soak
from z3fold_stress.tame import Likeness, Taming, Wild, read_wild, tame

HEADER = """\
| defect | the soak said | tamed | after s | CPU s | candidates | executions | operations |
| --- | --- | --- | --- | --- | --- | --- | --- |"""


def wild_of(name: str, seconds: float, seed: int, dumps: Path | None) -> Wild | None:
    """The failure of a soak of this defect; None when it found nothing."""
    path = None if dumps is None else dumps / f"{name}.dump"
    if path is None or not path.exists():
        found: list[Wild | None] = []
        soak = Soak(
            settings_of(name, seconds, seed),
            dump=path,
            on_failure=lambda arena: found.append(read_wild(arena)),
        )
        soak.run()
        return found[0] if found else None
    arena, _ = load(path)
    with arena:
        return read_wild(arena)


def _tame(wild: Wild, args: argparse.Namespace) -> Taming:
    return tame(
        wild, seconds=args.seconds, cpu_seconds=args.cpu_seconds, seed=args.seed, shrink_seconds=3
    )


def row(name: str, wild: Wild | None, taming: Taming | None) -> str:
    """A line of the table."""
    if wild is None or taming is None:
        return f"| `{name}` | nothing found | | | | | | |"
    how = {
        Likeness.SAME: "**same**",
        Likeness.AKIN: f"akin: in {taming.finding.where if taming.finding else ''}",
        Likeness.OTHER: f"other: {taming.finding.verdict if taming.finding else ''}",
        None: "no",
    }[taming.likeness]
    scenario = taming.finding.scenario if taming.finding else None
    size = ""
    if scenario is not None:
        programs = (scenario.setup, *scenario.actors.values(), scenario.finish)
        size = str(sum(len(ops) for ops in programs))
    shown = taming.found_after if taming.tamed else taming.seconds
    lost = f" ({taming.lost} lost)" if taming.lost else ""
    return (
        f"| `{name}` | {wild.verdict} in {wild.where} | {how} | {shown:.1f} | "
        f"{taming.cpu_seconds:.1f} | {taming.candidates:,}{lost} | {taming.executions:,} | {size} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--cpu-seconds", type=float, default=120.0)
    parser.add_argument("--soak-seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dumps", type=Path)
    args = parser.parse_args()
    if args.dumps is not None:
        args.dumps.mkdir(parents=True, exist_ok=True)
    print(HEADER)
    failed = same = akin = 0
    for name in args.names or list(DEFECTS):
        wild = wild_of(name, args.soak_seconds, args.seed, args.dumps)
        taming = None if wild is None else _tame(wild, args)
        if taming is not None:
            failed += 1
            same += taming.tamed
            akin += taming.likeness is Likeness.AKIN
        print(row(name, wild, taming), flush=True)
    print(f"\n{same} of {failed} failures tamed, {akin} more have the same verdict elsewhere.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
