"""The pool's inode goes first, while pages that refer to it are still waiting for the worker.

A movable page points to the mapping of its pool's inode; that is how the scanner finds the
callbacks. When the last object is freed its page is not free at once: it waits on the stale list
for the release worker, and is still marked movable. Destroy dropped the inode, and only then
waited for the workers.

    owner      frees the last object: the page goes to the stale list
    owner      destroys the pool: drops the inode ...
    scanner    looks at the page: movable? It follows the mapping, which is gone
    owner      ... drains the queues: now the page is freed

Fixed by "mm/z3fold.c: fix z3fold_destroy_pool() race condition", b997052bc3ac, Henry Burns,
August 2019, v5.3-rc5 and 5.2.10. One preemption, inside destroy.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.create_pool(1), op.alloc("a", 640, pool=1)],
    actors={
        "owner": [op.free("a"), op.destroy_pool(1)],
        "scanner": [op.migrate_pages(op.page_of("a"), passes=1)],
    },
    arena={"frames": 3},
    shows="destroy-unregister-before-drain",
    expect={"use-after-free"},
    tags=("destroy", "migration"),
)
