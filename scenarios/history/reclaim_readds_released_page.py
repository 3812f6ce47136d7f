"""Reclaim gives its reference back, and then links the page as if it still had one.

Having tried to evict what was in the page, reclaim drops its reference. If it was the last, the
page goes away. If not, the page goes back to the LRU. But from the moment that the reference is
dropped until the lock is taken that guards the LRU, the page is no business of reclaim's:

    kswapd     the eviction failed; drops its reference, one object is left
    owner      frees that object: now the page is released, off every list
    kswapd     links the released page on the LRU

The next reclaim walks into a free frame.

Fixed by "z3fold: fix potential race in z3fold_reclaim_page", Vitaly Wool, 13 September 2017 (commit
id unconfirmed). One preemption, one failed eviction.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("a", 640), op.fill("a")],
    actors={"kswapd": [op.reclaim(1)], "owner": [op.free("a")]},
    faults={"evict": 1},
    arena={"frames": 2},
    shows="reclaim-readds-released-page",
    expect={"list-corruption", "use-after-free", "invariant", "refcount", "data-race"},
    tags=("reclaim",),
)
