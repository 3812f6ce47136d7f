"""What the flight recorder costs: on the hot paths alone, and in a soak."""

from __future__ import annotations

import click
from tables import ratio, show

from z3fold_stress.bench import allocator, soaks


@click.command()
@click.option("--runs", default=7, show_default=True, help="Runs of each loop; medians count.")
@click.option("--soak-runs", default=3, show_default=True, help="Soaks each way.")
@click.option("--seconds", default=3.0, show_default=True, help="How long each soak is.")
def main(runs: int, soak_runs: int, seconds: float) -> None:
    """With and without the recorder, in turns."""
    times = allocator(runs, variants=("", "recorder"))
    rows = []
    for what, title in (("free_alloc", "free+alloc"), ("map_unmap", "map+unmap")):
        off, on = times[f"{what}_ns"], times[f"{what}_recorder_ns"]
        rows.append([title, f"{off:.1f}", f"{on:.1f}", ratio(on, off)])
    show(f"ns a pair, median of {runs} runs", ("", "off", "on", "time"), rows)

    rates = soaks(soak_runs, seconds, {"off": {"ring": 0}, "on": {"ring": 1024}})
    rows = [
        [key.removeprefix("soak_").removesuffix("_per_s"), f"{off:,}", f"{on:,}", ratio(on, off)]
        for key, off in rates["off"].items()
        for on in (rates["on"][key],)
    ]
    show(f"soak of 2 workers, a second, median of {soak_runs}", ("", "off", "on", "speed"), rows)


if __name__ == "__main__":
    main()
