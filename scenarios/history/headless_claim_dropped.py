"""Reclaim takes a headless page without a word, and two free it.

In v5.11 the claim moved: it was now taken under the page lock. Headless pages have no page lock,
and so they came to be taken with no claim at all. The claim was the only thing that told a free
to leave the page to reclaim.

    kswapd     takes the headless page off the LRU
    callback   writes it to swap, and frees it: no claim, so the page is free now
    kswapd     the callback says success: reclaim frees the page

As we read it not even a race is needed: the callback's own free does it. An owner who frees at
the wrong moment does, too.

BUG in the shrink worker: a page whose count is zero. Fixed by "z3fold: prevent reclaim/free race
for headless pages", 6d679578fe9c, Thomas Hebb, March 2021, v5.12-rc and stable; born with
dcf5aedb24f8 (v5.11). One task, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("headless", 4096), op.fill("headless")],
    actors={"kswapd": [op.reclaim(1)]},
    arena={"frames": 2},
    shows="headless-claim-dropped",
    expect={"double-free", "use-after-free", "list-corruption"},
    tags=("reclaim", "deterministic"),
)
