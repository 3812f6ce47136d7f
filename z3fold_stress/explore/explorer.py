"""Explores one scenario: the arms of a strategy take turns until something is found, all is seen,
or the budget is used up.

Owns the budget and the tally.  A limit that was reached is said, and is never a pass.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from z3fold_stress import _sim, stopping
from z3fold_stress.designs import Design
from z3fold_stress.errors import SettingsError
from z3fold_stress.explore.portfolio import Arm, arms_of
from z3fold_stress.explore.world import MAX_STEPS, World
from z3fold_stress.scenario import Scenario
from z3fold_stress.verdicts import Verdict

__all__ = ["Budget", "Exploration", "Found", "Status", "explore", "explore_world"]

SLICE = 0.05
"""Seconds that an arm runs before it is the next one's turn; also how soon Ctrl-C is heard."""
FIRST_SLICE = 64
"""Executions of an arm's first turn; each turn doubles it.  Counted, not timed: with a budget in
executions the same seed explores the same executions on any machine."""


LONGEST_SLICE = 1 << 16


class Status(StrEnum):
    """How an exploration ended."""

    FOUND = "found"
    COMPLETE = "complete"
    """An exhaustive strategy has seen all that it promised, and found nothing."""
    CLEAN = "clean"
    """The budget was used up, and nothing was found."""
    INCONCLUSIVE = "inconclusive"
    """No work was done, or executions were cut at the step limit."""


@dataclass(frozen=True, slots=True)
class Budget:
    """When to stop: the first limit that is reached counts."""

    executions: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.executions is not None and self.executions < 1:
            raise SettingsError(
                f"a budget of {self.executions} executions shows nothing: it must be at least 1"
            )
        if self.seconds is not None and not self.seconds > 0:
            raise SettingsError(
                f"a budget of {self.seconds:g} seconds shows nothing: it must be more than 0"
            )
        if self.executions is None and self.seconds is None:
            raise SettingsError("a budget needs a number of executions or of seconds")


@dataclass(frozen=True, slots=True)
class Found:
    """What one execution showed, in the engine's terms."""

    verdict: Verdict
    outcome: dict[str, Any]
    arm: Arm
    execution: int
    """How many executions it took, this one included, over all arms."""
    seconds: float


@dataclass(slots=True)
class Exploration:
    """The tally of one scenario and design."""

    scenario: Scenario
    design: Design
    seed: int
    status: Status = Status.INCONCLUSIVE
    found: list[Found] = field(default_factory=list)
    warnings: list[Found] = field(default_factory=list)
    """Orders of locks that could deadlock where nothing did: no failure unless asked for."""
    order_given_up: int = 0
    """Searches for such an order that were cut: nothing is known of them."""
    executions: int = 0
    distinct: int = 0
    """Of those, how many had a schedule that none before had: the rest are repeats, or were cut
    where others cover what is left of them."""
    distinct_exactly: bool = True
    """Else their number is estimated."""
    steps: int = 0
    deaths: int = 0
    """Executions in which a mortal actor died."""
    limited: int = 0
    """Executions that were cut at a limit; nothing is known of them."""
    unordered: int = 0
    """Of those, the ones that ended, but whose reads and writes nobody could order."""
    seconds: float = 0.0
    claims: list[str] = field(default_factory=list)
    """What was shown exhaustively."""
    left: dict[str, float] = field(default_factory=dict)
    """Of each exhaustive arm that did not finish: the share of its executions that is done."""
    by_arm: dict[str, int] = field(default_factory=dict)
    promoted: int = 0
    interrupted: bool = False
    failed_setup: dict[str, Any] | None = None

    @property
    def verdicts(self) -> frozenset[Verdict]:
        return frozenset(found.verdict for found in self.found)


@dataclass(slots=True)
class _Turn:
    """An arm in the rotation: where it is, and how long its next turn is."""

    arm: Arm
    next_execution: int = 0
    length: int = FIRST_SLICE
    done: bool = False
    search: _sim.Search | None = None
    """What an exhaustive arm has done, between its turns."""
    limited: int = 0


