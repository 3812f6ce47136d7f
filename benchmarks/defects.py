"""What a soak finds of each single defect, within a time: the table of docs/defects-found.md.

python benchmarks/defects.py [--seconds 20] [--seed 1] [--checked] [NAME ...]
"""

from __future__ import annotations

import argparse
import sys

from z3fold_stress.defects import DEFECTS, by_name
from z3fold_stress.designs import resolve
from z3fold_stress.soak import SoakReport, SoakSettings, run

FAULTS = {"page": 0.01, "slots": 0.01, "target": 0.02, "evict": 0.2, "trylock": 0.02, "create": 0.1}


CHECKED = {"checked": True, "watch_rate": 500, "watch_stall_us": 50, "access_delay": 0.0002}


def settings_of(name: str, seconds: float, seed: int, checked: bool = False) -> SoakSettings:
    """A soak of one defect (with those it needs), everything else sound and everything on."""
    return SoakSettings(
        workers=3,
        migrators=2,
        seconds=seconds,
        design=resolve("sound", [name, *by_name(name).needs]),
        objects=1500,
        frames=1200,
        swap=1500,
        seed=seed,
        faults=FAULTS,
        delay_rate=0.002,
        delay_ns=20000,
        quiet_interval=0.5,
        maps=1.5,
        linger=0.2,
        hot=0.3,
        sizes="uniform",
        reclaimers=2,
        reclaim_interval_us=100,
        **(CHECKED if checked else {}),
    )


def row(name: str, report: SoakReport) -> str:
    """A line of the table."""
    expected = {str(v) for v in by_name(name).verdicts}
    if not report.judgements:
        found = "not found" if report.status == 0 else "inconclusive"
        return f"| `{name}` | {found} | {report.seconds:.1f} | |"
    first = report.judgements[0]
    mark = "" if str(first.verdict) in expected else " (not the verdict that was expected)"
    return f"| `{name}` | **{first.verdict}**{mark} | {report.seconds:.1f} | {first.text} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--checked", action="store_true", help="every access checked")
    args = parser.parse_args()
    names = args.names or list(DEFECTS)
    print("| defect | verdict | after s | what the report says |\n| --- | --- | --- | --- |")
    found = 0
    for name in names:
        report = run(settings_of(name, args.seconds, args.seed, args.checked))
        found += bool(report.judgements)
        print(row(name, report), flush=True)
    print(f"\n{found} of {len(names)} found within {args.seconds:g} s each.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
