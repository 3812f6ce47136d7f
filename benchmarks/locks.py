"""All kinds of spinlocks side by side: one hot lock, more and more processes."""

from __future__ import annotations

import click
from tables import ratio, show

from z3fold_stress.bench import LOCK_PROCESSES, locks
from z3fold_stress.settings import LOCK_KINDS


@click.command()
@click.option("--runs", default=3, show_default=True, help="Runs; medians count.")
@click.option("--seconds", default=0.5, show_default=True, help="How long each run is.")
def main(runs: int, seconds: float) -> None:
    """Lock and unlock pairs a second, in total over all processes."""
    pairs, waits = locks(runs, seconds)
    base = LOCK_KINDS[0]
    rows = []
    for n in LOCK_PROCESSES:
        row: list[object] = [n]
        for kind in LOCK_KINDS:
            row += [f"{pairs[kind][n]:,.0f}", ratio(pairs[kind][n], pairs[base][n])]
        rows.append(row)
    header = ["processes", *(cell for kind in LOCK_KINDS for cell in (kind, ""))]
    show(f"pairs a second, median of {runs} runs of {seconds:g} s", header, rows)
    show(
        "longest wait in ms, of all runs",
        ["processes", *LOCK_KINDS],
        [[n, *(f"{waits[kind][n]:.2f}" for kind in LOCK_KINDS)] for n in LOCK_PROCESSES],
    )


if __name__ == "__main__":
    main()
