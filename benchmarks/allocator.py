"""The hot paths of one process: free and alloc, map and unmap, bare and with one thing more."""

from __future__ import annotations

import click
from tables import ratio, show

from z3fold_stress.bench import VARIANTS, allocator

TITLES = {
    "": "bare: recorder and poison off",
    "recorder": "with the flight recorder",
    "poison": "with poisoned free frames",
    "as_posted_lookup": "with the lookup as posted",
}
ORIGINAL = {"free_alloc": 274.0, "map_unmap": 65.0}
"""The original C code in user space, on a machine of two cores: for scale, not for comparison."""


@click.command()
@click.option("--runs", default=7, show_default=True, help="Runs; medians count.")
def main(runs: int) -> None:
    """Nanoseconds a pair, one process, 10,000 live objects of 200 to 1500 bytes."""
    figures = allocator(runs)
    rows = []
    for name in VARIANTS:
        row = [TITLES[name]]
        for what in ORIGINAL:
            value = figures["_".join(filter(None, (what, name, "ns")))]
            row += [f"{value:.1f}", ratio(value, figures[f"{what}_ns"])]
        rows.append(row)
    rows.append(
        ["the original C code, elsewhere"]
        + [cell for value in ORIGINAL.values() for cell in (f"{value:.0f}", "")]
    )
    show(f"ns a pair, median of {runs} runs", ("", "free+alloc", "", "map+unmap", ""), rows)


if __name__ == "__main__":
    main()
