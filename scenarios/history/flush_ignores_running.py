"""A pool is destroyed under the feet of its compaction worker.

An item leaves its queue when it starts to run, so an empty queue does not mean that nobody is at
work. Destroying a pool flushes its queues; a flush that looks at the queue alone returns too early.

    owner      frees one of two objects: a compaction is queued
    kworker    takes the item off the queue
    owner      frees the other object, and destroys the pool: the queue is empty
    kworker    goes on in a pool that is gone

Our own: no version of z3fold, nor of the kernel's work queues, had it. It was put into the correct
protocol to see whether the tool would notice, and at first it did not. One preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.create_pool(1), op.alloc("a", 640, pool=1), op.alloc("b", 640, pool=1)],
    actors={
        "owner": [op.free("a"), op.free("b"), op.destroy_pool(1)],
        "kworker": [op.kworker("compact", pool=1)],
    },
    arena={"frames": 2},
    shows="flush-ignores-running",
    expect={"invariant", "use-after-free", "leak", "data-race"},
    tags=("destroy",),
)