def explore(
    scenario: Scenario,
    design: Design,
    *,
    strategy: str = "portfolio",
    bound: int | None = None,
    budget: Budget,
    seed: int = 0,
    most: int = 1,
    wanted: frozenset[Verdict] | None = None,
    strict_order: bool = False,
    races: bool = True,
    every_access: bool = False,
    release_sequence: str = "c11",
    max_steps: int = MAX_STEPS,
    tell: Callable[[Exploration], None] | None = None,
) -> Exploration:
    """Explore until ``most`` distinct verdicts were found, or one of ``wanted``; see Budget for
    the other ends.

    An order of locks that could deadlock is a warning, and never counts as one of ``most``: no
    execution went wrong.  It is found where ``strict_order`` asks for it, or the scenario expects
    it, or it is wanted.

    ``tell`` is called now and then with the tally so far.  KeyboardInterrupt ends it with the
    tally, ``interrupted``.
    """
    with World(
        scenario,
        design,
        races=races,
        every_access=every_access,
        release_sequence=release_sequence,
        max_steps=max_steps,
    ) as world:
        return explore_world(
            world,
            arms_of(strategy, bound),
            budget=budget,
            seed=seed,
            most=most,
            wanted=wanted,
            strict_order=strict_order,
            tell=tell,
        )


def explore_world(
    world: World,
    arms: tuple[Arm, ...],
    *,
    budget: Budget,
    seed: int = 0,
    most: int = 1,
    wanted: frozenset[Verdict] | None = None,
    strict_order: bool = False,
    tell: Callable[[Exploration], None] | None = None,
    distinct: _sim.Distinct | None = None,
) -> Exploration:
    """As explore(), in a world that is there already.  ``distinct``: what was done there before,
    so that repeats of it are known as such."""
    tally = Exploration(world.scenario, world.design, seed)
    began = time.monotonic()
    if world.failed is not None:
        verdict = world.verdict(world.failed)
        assert verdict is not None
        tally.failed_setup = world.failed
        tally.status = Status.FOUND
        tally.found.append(Found(verdict, world.failed, Arm("setup"), 0, 0.0))
        return tally
    counts = (
        strict_order
        or Verdict.LOCK_ORDER in (wanted or ())
        or Verdict.LOCK_ORDER in world.scenario.expected(world.design)
    )
    distinct = _sim.Distinct() if distinct is None else distinct
    before = distinct.count
    turns = [_Turn(arm, search=_sim.Search() if arm.exhaustive else None) for arm in arms]
    try:
        _take_turns(world, turns, tally, distinct, budget, seed, most, wanted, tell, began)
    except KeyboardInterrupt:
        tally.interrupted = True
    tally.distinct = min(max(0, distinct.count - before), tally.executions)
    tally.distinct_exactly = distinct.exact
    tally.seconds = time.monotonic() - began
    if counts:
        tally.found += tally.warnings
        tally.found.sort(key=lambda found: found.execution)
        tally.warnings = []
    _conclude(tally, turns)
    return tally


def _over(tally: Exploration, most: int, wanted: frozenset[Verdict] | None) -> bool:
    seen = {*tally.verdicts, *(found.verdict for found in tally.warnings)}
    if wanted is not None and not wanted.isdisjoint(seen):
        return True
    return len(tally.verdicts) >= most


def _all_seen(turn: _Turn) -> bool:
    return turn.arm.unbounded and turn.done and not turn.limited


def _take_turns(
    world: World,
    turns: list[_Turn],
    tally: Exploration,
    distinct: _sim.Distinct,
    budget: Budget,
    seed: int,
    most: int,
    wanted: frozenset[Verdict] | None,
    tell: Callable[[Exploration], None] | None,
    began: float,
) -> None:
    while any(not turn.done for turn in turns):
        for turn in turns:
            if turn.done:
                continue
            length = turn.length
            if budget.executions is not None:
                length = min(length, budget.executions - tally.executions)
            deadline = None if budget.seconds is None else began + budget.seconds
            if length <= 0 or (deadline is not None and time.monotonic() >= deadline):
                return
            _one_turn(world, turn, tally, distinct, length, deadline, seed, began)
            turn.length = min(2 * turn.length, LONGEST_SLICE)
            if tell is not None:
                tally.seconds = time.monotonic() - began
                tell(tally)
            if _over(tally, most, wanted) or _all_seen(turn):
                return


