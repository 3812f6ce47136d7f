"""A state that comes again, with all tasks taking turns, proves a livelock."""

from __future__ import annotations

from typing import Any

import pytest

from z3fold_stress import _sim
from z3fold_stress._vocabulary import Code
from z3fold_stress.designs import resolve
from z3fold_stress.scenario.program import INSTRUCTION
from z3fold_stress.settings import ArenaSettings

FOREVER = 10**12


def program(*instructions: tuple[Code, int, int]) -> bytes:
    """code, register, a: what no scenario can say, for its loops count."""
    return b"".join(INSTRUCTION.pack(code, 0, r, 0, 0, a, 0, 0) for code, r, a in instructions)


END = (Code.CODE_END, 0, 0)
KEEPS_LOCK = program((Code.CODE_LOCK, 0, 0), END)
TRIES = program((Code.CODE_TRYLOCK, 0, 0), (Code.CODE_JUMP, 0, 0))
TAKES_IN_TURNS = program((Code.CODE_LOCK, 0, 1), (Code.CODE_UNLOCK, 0, 1), (Code.CODE_JUMP, 0, 0))
COUNTS = program((Code.CODE_TRYLOCK, 0, 0), (Code.CODE_ADD, 1, 1), (Code.CODE_JUMP, 0, 0))


def outcome(*programs: bytes) -> dict[str, Any]:
    settings = ArenaSettings(design=resolve("sound"), objects=1, tasks=1, frames=4, slots=4, swap=1)
    end = program(END)
    actors = [(code, 0, False, 0, False) for code in programs]
    simulator = _sim.Simulator(settings.geometry(), settings.config(), end, actors, end)
    try:
        simulator.prepare({}, [], 1000)
        simulator.configure({}, 0, max_steps=1000)
        simulator.begin("random", 1)
        simulator.explore(1, FOREVER)
        return dict(simulator.outcome())
    finally:
        simulator.close()


@pytest.mark.parametrize(
    "programs",
    [(KEEPS_LOCK, TRIES), (KEEPS_LOCK, TRIES, TRIES), (KEEPS_LOCK, TAKES_IN_TURNS, TRIES)],
    ids=["one", "two", "with locks that are taken and let go of"],
)
def test_a_state_that_comes_again_is_told(programs: tuple[bytes, ...]) -> None:
    assert "the same state comes again every" in outcome(*programs)["verdict"]["text"]


def test_who_counts_is_never_in_the_same_state() -> None:
    text = outcome(KEEPS_LOCK, COUNTS)["verdict"]["text"]
    assert text.endswith("in which all took turns")
