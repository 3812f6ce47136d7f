"""A dead page keeps its lock.

Release has two forms: one for a page whose lock is held, which drops it on the way, and one for
a page that is not locked. Reclaim, having evicted the last object, holds the page lock and called
the form that does not drop it.

Upstream calls it harmless, and for the most part it is: nobody takes the lock of a page that is
on its way out, and the lock is set up anew with the next header. A lock checker sees a task leave
with a lock held, and memory with a held lock in it go back to the page allocator. And whoever
does look at a dying page, as isolation does, spins.

Fixed by "mm/z3fold: use release_z3fold_page_locked() to release locked z3fold page", 28473d91ff7f,
Miaohe Lin, v5.14-rc1. One task, one operation, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("a", 640), op.fill("a")],
    actors={"kswapd": [op.reclaim(1)]},
    arena={"frames": 2},
    shows="release-unlocked-variant-on-locked-page",
    expect={"lock-misuse", "deadlock"},
    tags=("reclaim", "deterministic"),
)
