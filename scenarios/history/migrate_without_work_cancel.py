"""The page moves house; its work order is still queued under the old address.

A page that needs compacting has a work item on a queue, and the work item lies in the page's
header. Isolation refuses such pages. But a free may come after the isolation: it leaves one of
two objects, sets the mark, takes a reference for the work, and queues it. Migration copies all
of that, mark, reference and work item, and frees the old page with the queue still pointing
into it. The worker runs what it finds there.

    engine     isolates the page
    owner      frees one of its two objects; the compaction is queued
    engine     copies the page, frees the old one
    kworker    runs the work item of the old page

Fixed by the second half of "mm/z3fold.c: reinitialize zhdr structs after migration",
c92d2f38563d, Henry Burns, July 2019, v5.3-rc1 and 5.2.7: -EAGAIN while work is pending, and a
fresh work item in the copy. One preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("stays", 640), op.fill("stays"), op.alloc("goes", 640), op.fill("goes")],
    actors={
        "engine": [op.migrate_pages(op.page_of("stays"), passes=2)],
        "owner": [op.free("goes")],
        "kworker": [op.kworker("compact")],
    },
    arena={"frames": 3},
    shows="migrate-without-work-cancel",
    expect={"use-after-free", "data-race", "list-corruption", "refcount", "invariant"},
    tags=("migration",),
)
