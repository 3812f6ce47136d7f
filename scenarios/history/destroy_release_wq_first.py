"""A pool is torn down in the wrong order: first the queue, then what feeds it.

The compaction queue feeds the release queue: a compaction that drops a page's last reference
queues the release of that page. Destroy flushed and destroyed the release queue first, then
drained the compaction queue. Whatever that released went to a queue that was gone; the page
stayed on the stale list of a pool that was about to be freed.

    owner      frees one of two objects: a compaction is queued, and has a reference
    owner      frees the other: the work's reference is now the last
    owner      destroys the pool: release queue, then compaction queue

For a year and three quarters, since 5d03a6613957 (v4.15), it could bite whoever changed zswap's
compressor or allocator at run time.

Fixed by "mm/z3fold.c: fix z3fold_destroy_pool() ordering", 6051d3bd3b91, Henry Burns, August
2019, v5.3-rc5 and 5.2.10. One task, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.create_pool(1), op.alloc("a", 640, pool=1), op.alloc("b", 640, pool=1)],
    actors={"owner": [op.free("a"), op.free("b"), op.destroy_pool(1)]},
    arena={"frames": 2},
    shows="destroy-release-wq-first",
    expect={"use-after-free"},
    tags=("destroy", "deterministic"),
)
