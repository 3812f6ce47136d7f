"""Memory is short, the slots cannot be had, and nobody looks.

In later designs a page may lose its slots with its last handle and be given new ones when it is
used again. That allocation can fail like any other. Its result was stored in the header and the
handle written through it: a null pointer, and a word written near address zero.

    user       allocates an object in a page without slots; there is no memory for them
    user       writes the handle to slot 1 of nothing

Fixed by "mm/z3fold: fix possible null pointer dereferencing", 7c61c35bbd6a, Miaohe Lin, v5.19-rc1;
born with fc5488651c7d. One task, one failed allocation, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    actors={"user": [op.alloc("a", 640), op.fill("a")]},
    faults={"slots": 1},
    arena={"frames": 2},
    shows="alloc-null-slots",
    expect={"invariant", "crash"},
    tags=("deterministic",),
)
