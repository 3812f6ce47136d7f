"""A process of its own that runs a program again and again while it checks its accesses.

What it runs are scratch words and single objects, so that a test says exactly what may meet.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import multiprocess

from z3fold_stress import Arena, _sim
from z3fold_stress.scenario import Op, Scenario
from z3fold_stress.scenario.program import CompiledScenario, compile_scenario
from z3fold_stress.settings import ArenaSettings

TIMEOUT = 60.0
"""Seconds after which a test is taken to hang; nothing waits for it when all is well."""


def compiled(**actors: Sequence[Op]) -> CompiledScenario:
    """The programs of a scenario in which these actors do this."""
    return compile_scenario(Scenario(actors={name: list(ops) for name, ops in actors.items()}))


@contextmanager
def arena_with_room(**settings: Any) -> Iterator[Arena]:
    """An arena with room beside it for what checked processes share."""
    settings = {"frames": 32, "objects": 16, "swap": 4, "tasks": 6, **settings}
    with Arena.make(ArenaSettings.of(**settings), beside=_sim.WATCH_BYTES) as arena:
        yield arena


def totals(arena: Arena) -> dict[str, Any]:
    return _sim.access_totals(arena.memory)


def reports(arena: Arena) -> list[dict[str, Any]]:
    return _sim.access_reports(arena.memory)


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for other processes until the condition holds."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.002)


def _run(arena: Arena, task: int, program: bytes, rate: int, stall_ns: int, once: bool) -> None:
    arena.use(_sim)
    arena.become(task)
    _sim.check_accesses(arena.engine, rate, stall_ns)
    while not arena.layout.arena("stop"):
        arena.engine.run_program(program)
        if once:
            break


@contextmanager
def checked_process(
    arena: Arena, task: int, program: bytes, rate: int = 1, stall_us: int = 500, once: bool = False
) -> Iterator[Any]:
    """A process that is this task and runs the program until the arena says stop, or once."""
    spawn = multiprocess.get_context("spawn")
    process = spawn.Process(
        target=_run, args=(arena, task, program, rate, stall_us * 1000, once), daemon=True
    )
    process.start()
    try:
        yield process
    finally:
        if process.is_alive():
            arena.layout.poke("arena", 0, stop=1)
            process.join(5)
        process.kill()
        process.join()
