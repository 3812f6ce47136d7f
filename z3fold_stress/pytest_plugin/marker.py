"""``@pytest.mark.z3fold_stress``: a test function that returns a scenario has it explored."""

from __future__ import annotations

import inspect
import unittest
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest

from z3fold_stress.campaign.hunt import HuntSettings
from z3fold_stress.campaign.museum import CONTROL, FIND, bent
from z3fold_stress.defects import UnknownDefect
from z3fold_stress.designs import UnknownDesign, resolve
from z3fold_stress.errors import SettingsError
from z3fold_stress.explore.explorer import Budget
from z3fold_stress.explore.portfolio import arms_of
from z3fold_stress.explore.world import MAX_STEPS, known_release_sequence
from z3fold_stress.pytest_plugin.hunting import OTHERS, Plan, deal, in_block
from z3fold_stress.pytest_plugin.options import KEY, Settings
from z3fold_stress.pytest_plugin.seeds import MOST_BLOCKS, Block
from z3fold_stress.pytest_plugin.verdict import conclude
from z3fold_stress.scenario import Scenario
from z3fold_stress.verdicts import Verdict

__all__ = ["Wish", "call_and_explore", "plan_of", "prepare", "refuse_what_cannot_return"]

MARKER = "z3fold_stress"
FIXTURE = "_z3fold_stress_block"


class _Refused(ValueError):
    """What a marker cannot say, or a test cannot do that has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a marker says; the nearest one counts, key by key."""

    executions: int | None = None
    """Of each scenario."""
    seconds: float | None = None
    """Of each scenario; without executions, the only limit."""
    strategy: str | None = None
    bound: int | None = None
    design: str | None = None
    """The scenario's own, if not said."""
    defects: tuple[str, ...] = ()
    """On top of the design."""
    shown: bool = False
    """Set the defects that the scenario shows."""
    expect: tuple[str, ...] | None = None
    """One of these verdicts must come; if it is empty none may; the scenario's own, if not said."""
    blocks: int = 1
    """Items to split the executions into, for workers to share."""
    max_steps: int = MAX_STEPS
    races: bool = True
    every_access: bool = False
    release_sequence: str | None = None
    strict_order: bool | None = None
    """What the run was asked for, if not said; so the one before."""


def _wish(item: pytest.Item) -> Wish:
    """Raises pytest's Failed for what a marker cannot say."""
    try:
        return _read(item.iter_markers(MARKER))
    except _Refused as error:
        why = str(error)
    pytest.fail(f"{item.name}: marker {MARKER}: {why}", pytrace=False)


def _read(marks: Iterable[pytest.Mark]) -> Wish:
    said: dict[str, Any] = {}
    known = [one.name for one in fields(Wish)]
    for mark in marks:
        if mark.args:
            raise _Refused(f"it takes keywords only, and has {mark.args[0]!r}")
        for key, value in mark.kwargs.items():
            if key not in known:
                raise _Refused(f"it has no {key!r}: there are {', '.join(known)}")
            said.setdefault(key, value)
    for key in ("defects", "expect"):
        if said.get(key) is not None:
            value = said[key]
            said[key] = (value,) if isinstance(value, str) else tuple(value)
    wish = Wish(**said)
    _check(wish)
    return wish


def _check(wish: Wish) -> None:
    numbers = {"executions": 10**12, "blocks": MOST_BLOCKS, "max_steps": 2**31 - 1}
    for key, high in numbers.items():
        value = getattr(wish, key)
        if value is not None and (type(value) is not int or not 1 <= value <= high):
            raise _Refused(f"{key} is {value!r}: it is a number from 1 to {high}")
    if wish.seconds is not None and wish.blocks > 1:
        raise _Refused("blocks are shares of executions: it cannot have seconds too")
    try:
        if wish.seconds is not None:
            Budget(seconds=float(wish.seconds))
        arms_of(wish.strategy or "portfolio", wish.bound)
        resolve(wish.design or "sound", wish.defects)
        if wish.release_sequence is not None:
            known_release_sequence(wish.release_sequence)
    except (SettingsError, UnknownDesign, UnknownDefect, TypeError, ValueError) as error:
        raise _Refused(str(error)) from None
    for name in wish.expect or ():
        if name not in list(Verdict):
            raise _Refused(f"expect: no verdict is named {name!r}: there are {', '.join(Verdict)}")


