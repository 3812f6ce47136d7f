"""A crew of worker processes: jobs go out, answers come in as they are ready.

One world a process, so one job a process at a time.  Workers die with their parent, and leave
Ctrl-C to it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from typing import Any, TypeVar

from z3fold_stress import _live
from z3fold_stress.errors import SettingsError

__all__ = ["CrewError", "available_jobs", "run_jobs", "tell_early"]

Job = TypeVar("Job")
Answer = TypeVar("Answer")


class CrewError(RuntimeError):
    """A worker process died in the middle of a job."""


def available_jobs() -> int:
    """As many as CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


GLANCE = 0.25
"""Seconds between two looks at what jobs tell before they are done."""

_early: Callable[[Any], object] = bool
"""Where tell_early() goes; at first, nowhere."""


def tell_early(value: Any) -> None:
    """Within a job: tell something before the job is done."""
    _early(value)


def _start(parent: int, tell: Callable[[Any], object]) -> None:
    global _early
    _early = tell
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not _live.die_with_parent(parent):
        os._exit(1)


def run_jobs(
    work: Callable[[Job], Answer],
    jobs: Iterable[Job],
    processes: int,
    early: Callable[[Any], object] = bool,
) -> Iterator[tuple[Job, Answer]]:
    """Do each job in a process of the crew; pairs come in the order in which they are ready.

    ``work`` must be importable.  With one process it is done here.  ``early`` is called here with
    what jobs say by tell_early(), soon, and before the job's answer comes.  Raises CrewError when a
    worker dies; leaving the loop early (or KeyboardInterrupt) ends all workers at once.
    """
    if processes < 1:
        raise SettingsError(f"{processes} processes can do nothing: it must be at least 1")
    if processes == 1:
        global _early
        _early = early
        try:
            for job in jobs:
                yield job, work(job)
        finally:
            _early = bool
        return
    context = get_context("spawn")
    told: SimpleQueue[Any] = context.SimpleQueue()
    executor = ProcessPoolExecutor(
        processes, mp_context=context, initializer=_start, initargs=(os.getpid(), told.put)
    )
    waiting: dict[Future[Answer], Job] = {}
    todo = iter(jobs)
    try:
        for job in todo:
            waiting[executor.submit(work, job)] = job
            if len(waiting) < processes + 1:
                continue
            yield from _ready(waiting, told, early)
        while waiting:
            yield from _ready(waiting, told, early)
        executor.shutdown()
    except BrokenProcessPool:
        raise CrewError(
            "a worker process died (killed, or out of memory): what was found so far is told, "
            "the rest was not explored"
        ) from None
    finally:
        _end(executor)
        told.close()


def _ready(
    waiting: dict[Future[Any], Any], told: SimpleQueue[Any], early: Callable[[Any], object]
) -> Iterator[tuple[Any, Any]]:
    done: set[Future[Any]] = set()
    while not done:
        done, _ = wait(waiting, timeout=GLANCE, return_when=FIRST_COMPLETED)
        while not told.empty():
            early(told.get())
    for future in done:
        yield waiting.pop(future), future.result()


def _end(executor: ProcessPoolExecutor) -> None:
    processes = list((executor._processes or {}).values())
    executor.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()
        process.join()
