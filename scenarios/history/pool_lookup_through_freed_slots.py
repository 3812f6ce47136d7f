"""The page asks its slots which pool it belongs to, after they were freed.

In the code as posted a header has no pointer to its pool: the way there leads through the slots
object, which has one. Freeing the last handle of a page frees the slots object. The same call
then drops the page's last reference, release needs the pool for its lock, and asks the slots.

A slab that recycles at once makes it worse than a read of stale memory: if another pool was given
the object meanwhile, the page goes to the stale list of the wrong pool, and the page counts of
the two drift apart for good.

It is on the most ordinary path there is: one object, freed. It took an address sanitizer to see
it, since the freed memory nearly always still held the right answer.

Fixed by "mm/z3fold: don't try to use buddy slots after free", bb9a374dfa3a, Vitaly Wool, July
2019, v5.3-rc1 and 5.2.7, reported by Henry Burns. One task, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    actors={"owner": [op.alloc("a", 640), op.free("a")]},
    arena={"frames": 2},
    shows="pool-lookup-through-freed-slots",
    expect={"use-after-free"},
    tags=("deterministic",),
)
