"""The stage of a test: its arena, the pools and processes in it, and the judgement at the end.

One place ends it all, whatever order fixtures go in: processes first, then the audit of what was
left, then the pools, then the audit again.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import multiprocess
import pytest

from z3fold_stress import _live
from z3fold_stress.arena import Arena
from z3fold_stress.defects import UnknownDefect
from z3fold_stress.designs import UnknownDesign
from z3fold_stress.dump import save
from z3fold_stress.errors import HandleError, SettingsError, VerdictError
from z3fold_stress.pool import Pool
from z3fold_stress.pytest_plugin.options import KEY, Settings
from z3fold_stress.pytest_plugin.summary import FAILED
from z3fold_stress.settings import ArenaSettings
from z3fold_stress.soak.death import judge_death
from z3fold_stress.soak.processes import Member

__all__ = ["Stage", "set_up", "tear_down"]

MARKER = "z3fold_arena"
PATIENCE = 30.0
"""Seconds that processes have to end when their test is over; then they are killed."""

_open_stages = 0
_forker = 0


def _before_fork() -> None:
    global _forker
    _forker = os.getpid()


def _after_fork() -> None:
    """A process that was forked while an arena is in use dies with the one that forked it: alone
    it would hold the arena, and the pipe by which pytest-xdist learns that a worker is gone."""
    if _open_stages and not _live.die_with_parent(_forker):
        os._exit(1)


os.register_at_fork(before=_before_fork, after_in_child=_after_fork)


class Stage:
    """Of one test."""

    def __init__(self, settings: ArenaSettings, label: str) -> None:
        global _open_stages
        self.label = label
        self.arena = Arena.make(settings, label)
        self.pools: list[Pool] = []
        self.processes: list[tuple[Member, Any]] = []
        _open_stages += 1

    def make_pool(self, wishes: Mapping[str, Any] | None) -> Pool:
        pool = Pool(self.arena, **(wishes or {}))
        self.pools.append(pool)
        return pool

    def start(self, function: Callable[..., None], *args: Any, task: int = 2, cpu: int = 0) -> Any:
        """See the fixture z3fold_process."""
        tasks = self.arena.layout.arena("nr_tasks")
        if not 2 <= task <= tasks:
            raise ValueError(
                f"task {task} cannot be a process: they are 2 to {tasks}, "
                "@pytest.mark.z3fold_arena(tasks=...) says how many"
            )
        if any(member.task == task and one.is_alive() for member, one in self.processes):
            raise ValueError(f"task {task} is another process, which has not ended")
        member = Member(task, int(_live.Role.ROLE_WORKER), function.__name__, cpu)
        process = multiprocess.get_context("fork").Process(
            target=_play, args=(self.arena, member, function, args), name=f"z3f-task-{task}"
        )
        process.start()
        self.processes.append((member, process))
        return process

    def end_processes(self) -> list[str]:
        """Wait for them, and tell which did not end well."""
        deadline = time.monotonic() + PATIENCE
        told = []
        for member, process in self.processes:
            who = f"task {member.task} ({member.name}, pid {process.pid})"
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                told.append(f"stall: {who} did not end within {PATIENCE:g} s, {self._at(member)}")
                process.kill()
                process.join()
            elif process.exitcode < 0:
                death = judge_death(self.arena.layout, member, -process.exitcode)
                verdict = f"{death.verdict}: " if death.verdict else ""
                told.append(f"{verdict}{who}: {death.text}")
            elif process.exitcode:
                told.append(f"{who} ended with status {process.exitcode}: see its stderr")
            if process.exitcode < 0:
                where = self.arena.layout.task_offset(member.task)
                self.arena.layout.poke("task", where, state=_live.TaskState.TASK_DEAD)
        return told

    def _at(self, member: Member) -> str:
        task = self.arena.layout.task(member.task)
        inside = " > ".join(op for op, _, _ in self.arena.layout.inside(task))
        lock = task["waits_for"]
        return f"inside {inside or 'its own code'}" + (f", waiting for 0x{lock:x}" if lock else "")

    def audit(self) -> list[str]:
        told = [str(judgement) for judgement in self.arena.judgements()]
        if not self.arena.abandoned:
            told += [str(finding) for finding in self.arena.audit()]
        return told

    def end_pools(self) -> list[str]:
        """Empty and destroy them; what goes wrong with that."""
        try:
            for pool in self.pools:
                pool.__exit__(None, None, None)
        except VerdictError:
            return []  # it is recorded in the arena
        except (HandleError, ValueError, OSError) as error:
            return [str(error)]
        return []

    def save(self, folder: str) -> str:
        """The arena as a dump beside the findings; a line that says where it is, or why not."""
        if not folder:
            return ""
        path = Path(folder) / f"{self.label}.dump"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save(self.arena, path, {})
        except OSError as error:
            return f"the arena could not be saved: {error}"
        return f"what it looks like: z3fold-stress inspect {path}"

    def close(self) -> None:
        global _open_stages
        _open_stages -= 1
        self.arena.close()


def _play(arena: Arena, member: Member, function: Callable[..., None], args: Any) -> None:
    arena.become(member.task, member.role, member.cpu)
    try:
        function(*args)
    finally:
        where = arena.layout.task_offset(member.task)
        arena.layout.poke("task", where, state=_live.TaskState.TASK_DONE)


def _label(item: pytest.Item, settings: Settings) -> str:
    """What /proc shows: the run, the worker, the test."""
    label = f"z3fold-stress-{settings.run}-{settings.worker or 'main'}-{item.name}"
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", label).strip("-")[:120]


def set_up(request: pytest.FixtureRequest) -> Stage:
    """Fails the test for settings that cannot work."""
    item: pytest.Item = request.node
    said: dict[str, Any] = {}
    for mark in item.iter_markers(MARKER):
        if mark.args:
            pytest.fail(f"marker {MARKER}: it takes keywords only: {mark.args[0]!r}", pytrace=False)
        said = {**mark.kwargs, **said}
    try:
        settings = ArenaSettings.of(**said)
        return Stage(settings, _label(item, item.config.stash[KEY]))
    except (SettingsError, UnknownDesign, UnknownDefect, TypeError) as error:
        why = str(error)
    pytest.fail(f"marker {MARKER}: {why}", pytrace=False)


def tear_down(stage: Stage, request: pytest.FixtureRequest) -> None:
    """Judge what the test left. A test that failed need not have left an order that lets its
    pools go: then only what it left is audited."""
    try:
        told = stage.end_processes()
        told += stage.audit()
        if not told and not request.node.stash.get(FAILED, False):
            told = stage.end_pools() + stage.audit()
        saved = stage.save(request.config.stash[KEY].save) if told else ""
    finally:
        stage.close()
    if told:
        count = f"{len(told)} finding{'s' if len(told) > 1 else ''}"
        lines = "\n".join(f"  {line}" for line in [*told, saved] if line)
        pytest.fail(f"arena {stage.label}: {count} when the test was over\n{lines}", pytrace=False)
