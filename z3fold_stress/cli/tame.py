"""``z3fold-stress tame``: a soak's failure, from its saved arena, as a scenario."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from z3fold_stress import stopping
from z3fold_stress.cli import options
from z3fold_stress.errors import SettingsError

if TYPE_CHECKING:
    from z3fold_stress.tame import Taming, Wild

__all__ = ["save_tamed", "tame_command", "tamed"]


@click.command("tame")
@click.argument("dump", type=click.Path(path_type=Path))
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="For how long.",
)
@click.option(
    "--candidates",
    type=click.IntRange(0),
    default=None,
    help="At most so many scenarios.  [default: as the time allows]",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**64 - 1),
    default=None,
    help="[default: the soak's]",
)
@options.out
@options.no_save
@options.json_only
def tame_command(
    dump: Path,
    seconds: float,
    candidates: int | None,
    seed: int | None,
    out: Path | None,
    no_save: bool,
    as_json: bool,
) -> int:
    """Look for a scenario that fails as the soak did whose arena was saved in DUMP.

    Makes scenarios of the last operations around the failing page, and explores them. What fails
    in the same way is made small and saved, as a finding and as a scenario.
    Exit status: 1 tamed, 4 not (a like failure may have been found, and is told), 2 no usable dump.
    """
    from z3fold_stress.dump import load
    from z3fold_stress.tame import read_wild
    from z3fold_stress.tame.text import as_text

    arena, _ = load(dump)
    with arena:
        wild = read_wild(arena)
    if wild is None:
        raise SettingsError(f"{dump}: no check failed in this arena: there is nothing to tame")
    if not as_json:
        click.echo(f"{wild.verdict} in {wild.where}: {wild.text}")
    taming = tamed(wild, seconds, most=candidates, seed=seed)
    if not no_save:
        save_tamed(taming, out or Path("."))
    if as_json:
        click.echo(json.dumps(taming.to_json(), indent=1))
    else:
        click.echo(as_text(taming), nl=False)
    return 1 if taming.tamed else 4


def tamed(wild: Wild, seconds: float, **limits: Any) -> Taming:
    """Tame, and let Ctrl-C and its like end it with what there is."""
    from z3fold_stress.tame import tame

    seed = limits.pop("seed", None)
    with stopping.listening():
        return tame(wild, seconds=seconds, seed=wild.seed if seed is None else seed, **limits)


def save_tamed(taming: Taming, folder: Path) -> None:
    """The finding, and the scenario as a file of its own; ``taming.saved`` has their paths."""
    from z3fold_stress.cli.saving import Saving

    if taming.finding is None:
        return
    saving = Saving(folder)
    saving.save(taming.finding, scenario=True)
    taming.saved = [str(path) for path in saving.paths]
