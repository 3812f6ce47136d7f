"""``z3fold-stress museum``: every known fault, found again."""

from __future__ import annotations

import json
import sys

import click

from z3fold_stress.campaign.crew import available_jobs
from z3fold_stress.campaign.museum import Exhibit, Museum, museum
from z3fold_stress.cli import options
from z3fold_stress.scenario import all_scenarios, load

__all__ = ["museum_command"]

LINE = "{:<42} {:<17} {:<9} {:>10} {:>8} {:>9}  {}"


@click.command("museum")
@click.argument("scenarios", nargs=-1)
@options.jobs
@options.json_only
def museum_command(scenarios: tuple[str, ...], jobs: int | None, as_json: bool) -> None:
    """Show each known fault (or SCENARIOS): found, by which strategy, after how many executions,
    and how few switches it takes; and that the correct protocol passes the same scenario.

    Exit status: 0 all is as expected, 1 something is not, 2 bad usage, 4 interrupted.
    """
    chosen = (
        load(scenarios)
        if scenarios
        else [scenario for scenario in all_scenarios() if "sctbench" not in scenario.tags]
    )
    if not as_json:
        click.echo(
            LINE.format(
                "scenario", "found", "strategy", "executions", "seconds", "switches", "without"
            )
        )
    result = museum(
        chosen,
        processes=available_jobs() if jobs is None else jobs,
        tell=None if as_json else _tell,
    )
    good = sum(piece.good for piece in result.exhibits)
    if as_json:
        told = {
            "exhibits": [piece.to_json() for piece in result.exhibits],
            "as_expected": good,
            "of": result.asked,
            "seconds": round(result.seconds, 2),
            "interrupted": result.interrupted,
            "error": result.error,
        }
        click.echo(json.dumps(told, indent=1))
    else:
        click.echo(f"{good} of {result.asked} as expected, {result.seconds:.1f} s")
        if result.error:
            click.echo(f"ended early: {result.error}")
    sys.exit(4 if result.interrupted or result.error else 0 if result.good else 1)


def _tell(result: Museum, piece: Exhibit) -> None:
    click.echo(
        LINE.format(
            piece.scenario[:42],
            piece.found or "-",
            piece.strategy or "-",
            f"{piece.executions:,}",
            f"{piece.seconds:.2f}",
            "-" if piece.switches is None else piece.switches,
            piece.control + ("" if piece.good else "   <-- NOT AS EXPECTED"),
        )
    )
