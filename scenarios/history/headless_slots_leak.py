"""Every incompressible page leaves 64 bytes behind.

An object of nearly a page gets a page to itself, without a header: headless. Setting up a page
allocated its slots object before it asked whether the page would have a header. A headless page
has no use for slots, keeps no pointer to them, and does not free them.

Incompressible data comes and goes all day under zswap, so the slab cache grows for as long as
the machine is up.

Fixed by "z3fold: fix memory leak in kmem cache", 63398413c00c, Vitaly Wool, September 2019,
v5.4-rc1 and 5.2.19, reported by Markus Linnala. One task, two operations, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    actors={"owner": [op.alloc("headless", 4096), op.free("headless")]},
    arena={"frames": 2},
    shows="headless-slots-leak",
    expect={"leak"},
    tags=("deterministic",),
)
