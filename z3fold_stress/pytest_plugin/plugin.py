"""The hooks of pytest, thin: each asks the module that knows, and loads it only then.

A run without a scenario, a marker or a fixture of ours loads this package's small modules and
nothing of the engine.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from z3fold_stress.pytest_plugin import options
from z3fold_stress.pytest_plugin.options import KEY
from z3fold_stress.pytest_plugin.recognise import Recogniser
from z3fold_stress.pytest_plugin.summary import ATTRIBUTE, FAILED, RECORDS, SUMMARY, Summary

__all__ = [
    "pytest_addoption",
    "pytest_collect_file",
    "pytest_configure",
    "pytest_configure_node",
    "pytest_generate_tests",
    "pytest_pyfunc_call",
    "pytest_report_header",
    "pytest_runtest_makereport",
    "pytest_runtest_setup",
]

MARKER = "z3fold_stress"
RECOGNISER = pytest.StashKey[Recogniser]()


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "z3fold_stress(executions, seconds, strategy, bound, design, defects, shown, expect, "
        "blocks, ...): explore the scenario, or each of those, that the test function returns.",
    )
    config.addinivalue_line(
        "markers", "z3fold_arena(**settings): how the arena of this test is made (ArenaSettings)."
    )
    settings = options.settle(config)
    config.stash[KEY] = settings
    config.stash[RECOGNISER] = Recogniser(config)
    if not options.on_worker(config):
        config.pluginmanager.register(Summary(settings), SUMMARY)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """A worker of pytest-xdist gets what was settled here."""
    node.workerinput[options.WORKER_KEY] = options.for_worker(node.config.stash[KEY])


def pytest_report_header(config: pytest.Config) -> str:
    settings = config.stash[KEY]
    asked = ", ".join(
        f"{name} {value}"
        for name in ("executions", "seconds", "design", "save")
        if (value := getattr(settings, name))
    )
    return f"race hunts: --hunt-seed={settings.seed}" + (f", {asked}" if asked else "")


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(
    file_path: Path, parent: pytest.Collector
) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """A scenario file that is no test module is not imported as one, though it was given."""
    collectors = yield
    recogniser = parent.config.stash[RECOGNISER]
    if not recogniser.is_scenario(file_path, parent.session.isinitpath(file_path)):
        return collectors
    from z3fold_stress.pytest_plugin.collect import ScenarioFile

    if not recogniser.is_test_module(file_path):
        collectors = [one for one in collectors if not isinstance(one, pytest.Module)]
    return [*collectors, ScenarioFile.from_parent(parent, path=file_path)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker(MARKER) is not None:
        from z3fold_stress.pytest_plugin import marker

        marker.prepare(metafunc)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if isinstance(item, pytest.Function) and item.get_closest_marker(MARKER) is not None:
        from z3fold_stress.pytest_plugin import marker

        marker.refuse_what_cannot_return(item)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object | None:
    if pyfuncitem.get_closest_marker(MARKER) is None:
        return None
    from z3fold_stress.pytest_plugin import marker

    marker.call_and_explore(pyfuncitem)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "call" and RECORDS in item.stash:
        setattr(report, ATTRIBUTE, item.stash[RECORDS])
        del item.stash[RECORDS]
    if call.when == "call":
        item.stash[FAILED] = report.failed
    return report
