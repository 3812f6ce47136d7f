"""Reclaim hears "not there", reads it as "done", and frees a page that its owner is about to free.

The eviction callback looks its object up in the owner's table. If it is not there any more there
is nothing to evict, and the callback answers 0. For a headless page reclaim reads 0 as "the
object is gone, the page is mine to free".

    owner      takes the object out of its table; has not called free yet
    kswapd     claims the page; the callback does not find the object: 0
    kswapd     frees the page
    owner      calls free: looks for the claim on a page that is no longer its own. If the frame
               has a new user by then, a stranger's page is freed

Found by reading; no fix is known. (Here only a free gives a page up: reclaim frees it when the
owner has said so.) One preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("headless", 4096), op.fill("headless")],
    actors={"owner": [op.free("headless")], "kswapd": [op.reclaim(1)]},
    arena={"frames": 2},
    shows="headless-evict-frees-for-owner",
    expect={"use-after-free", "double-free", "refcount", "data-race"},
    tags=("reclaim",),
)
