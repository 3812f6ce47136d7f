"""Reclaim evicts by handles that lie in the owner's slots, where the owner's free may reach them.

Reclaim drops every lock before it calls the eviction callback, for the callback maps, unmaps and
frees. The handles that it passes lay in the page's own slots object, which belongs to the owners
of the objects: a free of a last live handle clears the slot and, as posted, frees the slots.

    kswapd     takes the page of one object, writes down its handle, unlocks
    owner      frees the object: the slot is empty
    kswapd     evicts the handle: it names nothing now. Or, had the slots been recycled, an
               object of somebody else, which is mapped, and freed behind its owner's back

Random faults and wrong data under memory pressure; Markus Linnala had the reports.

Fixed by "z3fold: fix retry mechanism in page reclaim", Vitaly Wool, September 2019, v5.4-rc1: the
handles got a slots object on reclaim's stack (and see stack-slots-misaligned for what came of
that). One preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("a", 640), op.fill("a")],
    actors={"kswapd": [op.reclaim(1)], "owner": [op.free("a")]},
    arena={"frames": 2},
    shows="reclaim-handles-in-shared-slots",
    expect={"stale-handle", "use-after-free", "double-free"},
    tags=("reclaim",),
)
