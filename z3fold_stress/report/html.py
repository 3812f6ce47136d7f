"""A finding as one page for a browser: all that it shows is in the file, and nothing is fetched.

The page's words come from a finding that may be a stranger's.  They travel as a block of JSON in
which no tag can end, are put into the page as text only, and the page's policy lets nothing run
but its own script, by its hash.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from typing import Any

from z3fold_stress.defects import DEFECTS
from z3fold_stress.explore.world import World
from z3fold_stress.findings.evidence import Evidence
from z3fold_stress.findings.finding import Finding, design_of
from z3fold_stress.layout import Layout
from z3fold_stress.report.course import Course, course_of
from z3fold_stress.report.state import State
from z3fold_stress.report.template import assemble
from z3fold_stress.report.text import ORDERING

__all__ = ["page_of"]

STORIES = 3
"""Defects whose story is told, where a scenario names none."""


def page_of(
    world: World, finding: Finding, evidence: Evidence, *, warnings: Sequence[str] = ()
) -> str:
    """The page of an execution that was just done in ``world``, whose arena it uses up."""
    layout = Layout(world.simulator.memory)
    about = sorted({pfn for at in evidence.objects if (pfn := layout.pfn(at)) is not None})
    course = course_of(world, evidence)
    verdict = evidence.verdict or finding.verdict
    steps = _steps(course)
    steps.append({"kind": "verdict", "title": f"{verdict}: {evidence.text}", "delta": {}})
    step_of = {n: at for at, step in enumerate(course.steps) if (n := step.mark)}
    data = {
        "verdict": str(verdict),
        "meaning": verdict.meaning,
        "text": evidence.text,
        "scenario": finding.scenario.name,
        "design": finding.design,
        "story": finding.scenario.story,
        "defects": _stories(finding),
        "sides": [
            {**side.to_json(), "step": step_of.get(number)}
            for number, side in enumerate(evidence.sides, 1)
        ],
        "ordering": ORDERING.get(verdict, ""),
        "tasks": course.tasks,
        "leftOut": course.left_out,
        "about": about,
        "steps": steps,
        "warnings": list(warnings),
        "replay": f"z3fold-stress replay {finding.line()}",
        "made": f"Found with z3fold-stress {finding.version}, engine {finding.build}; "
        f"events {evidence.hash:016x}.",
    }
    title = html.escape(f"{verdict} in {finding.scenario.name}")
    return assemble("page", {"title": title, "data": _inline_json(data)})


def _inline_json(data: dict[str, Any]) -> str:
    """JSON that may stand in a script element: nothing in it looks like a tag or a comment."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _stories(finding: Finding) -> list[dict[str, str]]:
    """Of the design's defects those that the scenario is about, else the few that there are."""
    set_in = design_of(finding).defects
    names = [name for name in finding.scenario.shows if name in set_in]
    if not names and len(set_in) <= STORIES:
        names = sorted(set_in)
    return [
        {
            "name": name,
            "summary": DEFECTS[name].summary,
            "story": DEFECTS[name].story,
            "symptom": DEFECTS[name].symptom,
            "fix": DEFECTS[name].fix,
        }
        for name in names
    ]


def _steps(course: Course) -> list[dict[str, Any]]:
    """The steps as JSON, each state as what differs from the one before."""
    before: State = {}
    told = []
    for step in course.steps:
        told.append(
            {
                "task": step.task,
                "kind": step.kind,
                "title": step.title,
                "operation": step.operation,
                "chain": list(step.chain),
                "details": step.details,
                "mark": step.mark,
                "touches": step.touches,
                "delta": _delta(before, step.state),
            }
        )
        if step.switch is not None:
            told[-1]["switch"] = {
                "of": step.switch.of,
                "why": step.switch.why,
                "chosen": step.switch.chosen,
            }
        before = step.state
    return told


def _delta(before: State, after: State) -> dict[str, list[list[Any]]]:
    """By section: [name, entry] for each that is new or differs, [name, null] for each gone."""
    delta = {}
    for section, entries in after.items():
        old = before.get(section, {})
        if entries is old:
            continue
        changed: list[list[Any]] = [
            [name, entry] for name, entry in entries.items() if old.get(name) != entry
        ]
        changed += [[name, None] for name in old if name not in entries]
        if changed:
            delta[section] = changed
    return delta
