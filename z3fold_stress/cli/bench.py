"""``z3fold-stress bench``: how fast the allocator, the locks and a soak are on this machine."""

from __future__ import annotations

import json
from typing import Any

import click


@click.command()
@click.option("--runs", default=5, show_default=True, help="Runs of each loop; medians count.")
@click.option("--soak-runs", default=3, show_default=True, help="Soaks.")
@click.option("--soak-seconds", default=3.0, show_default=True, help="How long each soak is.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, and nothing else.")
def bench(runs: int, soak_runs: int, soak_seconds: float, as_json: bool) -> None:
    """Measure this machine: hot paths, locks under contention, soaks, exploring. Takes about a
    minute.

    Keep the machine idle meanwhile.
    """
    from z3fold_stress.bench import everything
    from z3fold_stress.errors import SettingsError

    if runs < 1 or soak_runs < 1:
        raise SettingsError("a median needs at least 1 run: raise --runs or --soak-runs")
    figures = everything(runs, soak_runs, soak_seconds)
    if as_json:
        click.echo(json.dumps(figures, indent=1))
    else:
        click.echo("\n".join(_lines(figures)))


def _lines(f: dict[str, Any]) -> list[str]:
    lines = [
        "One process, 10,000 live objects of 200 to 1500 bytes; ns a pair, medians:",
        f"  {'':<34}{'free+alloc':>12}{'map+unmap':>12}",
    ]
    for title, name in (
        ("bare: recorder and poison off", ""),
        ("with the flight recorder", "recorder_"),
        ("with poisoned free frames", "poison_"),
        ("with the lookup as posted", "as_posted_lookup_"),
    ):
        free_alloc, map_unmap = f[f"free_alloc_{name}ns"], f[f"map_unmap_{name}ns"]
        lines.append(f"  {title:<34}{free_alloc:>12.1f}{map_unmap:>12.1f}")
    lines += ["", "One hot lock; million pairs a second in total (worst wait in ms):"]
    pairs, waits = f["lock_pairs_per_s"], f["lock_worst_wait_ms"]
    counts = list(next(iter(pairs.values())))
    lines.append(f"  {'processes':<10}" + "".join(f"{n:>20}" for n in counts))
    for kind, row in pairs.items():
        cells = (f"{row[n] / 1e6:.3f} ({waits[kind][n]:.1f})" for n in counts)
        lines.append(f"  {kind:<10}" + "".join(f"{cell:>20}" for cell in cells))
    lines += ["", "Soak of 2 workers, every map verified; a second:"]
    for name in ("allocs", "frees", "maps"):
        lines.append(f"  {name:<10}{f[f'soak_{name}_per_s']:>14,}")
    lines += ["", "Executions a second that are explored on one core, random walk, medians:"]
    for title, name in (
        ("two tasks, two locks", "abba"),
        ("three tasks, a counter under a lock", "counter"),
        ("4 tasks x 25 atomic operations", "4x25"),
        ("the same, looking for races", "4x25_races"),
        ("z3fold: alloc, free, map, migrate; races, audit", "z3fold"),
    ):
        lines.append(f"  {title:<50}{f[f'explore_{name}_per_s']:>12,}")
    lines.append(f"  {'two tasks, two locks, as real processes':<50}{f['explore_live_per_s']:>12,}")
    if f["load_before"] > f["cpus"] / 2:
        lines += ["", f"The machine was busy (load {f['load_before']}): these figures are too bad."]
    return lines
