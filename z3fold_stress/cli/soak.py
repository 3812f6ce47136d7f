"""``z3fold-stress soak``: real processes on one arena, until the time is up or something fails."""

from __future__ import annotations

import json
import os
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from z3fold_stress.cli.output import write_whole
from z3fold_stress.cli.storing import Storing, store_options
from z3fold_stress.designs import resolve
from z3fold_stress.errors import SettingsError
from z3fold_stress.findings.entry import soak_entries
from z3fold_stress.report.soak_page import soak_page
from z3fold_stress.settings import FAULTS, LOCK_KINDS
from z3fold_stress.soak import Soak, SoakReport, as_text
from z3fold_stress.soak.settings import SoakSettings, available_cpus

if TYPE_CHECKING:
    from z3fold_stress.arena import Arena
    from z3fold_stress.tame import Wild


def _faults(values: tuple[str, ...]) -> dict[str, float]:
    """``--fail page=0.01`` as a mapping."""
    faults = {}
    for value in values:
        name, _, number = value.partition("=")
        try:
            faults[name] = float(number)
        except ValueError:
            raise SettingsError(
                f"--fail {value!r}: write it as NAME=RATE, with one of {', '.join(FAULTS)}"
            ) from None
    return faults


def _seed(seed: int | None) -> int:
    return int.from_bytes(os.urandom(4), "little") if seed is None else seed


