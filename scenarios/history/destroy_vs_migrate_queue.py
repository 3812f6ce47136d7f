"""The pool dies while the migration engine has one of its pages in hand.

An empty pool has no page that could be isolated, so what is there to wait for? A page that was
isolated before its last object was freed: the isolation's reference keeps it alive. Destroy
drains the queues, frees everything and returns; then the engine goes on.

    engine     isolates the page of the only object
    owner      frees the object: the isolation's reference is the last
    owner      destroys the pool
    engine     migrates the page: takes the pool's lock, lists the page, queues its work
               (or puts it back, and releases it into the dead pool)

The cure was "mm/z3fold.c: fix race between migration and destruction", d776aaa9895e, Henry Burns,
August 2019, v5.3-rc. It had a fault of its own (destroy-wait-inverted), was reverted by
6e73fd25e2c7 (Vitaly Wool, v5.4-rc1), and the race was left open as the lesser evil.
One preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.create_pool(1), op.alloc("a", 640, pool=1)],
    actors={
        "engine": [op.migrate_pages(op.page_of("a"), passes=1)],
        "owner": [op.free("a"), op.destroy_pool(1)],
    },
    arena={"frames": 3},
    shows="destroy-vs-migrate-queue",
    expect={"use-after-free", "leak", "data-race"},
    tags=("destroy", "migration"),
)
