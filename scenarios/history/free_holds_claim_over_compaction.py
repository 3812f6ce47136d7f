"""Free keeps compaction off the page, its own compaction included.

To shut out reclaim, free came to claim the page at its beginning. When the page is on no CPU's
list there is no queue to hand it to, and free compacts it there and then. It gave the claim back
only after that. Since the retry fix of a month before, the compaction leaves a claimed page
alone; so it did nothing, and did not list the page either.

The page has room, belongs to nobody, and is on no list: it is found again when the next object
in it is freed. If there is none, never.

A full page is on no CPU's list. Free one of its three objects, and the room is lost.

Born with "mm/z3fold.c: claim page in the beginning of free", 5b6807de1144, Vitaly Wool, October
2019; in the code of 5.5 to 5.10 the claim is cleared first. (The order is in the merged code, the
effect is inferred.) One task, one operation, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[
        op.alloc("first", 1280),
        op.fill("first"),
        op.alloc("last", 1280),
        op.fill("last"),
        op.alloc("middle", 1408),
        op.fill("middle"),
    ],
    actors={"owner": [op.free("first")]},
    arena={"frames": 2},
    shows="free-holds-claim-over-compaction",
    expect={"lost-page"},
    tags=("deterministic",),
)
