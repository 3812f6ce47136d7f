"""A new page starts with as many maps as its frame last happened to hold.

The header has a two-bit count of maps: a page with a mapped object must stay where it is. The
fourth patch added the field, and nothing ever set it to zero. The page comes from the page
allocator with whatever its last user left in it.

Not zero: the page can never be isolated, and taking memory offline goes round and round over it.
Qian Cai saw just that, with a count of 2 on recycled z3fold pages. Three: the first map makes it
zero, and the page is moved away under the mapper.

    owner      allocates, frees, lets the worker free the frame (poisoned, as a debug kernel does)
    owner      allocates again: the same frame, and a count of 3 that nobody made

Fixed as a by-product of "z3fold: fix use-after-free when freeing handles", d8f117abb380, Uladzislau
Rezki and Vitaly Wool, May 2020, v5.7-rc7 and stable. It had been there a year. One task, no
preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    actors={
        "owner": [op.alloc("a", 640), op.free("a"), op.drain(), op.alloc("b", 640), op.fill("b")]
    },
    arena={"frames": 1},
    shows="mapped-count-uninitialised",
    expect={"invariant"},
    tags=("migration", "deterministic"),
)
