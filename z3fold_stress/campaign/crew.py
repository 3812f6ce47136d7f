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
from typing import Any, TypeVar

from z3fold_stress import _live
from z3fold_stress.errors import SettingsError

__all__ = ["CrewError", "available_jobs", "run_jobs"]

Job = TypeVar("Job")
Answer = TypeVar("Answer")


class CrewError(RuntimeError):
    """A worker process died in the middle of a job."""


def available_jobs() -> int:
    """As many as CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


def _start(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not _live.die_with_parent(parent):
        os._exit(1)


def run_jobs(
    work: Callable[[Job], Answer], jobs: Iterable[Job], processes: int
) -> Iterator[tuple[Job, Answer]]:
    """Do each job in a process of the crew; pairs come in the order in which they are ready.

    ``work`` must be importable.  With one process it is done here.  Raises CrewError when a
    worker dies; leaving the loop early (or KeyboardInterrupt) ends all workers at once.
    """
    if processes < 1:
        raise SettingsError(f"{processes} processes can do nothing: it must be at least 1")
    if processes == 1:
        for job in jobs:
            yield job, work(job)
        return
    executor = ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=_start, initargs=(os.getpid(),)
    )
    waiting: dict[Future[Answer], Job] = {}
    todo = iter(jobs)
    try:
        for job in todo:
            waiting[executor.submit(work, job)] = job
            if len(waiting) < processes + 1:
                continue
            yield from _ready(waiting)
        while waiting:
            yield from _ready(waiting)
        executor.shutdown()
    except BrokenProcessPool:
        raise CrewError(
            "a worker process died (killed, or out of memory): what was found so far is told, "
            "the rest was not explored"
        ) from None
    finally:
        _end(executor)


def _ready(waiting: dict[Future[Any], Any]) -> Iterator[tuple[Any, Any]]:
    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
    for future in done:
        yield waiting.pop(future), future.result()


def _end(executor: ProcessPoolExecutor) -> None:
    processes = list((executor._processes or {}).values())
    executor.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()
        process.join()
