"""z3fold_stress: finds the races, deadlocks, leaks and corruption of a locking design.

A re-implementation of the Linux z3fold allocator, with page migration, lives on shared memory;
real processes hammer it while its pages are moved, and every invariant is checked.
"""

from z3fold_stress.arena import Arena
from z3fold_stress.designs import DESIGNS, Design
from z3fold_stress.errors import HandleError, SettingsError, VerdictError
from z3fold_stress.judgement import AuditFinding, Judgement
from z3fold_stress.pool import Handle, Migration, Pool, PoolStats
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
    "SettingsError",
    "Verdict",
    "VerdictError",
]
