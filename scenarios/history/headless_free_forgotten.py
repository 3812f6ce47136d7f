"""The owner said "free it", reclaim was busy with it, and forgot.

A free that meets a claimed headless page leaves it to reclaim and returns. Reclaim frees the page
if the eviction succeeds. If the eviction fails the page goes back to the LRU; that its owner has
let it go meanwhile, reclaim has no way to know.

    kswapd     claims the headless page, calls the eviction callback
    owner      frees the page: claimed, so reclaim will see to it
    kswapd     the callback failed: back to the LRU with it. Nobody owns it any more

Pages of incompressible data leak, one at a time, when write-back fails.

Found by reading; no fix is known. (Here a note on the page tells reclaim of the free.) One
preemption, one failed eviction.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("headless", 4096), op.fill("headless")],
    actors={"kswapd": [op.reclaim(1)], "owner": [op.free("headless")]},
    faults={"evict": 1},
    arena={"frames": 2},
    shows="headless-free-forgotten",
    expect={"leak"},
    tags=("reclaim",),
)
