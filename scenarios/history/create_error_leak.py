"""Creating a pool fails half-way, and what it had by then stays allocated.

A pool is a cache, per-CPU lists, two queues and an inode. Each of these steps can fail, and must
undo the ones before it. One of the exits jumped to a label too low: the lists stay.

    user       creates a pool; there is no memory for the last step

The way to find this class is dull and complete: fail each step once. Whoever explores this
scenario does just that.

Fixed by "z3fold: fix memory leak", Xidong Wang, 2018, v4.17 (details from memory). One task, one
failed allocation, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    actors={"user": [op.create_pool(1), op.destroy_pool(1)]},
    faults={"create": 1},
    arena={"frames": 1},
    shows="create-error-leak",
    expect={"leak"},
    tags=("deterministic",),
)
