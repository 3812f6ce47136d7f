"""Alloc reuses a dead page whose work is still queued.

Rather than ask for a frame, alloc may take a page from the stale list: it is no longer used, and
not yet freed. Its compaction may still be queued or running, so it has to be cancelled and waited
for. That sleeps. An atomic allocation cannot, and took the page all the same.

Where the queued work owns a reference no stale page has work, so this takes
compact-vs-free-no-ref as well.

    owner      frees one of two objects: a compaction is queued
    owner      frees the other: the page is stale
    owner      allocates: takes the stale page, and sets up its header, work item and all, while
               the queue still points to it

The queue is torn; or the worker runs on a page whose header is being made under its hands.

Fixed by "z3fold: limit use of stale list for allocation", Vitaly Wool, February 2018, v4.17. One
task, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("a", 640), op.fill("a"), op.alloc("b", 640), op.fill("b")],
    actors={"owner": [op.free("a"), op.free("b"), op.alloc("c", 640), op.fill("c")]},
    finish=[op.audit(), op.drain()],
    arena={"frames": 2},
    shows="stale-alloc-without-cancel",
    expect={"list-corruption", "use-after-free"},
    tags=("stale", "deterministic"),
)
