"""An eviction fails; the page is back on the LRU, but nobody will find the room in it.

Reclaim takes its page off the LRU and off the list of pages with room, so that nobody puts an
object into what is about to be emptied. When the callback fails (the swap device has an error,
or somebody reads the object), the page goes back to the LRU only.

Each failed eviction costs the room of a page, just when memory is short. The list heals when an
object of the page is freed.

Older than the patch set, and fixed with its neighbour: "mm/z3fold: put z3fold page back into
unbuddied list when reclaim or migration fails", 6cf9a34967ed, Miaohe Lin, v5.19-rc1. One task, one
failed eviction, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("a", 640), op.fill("a")],
    actors={"kswapd": [op.reclaim(1)]},
    faults={"evict": 1},
    arena={"frames": 2},
    shows="reclaim-fail-forgets-unbuddied",
    expect={"lost-page"},
    tags=("reclaim", "deterministic"),
)
