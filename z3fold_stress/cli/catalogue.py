"""``z3fold-stress defects`` and ``designs``: what there is, with the story of each."""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from dataclasses import asdict
from typing import Any

import click

from z3fold_stress.defects import DEFECTS, Defect, by_name
from z3fold_stress.designs import DESIGNS, Design, resolve

WIDEST = 100
STEP = re.compile(r" *\d+\. ")


def _width() -> int:
    return min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns)


def _wrap(text: str, indent: str = "  ") -> list[str]:
    """Paragraphs and numbered steps, each wrapped under its own beginning."""
    lines: list[str] = []
    for line in text.splitlines():
        step = STEP.match(line)
        hang = indent + " " * (len(step.group().lstrip()) if step else 0)
        lines += textwrap.wrap(
            line.strip(),
            _width(),
            initial_indent=indent,
            subsequent_indent=hang,
            break_on_hyphens=False,
        ) or [""]
    return lines


def _table(rows: list[tuple[str, str, str]]) -> list[str]:
    """Name, mark, and a summary that is wrapped in its column."""
    name, mark = (max(len(row[i]) for row in rows) for i in (0, 1))
    lines = []
    for row in rows:
        first = f"  {row[0]:<{name}}  {row[1]:<{mark}}  "
        lines += textwrap.wrap(
            row[2],
            max(_width(), len(first) + 40),
            initial_indent=first,
            subsequent_indent=" " * len(first),
            break_on_hyphens=False,
        )
    return lines


def _defect_json(defect: Defect) -> dict[str, Any]:
    body = asdict(defect)
    body["verdicts"] = [str(verdict) for verdict in defect.verdicts]
    body["masked_by"] = [other.name for other in DEFECTS.values() if defect.name in other.masks]
    return body


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="As JSON, and nothing else.")
def defects(name: str | None, as_json: bool) -> None:
    """List the named defects, or tell the story of one.

    Each can be set alone (--defect NAME) or together with others, in any command.
    """
    if as_json:
        one = None if name is None else _defect_json(by_name(name))
        told = one or [_defect_json(defect) for defect in DEFECTS.values()]
        click.echo(json.dumps(told, indent=1))
    elif name is None:
        rows = [(d.name, "*" if d.as_posted else "", d.summary) for d in DEFECTS.values()]
        click.echo(f"{len(rows)} defects (*: the patch set had it as posted)\n")
        click.echo("\n".join(_table(rows)))
        click.echo("\nThe story of one: z3fold-stress defects NAME")
    else:
        click.echo("\n".join(_story(by_name(name))))


def _story(defect: Defect) -> list[str]:
    posted = "the patch set had it as posted" if defect.as_posted else "not in the set as posted"
    masked = [other.name for other in DEFECTS.values() if defect.name in other.masks]
    lines = [f"{defect.name} ({posted})", *_wrap(defect.summary), "", *_wrap(defect.story)]
    for title, text in (
        ("Fix", defect.fix),
        ("Symptom", defect.symptom),
        ("Verdicts, the likeliest first", ", ".join(defect.verdicts)),
        ("Bites only together with", ", ".join(defect.needs)),
        ("Hides", ", ".join(defect.masks)),
        ("Hidden by", ", ".join(masked)),
    ):
        if text:
            lines += ["", f"{title}:", *_wrap(text)]
    return [*lines, "", f"Try it: z3fold-stress soak --defect {defect.name}"]


def _design_json(design: Design) -> dict[str, Any]:
    return {
        "name": design.name,
        "summary": design.summary,
        "defects": [name for name in DEFECTS if name in design.defects],
    }


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="As JSON, and nothing else.")
def designs(name: str | None, as_json: bool) -> None:
    """List the designs, or the defects of one.

    A design bent by single defects has a name too: sound+NAME, as-posted~NAME.
    """
    if as_json:
        one = None if name is None else _design_json(resolve(name))
        told = one or [_design_json(design) for design in DESIGNS.values()]
        click.echo(json.dumps(told, indent=1))
    elif name is None:
        rows = [(d.name, f"{len(d.defects)} defects", d.summary) for d in DESIGNS.values()]
        click.echo("\n".join(_table(rows)))
        click.echo("\nAdd a defect with +, take one out with ~: sound+putback-forgets-unbuddied")
    else:
        design = resolve(name)
        click.echo("\n".join([design.name, *_wrap(design.summary), ""]))
        rows = [(d.name, "", d.summary) for d in DEFECTS.values() if d.name in design.defects]
        click.echo("\n".join(_table(rows)) if rows else "  no defects")