def prepare(metafunc: pytest.Metafunc) -> None:
    """Check the marker while tests are collected, and split it into blocks."""
    wish = _wish(metafunc.definition)
    if wish.blocks > 1:
        metafunc.fixturenames.append(FIXTURE)
        metafunc.parametrize(
            FIXTURE,
            range(wish.blocks),
            indirect=True,
            ids=[f"seeds{number}" for number in range(wish.blocks)],
        )


def refuse_what_cannot_return(item: pytest.Function) -> None:
    """A marked test that cannot hand over a scenario would pass without any work."""
    what = ""
    if item.cls is not None and issubclass(item.cls, unittest.TestCase):
        what = "a method of unittest.TestCase"
    if inspect.iscoroutinefunction(item.obj) or inspect.isasyncgenfunction(item.obj):
        what = "a coroutine"
    if what:
        pytest.fail(
            f"marker {MARKER}: {what} cannot return a scenario: make it a plain function",
            pytrace=False,
        )


def call_and_explore(item: pytest.Function) -> None:
    """Call the function as pytest would, and explore what it returns."""
    wish = _wish(item)
    arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}
    made = item.obj(**arguments)
    scenarios = [made] if isinstance(made, Scenario) else made
    if (
        not isinstance(scenarios, list | tuple)
        or not scenarios
        or not all(isinstance(one, Scenario) for one in scenarios)
    ):
        pytest.fail(
            f"marker {MARKER}: the test returned {made!r}, so nothing was explored: return a "
            "Scenario, or a list of them",
            pytrace=False,
        )
    number: Any = item.callspec.params.get(FIXTURE, 0) if hasattr(item, "callspec") else 0
    settings = item.config.stash[KEY]
    conclude(item, [plan_of(_named(one, item), wish, settings, number) for one in scenarios])


def _named(scenario: Scenario, item: pytest.Function) -> Scenario:
    name = item.originalname.removeprefix("test_").replace("_", "-") or "scenario"
    return scenario if scenario.name else replace(scenario, name=name)


def plan_of(scenario: Scenario, wish: Wish, settings: Settings, number: int) -> Plan:
    """``number``: of the block."""
    base = wish.design or (settings.design if scenario.shows else "") or scenario.design
    design = bent(scenario, base) if wish.shown else resolve(base)
    design = resolve(design.name, wish.defects)
    expected = scenario.expected(design) if wish.expect is None else wish.expect
    hunt = HuntSettings(
        design=design.name,
        strategy=wish.strategy or settings.strategy,
        bound=wish.bound,
        seed=settings.seed,
        most=OTHERS if expected else 1,
        races=wish.races,
        every_access=wish.every_access,
        release_sequence=wish.release_sequence or settings.release_sequence,
        strict_order=settings.strict_order if wish.strict_order is None else wish.strict_order,
        max_steps=wish.max_steps,
        wanted=tuple(sorted(map(str, expected))),
    )
    hunt = _budget(hunt, wish, settings, number)
    return Plan(scenario, design.name, hunt, hunt.wanted)


def _budget(hunt: HuntSettings, wish: Wish, settings: Settings, number: int) -> HuntSettings:
    """What was typed wins over the marker, and the marker over the ini file."""
    executions, seconds = wish.executions, wish.seconds
    if settings.budget_typed or (executions is None and seconds is None):
        executions, seconds = settings.executions, settings.seconds
    if hunt.wanted and wish.executions is None and wish.seconds is None:
        executions, seconds = max(FIND.executions or 1, executions or 1), None
    if executions is None and seconds is None:
        executions = CONTROL.executions or 1
    if wish.blocks == 1:
        return replace(hunt, executions=executions, seconds=seconds)
    if executions is None:  # each block its seconds
        share = replace(in_block(hunt, Block(number, wish.blocks, 1)), executions=None)
        return replace(share, seconds=seconds)
    hunt = replace(hunt, seconds=seconds)
    shares = deal(executions, hunt.strategy, wish.blocks)
    if number >= len(shares):
        pytest.skip(
            f"nothing is left for this block: {executions} executions make {len(shares)} of them"
        )
    return in_block(hunt, shares[number])
