"""The work is queued, and the page it is for has no reason to live until it runs.

A queued compaction held no reference to its page. It relied on the objects in it; and objects get
freed.

    owner      frees one of two objects: the compaction is queued
    owner      frees the other: the page's last reference, so the page is released
    kworker    takes up the work: the page is stale, or freed, or somebody else's by now

In the patch set the release worker waits for a page's work before it frees the frame. Then the
worker finds a page that says that it needs no compacting; it warns, and leaves. The flag stood
for a reference that was never there.

Fixed by "mm/z3fold.c: use kref to prevent page free/compact race", 5d03a6613957, v4.15 (the id is
from later Fixes tags, the title from memory). One task and a worker, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("a", 640), op.fill("a"), op.alloc("b", 640), op.fill("b")],
    actors={
        "owner": [op.free("a"), op.free("b")],
        "compactor": [op.kworker("compact")],
        "releaser": [op.kworker("release")],
    },
    arena={"frames": 2},
    shows="compact-vs-free-no-ref",
    expect={"invariant", "refcount", "use-after-free", "list-corruption"},
    tags=("deterministic",),
)
