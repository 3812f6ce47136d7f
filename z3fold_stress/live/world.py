"""A scenario whose actors are real processes, under the scheduler of the sim world.

Owns the processes: starts them, replaces those that an execution killed, and ends them all, in
whatever way the world ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from typing import Any

import multiprocess

from z3fold_stress import _sim, stopping
from z3fold_stress.designs import Design
from z3fold_stress.errors import SettingsError
from z3fold_stress.explore.world import World
from z3fold_stress.live.member import Place, run_member
from z3fold_stress.scenario import Scenario

__all__ = ["MOST_ACTORS", "PATIENCE", "LiveError", "LiveWorld"]

MOST_ACTORS = 16
"""Each is a process with an interpreter of its own."""
PATIENCE = 10.0
"""Seconds that a process may take from one step to the next."""
START_PATIENCE = 60.0


class LiveError(RuntimeError):
    """A process of an actor died by itself, hangs, or did not start."""


class LiveWorld(World):
    """As World, with a process for each actor. Its executions follow the same schedules by the
    same events.

    Raises SettingsError for more than MOST_ACTORS actors, LiveError when processes do not start.
    """

    def __init__(
        self,
        scenario: Scenario,
        design: Design,
        *,
        patience: float = PATIENCE,
        **checks: Any,
    ) -> None:
        """``checks``: what World takes besides; ``patience``: seconds (PATIENCE)."""
        if len(scenario.actors) > MOST_ACTORS:
            raise SettingsError(
                f"scenario {scenario.name!r} has {len(scenario.actors)} actors: with --live each "
                f"is a process, and there may be {MOST_ACTORS}; leave --live out"
            )
        self.patience = patience
        self.processes: dict[int, Any] = {}
        self._context = multiprocess.get_context("spawn")
        self._affinity = os.sched_getaffinity(0)
        self.fd = os.memfd_create("z3fold-stress-live")
        self._turns = os.memfd_create("z3fold-stress-turns")
        try:
            os.ftruncate(self._turns, _sim.remote_size())
            super().__init__(scenario, design, **checks)
        except BaseException:
            self._close_files()
            raise
        try:
            if self.failed is None:
                self._start()
        except BaseException:
            self.close()
            raise

    # processes

    def _start(self) -> None:
        self.cpu = _sim.current_cpu()
        if self.cpu not in self._affinity:
            self.cpu = min(self._affinity)
        _sim.remote_open(self.simulator, self._turns, self._replace, self.patience)
        for actor in range(len(self.compiled.actors)):
            self._start_one(actor)
        for actor in self.processes:
            self._await(actor)
        os.sched_setaffinity(0, {self.cpu})

    def _start_one(self, actor: int) -> None:
        it = self.compiled.actors[actor]
        _sim.remote_expects(actor)
        place = Place(self.fd, self._turns, actor, it.name, it.program, self.cpu)
        process = self._context.Process(
            target=run_member, args=(place, os.getpid()), name=f"z3f-{it.name}", daemon=True
        )
        with stopping.undisturbed():
            stopping.start(process)
            self.processes[actor] = process
        _sim.remote_is(actor, process.pid)

    def _await(self, actor: int) -> None:
        process = self.processes[actor]
        deadline = time.monotonic() + START_PATIENCE
        while not _sim.remote_ready(actor):
            if not process.is_alive():
                raise LiveError(
                    f"the process of {self.actor(actor)} (pid {process.pid}) ended as it "
                    f"started: {_ended(process.exitcode)}"
                )
            if time.monotonic() > deadline:
                raise LiveError(
                    f"the process of {self.actor(actor)} (pid {process.pid}) did not start "
                    f"within {START_PATIENCE:g} s"
                )
            time.sleep(0.001)

    def _replace(self, actor: int) -> None:
        """An execution killed it."""
        self._reap(actor)
        self._start_one(actor)
        self._await(actor)

    def _reap(self, actor: int) -> None:
        process = self.processes.pop(actor)
        process.join()
        process.close()

    def pid(self, actor: int) -> int:
        """Of its process; 0 where the execution that came last killed it."""
        process = self.processes[actor]
        return int(process.pid) if process.is_alive() else 0

    def trouble(self) -> BaseException:
        """Why executions cannot go on."""
        problem = _sim.remote_problem()
        if isinstance(problem, BaseException):
            return problem
        if problem is None:
            return super().trouble()
        how, actor, at = problem
        process = self.processes[actor]
        source = self.compiled.actors[actor].source
        doing = f", in {source[at]}" if at < len(source) else ""
        who = f"the process of {self.actor(actor)} (pid {process.pid})"
        if how == "hangs":
            return LiveError(f"{who} took no step for {self.patience:g} s{doing}")
        process.join(1.0)
        return LiveError(
            f"{who} died, and the schedule did not say so: {_ended(process.exitcode)}{doing}"
        )

    # executions

    @contextlib.contextmanager
    def by_coroutines(self) -> Iterator[None]:
        """Executions inside are those of the sim world, on the same arena."""
        _sim.remote_use(self.simulator, False)
        try:
            yield
        finally:
            _sim.remote_use(self.simulator, bool(self.processes))

    def follow(self, schedule: Sequence[tuple[int, int, int, int]]) -> dict[str, Any]:
        """One execution of the processes after this schedule: its outcome. Raises LiveError."""
        outcome = self.simulator.replay(list(schedule), False, 1)
        if outcome["ending"] == "process" or _sim.remote_problem() is not None:
            raise self.trouble()
        return outcome

    def unpin(self) -> None:
        """This process may run elsewhere again; the actors' stay where they are."""
        os.sched_setaffinity(0, self._affinity)

    # the end

    def close(self) -> None:
        with stopping.undisturbed():
            self.unpin()
            for process in self.processes.values():
                process.kill()
            for actor in list(self.processes):
                self._reap(actor)
            _sim.remote_close()
            self.simulator.close()
            self._close_files()

    def _close_files(self) -> None:
        for fd in (self.fd, self._turns):
            with contextlib.suppress(OSError):
                os.close(fd)


def _ended(status: int | None) -> str:
    if status is None:
        return "it is dying"
    if status < 0:
        try:
            return f"killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"killed by signal {-status}"
    return f"exit status {status}"
