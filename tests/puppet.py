"""A process of its own that plays one task of an arena, and does what the test tells it to.

Puppets are real, spawned, and used again by later tests; one that is stopped, blocked or killed
at the end of its use is not.
"""

from __future__ import annotations

import atexit
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EIO
from typing import Any

import multiprocess
from multiprocess import reduction

from z3fold_stress import Arena, VerdictError
from z3fold_stress._live import Engine

TIMEOUT = 60.0
"""Seconds after which a test is taken to hang; nothing waits for it when all is well."""

_idle: list[Puppet] = []


def until(condition: Callable[[], object], what: str) -> None:
    """Yield to other processes until the condition holds."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain: {what}")
        os.sched_yield()


class Puppet:
    """One process. `start` an operation and take its `result`, or `call` for both at once."""

    def __init__(self) -> None:
        spawn = multiprocess.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self.process = spawn.Process(target=_obey, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self._busy = False

    def enter(self, arena: Arena, task: int) -> None:
        self.arena, self.task = arena, task
        self._pipe.send(("enter", task))
        reduction.send_handle(self._pipe, arena.fd, self.process.pid)
        self._busy = True
        self.result()

    def start(self, what: int, *arguments: int) -> None:
        """Begin an operation: `arena.call` with these arguments, in that process."""
        self._pipe.send(("call", int(what), *map(int, arguments)))
        self._busy = True

    def start_engine(self, method: str, *arguments: Any) -> None:
        """Begin a method of the engine itself."""
        self._pipe.send(("engine", method, *arguments))
        self._busy = True

    def result(self) -> Any:
        """What the operation came to: its result, or the names of the verdicts it ended with."""
        if not self._pipe.poll(TIMEOUT):
            raise AssertionError(f"task {self.task} hangs")
        answer = self._pipe.recv()
        self._busy = False
        if isinstance(answer, Exception):
            raise answer
        return answer

    def call(self, what: int, *arguments: int) -> Any:
        self.start(what, *arguments)
        return self.result()

    def fail_eviction(self) -> None:
        """After the result "evicting": let the callback answer that it could not."""
        self._pipe.send(None)
        self._busy = True

    def field(self, name: str) -> int:
        return self.arena.layout.task_field(self.task, name)

    def wait_for(self, lock: int) -> None:
        """Let it run until it waits for the lock word at this offset."""
        until(lambda: self.field("waits_for") == lock, f"task {self.task} waits for 0x{lock:x}")

    def stop(self) -> None:
        """Freeze it where it is."""
        os.kill(self.process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def go_on(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, and wait until the process is gone."""
        self.process.kill()
        self.process.join()
        self._busy = True

    def part(self) -> None:
        """Go back to the idle ones, or where something is unfinished, end."""
        if self._busy:
            self.kill()
        else:
            self._pipe.send(("leave",))
            _idle.append(self)


@contextmanager
def puppet(arena: Arena, task: int = 2) -> Iterator[Puppet]:
    """Another process as this task of the arena."""
    one = _idle.pop() if _idle else Puppet()
    try:
        one.enter(arena, task)
        yield one
    finally:
        one.part()


@atexit.register
def _end_all() -> None:
    for one in _idle:
        one.process.kill()


def _obey(pipe: Any) -> None:
    """The puppet's life: one command after the other, until the pipe closes."""
    arena: Arena | None = None
    while True:
        try:
            kind, *arguments = pipe.recv()
        except EOFError:
            return
        if kind == "leave":
            arena.close()
            continue
        try:
            if kind == "enter":
                fd = reduction.recv_handle(pipe)
                arena = Arena.attach(fd, arguments[0])
                os.close(fd)
                answer = None
            elif kind == "engine":
                method, *rest = arguments
                answer = getattr(Engine, method)(arena.engine, *rest)
            else:
                if len(arguments) > 1:
                    arena.engine.set_evict(arguments[1], lambda _: _hold_and_fail(pipe))
                answer = arena.call(*arguments)[0]
        except VerdictError as error:
            answer = [str(judgement.verdict) for judgement in error.judgements]
        except Exception as error:
            answer = error
        pipe.send(answer)


def _hold_and_fail(pipe: Any) -> int:
    """The eviction callback of a puppet: say that it runs, wait for a word, fail."""
    pipe.send("evicting")
    pipe.recv()
    return -EIO
