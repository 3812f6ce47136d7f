"""Destroying a pool frees all of it but the lists.

Creating a pool allocates an array of lists for each CPU: the pages with room, by how much they
have. Destroy frees the queues, the cache, the inode and the pool, and not that array. Each change
of zswap's allocator or compressor leaks it.

Nobody crashes, so it stayed for as long as z3fold had per-CPU lists.

Fixed by "mm/z3fold: fix potential memory leak in z3fold_destroy_pool()", dac0d1cfda56, Miaohe Lin,
June 2021, v5.14-rc1. One task, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    actors={"user": [op.create_pool(1), op.destroy_pool(1)]},
    arena={"frames": 1},
    shows="destroy-leaks-percpu-lists",
    expect={"leak"},
    tags=("destroy", "deterministic"),
)
