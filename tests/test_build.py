"""What variant of the engine this is: CI builds it twice more (setup.py)."""

import os
import signal
import subprocess
import sys

import pytest

from z3fold_stress import _sim

BREAKS = """
from z3fold_stress import Scenario, _sim, op
from z3fold_stress.designs import resolve
from z3fold_stress.explore.world import World
scenario = Scenario(actors={"a": [op.fetch_add("w", 1), op.fetch_add("w", 2)]})
with World(scenario, resolve("sound")) as world:
    world.simulator.replay([], False, 2)
    last = len(world.simulator.events()) - 1
    world.simulator.rewind(0)
    world.simulator.rewind(last)  # forwards: there is no such log
"""


@pytest.mark.skipif(not _sim.ASSERTIONS, reason="not an assertion build")
def test_an_invariant_that_does_not_hold_ends_the_process_with_its_line() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BREAKS], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGABRT
    assert "undo.c:" in done.stderr
    assert "this does not hold: used <= undo_used()" in done.stderr


def test_the_build_is_what_was_asked_for() -> None:
    """Where it is asked for: CI runs this with the variables set that it built with."""
    if "Z3FOLD_STRESS_ASSERT" in os.environ:
        assert (os.environ["Z3FOLD_STRESS_ASSERT"] == "1") == _sim.ASSERTIONS
