"""Where a report goes: the terminal, or a file that is written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import click

from z3fold_stress.errors import SettingsError
from z3fold_stress.whole_file import whole_file

__all__ = ["deliver", "write_whole"]


def write_whole(path: Path, text: str) -> None:
    """Write a file beside its place and put it there. Raises SettingsError, which names it."""
    try:
        with whole_file(path) as part:
            part.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise SettingsError(f"{path} cannot be written: {why}; name another file") from None


def deliver(text: str, path: Path | None) -> None:
    """To the file, or to the terminal where there is none or it is named ``-``."""
    if path is None or str(path) == "-":
        click.echo(text, nl=not text.endswith("\n"))
        return
    write_whole(path, text)
    click.echo(f"written: {path}")
