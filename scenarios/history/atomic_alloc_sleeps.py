"""The caller said that it must not sleep, and the slots are allocated in a mode that may.

Alloc takes the caller's mode, and passed it on when it asked for a page. The slots object of a
new page it allocated in the ordinary mode, whatever the caller had said. With memory short, a
task that holds a spinlock, or runs where there is no task at all, goes to sleep.

The first report came from a swap that allocates atomically: "BUG: sleeping function called from
invalid context".

Fixed by "z3fold: fix sheduling while atomic", Vitaly Wool, 23 May 2019, before v5.2. One task, one
operation, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    actors={"user": [op.alloc("a", 640, atomic=True), op.fill("a")]},
    arena={"frames": 2},
    shows="atomic-alloc-sleeps",
    expect={"sleep-in-atomic"},
    tags=("deterministic",),
)
