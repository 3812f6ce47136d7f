"""Reclaim claims a page, finds its lock busy, goes on to the next, and leaves the claim behind.

The claim bit means "reclaim is at work on this page". It was set first; then came the tests that
may pass the page over: isolated, or its lock busy. Neither of these exits cleared it.

The page is never reclaimed again, since it looks claimed. Worse, every free in it thinks that
reclaim will take care of the page, and leaves early: a page that was full, and so on no list, is
never listed again, however empty it gets. The room in it is gone until its last object dies.

    mapper     has the page lock, for the few instructions that a map takes
    kswapd     claims the page, fails the trylock, goes on
    owner      frees an object: nobody lists the page

Fixed by "z3fold: fix retry mechanism in page reclaim", Vitaly Wool, September 2019, v5.4-rc1: it
clears the bit at both exits. One preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[
        op.alloc("first", 1280),
        op.fill("first"),
        op.alloc("last", 1280),
        op.fill("last"),
        op.alloc("middle", 1280),
        op.fill("middle"),
    ],
    actors={
        "user": [op.map("first"), op.unmap("first"), op.free("last")],
        "kswapd": [op.reclaim(1)],
    },
    arena={"frames": 2},
    shows="reclaim-claim-leak",
    expect={"invariant", "lost-page"},
    tags=("reclaim",),
)
