"""The last section of a run: what was found, how much was done, and what was not as it should be.

Owns the way from an item to the controller: the report carries the records of its item as plain
data, with pytest-xdist too. Needs no engine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from z3fold_stress.pytest_plugin.options import Settings

__all__ = ["ATTRIBUTE", "FAILED", "RECORDS", "SUMMARY", "Summary"]

RECORDS = pytest.StashKey[list[dict[str, Any]]]()
SUMMARY = "z3fold_stress_summary"
"""The name of the plugin that makes it."""
FAILED = pytest.StashKey[bool]()
"""Whether the test itself failed, for what comes after it."""
ATTRIBUTE = "z3fold_stress"
"""Of a report: the records of its item."""


class Summary:
    """A plugin of the process that reports, and of no worker."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.records: list[tuple[str, dict[str, Any]]] = []
        self.died: list[str] = []
        self.workers = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.records += [(report.nodeid, record) for record in getattr(report, ATTRIBUTE, ())]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodeready(self, node: Any) -> None:
        self.workers += 1

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        if error:
            self.died.append(node.gateway.id)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self.records:
            return
        terminalreporter.section("race hunts (z3fold_stress)")
        for line in self.lines(terminalreporter.config.get_verbosity() > 0):
            terminalreporter.write_line(line)

    def lines(self, verbose: bool) -> Iterator[str]:
        """What was done, then a line for each different failure, then what was degraded."""
        records = [record for _, record in self.records]
        executions = sum(record["executions"] for record in records)
        yield (
            f"{len(records)} explorations, {executions:,} executions, "
            f"base seed {self.settings.seed} (again: --hunt-seed={self.settings.seed})"
        )
        shown = [one for one in self.records if one[1]["expected"] and one[1]["outcome"] == "good"]
        if shown:
            yield f"{len(shown)} found what is expected of them"
        if verbose:
            for node, record in shown:
                yield f"  {node}: {', '.join(_verdicts(record))} ({record['executions']:,})"
        yield from self._failures()
        for node, record in self.records:
            if record["outcome"] == "inconclusive":
                yield f"inconclusive: {node}"
        warnings = dict.fromkeys(what for _, record in self.records for what in record["warnings"])
        yield from (f"warning: lock order: {what}" for what in warnings)
        yield from (f"degraded: {what}" for what in self._degraded())

    def _failures(self) -> Iterator[str]:
        seen: dict[str, list[str]] = {}
        first: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        for node, record in self.records:
            if record["outcome"] != "bad":
                continue
            if not record["findings"]:
                yield f"NOT FOUND {' or '.join(record['expected'])}: {node}"
            for finding in record["findings"]:
                key = finding["signature"] or f"{node} {finding['verdict']}"
                seen.setdefault(key, []).append(node)
                first.setdefault(key, (record, finding))
        for key in sorted(first, key=lambda key: (first[key][0]["scenario"], key)):
            record, finding = first[key]
            times = f", {len(seen[key])} times" if len(seen[key]) > 1 else ""
            yield (
                f"FOUND {finding['verdict']}: {finding['text']} "
                f"({record['scenario']}, {record['design']}){times}"
            )
            if finding["signature"]:
                yield f"  signature {finding['signature']}, {seen[key][0]}"
                yield f"  z3fold-stress replay {finding['saved'] or finding['replay']}"

    def _degraded(self) -> Iterator[str]:
        cpus = len(os.sched_getaffinity(0))
        if self.workers > cpus:
            yield f"{self.workers} workers share {cpus} CPU{'s' if cpus > 1 else ''}"
        for name in self.died:
            yield f"worker {name} died: what it had in hand was not explored"
        yield from dict.fromkeys(what for _, record in self.records for what in record["degraded"])
        if self.settings.seconds is not None:
            yield "budgets in seconds: another run with this seed may find more or less"


def _verdicts(record: dict[str, Any]) -> list[str]:
    return [finding["verdict"] for finding in record["findings"]]
