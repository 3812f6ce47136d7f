"""``z3fold-stress inspect``: what is in a saved arena, and the audit of it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from z3fold_stress.inspection import SECTIONS

FOLDED_LINES = 16


@click.command("inspect")
@click.argument("dump", type=click.Path(path_type=Path))
@click.option("--page", type=int, metavar="N", help="All about one page, and nothing else.")
@click.option(
    "--section",
    "sections",
    type=click.Choice(SECTIONS),
    multiple=True,
    help="Only this section, whole (repeatable).  [default: all, folded]",
)
@click.option(
    "--perfetto",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default=None,
    help="Write the recorded events as a trace for ui.perfetto.dev, and nothing else.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON, and nothing else.")
def inspect_dump(
    dump: Path,
    page: int | None,
    sections: tuple[str, ...],
    perfetto: Path | None,
    as_json: bool,
) -> int:
    """Show pages, lists, slots, locks, tasks and the last events of a saved arena; audit it.

    DUMP is the file that a soak saves when it found something. Loading one runs no code of it.
    Exit status: 0 neither verdicts nor the audit found anything, 1 they did, 2 no usable dump.
    """
    from z3fold_stress.cli.output import deliver
    from z3fold_stress.dump import load
    from z3fold_stress.inspection import Inspection
    from z3fold_stress.inspection.text import page_text, section_text
    from z3fold_stress.report.recorder_trace import trace_of_dump

    if perfetto is not None and (page is not None or sections or as_json):
        raise click.UsageError("--perfetto stands alone: leave --page, --section and --json out")
    if page is not None and sections:
        raise click.UsageError("--page and --section do not go together: give one of them")
    arena, header = load(dump)
    with arena:
        view = Inspection(arena, header)
        if perfetto is not None:
            deliver(trace_of_dump(view), perfetto)
            return 0 if view.clean() else 1
        if as_json:
            told = view.page(page) if page is not None else view.to_json(sections or SECTIONS)
            told = {"dump": str(dump), "clean": view.clean(), **told}
            if page is None:
                told["report"] = header.get("report")
            click.echo(json.dumps(told, indent=1))
        elif page is not None:
            click.echo(page_text(view, page), nl=False)
        else:
            click.echo(_origin(dump, header))
            most = None if sections else FOLDED_LINES
            for section in sections or SECTIONS:
                click.echo(f"\n{section_text(view, section, most)}", nl=False)
            if not sections:
                suspect = next(iter(view.suspects()), 0)
                click.echo(f"\nAll about one page: z3fold-stress inspect {dump} --page {suspect}")
        return 0 if view.clean() else 1


def _origin(dump: Path, header: dict[str, object]) -> str:
    report = header.get("report")
    command = report.get("command") if isinstance(report, dict) else None
    return f"{dump}: saved arena" + (f", from: {command}" if command else "")
