"""From explorations to what pytest knows: passed, failed, skipped, and the records that travel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

import pytest

from z3fold_stress.errors import ScenarioError, SettingsError
from z3fold_stress.pytest_plugin.hunting import Plan, Record, pursue
from z3fold_stress.pytest_plugin.options import KEY
from z3fold_stress.pytest_plugin.summary import RECORDS

__all__ = ["conclude"]


def conclude(item: pytest.Item, todo: Iterable[Plan]) -> None:
    """Explore each plan; the outcome is the worst of them."""
    settings = item.config.stash[KEY]
    told: dict[str, list[str]] = {"bad": [], "inconclusive": []}
    for plan in todo:
        try:
            record, text = pursue(plan, settings)
        except (ScenarioError, SettingsError) as error:
            pytest.fail(str(error), pytrace=False)
        _keep(item, record)
        if record.interrupted:
            raise KeyboardInterrupt
        if text:
            told[record.outcome].append(text)
    if told["bad"]:
        pytest.fail("\n\n".join(told["bad"] + told["inconclusive"]), pytrace=False)
    if told["inconclusive"]:
        _inconclusive("\n\n".join(told["inconclusive"]), settings.inconclusive)


def _keep(item: pytest.Item, record: Record) -> None:
    records: list[dict[str, Any]] = item.stash.setdefault(RECORDS, [])
    records.append(record.to_json())
    item.user_properties.extend(record.properties())


def _inconclusive(text: str, how: str) -> NoReturn:
    if how == "xfail":
        pytest.xfail(text)
    if how == "skip":
        pytest.skip(text)
    pytest.fail(text, pytrace=False)
