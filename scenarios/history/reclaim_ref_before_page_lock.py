"""Reclaim takes a reference that it has no right to, and gives back the last one.

Reclaim walks the LRU under the pool lock. It takes a reference to the page, then tries its lock,
and where that is busy drops the reference again and goes on.

    owner      has the page lock, frees the only object, is about to drop the only reference
    kswapd     has the pool lock; one reference becomes two
    owner      drops its own: it is not the last, so the page is not the owner's to release
    kswapd     fails the trylock, and drops the last reference, under the pool lock

The release that follows finds the page still listed, and then takes the pool lock, which its own
task holds.

Fixed by "mm/z3fold: fix z3fold_reclaim_page races with z3fold_free", 04094226d6ce, Miaohe Lin,
v5.19-rc1; born with dcf5aedb24f8 (v5.11). Two preemptions.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("a", 640), op.fill("a")],
    actors={"owner": [op.free("a")], "kswapd": [op.reclaim(1)]},
    arena={"frames": 2},
    shows="reclaim-ref-before-page-lock",
    expect={"deadlock", "list-corruption", "lock-misuse", "lock-order", "refcount", "invariant"},
    tags=("reclaim", "deadlock"),
)
