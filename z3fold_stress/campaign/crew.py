"""A crew of worker processes: jobs go out, answers come in as they are ready.

One world a process, so one job a process at a time.  Each worker has a pipe: no queue, and no lock
or semaphore with a name in /dev/shm that a killed run would leave there.  Workers die with their
parent, and hear no signal that asks the run to end.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Generator, Iterable
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from z3fold_stress import _live, stopping
from z3fold_stress.errors import SettingsError

__all__ = ["CrewError", "available_jobs", "run_jobs", "tell_early"]

Job = TypeVar("Job")
Answer = TypeVar("Answer")
TICK = 0.2
"""Seconds after which a wait for answers looks whether the run was asked to end."""


class CrewError(RuntimeError):
    """A worker process died in the middle of a job."""


def available_jobs() -> int:
    """As many as CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


_early: Callable[[Any], object] = bool
"""Where tell_early() goes; at first, nowhere."""


def tell_early(value: Any) -> None:
    """Within a job: tell something before the job is done."""
    with stopping.undisturbed():
        _early(value)


def run_jobs(
    work: Callable[[Job], Answer],
    jobs: Iterable[Job],
    processes: int,
    early: Callable[[Any], object] = bool,
) -> Generator[tuple[Job, Answer], None, None]:
    """Do each job in a process of the crew; pairs come in the order in which they are ready.

    ``work`` must be importable.  With one process it is done here.  ``early`` is called here with
    what jobs say by tell_early(), before the job's answer comes.  Raises CrewError when a
    worker dies; leaving the loop early (or KeyboardInterrupt) ends all workers at once.
    """
    if processes < 1:
        raise SettingsError(f"{processes} processes can do nothing: it must be at least 1")
    if processes == 1:
        global _early
        _early = early
        try:
            for job in jobs:
                stopping.check()
                yield job, work(job)
        finally:
            _early = bool
        return
    crew: _Crew[Job, Answer] = _Crew(work, early)
    try:
        for job in jobs:
            stopping.check()
            crew.begin(job)
            if len(crew.busy) == processes:
                yield from crew.ready()
        while crew.busy:
            yield from crew.ready()
    finally:
        with stopping.undisturbed():
            crew.end()


class _Crew(Generic[Job, Answer]):
    """The processes of a crew, started as they are needed, and who of them does what."""

    def __init__(self, work: Callable[[Job], Answer], early: Callable[[Any], object]) -> None:
        self._work = work
        self._early = early
        self._processes: dict[Connection, BaseProcess] = {}
        self._idle: list[Connection] = []
        self.busy: dict[Connection, Job] = {}

    def begin(self, job: Job) -> None:
        connection = self._idle.pop() if self._idle else self._start()
        with stopping.undisturbed():
            self.busy[connection] = job
            try:
                connection.send(job)
            except BrokenPipeError:
                raise self._died(connection) from None

    def _start(self) -> Connection:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_serve, args=(self._work, theirs, os.getpid()), daemon=True
        )
        with stopping.undisturbed():
            stopping.start(process)
            self._processes[ours] = process
        theirs.close()
        return ours

    def ready(self) -> Generator[tuple[Job, Answer], None, None]:
        """Wait until somebody speaks: what was answered, if it was."""
        spoke: list[Any] = []
        while not spoke:
            stopping.check()
            spoke = wait(list(self.busy), TICK)
        for connection in spoke:
            try:
                answer, error, done = connection.recv()
            except (EOFError, ConnectionResetError):
                raise self._died(connection) from None
            if error is not None:
                raise error
            if not done:
                with stopping.undisturbed():
                    self._early(answer)
                continue
            self._idle.append(connection)
            yield self.busy.pop(connection), answer

    def _died(self, connection: Connection) -> CrewError:
        process = self._processes[connection]
        process.join()
        status = process.exitcode or 0
        how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        return CrewError(
            f"a worker process died ({how}; out of memory?): what was found so far is told, "
            "the rest was not explored"
        )

    def end(self) -> None:
        for process in self._processes.values():
            process.kill()
        for connection, process in self._processes.items():
            process.join()
            connection.close()


def _serve(work: Callable[[Any], Any], connection: Connection, parent: int) -> None:
    """The body of a worker: answers until the pipe is closed."""
    if not _live.die_with_parent(parent):
        os._exit(1)

    def early(value: Any) -> None:
        connection.send((value, None, False))

    global _early
    _early = early
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        answer: tuple[Any, Exception | None, bool]
        try:
            answer = (work(job), None, True)
        except Exception as error:
            error.add_note(f"in a worker process:\n{traceback.format_exc()}")
            answer = (None, error, True)
        try:
            connection.send(answer)
        except Exception as error:  # what cannot be pickled
            connection.send((None, RuntimeError(f"no answer can be sent: {error!r}"), True))
