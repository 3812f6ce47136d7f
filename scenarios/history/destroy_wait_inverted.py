"""Destroy waits until a page is isolated, not until none is.

The cure of destroy-vs-migrate-queue made destroy wait for the pages that the migration engine has
in hand. The condition was the wrong way round. A pool with nothing isolated, which is nearly
every pool that is ever destroyed, waits for somebody to isolate a page; and isolation refuses
from the moment that the pool is being destroyed. Nobody will ever come.

The other way about it is as bad: with a page isolated, destroy does not wait.

Whoever changed zswap's allocator at run time had a task in D state for ever. Reported by Agustín
Dall'Alba.

Born with d776aaa9895e (v5.3-rc and 5.2 stable), gone with its revert, 6e73fd25e2c7, Vitaly Wool,
September 2019, v5.4-rc1. (That the inverted test is what hung is read from the two diffs.) One
task, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    actors={"user": [op.create_pool(1), op.destroy_pool(1)]},
    arena={"frames": 1},
    shows="destroy-wait-inverted",
    expect={"deadlock"},
    tags=("destroy", "deterministic"),
)
