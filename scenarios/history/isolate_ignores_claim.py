"""The migration engine walks off with the page that reclaim is working on.

While the eviction callback runs, reclaim holds a reference and the claim bit, and no lock: to the
isolate callback the page looks idle, for it did not look at the claim. So the engine isolates the
page, copies it with reclaim's reference and claim in it, and frees the old one.

    kswapd     claims the page, unlocks it, calls the callback
    engine     isolates the page, migrates it, frees the old frame
    kswapd     the eviction failed: locks the page (freed), drops its reference (in freed memory),
               links the page on the LRU

The new page keeps a reference and a claim that are nobody's: it cannot die, nor be reclaimed.

Half a fix came with "z3fold: fix retry mechanism in page reclaim" (September 2019, v5.4-rc1): a
test of the bit without a lock. Wholly fixed when isolation came to set the bit itself, under the
page lock, in the code around dcf5aedb24f8 (v5.11). One preemption, one failed eviction.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("a", 640), op.fill("a")],
    actors={
        "kswapd": [op.reclaim(1)],
        "engine": [op.migrate_pages(op.page_of("a"), passes=1)],
        "kworker": [op.kworker("compact")],
    },
    faults={"evict": 1},
    arena={"frames": 3},
    shows="isolate-ignores-claim",
    expect={"use-after-free", "list-corruption", "data-race", "refcount", "invariant"},
    tags=("reclaim", "migration"),
)
