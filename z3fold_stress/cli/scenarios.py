"""``z3fold-stress scenarios``: what there is to explore, with the story of each."""

from __future__ import annotations

import json
import shutil
import textwrap

import click

from z3fold_stress.scenario import Scenario, all_scenarios, load

__all__ = ["scenarios_command"]

WIDEST = 100


@click.command("scenarios")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="As JSON, and nothing else.")
def scenarios_command(name: str | None, as_json: bool) -> None:
    """List the scenarios, or tell one: its story, who does what, what is expected."""
    chosen = all_scenarios() if name is None else load([name])
    if as_json:
        told = [scenario.to_json() for scenario in chosen]
        click.echo(json.dumps(told[0] if name and len(told) == 1 else told, indent=1))
    elif name is None:
        width = max(len(scenario.name) for scenario in chosen)
        for scenario in chosen:
            line = scenario.story.strip().splitlines()
            click.echo(f"  {scenario.name:<{width}}  {line[0] if line else ''}"[:WIDEST])
        click.echo(f"\n{len(chosen)} scenarios.  One of them: z3fold-stress scenarios NAME")
    else:
        click.echo("\n\n".join(_told(scenario) for scenario in chosen))


def _told(scenario: Scenario) -> str:
    width = min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns)
    lines = [scenario.name, ""]
    for paragraph in scenario.story.strip().split("\n\n"):
        lines += [*textwrap.wrap(" ".join(paragraph.split()), width), ""]
    programs = {"setup": scenario.setup, **scenario.actors, "finish": scenario.finish}
    for actor, ops in programs.items():
        if ops:
            lines.append(f"  {actor}:")
            lines += [f"      {op}" for op in ops]
    if scenario.shows:
        lines += ["", f"Shows: {', '.join(scenario.shows)}"]
    expected = ", ".join(sorted(scenario.expect))
    lines += ["", f"Expected: {expected or 'nothing'}", ""]
    shown = " --shown" if scenario.shows else ""
    lines.append(f"Try it: z3fold-stress explore {scenario.name}{shown}")
    return "\n".join(lines)
