"""``z3fold-stress fuzz``: scenarios that nobody wrote."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from z3fold_stress.campaign.crew import available_jobs
from z3fold_stress.campaign.fuzz import Fuzz, FuzzSettings, Round, fuzz, shrink_all
from z3fold_stress.cli import options
from z3fold_stress.cli.saving import Saving, finding_report
from z3fold_stress.cli.storing import Storing, store_options
from z3fold_stress.designs import resolve
from z3fold_stress.errors import SettingsError
from z3fold_stress.explore.explorer import counted, limits_met
from z3fold_stress.findings import Finding
from z3fold_stress.report import summary_line

__all__ = ["fuzz_command"]


@click.command("fuzz")
@click.option("--design", default="sound", show_default=True, help="See 'designs'.")
@options.defects
@click.option("--seconds", type=float, default=None, help="For how long.  [default: 60]")
@click.option(
    "--programs",
    type=click.IntRange(1),
    default=None,
    help="So many programs, instead of a time.",
)
@options.release_sequence
@options.strict_order
@options.seed
@options.most
@options.jobs
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("fuzz-findings"),
    show_default=True,
    help="Where findings and their scenarios are saved.",
)
@click.option("--no-save", is_flag=True, help="Save nothing.")
@store_options
@options.json_only
def fuzz_command(
    design: str,
    defects: tuple[str, ...],
    seconds: float | None,
    programs: int | None,
    release_sequence: str,
    strict_order: bool,
    seed: int | None,
    most: int | None,
    jobs: int | None,
    out: Path,
    no_save: bool,
    store: Path | None,
    no_store: bool,
    as_json: bool,
) -> None:
    """Make scenarios up from a seed, explore each, and keep what shows new interleavings.

    Each different failure is told once, made small, and saved as a finding and as a scenario file
    that 'explore' takes.  Exit status: 0 nothing found, 1 found, 2 bad usage, 4 inconclusive.
    """
    if seconds is not None and not seconds > 0:
        raise SettingsError(f"--seconds {seconds:g} shows nothing: it must be more than 0")
    if seconds is None and programs is None:
        seconds = 60.0
    storing = Storing(store, no_store or (no_save and store is None), "fuzz")
    settings = FuzzSettings(
        resolve(design, defects).name,
        options.drawn(seed),
        release_sequence=release_sequence,
        strict_order=strict_order,
    )
    if not as_json:
        click.echo(f"fuzz: design {settings.design}, seed {settings.seed}")
    shrinking = 0.0 if seconds is None else min(10.0, seconds / 4)

    def tell(result: Fuzz, done: Round) -> None:
        storing.record_all(Finding.from_json(value) for value in done.findings)
        if not as_json:
            _tell(result, done)

    result = fuzz(
        settings,
        seconds=None if seconds is None else seconds - shrinking,
        programs=programs,
        processes=available_jobs() if jobs is None else jobs,
        most=most,
        tell=tell,
        tell_found=None if as_json else _tell_found,
    )
    if not result.interrupted:
        shrink_all(result, shrinking or 60.0)
    for finding in result.findings.values():
        storing.record(finding, times=0)  # it may be smaller now
    saving = Saving(None if no_save else out)
    for finding in (*result.findings.values(), *result.unrepeated.values()):
        saving.save(finding, scenario=True)
    if as_json:
        click.echo(json.dumps(_json(result, saving, storing), indent=1))
    else:
        _report(result, saving.paths)
        storing.say()
    if result.findings or result.setups:
        sys.exit(1)
    unsure = result.interrupted or result.error or result.limited or result.unrepeated
    sys.exit(4 if unsure or not result.executions else 0)


def _tell_found(finding: Finding) -> None:
    click.echo(f"  {finding.signature}  {summary_line(finding)}"[:200])


def _tell(result: Fuzz, done: Round) -> None:
    if done.number % 10 == 0 or done.findings:
        click.echo(
            f"  {result.programs:>6} programs, {result.executions:>9,} executions, "
            f"{result.corpus} kept, {len(result.findings)} different failures"
        )


def _json(result: Fuzz, saving: Saving, storing: Storing) -> dict[str, object]:
    return {
        "design": result.design,
        "seed": result.seed,
        "programs": result.programs,
        "executions": result.executions,
        "distinct": result.distinct,
        "distinct_exactly": result.distinct_exactly,
        "coverage": result.coverage,
        "kept": result.corpus,
        "limited": result.limited,
        "setups": result.setups,
        "seconds": round(result.seconds, 2),
        "interrupted": result.interrupted,
        "error": result.error,
        "findings": [finding.to_json() for finding in result.findings.values()],
        "warnings": [warning.to_json() for warning in result.warnings.values()],
        "times": result.times,
        "unrepeated": [finding.to_json() for finding in result.unrepeated.values()],
        "saved": [str(path) for path in saving.paths],
        "save_failed": saving.failed or None,
        "stored": storing.to_json(),
    }


def _report(result: Fuzz, saved: list[Path]) -> None:
    done = counted(result.executions, result.distinct, exactly=result.distinct_exactly)
    click.echo(
        f"{result.programs} programs, {done}, {result.seconds:.1f} s, "
        f"{result.coverage} ordered pairs of lines in one round"
        + (" (interrupted)" if result.interrupted else "")
    )
    if result.error:
        click.echo(f"ended early: {result.error}")
    for line in result.setups:
        click.echo(f"  the set-up fails by itself, of {line}"[:200])
    if result.limited:
        click.echo(f"inconclusive: {limits_met(result.limited, result.unordered)}")
    for warning in result.warnings.values():
        click.echo(f"  warning: lock order: {warning.text}")
    for signature, finding in result.findings.items():
        click.echo(f"  {signature}  {result.times[signature]:>3}x  {summary_line(finding)}"[:200])
    for finding in result.unrepeated.values():
        click.echo(f"  did not repeat: {summary_line(finding)}")
    if result.findings:
        first = next(iter(result.findings.values()))
        click.echo("\n" + finding_report(first, saved=str(saved[0]) if saved else ""))
        if saved:
            click.echo(f"\n{len(saved)} files in {saved[0].parent}")
