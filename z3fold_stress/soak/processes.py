"""The processes of a soak: who there is, and what each runs. Knows nothing of who watches."""

from __future__ import annotations

import array
import os
from dataclasses import dataclass
from typing import Any

from z3fold_stress import _live
from z3fold_stress.arena import Arena
from z3fold_stress.soak.settings import SoakSettings

__all__ = ["Checking", "Member", "cast", "run_member"]


@dataclass(frozen=True, slots=True)
class Member:
    """One process of the soak: its task in the arena, and its role."""

    task: int
    role: int
    name: str
    cpu: int


@dataclass(frozen=True, slots=True)
class Checking:
    """How processes check their accesses: see ``SoakSettings``."""

    rate: int
    stall_us: int
    delay: float

    @classmethod
    def of(cls, settings: SoakSettings) -> Checking | None:
        """None: they run at full speed, and do not."""
        if not settings.checked:
            return None
        return cls(settings.watch_rate, settings.watch_stall_us, settings.access_delay)


def cast(settings: SoakSettings) -> list[Member]:
    """All members; task 1 is the supervisor's."""
    roles = [
        *[(_live.Role.ROLE_WORKER, f"worker-{i + 1}") for i in range(settings.workers)],
        *[(_live.Role.ROLE_MIGRATOR, f"migrator-{i + 1}") for i in range(settings.migrators)],
        *[(_live.Role.ROLE_RECLAIMER, f"reclaimer-{i + 1}") for i in range(settings.reclaimers)],
        *[(_live.Role.ROLE_CHURNER, f"churner-{i + 1}") for i in range(settings.churners)],
        (_live.Role.ROLE_KWORKER_COMPACT, "kworker-compact"),
        (_live.Role.ROLE_KWORKER_RELEASE, "kworker-release"),
    ]
    return [
        Member(task, int(role), name, (task - 2) % settings.cpus)
        for task, (role, name) in enumerate(roles, start=2)
    ]


def _build(checking: Checking | None) -> Any:
    """The build of the engine that a member runs."""
    if checking is None:
        return _live
    from z3fold_stress import _sim  # not cheap, and seldom needed

    return _sim


def run_member(
    arena: Arena,
    member: Member,
    pool: int,
    work: dict[str, Any],
    sizes: bytes,
    parent: int,
    recover: bool,
    checking: Checking | None = None,
) -> None:
    """The body of a member's process. Ends when the arena says stop, or with its parent."""
    if not _live.die_with_parent(parent):
        os._exit(0)
    _live.name_process(f"z3f-{member.name}")
    build = _build(checking)
    arena.use(build)
    engine = arena.engine
    arena.become(member.task, member.role, member.cpu)
    build.catch_crashes_here()
    if checking is not None:
        delay_every = round(1 / checking.delay) if checking.delay else 0
        build.check_accesses(engine, checking.rate, checking.stall_us * 1000, delay_every)
    try:
        if recover:
            engine.call(_live.Call.CALL_RECOVER, pool, member.task)
        if member.role == _live.Role.ROLE_WORKER:
            engine.worker(work, array.array("H", sizes))
        else:
            engine.daemon(work)
    except build.Abandoned:
        pass  # the verdict is in the arena
    finally:
        arena.layout.poke(
            "task", arena.layout.task_offset(member.task), state=_live.TaskState.TASK_DONE
        )