def _one_turn(
    world: World,
    turn: _Turn,
    tally: Exploration,
    distinct: _sim.Distinct,
    length: int,
    deadline: float | None,
    seed: int,
    began: float,
) -> None:
    simulator = world.simulator
    arm = turn.arm
    simulator.begin(
        arm.strategy,
        seed,
        turn.next_execution,
        arm.depth,
        arm.delay_bound,
        turn.search,
        distinct=distinct,
    )
    before = tally.executions
    while length > tally.executions - before:
        stopping.check()
        left = None if deadline is None else max(1e-9, deadline - time.monotonic())
        stop = simulator.explore(
            length - (tally.executions - before),
            int(min(SLICE, left or SLICE) * 1e9),
            0 if left is None else int(left * 1e9),
        )
        totals = simulator.totals()
        tally.executions = before + totals["executions"]
        turn.next_execution = totals["execution"]
        if stop == "found":
            _note(world, turn, tally, began)
            break
        if stop == "exhausted":
            turn.done = True
            if not turn.limited and not totals["limited"]:
                tally.claims.append(arm.claim)
            break
        if stop == "process":
            raise world.trouble()
        if stop == "lost":
            raise RuntimeError(f"{arm.name}: an execution did not repeat its prefix")
        if stop == "time" and deadline is not None and time.monotonic() >= deadline:
            break
    totals = simulator.totals()
    tally.steps += totals["steps"]
    tally.deaths += totals["deaths"]
    tally.limited += totals["limited"]
    tally.unordered += totals["unordered"]
    turn.limited += totals["limited"]
    tally.promoted = totals["promoted"]
    tally.order_given_up = totals["order_given_up"]
    tally.by_arm[arm.name] = tally.by_arm.get(arm.name, 0) + totals["executions"]
    if arm.exhaustive and not turn.done:
        tally.left[arm.name] = totals["share_done"]
    else:
        tally.left.pop(arm.name, None)


def counted(executions: int, distinct: int, *, exactly: bool) -> str:
    """How many executions there were, and how many of them were no repeats."""
    about = "" if exactly else "about "
    of_them = f" ({about}{distinct:,} distinct)" if distinct < executions else ""
    return f"{executions:,} executions{of_them}"


def limits_met(limited: int, unordered: int) -> str:
    """What cut so many executions, and what helps."""
    cut = (
        f"{limited - unordered:,} executions were cut at the step limit (--max-steps) "
        "or ran on for too long"
    )
    lost = (
        f"{unordered:,} executions have reads and writes of one object that overlap too much to be "
        "ordered (use fewer)"
    )
    return " and ".join([cut] * (limited > unordered) + [lost] * (unordered > 0))


def _note(world: World, turn: _Turn, tally: Exploration, began: float) -> None:
    outcome = world.simulator.outcome()
    seconds = time.monotonic() - began
    verdict = world.verdict(outcome)
    if verdict is not None and verdict not in tally.verdicts:
        tally.found.append(Found(verdict, outcome, turn.arm, tally.executions, seconds))
    if outcome["order"] is not None and verdict is not Verdict.DEADLOCK:
        _warn(world, outcome, turn, tally, seconds)


def _warn(
    world: World, outcome: dict[str, Any], turn: _Turn, tally: Exploration, seconds: float
) -> None:
    """The first time that locks are seen in a cycle the engine has not looked at what orders the
    tasks: a replay does."""
    order = outcome["order"]
    if not order["sure"]:
        with world.by_coroutines():
            order = world.simulator.replay(outcome["schedule"])["order"]
    known = [_locks(found.outcome["cycle"]) for found in tally.warnings]
    for cycle in order["cycles"] if order else ():
        if _locks(cycle) not in known:
            told = {**outcome, "verdict": None, "cycle": cycle}
            found = Found(Verdict.LOCK_ORDER, told, turn.arm, tally.executions, seconds)
            tally.warnings.append(found)


def _locks(cycle: list[dict[str, Any]]) -> frozenset[tuple[int, int]]:
    return frozenset((step["held"]["class"], step["wanted"]["class"]) for step in cycle)


def _conclude(tally: Exploration, turns: list[_Turn]) -> None:
    if tally.found:
        tally.status = Status.FOUND
    elif tally.executions == 0 or tally.limited or tally.interrupted:
        tally.status = Status.INCONCLUSIVE
    elif any(map(_all_seen, turns)) or (turns and all(turn.done for turn in turns)):
        tally.status = Status.COMPLETE
        tally.left = {}
    else:
        tally.status = Status.CLEAN
