"""``z3fold-stress trace``: play a recorded trace, compare, and tell how dense the pages are."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from z3fold_stress._vocabulary import PAGE_SIZE
from z3fold_stress.designs import resolve

if TYPE_CHECKING:
    from z3fold_stress.trace import TraceResult

MOST_NOTES = 5


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--design", default="sound", show_default=True, help="See 'designs'.")
@click.option("--defect", "defects", multiple=True, help="A single defect on top (repeatable).")
@click.option(
    "--drain/--no-drain",
    default=True,
    show_default=True,
    help="Queued work runs after every operation, or only at rows that say so.",
)
@click.option("--no-cross-cpu-search", is_flag=True, help="Switch patch 2/4 off.")
@click.option("--frames", type=int, help="Frames of the arena.  [default: as many as it takes]")
@click.option("--json", "as_json", is_flag=True, help="As JSON, and nothing else.")
def trace(
    file: Path,
    design: str,
    defects: tuple[str, ...],
    drain: bool,
    no_cross_cpu_search: bool,
    frames: int | None,
    as_json: bool,
) -> int:
    """Play a trace of operations, compare with what was recorded, and print density.

    FILE has the columns op,id,size[,cpu][,ret][,pages_nr]; op is A (alloc), F (free) or D
    (drain). Exit status: 0 as recorded, 1 otherwise than recorded (or, with nothing recorded, a
    check failed), 2 no usable trace.
    """
    from z3fold_stress.trace import play, read

    chosen = resolve(design, defects)
    result = play(read(file), chosen, drain, not no_cross_cpu_search, frames)
    if as_json:
        click.echo(json.dumps({"trace": str(file), **result.to_json()}, indent=1))
    else:
        click.echo("\n".join(_lines(file, result)))
    return result.status


def _lines(file: Path, result: TraceResult) -> list[str]:
    drained = "after every operation" if result.drain else "only where the trace says so"
    search = "on" if result.cross_cpu_search else "off"
    cpus = f"{result.cpus} CPUs" if result.cpus > 1 else "1 CPU"
    return [
        f"{file}: {result.operations:,} operations played ({result.allocs:,} allocs, "
        f"{result.frees:,} frees), {cpus}",
        f"design {result.design}, queued work runs {drained}, cross-CPU search {search}",
        "",
        *_comparison(result),
        "",
        *_density(result),
        *_notes(result),
    ]


def _comparison(result: TraceResult) -> list[str]:
    lines = []
    if result.stopped:
        lines.append(f"STOPPED: an operation could not go on. {result.stopped}")
    if result.first_difference is not None:
        lines += [
            f"DIFFERS from what was recorded, first at {result.first_difference}",
            f"  in {result.differing:,} of {result.compared:,} rows; --design, --drain and the "
            "cross-CPU search must be as they were when it was recorded",
        ]
    elif result.compared:
        lines.append(f"SAME as recorded, in all {result.compared:,} rows that were played.")
    else:
        lines.append("Nothing is recorded in it (no ret, no pages_nr): nothing to compare with.")
    return lines


def _density(result: TraceResult) -> list[str]:
    lines = [f"{'Density':<10}{'objects a page':>16}{'bytes used':>12}"]
    for name in ("final", "mean", "worst"):
        density = getattr(result, name)
        lines.append(f"  {name:<8}{density.objects_per_page:>16.2f}{density.used:>12.1%}")
    lines.append(
        f"{result.objects:,} objects of {result.stored_bytes:,} bytes in {result.pages:,} pages "
        f"at the end; {result.peak_pages:,} pages at the peak."
    )
    lines += ["", f"{'operations':>12}{'objects':>10}{'pages':>8}{'a page':>9}{'used':>8}"]
    for operations, objects, stored, pages in result.samples:
        per_page, used = (objects / pages, stored / (pages * PAGE_SIZE)) if pages else (0.0, 0.0)
        lines.append(f"{operations:>12,}{objects:>10,}{pages:>8,}{per_page:>9.2f}{used:>8.1%}")
    return lines


def _notes(result: TraceResult) -> list[str]:
    lines = []
    if result.failed:
        failed = ", ".join(f"{name} {n:,}" for name, n in result.failed.items())
        lines += ["", f"Allocations that failed: {failed}"]
    for title, items in (
        ("Verdicts while it was played", [str(j) for j in result.judgements]),
        ("The audit at the end", [str(f) for f in result.findings]),
    ):
        if items:
            told = [
                f"  {text}" + (f", {n} times" if n > 1 else "")
                for text, n in Counter(items).items()
            ]
            lines += ["", f"{title}:", *told[:MOST_NOTES]]
            if len(told) > MOST_NOTES:
                lines.append(f"  ... and {len(told) - MOST_NOTES} more")
    return lines
