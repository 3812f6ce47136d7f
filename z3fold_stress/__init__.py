"""z3fold_stress: finds the races, deadlocks, leaks and corruption of a locking design.

A re-implementation of the Linux z3fold allocator, with page migration, lives on shared memory;
real processes hammer it while its pages are moved, and every invariant is checked.

Names are loaded when they are first asked for: pytest imports this package wherever it is
installed, and must not pay for an engine that no test uses.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from z3fold_stress.arena import Arena
    from z3fold_stress.designs import DESIGNS, Design
    from z3fold_stress.errors import HandleError, SettingsError, VerdictError
    from z3fold_stress.judgement import AuditFinding, Judgement
    from z3fold_stress.pool import Handle, Migration, Pool, PoolStats
    from z3fold_stress.scenario import Scenario, op
    from z3fold_stress.settings import ArenaSettings
    from z3fold_stress.verdicts import Verdict

__version__ = "0.1.0"
__all__ = [
    "DESIGNS",
    "Arena",
    "ArenaSettings",
    "AuditFinding",
    "Design",
    "Handle",
    "HandleError",
    "Judgement",
    "Migration",
    "Pool",
    "PoolStats",
    "Scenario",
    "SettingsError",
    "Verdict",
    "VerdictError",
    "op",
]

_HOME = {
    "DESIGNS": "designs",
    "Arena": "arena",
    "ArenaSettings": "settings",
    "AuditFinding": "judgement",
    "Design": "designs",
    "Handle": "pool",
    "HandleError": "errors",
    "Judgement": "judgement",
    "Migration": "pool",
    "Pool": "pool",
    "PoolStats": "pool",
    "Scenario": "scenario",
    "SettingsError": "errors",
    "Verdict": "verdicts",
    "VerdictError": "errors",
    "op": "scenario",
}
"""The module that each public name comes from."""


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
