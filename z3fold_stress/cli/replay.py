"""``z3fold-stress replay`` and ``shrink``: what can be done with one finding."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from z3fold_stress import stopping
from z3fold_stress.cli import options
from z3fold_stress.cli.saving import Saving, finding_report
from z3fold_stress.cli.storing import Storing, store_options
from z3fold_stress.errors import SettingsError
from z3fold_stress.findings import Finding, Replayed, load_finding, replay, shrink
from z3fold_stress.findings.replay import Policy, Result
from z3fold_stress.scenario import Scenario, load

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
@click.option("--live", is_flag=True, help="By real processes as well, which take turns.")
@click.option(
    "--hold",
    type=click.FloatRange(0, 86_400),
    default=None,
    help="--live: seconds that deadlocked processes stay, for a debugger.  [default: 0]",
)
@options.json_only
def replay_command(
    finding: str,
    scenario: str | None,
    policy: str,
    quiet: bool,
    live: bool,
    hold: float | None,
    as_json: bool,
) -> None:
    """Do FINDING again: a file, or a line zs1:...

    With --live the actors are processes on one arena: the same events, and a deadlock that a
    debugger can look at.  Exit status: 1 it fails as before, 2 bad usage or input, 3 a process
    failed by itself, 4 it does not fail as before.
    """
    if hold is not None and not live:
        raise SettingsError("--hold is for processes: add --live")
    it = load_finding(finding)
    against = None
    if scenario is not None:
        chosen = load([scenario])
        if len(chosen) != 1:
            raise SettingsError(f"--scenario {scenario}: {len(chosen)} scenarios; name one")
        against = chosen[0]
    if live:
        sys.exit(replay_by_processes(it, finding, Policy(policy), against, hold, quiet, as_json))
    done = replay(it, policy=Policy(policy), scenario=against)
    if as_json:
        click.echo(json.dumps(_json_of(it, done), indent=1))
    else:
        _tell(it, finding, done, quiet)
    sys.exit(_status_of(done))


def replay_by_processes(
    it: Finding,
    finding: str,
    policy: Policy,
    against: Scenario | None,
    hold: float | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """``replay --live``: the exit status, with all told."""
    from z3fold_stress.cli.live import live_failed, tell_live
    from z3fold_stress.live.replay import replay_live
    from z3fold_stress.live.world import LiveError

    simulated = replay(it, policy=policy, scenario=against)
    if not as_json:
        _tell(it, finding, simulated, quiet)
        sys.stdout.flush()
    try:
        with replay_live(it, scenario=against, simulated=simulated) as done, stopping.noted():
            if as_json:
                told = {**_json_of(it, simulated), "live": done.to_json()}
                click.echo(json.dumps(told, indent=1))
            return tell_live(done, hold or 0.0, quietly=as_json) or _status_of(simulated)
    except LiveError as error:
        return live_failed(error)


def _status_of(done: Replayed) -> int:
    return 1 if done.result in (Result.IDENTICAL, Result.SAME_FAILURE) else 4


def _json_of(it: Finding, done: Replayed) -> dict[str, Any]:
    return {
        "result": str(done.result),
        "verdict": None if done.evidence.verdict is None else str(done.evidence.verdict),
        "text": done.evidence.text,
        "signature": done.evidence.signature,
        "hash": f"{done.evidence.hash:016x}",
        "expected_hash": it.hash,
        "warnings": list(done.warnings),
    }


def _tell(it: Finding, finding: str, done: Replayed, quiet: bool) -> None:
    for warning in done.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{TOLD[done.result]} (events {done.evidence.hash:016x})")
    if done.result in (Result.IDENTICAL, Result.SAME_FAILURE) and not quiet:
        saved = finding if not finding.startswith("zs1:") else ""
        click.echo("\n" + finding_report(it, saved=saved))
    elif done.evidence.verdict is not None and not quiet:
        click.echo(f"{done.evidence.verdict}: {done.evidence.text}")


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
@store_options
@options.json_only
def shrink_command(
    finding: str,
    seconds: float,
    out: Path,
    no_save: bool,
    store: Path | None,
    no_store: bool,
    as_json: bool,
) -> None:
    """Make FINDING small: fewest operations, actors and switches with the same failure.

    Exit status: 1 it fails, and this is the smallest found; 2 bad usage or input, 4 it does not
    fail any more, or this was interrupted.
    """
    if not seconds > 0:
        raise SettingsError(f"--seconds {seconds:g}: it must be more than 0")
    storing = Storing(store, no_store or (no_save and store is None), "shrink")
    it = load_finding(finding)
    done = replay(it)
    if done.result not in (Result.IDENTICAL, Result.SAME_FAILURE):
        click.echo(f"{TOLD[done.result]}: there is nothing to shrink", err=True)
        sys.exit(4)
    with stopping.noted():
        smaller = shrink(it, seconds=seconds)
    storing.record(smaller.finding, times=0)  # what it was made of is no new sighting
    saving = Saving(None if no_save else out)
    path = saving.save(smaller.finding, mark="small")
    if as_json:
        told = {
            "operations": smaller.operations,
            "actors": smaller.actors,
            "interventions": smaller.interventions,
            "tried": smaller.tried,
            "finished": smaller.finished,
            "flip": None if smaller.flip is None else smaller.flip.to_json(),
            "finding": smaller.finding.to_json(),
            "saved": None if path is None else str(path),
            "save_failed": saving.failed or None,
            "stored": storing.to_json(),
        }
        click.echo(json.dumps(told, indent=1))
    else:
        for what in ("operations", "actors", "interventions"):
            before, after = getattr(smaller, what)
            click.echo(f"{what:<14} {before:>4} -> {after}")
        if not smaller.finished:
            why = "interrupted" if stopping.asked() else "the time was used up"
            click.echo(f"{why}: more may be possible (--seconds)")
        click.echo("")
        click.echo(finding_report(smaller.finding, flip=smaller.flip, saved=str(path or "")))
        storing.say()
    sys.exit(4 if stopping.asked() else 1)
