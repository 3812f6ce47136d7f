"""The fixtures: an arena of its own for a test, a pool in it, and processes that play its tasks.

What they do is in ``arenas``, which is loaded by the first test that asks for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from z3fold_stress import Arena, Pool
    from z3fold_stress.pytest_plugin.arenas import Stage

__all__ = [
    "_z3fold_stage",
    "_z3fold_stress_block",
    "z3fold_arena",
    "z3fold_pool",
    "z3fold_process",
]


@pytest.fixture
def _z3fold_stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    from z3fold_stress.pytest_plugin import arenas

    stage = arenas.set_up(request)
    yield stage
    arenas.tear_down(stage, request)


@pytest.fixture
def z3fold_arena(_z3fold_stage: Stage) -> Arena:
    """An arena of this test's own, audited when the test is over: what the audit finds, and each
    verdict that is still recorded, fails the test.

    ``@pytest.mark.z3fold_arena(frames=16, design="as-posted")`` says how it is made.
    """
    return _z3fold_stage.arena


@pytest.fixture
def z3fold_pool(_z3fold_stage: Stage, request: pytest.FixtureRequest) -> Pool:
    """A pool in ``z3fold_arena``. When the test is over the arena is audited as it was left; then
    the pool is emptied and destroyed, and the arena is audited again.

    An indirect parameter, a mapping, is what ``Pool`` takes: ``evict``, ``auto_drain``.
    """
    return _z3fold_stage.make_pool(getattr(request, "param", None))


@pytest.fixture
def z3fold_process(_z3fold_stage: Stage) -> Callable[..., Any]:
    """``z3fold_process(function, *args, task=2, cpu=0)`` starts a real process, forked, that is
    this task of ``z3fold_arena`` and calls ``function(*args)``; the answer is the process.

    When the test is over all have ended: one that was killed, that raised, or that does not end
    fails the test. They die with the test's own process.
    """
    return _z3fold_stage.start


@pytest.fixture
def _z3fold_stress_block(request: pytest.FixtureRequest) -> int:
    """The share of the seeds that an item of a marked function with ``blocks`` has."""
    return int(getattr(request, "param", 0))
