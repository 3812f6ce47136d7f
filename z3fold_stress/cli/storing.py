"""Findings to the store, as a campaign meets them.  A store that cannot be written is told once and
stops nothing: what a campaign found is its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from z3fold_stress.findings import Finding
from z3fold_stress.findings.entry import Entry
from z3fold_stress.findings.store import Store, StoreError

__all__ = ["Storing", "no_store", "store_file", "store_options"]

Command = TypeVar("Command", bound=Callable[..., Any])

store_file = click.option(
    "--store",
    "store",
    type=click.Path(path_type=Path),
    default=None,
    help="The findings store.  [default: in the user's data directory]",
)
no_store = click.option("--no-store", is_flag=True, help="Leave the findings store alone.")


def store_options(command: Command) -> Command:
    """``--store`` and ``--no-store``."""
    return store_file(no_store(command))


class Storing:
    """What one campaign stored, and why it could not."""

    def __init__(self, store: Path | None, off: bool, origin: str) -> None:
        """Raises StoreError where a store was asked for that is none; the usual one may be."""
        self.origin = origin
        self.signatures: dict[str, bool] = {}
        """Those that are in it now, and whether they were new to it."""
        self.failed = ""
        self.store: Store | None = None
        if off:
            return
        try:
            self.store = Store(store)
        except StoreError as error:
            self._fail(error)
        if self.store is not None and store is not None:
            self.store.check()

    def _fail(self, error: StoreError) -> None:
        self.failed = str(error)
        click.echo(f"note: nothing can be stored: {error}  (--no-store)", err=True)

    def record(self, finding: Finding | Entry, times: int = 1) -> None:
        if self.store is None or self.failed:
            return
        try:
            done = self.store.record(finding, origin=self.origin, times=times)
        except StoreError as error:
            self._fail(error)
        else:
            self.signatures[done.signature] = self.signatures.get(done.signature, False) or done.new

    def record_all(self, findings: Iterable[Finding | Entry]) -> None:
        for finding in findings:
            self.record(finding)

    def to_json(self) -> dict[str, Any] | None:
        """None where it is switched off."""
        if self.store is None and not self.failed:
            return None
        return {
            "store": None if self.store is None else str(self.store.path),
            "signatures": list(self.signatures),
            "new": [name for name, new in self.signatures.items() if new],
            "failed": self.failed or None,
        }

    def say(self) -> None:
        """To people, where something was stored."""
        for signature, new in self.signatures.items():
            known = "" if new else "   (it was known)"
            click.echo(f"Stored: z3fold-stress findings show {signature}{known}")
