"""``z3fold-stress findings``: what was found so far, from the store."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from z3fold_stress.cli import options
from z3fold_stress.cli.output import write_whole
from z3fold_stress.cli.saving import finding_report
from z3fold_stress.cli.storing import store_file
from z3fold_stress.errors import SettingsError
from z3fold_stress.findings import Finding
from z3fold_stress.findings.files import write_finding
from z3fold_stress.findings.store import Kept, Store
from z3fold_stress.scenario.value import nearest
from z3fold_stress.verdicts import Verdict

__all__ = ["findings_command"]


@click.group("findings", invoke_without_command=True, no_args_is_help=False)
@click.pass_context
def findings_command(context: click.Context) -> None:
    """What was found so far: each different failure once, counted, with its smallest replay.

    The store is --store FILE, else Z3FOLD_STRESS_STORE, else findings.db in the user's data
    directory.
    """
    if context.invoked_subcommand is None:
        raise click.UsageError("findings: list, show, export or prune?", context)


def _date(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError, TypeError):
        return "unknown"


def _json(kept: Kept) -> dict[str, Any]:
    return {
        "signature": kept.signature,
        "verdict": kept.verdict,
        "design": kept.design,
        "scenario": kept.scenario or None,
        "text": kept.text,
        "count": kept.count,
        "first": _date(kept.first),
        "last": _date(kept.last),
        "origins": kept.origins,
        "replays": kept.replays,
        "switches": kept.size.switches if kept.replays else None,
        "operations": kept.size.operations if kept.replays else None,
        "sightings": [
            {
                "origin": sighting.origin,
                "design": sighting.design,
                "scenario": sighting.scenario or None,
                "count": sighting.count,
                "first": _date(sighting.first),
                "last": _date(sighting.last),
            }
            for sighting in kept.sightings
        ],
    }


def _origins(kept: Kept) -> str:
    return ", ".join(f"{origin} {count:,}" for origin, count in kept.origins.items())


def _size(kept: Kept) -> str:
    if not kept.replays:
        return "did not repeat" if kept.scenario else "no replay: a soak's"
    return f"{kept.size.switches} switches, {kept.size.operations} operations"


def _line(kept: Kept) -> str:
    scenario = kept.scenario or ("(unnamed)" if kept.replays else "(soak)")
    return (
        f"{kept.signature:<12}  {kept.count:>6,}x  {_date(kept.last)[:10]}  {kept.verdict:<16}  "
        f"{kept.design}: {scenario}  [{_origins(kept)}; {_size(kept)}]"
    )


@findings_command.command("list")
@store_file
@options.json_only
def list_command(store: Path | None, as_json: bool) -> None:
    """List all, the last seen first.  A store that does not exist is empty."""
    it = Store(store)
    kept = it.entries()
    if as_json:
        told = {"store": str(it.path), "findings": [_json(one) for one in kept]}
        click.echo(json.dumps(told, indent=1))
        return
    for one in kept:
        click.echo(_line(one))
    more = "  One of them: z3fold-stress findings show SIGNATURE" if kept else ""
    click.echo(f"{len(kept)} findings in {it.path}.{more}")


@findings_command.command("show")
@click.argument("signature")
@store_file
@options.json_only
def show_command(signature: str, store: Path | None, as_json: bool) -> None:
    """Tell the finding of SIGNATURE (its first digits are enough) to a person, as 'report' does."""
    it = Store(store)
    kept = it.lookup(signature)
    body = it.body(kept)
    if as_json:
        key = "finding" if "finding" in body else "soak"
        click.echo(json.dumps({**_json(kept), "store": str(it.path), key: body}, indent=1))
        return
    click.echo("\n".join(_seen(kept)) + "\n")
    if kept.replays:
        click.echo(finding_report(it.finding(kept)))
        return
    if "finding" in body:
        click.echo(finding_report(Finding.from_json(body)))
        return
    click.echo(f"{kept.verdict}: {kept.text}\nA soak found it: there is no replay.")
    for event in body.get("events", ()):
        click.echo(f"  {event}")
    click.echo(f"Again: {body.get('command')}")


def _seen(kept: Kept) -> list[str]:
    lines = [
        f"{kept.signature}  seen {kept.count:,}x, first {_date(kept.first)}, "
        f"last {_date(kept.last)}"
    ]
    for one in kept.sightings:
        where = f" in {one.scenario}" if one.scenario else ""
        lines.append(f"  {one.count:>6,}x by {one.origin}{where}, design {one.design}")
    return lines


@findings_command.command("export")
@click.argument("signature", required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="The file to write.  [default: standard output]",
)
@click.option(
    "--all",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="All that can be replayed, into this folder.",
)
@store_file
def export_command(
    signature: str | None, output: Path | None, folder: Path | None, store: Path | None
) -> None:
    """Write the smallest replay of SIGNATURE as a finding file, for 'replay' and 'shrink'."""
    it = Store(store)
    if (signature is None) == (folder is None):
        raise SettingsError("export one SIGNATURE, or all with --all DIR")
    if folder is not None:
        if output is not None:
            raise SettingsError("--all writes a file for each finding: leave -o out")
        _export_all(it, folder)
        return
    assert signature is not None
    text = it.finding(it.lookup(signature)).dumps()
    if output is None:
        click.echo(text, nl=False)
        return
    write_whole(output, text)
    click.echo(f"Replay: z3fold-stress replay {output}")


def _export_all(store: Store, folder: Path) -> None:
    kept = store.entries()
    without = [one.signature for one in kept if not one.replays]
    for one in kept:
        if one.replays:
            click.echo(_write(store.finding(one), folder))
    if without:
        told = ", ".join(without)
        click.echo(f"without a replay, of soaks or not repeated: {told}", err=True)
    if not kept:
        click.echo(f"{store.path} is empty: nothing to export", err=True)


def _write(finding: Finding, folder: Path) -> Path:
    try:
        return write_finding(finding, folder)
    except OSError as error:
        raise SettingsError(
            f"{folder} cannot be written ({error.strerror or error}): give --all another directory"
        ) from None


@findings_command.command("prune")
@click.option(
    "--older-than",
    type=click.FloatRange(min=0),
    default=None,
    help="Not seen for so many days.",
)
@click.option("--verdict", default=None, help="Of this verdict.")
@click.option(
    "--keep", type=click.IntRange(0), default=None, help="Of those, keep the so many last seen."
)
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@store_file
def prune_command(
    older_than: float | None,
    verdict: str | None,
    keep: int | None,
    dry_run: bool,
    store: Path | None,
) -> None:
    """Forget findings: those that all given conditions speak of."""
    if older_than is None and verdict is None and keep is None:
        raise SettingsError("prune what? give --older-than DAYS, --verdict V or --keep N")
    if verdict is not None and verdict not in set(Verdict):
        raise SettingsError(f"no verdict is named {verdict!r}{nearest(verdict, map(str, Verdict))}")
    it = Store(store)
    gone = it.prune(older_than=older_than, verdict=verdict, keep=keep, dry_run=dry_run)
    for one in gone:
        click.echo(_line(one))
    would = "would be forgotten" if dry_run else "are forgotten"
    click.echo(f"{len(gone)} findings of {it.path} {would}; {len(it.entries())} are in it")
