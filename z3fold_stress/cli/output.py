"""Where a report goes: the terminal, or a file that is written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import click

from z3fold_stress.errors import SettingsError

__all__ = ["deliver", "write_whole"]


def write_whole(path: Path, text: str) -> None:
    """Write a file beside its place and put it there. Raises SettingsError, which names it."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("x", encoding="utf-8") as file:
            file.write(text)
        part.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink()
        if isinstance(error, (OSError, ValueError)):
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise SettingsError(f"{path} cannot be written: {why}; give -o another") from None
        raise


def deliver(text: str, path: Path | None) -> None:
    """To the file, or to the terminal where there is none or it is named ``-``."""
    if path is None or str(path) == "-":
        click.echo(text, nl=not text.endswith("\n"))
        return
    write_whole(path, text)
    click.echo(f"written: {path}")