@click.command()
@click.option("--workers", default=4, show_default=True, help="Processes that alloc, map, free.")
@click.option("--migrators", default=1, show_default=True, help="Processes that move pages.")
@click.option("--reclaimers", default=1, show_default=True, help="Processes that evict pages.")
@click.option(
    "--churners", default=1, show_default=True, help="Processes that create pools and destroy them."
)
@click.option("--seconds", default=20.0, show_default=True, help="How long.")
@click.option("--operations", default=0, help="Operations per worker, instead of a time.")
@click.option("--design", default="sound", show_default=True, help="See 'designs'.")
@click.option("--defect", "defects", multiple=True, help="A single defect on top (repeatable).")
@click.option("--without", multiple=True, help="A defect taken out of the design (repeatable).")
@click.option(
    "--lock",
    type=click.Choice(LOCK_KINDS),
    default="ttas",
    show_default=True,
    help="Kind of spinlock; queued kinds collapse with more processes than CPUs.",
)
@click.option(
    "--cpus",
    default=available_cpus,
    type=int,
    help="CPUs that tasks believe in: lists a pool.  [default: this machine's]",
)
@click.option("--objects", default=8192, show_default=True, help="Entries of the object table.")
@click.option("--frames", default=0, help="Page frames of the arena.  [default: by objects]")
@click.option("--swap", default=0, help="Pages of swap.  [default: a quarter of the objects]")
@click.option(
    "--sizes",
    default="zswap",
    show_default=True,
    help="uniform, zswap, bimodal, or a file with one size a line.",
)
@click.option("--seed", type=int, default=None, help="[default: drawn, and reported]")
@click.option("--fill", default=0.7, show_default=True, help="Live part of the object table.")
@click.option("--maps", default=2.0, show_default=True, help="Verified maps per allocation.")
@click.option("--rewrite", default=0.05, show_default=True, help="Of the maps, rewrites.")
@click.option("--atomic", default=0.1, show_default=True, help="Allocations that may not sleep.")
@click.option("--linger", default=0.05, show_default=True, help="Maps held over another map.")
@click.option("--hot", default=0.02, show_default=True, help="Operations on a few hot objects.")
@click.option("--migrate-interval-us", default=100, show_default=True, help="Migrators' pause.")
@click.option("--reclaim-interval-us", default=2000, show_default=True, help="Reclaimers' pause.")
@click.option(
    "--fail",
    multiple=True,
    metavar="NAME=RATE",
    help=f"Make something fail at this rate: {', '.join(FAULTS)} (repeatable).",
)
@click.option("--delay-rate", default=0.0, help="How often a lock operation dawdles, 0 to 1.")
@click.option("--delay-ns", default=2000, show_default=True, help="Up to how long.")
@click.option("--kill", is_flag=True, help="SIGKILL random processes, again and again.")
@click.option("--kill-interval", default=0.4, show_default=True, help="Mean seconds between kills.")
@click.option(
    "--quiet-interval",
    default=2.0,
    show_default=True,
    help="Seconds between quiet points, where all is audited; 0: at the end only.",
)
@click.option("--stall", default=1.2, show_default=True, help="Seconds without progress allowed.")
@click.option("--offline/--no-offline", default=True, help="Offline ranges of frames, too.")
@click.option(
    "--recorder",
    default=1024,
    show_default=True,
    help="Events kept of each process; a power of two, 0: off.",
)
@click.option("--no-cross-cpu-search", is_flag=True, help="Switch patch 2/4 off.")
@click.option("--no-poison", is_flag=True, help="Do not fill and check freed frames.")
@click.option("--coverage/--no-coverage", default=True, help="Say how much there is still to come.")
@click.option(
    "--checked",
    is_flag=True,
    help="Check each access, on the instrumented build: races, freed memory, bounds.",
)
@click.option(
    "--watch-rate",
    default=1000,
    show_default=True,
    help="Checked: one plain access in so many sets a watchpoint.",
)
@click.option(
    "--watch-stall-us",
    default=50,
    show_default=True,
    help="Checked: how long it waits there.",
)
@click.option("--access-delay", default=0.0, help="Checked: how often an access dawdles, 0 to 1.")
@click.option("--keep-going", is_flag=True, help="Collect verdicts instead of ending at the first.")
@click.option(
    "--dump",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Where the arena is saved on failure.  [default: z3fold-stress-SEED.dump]",
)
@click.option("--no-dump", is_flag=True, help="Do not save the arena.")
@store_options
@click.option(
    "--tame",
    "tame_seconds",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="After a failure: for how long to look for a scenario that fails so; 0: not at all.",
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Write the report as a page, with its course as plots.",
)
@click.option("--json", "as_json", is_flag=True, help="The report as JSON, and nothing else.")
def soak(
    design: str,
    defects: tuple[str, ...],
    without: tuple[str, ...],
    seed: int | None,
    fail: tuple[str, ...],
    recorder: int,
    no_cross_cpu_search: bool,
    no_poison: bool,
    dump: Path | None,
    no_dump: bool,
    store: Path | None,
    no_store: bool,
    tame_seconds: float,
    html: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Hammer the allocator with real processes while its pages are moved.

    Ends after the time, at the first verdict, or with Ctrl-C; always with the report.
    Exit status: 0 nothing found, 1 found, 2 bad usage, 4 inconclusive.
    """
    settings = SoakSettings(
        design=resolve(design, defects, without),
        seed=_seed(seed),
        faults=_faults(fail),
        ring=recorder,
        cross_cpu_search=not no_cross_cpu_search,
        poison=not no_poison,
        **options,
    )
    path = None if no_dump else dump or Path(f"z3fold-stress-{settings.seed}.dump")
    if dump is not None and not os.access(dump.parent, os.W_OK):
        raise SettingsError(f"no dump can be written to {dump.parent}: give --dump or --no-dump")
    if html is not None and not os.access(html.parent, os.W_OK):
        raise SettingsError(f"no page can be written to {html.parent}: give --html another")
    storing = Storing(store, no_store, "soak")
    failure = _Failure()
    report = _run(Soak(settings, dump=path, on_failure=failure.read), as_json)
    if html is not None:  # first: whoever reads the rest may go away
        html = _page(html, report)
    storing.record_all(soak_entries(report, later=settings.keep_going))
    if not as_json:
        click.echo(as_text(report), nl=False)
        sys.stdout.flush()
    if html is not None:
        click.echo(f"page: {html}", err=as_json)
    taming = None
    if report.judgements and tame_seconds:
        taming = failure.tame(tame_seconds, None if path is None else path.parent, as_json)
    if as_json:
        told = {**report.to_json(), "taming": taming, "stored": storing.to_json()}
        click.echo(json.dumps(told, indent=1))
    else:
        storing.say()
    sys.exit(report.status)


def _page(path: Path, report: SoakReport) -> Path | None:
    """Where the page is; None where it could not be written, which costs nothing else."""
    try:
        write_whole(path, soak_page(report))
    except SettingsError as error:
        click.echo(f"warning: {error}", err=True)
        return None
    return path


class _Failure:
    """What a failed soak left, and its taming, which must not cost the soak its report."""

    def __init__(self) -> None:
        self.wild: Wild | None = None
        self.unreadable = ""

    def read(self, arena: Arena) -> None:
        """While the arena is there."""
        from z3fold_stress.tame import read_wild

        try:
            self.wild = read_wild(arena)
        except (ValueError, LookupError, ArithmeticError, struct.error) as error:
            self.unreadable = f"its arena is damaged beyond reading: {error}"

    def tame(self, seconds: float, folder: Path | None, as_json: bool) -> dict[str, Any] | None:
        """Tell it, or with ``as_json`` return it; what is found is saved in ``folder``."""
        from z3fold_stress.cli.tame import save_tamed, tamed
        from z3fold_stress.tame.text import as_text as taming_text

        if self.wild is None:
            reason = self.unreadable or "the arena does not say what failed"
            if not as_json:
                click.echo(f"Not tamed: {reason}.")
            return {"tamed": False, "reason": reason}
        if not as_json:
            click.echo(f"Taming it, for {seconds:g} s at most (Ctrl-C ends that) ...")
        taming = tamed(self.wild, seconds)
        if folder is not None:
            save_tamed(taming, folder)
        if not as_json:
            click.echo(taming_text(taming), nl=False)
        return taming.to_json()


def _run(soak: Soak, as_json: bool) -> SoakReport:
    if as_json:
        return soak.run()
    from rich.console import Console

    from z3fold_stress.soak.display import LiveTable, PlainLines

    settings = soak.settings
    console = Console()
    click.echo(
        f"soak of {settings.design.name}: {settings.workers} workers, {settings.migrators} "
        f"migrators, {settings.reclaimers} reclaimers, lock {settings.lock}, "
        f"{settings.nr_frames} frames, {settings.objects} objects, seed {settings.seed}"
    )
    if settings.lock != "ttas" and settings.tasks > available_cpus():
        click.echo(
            f"note: {settings.lock} locks with more processes than CPUs are hundreds of times "
            "slower: the next in line is usually not running"
        )
    with LiveTable(console) if console.is_terminal else PlainLines() as display:
        soak.on_tick = display
        return soak.run()
