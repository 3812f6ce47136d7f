"""An eviction failed, and the page went back to the LRU with "reclaim is at work" still on it.

After the callback reclaim clears the claim of a page that has a header. For a headless page,
which took another branch, it did not. The page is on the LRU again, and will be skipped for ever.

    kswapd     claims the headless page; the write to swap fails; back to the LRU
    owner      frees the page: it is claimed, so reclaim will see to it. Reclaim will not.

One page of incompressible data is lost for each failed write-back.

In the patch set as posted. Fixed by "z3fold: fix retry mechanism in page reclaim", Vitaly Wool,
posted 8 September 2019, v5.4-rc1 and stable 5.2, 5.3. One task, one failed eviction, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("headless", 4096), op.fill("headless")],
    actors={"user": [op.reclaim(1), op.free("headless")]},
    faults={"evict": 1},
    arena={"frames": 2},
    shows="headless-claim-not-cleared",
    expect={"leak", "invariant"},
    tags=("reclaim", "deterministic"),
)
