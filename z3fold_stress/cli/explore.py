"""``z3fold-stress explore`` and ``hunt``: scenarios in the sim world."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from z3fold_stress import stopping
from z3fold_stress.campaign.crew import available_jobs
from z3fold_stress.campaign.hunt import Hunt, HuntSettings, Trail, explore_one, hunt
from z3fold_stress.cli import options
from z3fold_stress.cli.live import live_failed
from z3fold_stress.cli.saving import Saving
from z3fold_stress.cli.storing import Storing, store_options
from z3fold_stress.designs import resolve
from z3fold_stress.errors import SettingsError
from z3fold_stress.explore.explorer import Budget, Exploration, Status, counted, limits_met
from z3fold_stress.explore.portfolio import STRATEGIES, arms_of
from z3fold_stress.explore.world import MAX_STEPS
from z3fold_stress.findings import Finding
from z3fold_stress.live.explore import explore_live, live_arms
from z3fold_stress.live.world import LiveError
from z3fold_stress.scenario import Scenario, all_scenarios, load

__all__ = ["explore", "hunt_command"]

TELLING = 0.01
"""The least share of a search that is done for which what is left is estimated."""

EXIT = {Status.FOUND: 1, Status.INCONCLUSIVE: 4}


def _design(scenario: Scenario, design: str, defects: tuple[str, ...], own: bool) -> str:
    if own and not design and not defects:
        return resolve(scenario.design).name
    return resolve(design or "sound", defects).name


@click.command()
@click.argument("scenarios", nargs=-1, required=True)
@click.option("--design", default="", help="See 'designs'.  [default: the scenario's own]")
@options.defects
@click.option("--shown", is_flag=True, help="Set the defects that the scenario shows.")
@click.option(
    "--strategy",
    default="portfolio",
    show_default=True,
    help=f"{', '.join(STRATEGIES)}.",
)
@options.bound
@click.option("--executions", type=int, default=None, help="At most so many.")
@click.option("--seconds", type=float, default=None, help="At most so long.  [default: 10]")
@options.seed
@click.option(
    "--most",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Distinct verdicts to stop after.",
)
@click.option("--every-access", is_flag=True, help="Each access to shared memory may be a switch.")
@click.option("--no-races", is_flag=True, help="Do not look for data races.")
@options.release_sequence
@options.strict_order
@click.option(
    "--max-steps",
    type=click.IntRange(1, 2**31 - 1),
    default=MAX_STEPS,
    show_default=True,
    help="Of one execution.",
)
@click.option("--live", is_flag=True, help="By real processes, which take turns: random, pct.")
@options.out
@options.no_save
@store_options
@options.json_only
def explore(
    scenarios: tuple[str, ...],
    design: str,
    defects: tuple[str, ...],
    shown: bool,
    strategy: str,
    bound: int | None,
    executions: int | None,
    seconds: float | None,
    seed: int | None,
    most: int,
    every_access: bool,
    no_races: bool,
    release_sequence: str,
    strict_order: bool,
    max_steps: int,
    live: bool,
    out: Path | None,
    no_save: bool,
    store: Path | None,
    no_store: bool,
    as_json: bool,
) -> None:
    """Explore SCENARIOS, one after the other: names, files or folders (see 'scenarios').

    The exhaustive strategies (dfs, delay, dpor) end when they have seen all that they promise,
    unless a limit is given.  Exit status: 0 nothing found, 1 found, 2 bad usage, 4 inconclusive.
    """
    arms = live_arms(strategy, bound) if live else arms_of(strategy, bound)
    if executions is None and seconds is None:
        seconds = 10.0 if not all(arm.exhaustive for arm in arms) else 3600.0
    Budget(executions, seconds)  # refused before anything is said
    first_seed = options.drawn(seed)
    storing = Storing(store, no_store or (no_save and store is None), "explore")
    saving = Saving(None if no_save else out or Path())
    trails: list[Trail] = []
    findings: list[Finding] = []
    loaded = load(scenarios)
    for scenario in loaded:
        chosen = (*defects, *scenario.shows) if shown else defects
        settings = HuntSettings(
            design=_design(scenario, design, chosen, own=not shown),
            strategy=strategy,
            bound=bound,
            seed=first_seed,
            executions=executions,
            seconds=seconds,
            most=most,
            races=not no_races,
            every_access=every_access,
            release_sequence=release_sequence,
            max_steps=max_steps,
            strict_order=strict_order,
        )
        if not as_json:
            click.echo(f"{scenario.name}, design {settings.design}, seed {first_seed}")
        try:
            explore_it = explore_live if live else explore_one
            with stopping.interruptible():
                trail = explore_it(scenario, settings, None if as_json else _ticker())
        except LiveError as error:
            sys.exit(live_failed(error))
        except KeyboardInterrupt:  # outside of the exploration itself: nothing came of this one
            break
        trails.append(trail)
        fresh = [Finding.from_json(value) for value in (*trail.findings, *trail.unrepeated)]
        findings += fresh
        storing.record_all(fresh)
        if not as_json:
            click.echo("\n".join(trail_lines(trail)))
            saving.save_all(fresh, say=True)
        if trail.interrupted:
            break
    if as_json:
        saving.save_all(findings, say=False)
        told = {
            "seed": first_seed,
            "trails": [trail.to_json() for trail in trails],
            "saved": [str(path) for path in saving.paths],
            "save_failed": saving.failed or None,
            "stored": storing.to_json(),
        }
        click.echo(json.dumps(told, indent=1))
    else:
        storing.say()
    sys.exit(_status(trails, len(loaded)))


def _status(trails: list[Trail], asked: int) -> int:
    if any(trail.findings or trail.status == "setup-failed" for trail in trails):
        return 1
    if any(trail.status == "inconclusive" or trail.interrupted for trail in trails):
        return 4
    if len(trails) < asked:
        return 4
    return 0


def _ticker() -> Any:
    """On a terminal, one line that is written over."""
    if not sys.stderr.isatty():
        return None

    def tell(tally: Exploration) -> None:
        rate = tally.executions / tally.seconds if tally.seconds else 0
        click.echo(f"\r  {tally.executions:,} executions, {rate:,.0f}/s ", nl=False, err=True)

    return tell


def trail_lines(trail: Trail) -> list[str]:
    """What was done, and what that shows."""
    rate = trail.executions / trail.seconds if trail.seconds > 0 else 0.0
    done = counted(trail.executions, trail.distinct, exactly=trail.distinct_exactly)
    lines = [
        f"  {done}, {trail.steps:,} steps, {trail.seconds:.2f} s ({rate:,.0f}/s): {trail.status}"
    ]
    if trail.deaths:
        lines.append(f"  {trail.deaths:,} of them with a death")
    if trail.setup:
        lines.append(f"  the set-up fails by itself: {trail.setup}")
    if trail.claims:
        lines.append(f"  complete: {trail.claims[-1]}")
    for arm, share in trail.left.items():
        # Of a larger space it says next to nothing; and what was found needs no estimate.
        if share >= TELLING and not trail.findings:
            lines.append(
                f"  {arm}: about {share:.1%} done, by estimate "
                f"{trail.by_arm[arm] * (1 / share - 1):,.0f} executions are left"
            )
    for warning in trail.warnings:
        lines.append(f"  warning: lock order: {warning['text']}")
    if trail.order_given_up:
        lines.append(
            f"  lock order: {trail.order_given_up:,} searches for a cycle were cut: "
            "nothing is known of those"
        )
    if trail.limited:
        lines.append(f"  {limits_met(trail.limited, trail.unordered)}: nothing is known of them")
    lines += [f"  {line}" for line in trail.benign]
    if trail.interrupted:
        lines.append("  interrupted")
    return lines


@click.command("hunt")
@click.argument("scenarios", nargs=-1)
@click.option("--design", default="sound", show_default=True, help="See 'designs'.")
@options.defects
@click.option("--seconds", default=60.0, show_default=True, help="For all scenarios together.")
@click.option("--strategy", default="portfolio", show_default=True, help="See 'explore'.")
@options.bound
@options.release_sequence
@options.strict_order
@options.seed
@options.jobs
@options.out
@options.no_save
@store_options
@options.json_only
def hunt_command(
    scenarios: tuple[str, ...],
    design: str,
    defects: tuple[str, ...],
    seconds: float,
    strategy: str,
    bound: int | None,
    release_sequence: str,
    strict_order: bool,
    seed: int | None,
    jobs: int | None,
    out: Path | None,
    no_save: bool,
    store: Path | None,
    no_store: bool,
    as_json: bool,
) -> None:
    """Explore SCENARIOS (all of the allocator's, by default) with one design, on all CPUs.

    Exit status: 0 nothing found, 1 found, 2 bad usage, 4 inconclusive.
    """
    if not seconds > 0:
        raise SettingsError(f"--seconds {seconds:g} shows nothing: it must be more than 0")
    arms_of(strategy, bound)
    storing = Storing(store, no_store or (no_save and store is None), "hunt")
    chosen = load(scenarios) if scenarios else [s for s in all_scenarios() if s.shows]
    settings = HuntSettings(
        design=resolve(design, defects).name,
        strategy=strategy,
        bound=bound,
        seed=options.drawn(seed),
        release_sequence=release_sequence,
        strict_order=strict_order,
    )
    if not as_json:
        click.echo(
            f"hunt: {len(chosen)} scenarios, design {settings.design}, {seconds:g} s, "
            f"seed {settings.seed}"
        )

    def tell(result: Hunt, trail: Trail) -> None:
        kept = (*trail.findings, *trail.unrepeated)
        storing.record_all(Finding.from_json(value) for value in kept)
        if not as_json:
            _tell(result, trail)

    result = hunt(
        chosen,
        settings,
        seconds=seconds,
        processes=available_jobs() if jobs is None else jobs,
        tell=tell,
    )
    saving = Saving(None if no_save else out or Path())
    saving.save_all([*result.findings, *result.unrepeated], say=not as_json)
    if as_json:
        click.echo(json.dumps(_hunt_json(result, saving, storing), indent=1))
    else:
        storing.say()
        done = counted(result.executions, result.distinct, exactly=result.distinct_exactly)
        click.echo(
            f"{len(result.trails)} of {result.asked} scenarios, {done}, "
            f"{result.seconds:.1f} s: {result.status}"
            + (" (interrupted)" if result.interrupted else "")
        )
        if result.error:
            click.echo(f"ended early: {result.error}")
    sys.exit(EXIT.get(result.status, 0))


def _tell(result: Hunt, trail: Trail) -> None:
    found = ", ".join(sorted({value["verdict"] for value in trail.findings}))
    click.echo(
        f"  {trail.scenario:<44} {found or trail.status:<24} {trail.executions:>10,} executions"
    )
    for warning in trail.warnings:
        click.echo(f"    warning: lock order: {warning['text']}")


def _hunt_json(result: Hunt, saving: Saving, storing: Storing) -> dict[str, Any]:
    return {
        "design": result.design.name,
        "seed": result.seed,
        "status": str(result.status),
        "executions": result.executions,
        "distinct": result.distinct,
        "distinct_exactly": result.distinct_exactly,
        "seconds": round(result.seconds, 2),
        "interrupted": result.interrupted,
        "error": result.error,
        "findings": [finding.to_json() for finding in result.findings],
        "trails": [
            {key: value for key, value in trail.to_json().items() if key != "findings"}
            for trail in result.trails
        ],
        "saved": [str(path) for path in saving.paths],
        "save_failed": saving.failed or None,
        "stored": storing.to_json(),
    }
