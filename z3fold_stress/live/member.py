"""The process of one actor: maps the arena, and serves until it is killed.

Imports little, for each actor pays for it when its process starts.
"""

from __future__ import annotations

import os
from typing import Any

from multiprocess.reduction import DupFd

from z3fold_stress import _sim

__all__ = ["Place", "run_member"]


class Place:
    """What a process needs to be one actor of an arena; goes to it as an argument."""

    def __init__(
        self, arena: int, turns: int, actor: int, name: str, program: bytes, cpu: int
    ) -> None:
        self.arena = arena
        """File descriptor of the arena, and of the memory in which it is told what to do."""
        self.turns = turns
        self.actor = actor
        self.name = name
        self.program = program
        self.cpu = cpu
        """The one CPU for all: whoever gets the turn finds the caches as they were left."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "arena": DupFd(self.arena), "turns": DupFd(self.turns)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.arena = state["arena"].detach()
        self.turns = state["turns"].detach()


def run_member(place: Place, parent: int) -> None:
    """The body of an actor's process. Ends with its parent."""
    if not _sim.die_with_parent(parent):
        os._exit(0)
    _sim.name_process(f"z3f-{place.name}")
    os.sched_setaffinity(0, {place.cpu})
    _sim.serve(place.arena, place.turns, place.actor, place.program)
