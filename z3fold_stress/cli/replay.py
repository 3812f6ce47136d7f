"""``z3fold-stress replay`` and ``shrink``: what can be done with one finding."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from z3fold_stress.cli import options
from z3fold_stress.cli.saving import finding_report, save_finding
from z3fold_stress.errors import SettingsError
from z3fold_stress.findings import load_finding, replay, shrink
from z3fold_stress.findings.replay import Policy, Result
from z3fold_stress.scenario import load

__all__ = ["TOLD", "replay_command", "shrink_command"]

TOLD = {
    Result.IDENTICAL: "replayed: the same failure, by the same events",
    Result.SAME_FAILURE: "replayed: the same failure, by other events",
    Result.OTHER_FAILURE: "not replayed: it fails in another way",
    Result.NO_FAILURE: "not replayed: nothing fails",
}


@click.command("replay")
@click.argument("finding")
@click.option("--scenario", default=None, help="Replay against this one, as it is now.")
@click.option(
    "--policy",
    type=click.Choice([str(policy) for policy in Policy]),
    default=str(Policy.STRICT),
    show_default=True,
    help="Where the schedule does not fit: refuse, or go on with the default choice.",
)
@click.option("--quiet", is_flag=True, help="Without the report.")
@options.json_only
def replay_command(
    finding: str, scenario: str | None, policy: str, quiet: bool, as_json: bool
) -> None:
    """Do FINDING again: a file, or a line zs1:...

    Exit status: 1 it fails as before, 2 bad usage or input, 4 it does not.
    """
    it = load_finding(finding)
    against = None
    if scenario is not None:
        chosen = load([scenario])
        if len(chosen) != 1:
            raise SettingsError(f"--scenario {scenario}: {len(chosen)} scenarios; name one")
        against = chosen[0]
    done = replay(it, policy=Policy(policy), scenario=against)
    if as_json:
        told = {
            "result": str(done.result),
            "verdict": None if done.evidence.verdict is None else str(done.evidence.verdict),
            "text": done.evidence.text,
            "signature": done.evidence.signature,
            "hash": f"{done.evidence.hash:016x}",
            "expected_hash": it.hash,
            "warnings": list(done.warnings),
        }
        click.echo(json.dumps(told, indent=1))
    else:
        for warning in done.warnings:
            click.echo(f"warning: {warning}", err=True)
        click.echo(f"{TOLD[done.result]} (events {done.evidence.hash:016x})")
        if done.result in (Result.IDENTICAL, Result.SAME_FAILURE) and not quiet:
            saved = finding if not finding.startswith("zs1:") else ""
            click.echo("\n" + finding_report(it, saved=saved))
        elif done.evidence.verdict is not None and not quiet:
            click.echo(f"{done.evidence.verdict}: {done.evidence.text}")
    sys.exit(1 if done.result in (Result.IDENTICAL, Result.SAME_FAILURE) else 4)


@click.command("shrink")
@click.argument("finding")
@click.option("--seconds", default=20.0, show_default=True, help="At most so long.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Where the smaller finding is saved.  [default: here]",
)
@click.option("--no-save", is_flag=True, help="Do not save it.")
@options.json_only
def shrink_command(finding: str, seconds: float, out: Path, no_save: bool, as_json: bool) -> None:
    """Make FINDING small: fewest operations, actors and switches with the same failure.

    Exit status: 1 it fails, and this is the smallest found; 2 bad usage or input, 4 it does not
    fail any more.
    """
    if not seconds > 0:
        raise SettingsError(f"--seconds {seconds:g}: it must be more than 0")
    it = load_finding(finding)
    done = replay(it, record=1)
    if done.result not in (Result.IDENTICAL, Result.SAME_FAILURE):
        click.echo(f"{TOLD[done.result]}: there is nothing to shrink", err=True)
        sys.exit(4)
    smaller = shrink(it, seconds=seconds)
    path = None if no_save else save_finding(smaller.finding, out, mark="small")
    if as_json:
        told = {
            "operations": smaller.operations,
            "actors": smaller.actors,
            "interventions": smaller.interventions,
            "tried": smaller.tried,
            "finished": smaller.finished,
            "flip": None
            if smaller.flip is None
            else {
                "task": smaller.flip.task,
                "clock": smaller.flip.clock,
                "to": smaller.flip.to,
                "without": smaller.flip.without,
            },
            "finding": smaller.finding.to_json(),
            "saved": None if path is None else str(path),
        }
        click.echo(json.dumps(told, indent=1))
    else:
        for what in ("operations", "actors", "interventions"):
            before, after = getattr(smaller, what)
            click.echo(f"{what:<14} {before:>4} -> {after}")
        if not smaller.finished:
            click.echo("the time was used up: more may be possible (--seconds)")
        click.echo("")
        click.echo(finding_report(smaller.finding, flip=smaller.flip, saved=str(path or "")))
    sys.exit(1)
