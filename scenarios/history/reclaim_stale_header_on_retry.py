"""Reclaim's second round has the header of one page and the flags of another.

Reclaim tries several pages, one a round. It keeps two variables, the page and its header, and did
not reset the header between rounds. The first round takes an ordinary page; its eviction fails
(the swap device has an error), and the page goes back to the head of the LRU. In the second
round the page at the tail is headless: nothing assigns the header there. So "the page" is the
headless one, and "the header" still that of the first page.

What comes of it: a handle made from the first page's address, marked headless. The eviction
callback maps it and gets the first page's header for a payload. In the kernel it was written to
swap, or freed.

Three people saw crashes under memory pressure (Markus Linnala, Chris Murphy, Agustín Dall'Alba).
Fixed by "z3fold: fix retry mechanism in page reclaim", Vitaly Wool, posted 8 September 2019,
v5.4-rc1 and stable 5.2, 5.3. One task, one failed eviction, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[
        op.alloc("old", 640),
        op.fill("old"),
        op.alloc("headless", 4096),
        op.fill("headless"),
    ],
    actors={"kswapd": [op.reclaim(2)]},
    faults={"evict": 1},
    arena={"frames": 2},
    shows="reclaim-stale-header-on-retry",
    expect={"stale-handle"},
    tags=("reclaim", "deterministic"),
)
