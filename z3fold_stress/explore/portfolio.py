"""The portfolio: which strategies explore, with which share of the budget.

No single strategy wins everywhere: bounded search finds what needs few preemptions and says when
it is done, PCT what needs order deep down, POS and SURW what needs rare orders of a few events,
and the random walk what needs none of that.  Owns the list; never runs anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from z3fold_stress import _vocabulary
from z3fold_stress.errors import SettingsError

__all__ = ["PORTFOLIO", "STRATEGIES", "Arm", "arms_of"]


@dataclass(frozen=True, slots=True)
class Arm:
    """One strategy with its parameter."""

    strategy: str
    """The engine's name of it."""
    depth: int = 3
    """pct: d; dfs and dpor: the most preemptions, -1 for no bound."""
    delay_bound: int = -1
    """dfs: the most delays, -1 for a bound on preemptions instead."""

    @property
    def name(self) -> str:
        if self.strategy == "pct":
            return f"pct-{self.depth}"
        if self.delay_bound >= 0:
            return f"delay-{self.delay_bound}"
        if self.strategy in ("dfs", "dpor") and self.depth >= 0:
            return f"{self.strategy}-{self.depth}"
        return self.strategy

    @property
    def exhaustive(self) -> bool:
        return self.strategy in ("dfs", "dpor")

    @property
    def unbounded(self) -> bool:
        """Whether nothing is left to others when it is done."""
        return self.exhaustive and self.depth < 0 and self.delay_bound < 0

    @property
    def claim(self) -> str:
        """What it has shown when nothing is left."""
        if self.delay_bound >= 0:
            return f"all executions with at most {self.delay_bound} delays"
        if self.strategy == "dpor" and self.depth < 0:
            return "an execution of every equivalence class"
        if self.depth >= 0:
            return f"all executions with at most {self.depth} preemptions"
        return "all executions"


STRATEGIES = ("portfolio", *(name for name in _vocabulary.STRATEGIES if name != "replay"), "delay")

PORTFOLIO = (
    Arm("dpor", depth=-1),
    Arm("dfs", depth=0),
    Arm("dfs", depth=1),
    Arm("random"),
    Arm("pos"),
    Arm("surw"),
    Arm("pct", depth=3),
    Arm("pct", depth=10),
    Arm("dfs", depth=2),
)
"""Taken in turns, each a slice at a time; those that are exhaustive leave when they are done. The
first has no bound: where the space is small it sees all of it, and nothing is left to the rest."""


def arms_of(strategy: str, bound: int | None = None) -> tuple[Arm, ...]:
    """The arms of a strategy by the name that the command line uses.

    ``bound``: pct's depth, or the bound on preemptions or delays; a negative one is none.
    Raises SettingsError for a name that there is not.
    """
    if strategy == "portfolio":
        return PORTFOLIO
    if strategy == "pct":
        return (Arm("pct", depth=3 if bound is None else bound),)
    if strategy == "delay":
        return (Arm("dfs", delay_bound=2 if bound is None else bound),)
    if strategy == "dfs":
        return (Arm("dfs", depth=2 if bound is None else bound),)
    if strategy == "dpor":
        return (Arm("dpor", depth=-1 if bound is None else bound),)
    if strategy in STRATEGIES:
        return (Arm(strategy),)
    raise SettingsError(f"no strategy is named {strategy!r}: there are {', '.join(STRATEGIES)}")
