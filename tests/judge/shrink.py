"""A scenario with as little in it as still shows what it is to show, and its text as a file.

Greedy: every part that can be left out is, until none can. Knows nothing of what is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from z3fold_stress.errors import ScenarioError
from z3fold_stress.scenario import Page, Scenario
from z3fold_stress.scenario.value import Op


def shrink(scenario: Scenario, shows: Callable[[Scenario], bool]) -> Scenario:
    """The same scenario if nothing can be left out of it."""
    while True:
        for smaller in _smaller(scenario):
            if shows(smaller):
                scenario = smaller
                break
        else:
            return scenario


def _smaller(scenario: Scenario) -> Iterator[Scenario]:
    """Each way to leave out one part, the large parts first."""
    yield from _valid(scenario, _changes(scenario))


def _valid(scenario: Scenario, changes: Iterator[dict[str, Any]]) -> Iterator[Scenario]:
    for change in changes:
        try:
            yield replace(scenario, **change)
        except ScenarioError:
            continue  # it does not hold together without that part


def _changes(scenario: Scenario) -> Iterator[dict[str, Any]]:
    actors = scenario.actors
    if len(actors) > 1:
        for name in actors:
            yield {
                "actors": {other: ops for other, ops in actors.items() if other != name},
                "cpus": {other: cpu for other, cpu in scenario.cpus.items() if other != name},
                "deaths": [other for other in scenario.deaths["actors"] if other != name],
            }
    for part in ("faults", "words", "cpus"):
        for name in getattr(scenario, part):
            left = {key: value for key, value in getattr(scenario, part).items() if key != name}
            yield {part: left}
    if scenario.deaths["actors"]:
        yield {"deaths": []}
    if scenario.design != "sound":
        yield {"design": "sound"}
    for part in ("setup", "finish"):
        for ops in _fewer(getattr(scenario, part)):
            yield {part: ops}
    for name, program in actors.items():
        for ops in _fewer(program):
            if ops:
                yield {"actors": {**actors, name: ops}}


def _fewer(ops: Sequence[Op]) -> Iterator[list[Op]]:
    """The operations with one less, or with a block in its place that is less."""
    for at, one in enumerate(ops):
        before, after = list(ops[:at]), list(ops[at + 1 :])
        yield before + after
        if one.body:
            yield [*before, *one.body, *after]
            for body in _fewer(one.body):
                if body:
                    yield [*before, replace(one, body=tuple(body)), *after]


def text_of(scenario: Scenario, story: str) -> str:
    """A scenario file that can be explored as it is."""
    fields = []
    if scenario.setup:
        fields.append(f"setup={_list(scenario.setup, 4)}")
    actors = "".join(
        f"        {name!r}: {_list(ops, 8)},\n" for name, ops in scenario.actors.items()
    )
    fields.append(f"actors={{\n{actors}    }}")
    fields.append(f"finish={_list(scenario.finish, 4)}")
    for part in ("words", "cpus", "faults"):
        if getattr(scenario, part):
            fields.append(f"{part}={getattr(scenario, part)!r}")
    if scenario.deaths["actors"]:
        fields.append(f"deaths={list(scenario.deaths['actors'])!r}")
    if scenario.deadlock_ok:
        fields.append("deadlock_ok=True")
    if scenario.design != "sound":
        fields.append(f"design={scenario.design!r}")
    if scenario.arena["frames"] != 8:
        fields.append(f"arena={{'frames': {scenario.arena['frames']}}}")
    inside = "".join(f"    {field},\n" for field in fields)
    start = f'"""{story}"""\nfrom z3fold_stress import Scenario, op\n\n'
    return f"{start}scenario = Scenario(\n{inside})\n"


def _list(ops: Sequence[Op], indent: int) -> str:
    if not ops:
        return "[]"
    inside = "".join(f"{' ' * (indent + 4)}{source_of(one)},\n" for one in ops)
    return f"[\n{inside}{' ' * indent}]"


def source_of(one: Op) -> str:
    """The call that makes an operation."""
    arguments = [f"op.{_page(each)}" if isinstance(each, Page) else repr(each) for each in one.args]
    if one.body:
        arguments.append(f"[{', '.join(source_of(inner) for inner in one.body)}]")
    return f"op.{one.name}({', '.join(arguments)})"


def _page(page: Page) -> str:
    return f"page_of({page.which!r})" if isinstance(page.which, str) else f"frame({page.which})"
