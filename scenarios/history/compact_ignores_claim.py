"""Reclaim has the page off every list; a compaction puts it back on one.

Reclaim claims its page, takes it off the LRU and off the list of pages with room, and drops all
locks for the callbacks. A compaction that was queued before does not know. It asks whether the
page is isolated, and whether it is stale; it does not look at the claim. It lists the page as
having room.

    owner      frees an object: a compaction is queued
    kswapd     takes the page, unlocks it, calls the callback
    kworker    compacts the page, and lists it
    user       allocates: finds the page, puts an object in, links the page on the LRU
    kswapd     the eviction failed: links the page on the LRU once more

It can be had without a second task: the callback evicts one of two objects, and its free, on a
page that is on no CPU's list, compacts at once. The other eviction fails; reclaim lists again.

Probably fixed in passing by "z3fold: fix retry mechanism in page reclaim", Vitaly Wool, September
2019, v5.4-rc1 (inferred). One failed eviction, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[
        op.alloc("goes", 640),
        op.fill("goes"),
        op.alloc("stays", 640),
        op.fill("stays"),
        op.free("goes"),
    ],
    actors={
        "kswapd": [op.reclaim(1)],
        "user": [op.compact_work(), op.alloc("new", 640), op.fill("new")],
    },
    faults={"evict": 1},
    arena={"frames": 3},
    shows="compact-ignores-claim",
    expect={"list-corruption", "invariant"},
    tags=("reclaim",),
)
