"""Reclaim's own slots are found by rounding an address down, and are not where that leads.

A handle is the address of a word in a slots object. The object is found from it by clearing the
low six bits: the slab hands them out on 64-byte boundaries. The cure of
reclaim-handles-in-shared-slots put a slots object on reclaim's stack, where a variable starts
wherever there was room. Half the time the low bits say something else.

    kswapd     writes the handle of an object to its slots on the stack
    callback   maps the handle: what lies at the rounded address is no slots object. A free of
               the handle would hand the slab a piece of the stack

It was in 5.4 only. Later code went back to the page's own slots, and later still to an aligned
object on the stack that is marked as not to be freed; no commit of its own is known for it. (The
missing alignment is in the patch, what follows from it is inferred.) One task, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("a", 640), op.fill("a")],
    actors={"kswapd": [op.reclaim(1)]},
    arena={"frames": 2},
    shows="stack-slots-misaligned",
    expect={"stale-handle", "invariant", "corruption"},
    tags=("reclaim", "deterministic"),
)
