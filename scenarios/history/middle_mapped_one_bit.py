"""The first to unmap the middle object takes the mark off for everybody.

In-page compaction moves the middle object of a page towards what is left beside it. An object
that is mapped must not be moved, and what says so is one bit, for any number of maps.

    reader     maps the middle object, then another one of the page
    owner      maps it too, and unmaps it: the bit is clear
    owner      frees the object before it; the compaction is queued
    kworker    moves the middle object up, over half of where it was
    reader     goes on reading there

The second mapper is the write-back of reclaim, as a rule. Wrong data goes to swap.

Found by reading; no fix is known. One preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[
        op.alloc("first", 256),
        op.fill("first"),
        op.alloc("last", 1920),
        op.fill("last"),
        op.alloc("middle", 1280),
        op.fill("middle"),
    ],
    actors={
        "reader": [
            op.map("middle"),
            op.map("last"),
            op.check("middle"),
            op.unmap("last"),
            op.unmap("middle"),
        ],
        "owner": [op.map("middle"), op.unmap("middle"), op.free("first")],
        "kworker": [op.kworker("compact")],
    },
    arena={"frames": 2},
    shows="middle-mapped-one-bit",
    expect={"corruption", "data-race", "invariant"},
    tags=("layout",),
)
