"""From explorations to what pytest knows: passed, failed, skipped, and the records that travel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from z3fold_stress.errors import ScenarioError, SettingsError
from z3fold_stress.pytest_plugin.hunting import Plan, Record, pursue, why_inconclusive
from z3fold_stress.pytest_plugin.options import KEY
from z3fold_stress.pytest_plugin.summary import RECORDS, SUMMARY, Summary

__all__ = ["conclude"]


def conclude(item: pytest.Item, todo: Iterable[Plan]) -> None:
    """Explore each plan; the outcome is the worst of them."""
    settings = item.config.stash[KEY]
    told: dict[str, list[str]] = {"bad": [], "inconclusive": []}
    reasons: list[str] = []
    for plan in todo:
        try:
            record, text = pursue(plan, settings)
        except (ScenarioError, SettingsError) as error:
            told["bad"].append(str(error))
            continue
        _keep(item, record)
        if record.interrupted:
            _tell_at_once(item)
            raise KeyboardInterrupt
        if text:
            told[record.outcome].append(text)
        if record.outcome == "inconclusive":
            reasons.append(why_inconclusive(record))
    if told["bad"]:
        pytest.fail("\n\n".join(told["bad"] + told["inconclusive"]), pytrace=False)
    if reasons and settings.inconclusive == "xfail":
        pytest.xfail("; ".join(reasons))
    if reasons and settings.inconclusive == "skip":
        pytest.skip("; ".join(reasons))
    if reasons:
        pytest.fail("\n\n".join(told["inconclusive"]), pytrace=False)


def _keep(item: pytest.Item, record: Record) -> None:
    records: list[dict[str, Any]] = item.stash.setdefault(RECORDS, [])
    records.append(record.to_json())
    item.user_properties.extend(record.properties())


def _tell_at_once(item: pytest.Item) -> None:
    """A test that is interrupted makes no report: what it did goes straight to the summary."""
    summary: Summary | None = item.config.pluginmanager.get_plugin(SUMMARY)
    if summary is not None:
        summary.records += [(item.nodeid, record) for record in item.stash[RECORDS]]
