"""Scenario files as tests: an item for each thing that a scenario claims."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from z3fold_stress.errors import ScenarioError
from z3fold_stress.pytest_plugin.hunting import Plan, plans
from z3fold_stress.pytest_plugin.options import KEY
from z3fold_stress.pytest_plugin.verdict import conclude
from z3fold_stress.scenario import load_file

__all__ = ["HuntItem", "ScenarioFile"]


class ScenarioFile(pytest.File):
    """A file that defines ``scenario`` or ``scenarios``."""

    def collect(self) -> Iterator[HuntItem]:
        try:
            scenarios = load_file(self.path)
        except ScenarioError as error:
            raise self.CollectError(str(error)) from None
        for scenario in scenarios:
            for plan in plans(scenario, self.config.stash[KEY]):
                name = f"{scenario.name}[{plan.label}{plan.block}]"
                yield HuntItem.from_parent(self, name=name, plan=plan)


class HuntItem(pytest.Item):
    """One exploration."""

    def __init__(self, *, plan: Plan, **rest: Any) -> None:
        super().__init__(**rest)
        self.plan = plan
        self.add_marker("z3fold_stress")
        self.extra_keyword_matches.update(plan.scenario.tags)

    def runtest(self) -> None:
        conclude(self, [self.plan])

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.name
