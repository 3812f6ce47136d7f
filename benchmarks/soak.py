"""How fast soaks are, and what each of their parts costs."""

from __future__ import annotations

from typing import Any

import click
from tables import ratio, show

from z3fold_stress.bench import soaks

VARIANTS: dict[str, dict[str, Any]] = {
    "2 workers": {},
    "without the recorder": {"ring": 0},
    "without poisoned frames": {"poison": False},
    "with a migrator": {"migrators": 1},
    "with a reclaimer": {"reclaimers": 1},
    "4 workers": {"workers": 4},
    "checked": {"checked": True},
    "checked, no waiting": {"checked": True, "watch_rate": 10**9},
}


@click.command()
@click.option("--runs", default=3, show_default=True, help="Soaks of each kind; medians count.")
@click.option("--seconds", default=3.0, show_default=True, help="How long each soak is.")
def main(runs: int, seconds: float) -> None:
    """Allocations, frees and verified maps a second, in total."""
    rates = soaks(runs, seconds, VARIANTS)
    keys = list(rates["2 workers"])
    rows = []
    for name, row in rates.items():
        cells: list[object] = [name]
        for key in keys:
            cells += [f"{row[key]:,}", ratio(row[key], rates["2 workers"][key])]
        rows.append(cells)
    names = (key.removeprefix("soak_").removesuffix("_per_s") for key in keys)
    header = ["", *(cell for name in names for cell in (name, ""))]
    show(f"a second, median of {runs} runs of {seconds:g} s", header, rows)


if __name__ == "__main__":
    main()
