"""An arena: the one shared mapping that everything of a run lives in.

It is an anonymous memory file: no name exists, so nothing can be left behind when every process
is killed. Other processes get it as an argument (fork or spawn), or by its file descriptor.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from multiprocess.reduction import DupFd

from z3fold_stress import _live
from z3fold_stress.errors import VerdictError
from z3fold_stress.judgement import AuditFinding, Judgement, verdict_of
from z3fold_stress.layout import Layout
from z3fold_stress.settings import ArenaSettings

__all__ = ["Arena"]

CALLER = int(_live.Role.ROLE_CALLER)


class Arena:
    """A shared arena, and this process as one of its tasks.

    ``Arena(frames=..., design="as-posted", defects=[...])`` makes one and enters it as task 1.
    Given to a child process as an argument it is attached there; the child then calls
    ``become(task)`` with a number of its own, from 2.

    Raises SettingsError for settings that cannot work, OSError when there is no memory.
    """

    def __init__(self, design: str = "sound", defects: Iterable[str] = (), **settings: Any) -> None:
        self._make(ArenaSettings.of(design, defects, **settings))

    @classmethod
    def make(cls, settings: ArenaSettings, label: str = "z3fold-stress", beside: int = 0) -> Arena:
        """An arena of these settings. ``label``: how /proc shows its memory file; ``beside``:
        bytes of shared memory after its end."""
        arena = cls.__new__(cls)
        arena._make(settings, label, beside)
        return arena

    def _make(self, settings: ArenaSettings, label: str = "z3fold-stress", beside: int = 0) -> None:
        geometry = settings.geometry()
        fd = os.memfd_create(label)
        try:
            os.ftruncate(fd, _live.arena_size(geometry) + beside)
            self._map(fd)
        except BaseException:
            os.close(fd)
            raise
        self._engine.format(geometry, settings.config())
        self._engine.examine()
        self.become(1)

    def _map(self, fd: int) -> None:
        size = os.fstat(fd).st_size
        if size == 0:
            raise _live.ArenaError("not an arena: the file is empty")
        self.fd = fd
        self.memory = mmap.mmap(fd, size)
        self._build: Any = _live
        self._engine = _live.Engine(self.memory, 0)
        self.layout = Layout(self.memory)
        self.handles = 0
        self.abandoned = False
        self.reclaiming = False

    @classmethod
    def attach(cls, fd: int, task: int = 0) -> Arena:
        """Map the arena behind a file descriptor, which stays the caller's.

        With task 0 this process only looks. Raises _live.ArenaError for what is no arena, one of
        another version, or a truncated one.
        """
        arena = cls.__new__(cls)
        own = os.dup(fd)
        try:
            arena._map(own)
            try:
                arena._engine.examine()
            except _live.ArenaError:
                arena.close()
                raise
        except _live.ArenaError:
            if not hasattr(arena, "memory"):
                os.close(own)
            raise
        if task:
            try:
                arena.become(task)
            except ValueError:
                arena.close()
                raise
        return arena

    @classmethod
    def from_bytes(cls, image: bytes) -> Arena:
        """A private copy of a saved arena, to look at."""
        fd = os.memfd_create("z3fold-stress-image")
        try:
            _write_all(fd, image)
            return cls.attach(fd)
        finally:
            os.close(fd)

    def __getstate__(self) -> dict[str, Any]:
        return {"fd": DupFd(self.fd)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._map(state["fd"].detach())
        self._engine.examine()

    def close(self) -> None:
        """Unmap. The memory itself goes with the last process that has it."""
        if not self.memory.closed:
            self._engine.close()
            self.memory.close()
            os.close(self.fd)

    def __enter__(self) -> Arena:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: object, trace: TracebackType | None
    ) -> None:
        self.close()

    def become(self, task: int, role: int = CALLER, cpu: int = 0) -> None:
        """Be this task of the arena from now on (1 to the arena's number of tasks)."""
        if not 1 <= task <= self.layout.arena("nr_tasks"):
            raise ValueError(
                f"task {task} does not exist: the arena has {self.layout.arena('nr_tasks')}"
            )
        self._engine.become(task, role, cpu)

    def use(self, build: Any) -> None:
        """Look at the arena with another build of the engine: the module ``_live`` or ``_sim``.

        For a process that has not become a task yet. Raises ArenaError where the two disagree
        about the layout.
        """
        self._engine.close()
        self._build = build
        self._engine = build.Engine(self.memory, 0)
        self._engine.examine()

    @property
    def task(self) -> int:
        return int(self._engine.task)

    @property
    def engine(self) -> Any:
        """The engine itself, for loops that run in it."""
        return self._engine

    @property
    def cpu(self) -> int:
        """``smp_processor_id()`` of this task."""
        return self.layout.task_field(self.task, "cpu")

    @cpu.setter
    def cpu(self, cpu: int) -> None:
        if not 0 <= cpu < self.layout.arena("nr_cpus"):
            raise ValueError(
                f"CPU {cpu} does not exist: the arena has {self.layout.arena('nr_cpus')}"
            )
        self._engine.set_cpu(cpu)

    @property
    def isolates(self) -> bool:
        """Whether this task has pages isolated."""
        task = self.layout.task_offset(self.task)
        head = task + _live.fields()["task"][1]["isolated_next"][0]
        return self.layout.get("task", task, "isolated_next") != head

    @property
    def why_refused(self) -> str:
        """Why the last page that this task tried to isolate refused, as ``mapped``."""
        refused = self.layout.task_field(self.task, "refused")
        return str(_live.Refusal(refused).name).removeprefix("REFUSED_").lower().replace("_", "-")

    def call(self, what: int, pool: int = 0, a: int = 0, b: int = 0, c: int = 0) -> Any:
        """Perform one engine operation (``_live.Call``); (result, b, c).

        A check that fails meanwhile raises VerdictError, unless the arena keeps going. After one
        that left its operation in the middle the arena can only be looked at.
        """
        if self.abandoned:
            raise VerdictError(self.judgements())
        before = self.layout.arena("nr_verdicts")
        try:
            answer = self._engine.call(what, pool, a, b, c)
        except self._build.Abandoned:
            self.abandoned = True
            raise VerdictError(self.judgements()) from None
        if self.layout.arena("nr_verdicts") != before and self.layout.arena("stop"):
            raise VerdictError(self.judgements())
        return answer

    def judgements(self) -> list[Judgement]:
        """The verdicts recorded so far, oldest first."""
        return [Judgement.of(record) for record in self._engine.verdicts()]

    def forget_verdicts(self) -> None:
        """Clear the record, so that what comes is told from what was."""
        self._engine.clear_verdicts()

    def _has_others(self) -> bool:
        """Whether another task ever was here: then its handles are not known to this one."""
        free = int(_live.TaskState.TASK_FREE)
        return any(
            task != self.task and self.layout.task_field(task, "state") != free
            for task in self.layout.tasks()
        )

    def audit(self, most: int = 64) -> list[AuditFinding]:
        """Check every invariant over the arena, which must be quiet: no task inside it.

        At most ``most`` findings are told; the audit only reads.
        """
        known = -1 if self.layout.arena("nr_objects") or self._has_others() else self.handles
        findings, _ = self._engine.audit(known, most)
        return [
            AuditFinding(rule, verdict_of(kind), text, page, handle)
            for rule, kind, page, handle, text in findings
        ]


def _write_all(fd: int, image: bytes) -> None:
    view = memoryview(image)
    while view:
        view = view[os.write(fd, view) :]
