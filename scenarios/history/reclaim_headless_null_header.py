"""Reclaim claims a headless page, then thinks that it found nothing, and keeps the claim.

Reclaim tells "found a page" from "found none" by its header pointer. The fourth patch of the set
moved the assignment of that pointer behind the test for headless pages, which leave the walk
before it. In the first round the pointer is null, so a headless page at the tail reads as "none":
reclaim leaves with -EAGAIN. By then the page has been claimed, and nobody takes the claim back.

From now on every reclaim skips the page. And when its owner frees it, free sees the claim, takes
it to mean that reclaim is at work, and leaves the page to it. Nobody has it now.

    kswapd     claims the headless page at the tail, and leaves
    owner      frees it: "reclaim will"

Fixed by "z3fold: fix retry mechanism in page reclaim", Vitaly Wool, September 2019, v5.4-rc1; born
with patch 4/4 of the set. One task would do, with no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("headless", 4096), op.fill("headless")],
    actors={"kswapd": [op.reclaim(1)], "owner": [op.free("headless")]},
    arena={"frames": 2},
    shows="reclaim-headless-null-header",
    expect={"leak", "invariant"},
    tags=("reclaim", "deterministic"),
)
