"""A scenario in the sim world: the simulator of one scenario and design, ready to run.

Owns the translation of a scenario's settings into the engine's numbers. Never chooses what to
explore, and never judges.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from z3fold_stress import _sim
from z3fold_stress.designs import Design
from z3fold_stress.errors import ScenarioError, SettingsError
from z3fold_stress.scenario import CompiledScenario, Scenario, compile_scenario
from z3fold_stress.scenario.program import INSTRUCTION
from z3fold_stress.settings import FAULTS, ArenaSettings
from z3fold_stress.verdicts import Verdict

__all__ = ["MAX_STEPS", "RELEASE_SEQUENCES", "World", "known_release_sequence"]

_ALLOCATORS = frozenset(("drain", "probe", "free_all", "audit"))
"""What a finish may do that has nothing to do after an execution on scratch words alone."""

MAX_STEPS = 20_000
"""Schedule points after which an execution is given up, unless it is asked for more."""


RELEASE_SEQUENCES = ("c11", "c20")
"""Which standard says what a later relaxed store hands on: C11, that a store of the same task
continues a release sequence; C++20, that it ends it.  Read-modify-writes continue it in both."""


def known_release_sequence(name: object) -> str:
    """The name, if there is such a rule. Raises SettingsError."""
    if name not in RELEASE_SEQUENCES:
        raise SettingsError(
            f"no release sequence is called {name!r}: there are {' and '.join(RELEASE_SEQUENCES)}"
        )
    return str(name)


class World:
    """Context manager round one simulator; a process has one at a time."""

    fd = -1
    """Of the memory file for the arena, where other processes are to map it too."""

    def __init__(
        self,
        scenario: Scenario,
        design: Design,
        *,
        races: bool = True,
        lifetimes: bool = True,
        every_access: bool = False,
        coverage: bool = False,
        max_steps: int = MAX_STEPS,
        release_sequence: str = "c11",
    ) -> None:
        """``release_sequence``: one of RELEASE_SEQUENCES, or SettingsError is raised."""
        self.scenario = scenario
        self.design = design
        self.max_steps = max_steps
        self.races = races
        self.lifetimes = lifetimes
        self.release_sequence = known_release_sequence(release_sequence)
        self.compiled: CompiledScenario = compile_scenario(scenario)
        arena = dict(scenario.arena)
        self.settings = ArenaSettings(
            design=design,
            objects=max(1, len(self.compiled.objects)),
            tasks=1,
            frames=arena["frames"],
            slots=arena["slots"],
            swap=arena["swap"],
            cpus=arena["cpus"],
            header_chunks=arena["header_chunks"],
            poison=bool(arena["poison"]),
            cross_cpu_search=bool(arena["cross_cpu_search"]),
        )
        deaths: dict[str, Any] = scenario.deaths
        mortal = set(deaths.get("actors", ()))
        self.simulator = _sim.Simulator(
            self.settings.geometry(),
            self.settings.config(),
            self.compiled.setup,
            [
                (actor.program, actor.cpu, actor.daemon, actor.kworker, actor.name in mortal)
                for actor in self.compiled.actors
            ],
            self.compiled.finish,
            self.fd,
        )
        try:
            self._prepare(coverage, every_access)
        except BaseException:
            self.simulator.close()  # a process has one simulator at a time
            raise

    def _prepare(self, coverage: bool, every_access: bool) -> None:
        scenario, deaths = self.scenario, self.scenario.deaths
        kworkers = [
            (number, actor.kworker, INSTRUCTION.unpack_from(actor.program)[4])
            for number, actor in enumerate(self.compiled.actors)
            if actor.kworker
        ]
        self.failed = self.simulator.prepare(self.compiled.initial, kworkers, self.max_steps)
        """What went wrong in the set-up already (an outcome of the engine), or None."""
        if self.failed is not None and self.failed["ending"] == "steps":
            self.simulator.close()
            raise ScenarioError(
                f"scenario {scenario.name!r}: its setup took {self.max_steps} steps without an end"
            )
        if self.failed is None:
            self.simulator.configure(
                {FAULTS.index(name): budget for name, budget in scenario.faults.items()},
                deaths.get("budget", 0) if deaths.get("actors") else 0,
                self.races,
                every_access,
                coverage,
                self.max_steps,
                all(one.name in _ALLOCATORS for one in scenario.finish),
                scenario.deadlock_ok,
                self.lifetimes,
                self.release_sequence == "c20",
            )

    def actor(self, task: int) -> str:
        """The name of a task of the engine, counted from 0."""
        names = [actor.name for actor in self.compiled.actors]
        return [*names, "setup", "finish", "audit"][min(task, len(names) + 2)]

    @contextlib.contextmanager
    def by_coroutines(self) -> Iterator[None]:
        """Executions inside are done by coroutines here, as they are in any case."""
        yield

    def trouble(self) -> BaseException:
        """Why executions cannot go on."""
        return RuntimeError("an execution ended, and nobody knows why")

    @staticmethod
    def verdict(outcome: dict[str, Any]) -> Verdict | None:
        found = outcome["verdict"]
        return None if found is None else Verdict.numbered(found["kind"])

    def close(self) -> None:
        self.simulator.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
