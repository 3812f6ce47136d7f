"""``z3fold-stress report``: a finding for people and for other programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from z3fold_stress.cli.output import deliver
from z3fold_stress.cli.replay import TOLD
from z3fold_stress.errors import SettingsError
from z3fold_stress.explore.names import Names
from z3fold_stress.explore.sites import subject_site
from z3fold_stress.explore.world import World
from z3fold_stress.findings import Finding, load_finding
from z3fold_stress.findings.finding import world_of
from z3fold_stress.findings.replay import Policy, Replayed, Result, replay_in
from z3fold_stress.report import report_text
from z3fold_stress.report.html import page_of
from z3fold_stress.report.perfetto import trace_of

__all__ = ["report_command"]

INCONCLUSIVE = 4


def _text(world: World, finding: Finding, done: Replayed, saved: str) -> str:
    return report_text(world, finding, done.evidence, saved=saved) + "\n"


def _html(world: World, finding: Finding, done: Replayed, saved: str) -> str:
    warnings = list(done.warnings)
    if done.result is not Result.IDENTICAL:
        warnings.append(TOLD[done.result])
    return page_of(world, finding, done.evidence, warnings=warnings)


def _perfetto(world: World, finding: Finding, done: Replayed, saved: str) -> str:
    return trace_of(world, finding, done.evidence)


def _json(world: World, finding: Finding, done: Replayed, saved: str) -> str:
    names = Names(world)
    evidence = done.evidence

    def held(locks: Sequence[int]) -> list[str]:
        return [names.of(lock) for lock in locks]

    events: list[dict[str, Any]] = [
        {
            "step": event.step,
            "task": world.actor(event.task),
            "kind": event.kind,
            "object": names.of(event.object) if event.object else None,
            "size": event.size,
            "writes": event.writes,
            "before": event.value,
            "instruction": event.at,
            "clock": event.clock,
            "site": str(subject_site(event.sites)) if event.sites else None,
            "held": held(event.held),
        }
        for event in evidence.events
    ]
    told = {
        **finding.to_json(),
        "evidence": {
            "result": str(done.result),
            "warnings": list(done.warnings),
            "verdict": None if evidence.verdict is None else str(evidence.verdict),
            "text": evidence.text,
            "hash": f"{evidence.hash:016x}",
            "sides": [side.to_json() for side in evidence.sides],
            "events": events,
        },
    }
    return json.dumps(told, indent=1) + "\n"


Maker = Callable[[World, Finding, Replayed, str], str]
FORMS: dict[str, tuple[Maker, str]] = {
    "text": (_text, ""),
    "html": (_html, "html"),
    "perfetto": (_perfetto, "trace.json"),
    "json": (_json, ""),
}
"""How each form is made, and the ending of its file where it has one of its own."""


@click.command("report")
@click.argument("finding")
@click.option("--text", "form", flag_value="text", default=True, help="For a terminal (default).")
@click.option("--html", "form", flag_value="html", help="A page to step through in a browser.")
@click.option(
    "--perfetto", "form", flag_value="perfetto", help="A trace to open in ui.perfetto.dev."
)
@click.option("--json", "form", flag_value="json", help="The finding with all its events.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default=None,
    help="Where to; - is the terminal.  [default: the terminal; a page beside you, named for it]",
)
@click.option(
    "--policy",
    type=click.Choice([str(policy) for policy in Policy]),
    default=str(Policy.STRICT),
    show_default=True,
    help="Where it does not replay: refuse, or report what happens instead.",
)
def report_command(finding: str, form: str, output: Path | None, policy: str) -> None:
    """Tell FINDING (a file, or a line zs1:...): what happened, who was where, which order was
    missing.

    It is done once more for that. Exit status: 0 reported, 2 bad usage or input, 4 it does not
    replay.
    """
    it = load_finding(finding)
    with world_of(it) as world:
        done = replay_in(world, it, policy=Policy(policy))
        for warning in done.warnings:
            click.echo(f"warning: {warning}", err=True)
        same = done.result in (Result.IDENTICAL, Result.SAME_FAILURE)
        if not same and (policy == Policy.STRICT or done.evidence.verdict is None):
            hint = "" if done.evidence.verdict is None else "; --policy default tells it"
            click.echo(f"{TOLD[done.result]}: there is nothing to report{hint}", err=True)
            sys.exit(INCONCLUSIVE)
        maker, ending = FORMS[form]
        text = _text(world, it, done, "") if ending else ""
        told = maker(world, it, done, "" if finding.startswith("zs1:") else finding)
    if output is None and ending:
        output = Path(f"{_stem(it)}.{ending}")
    try:
        deliver(told, output)
    except SettingsError:  # the file is lost, and the report is not
        click.echo(text or told)
        raise


def _stem(it: Finding) -> str:
    return "-".join(
        part for part in (it.scenario.name, str(it.verdict), it.signature[:8]) if part
    ).replace("/", "_")
