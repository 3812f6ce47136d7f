"""The slots come late: when they are asked for, the page lock is held already.

In later designs a page may live without slots until it is used again. Alloc gives it new ones
when its search has found the page, and the search comes back with the page's spinlock held. The
slots were allocated in the caller's mode, and the caller may sleep, as a rule. With the spinlock
it may not.

    user       finds a page, takes its lock
    user       allocates slots for it, GFP_KERNEL: may sleep, with the lock

Whoever wants the page meanwhile spins for as long as it takes to write out some dirty pages.

Fixed by "mm/z3fold: fix sheduling while atomic", 4c6bdb36408f, Miaohe Lin, v5.19-rc1; born with
fc5488651c7d. One task, one operation, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    actors={"user": [op.alloc("a", 640), op.fill("a")]},
    arena={"frames": 2},
    shows="sleep-under-page-lock",
    expect={"sleep-in-atomic"},
    tags=("deterministic",),
)
