"""Options that several commands of the sim world share, with the ranges that the engine has."""

from __future__ import annotations

import os
from pathlib import Path

import click

from z3fold_stress.explore.world import RELEASE_SEQUENCES

__all__ = [
    "bound",
    "defects",
    "drawn",
    "jobs",
    "json_only",
    "most",
    "no_save",
    "out",
    "release_sequence",
    "seed",
    "strict_order",
]

seed = click.option(
    "--seed",
    type=click.IntRange(0, 2**64 - 1),
    default=None,
    help="[default: drawn, and reported]",
)
bound = click.option(
    "--bound",
    type=click.IntRange(-1, 1_000_000),
    default=None,
    help="pct: depth; dfs, dpor: preemptions; delay: delays; -1: none.",
)
jobs = click.option(
    "--jobs", type=click.IntRange(1), default=None, help="Processes.  [default: one a CPU]"
)
defects = click.option(
    "--defect", "defects", multiple=True, help="A single defect on top (repeatable)."
)
strict_order = click.option(
    "--strict-order",
    is_flag=True,
    help="An order of locks that could deadlock is a failure, not a warning.",
)
release_sequence = click.option(
    "--release-sequence",
    type=click.Choice(RELEASE_SEQUENCES),
    default="c11",
    show_default=True,
    help="Whether a task's relaxed store continues its release sequence (c11) or ends it (c20).",
)
no_save = click.option("--no-save", is_flag=True, help="Save no finding.")
json_only = click.option("--json", "as_json", is_flag=True, help="As JSON, and nothing else.")
out = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Where findings are saved.  [default: here]",
)
most = click.option(
    "--most",
    type=click.IntRange(1),
    default=None,
    help="Stop after so many different failures.",
)


def drawn(asked: int | None) -> int:
    """The seed that was asked for, or one drawn now (and told)."""
    return int.from_bytes(os.urandom(4), "little") if asked is None else asked
