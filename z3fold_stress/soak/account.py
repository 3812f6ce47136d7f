"""What a soak leaves, accounted for when nobody is left in it: drained, audited, freed, destroyed.

Reports to the supervisor; knows nothing of processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from z3fold_stress import _live
from z3fold_stress.judgement import AuditFinding
from z3fold_stress.layout import Layout
from z3fold_stress.verdicts import Verdict

if TYPE_CHECKING:
    from z3fold_stress.soak.supervisor import Soak

__all__ = ["Pending", "account", "aftermath", "busy_queues", "retire_kworkers"]


Pending = tuple[tuple[str, int], ...]
"""What is not at rest, by name, with a number that changes as it gets on."""
_QUEUES = ("compact_wq", "release_wq")


def _queue(layout: Layout, name: str) -> int:
    """The offset of a work queue."""
    return layout.pool_offset(0) + int(_live.fields()["pool"][1][name][0])


def busy_queues(layout: Layout) -> Pending:
    """The work queues in which work waits, or runs, and how far each is."""
    busy = []
    for name in _QUEUES:
        at = _queue(layout, name)
        queue = layout.read("workqueue", at)
        if queue["running"] or queue["next"] != at + _live.fields()["workqueue"][1]["next"][0]:
            busy.append((name, queue["started"]))
    return tuple(busy)


def retire_kworkers(layout: Layout) -> None:
    """Whoever flushes a queue serves it from now on."""
    for name in _QUEUES:
        layout.poke("workqueue", _queue(layout, name), worker=0)


def aftermath(layout: Layout, finding: AuditFinding) -> bool:
    """After an operation was left in the middle, its locks and its marks say nothing new."""
    left = layout.arena("stop") == 2
    return left and (finding.rule in (19, 20) or "marked as running" in finding.text)


def account(soak: Soak) -> None:
    """Drain, audit, free everything, and see that nothing is left."""
    call = soak.arena.call
    call(_live.Call.CALL_DRAIN, soak.pool, 2**64 - 1)
    soak.course.density = soak.statistics.density()
    if not soak.audit_quiet(probe=True):
        return
    call(_live.Call.CALL_RELEASE_OBJECTS, soak.pool)
    call(_live.Call.CALL_DRAIN, soak.pool, 2**64 - 1)
    soak.take(soak.arena.audit())
    pool = soak.layout.pool(0)
    if not soak.course.findings and (pool["pages_nr"] or pool["slots_nr"]):
        soak.declare(
            Verdict.LEAK,
            "end of the run",
            f"all objects are freed, and {pool['pages_nr']} pages and "
            f"{pool['slots_nr']} slots objects are left",
        )
        return
    call(_live.Call.CALL_DESTROY_POOL, soak.pool)
    soak.take(soak.arena.audit())
