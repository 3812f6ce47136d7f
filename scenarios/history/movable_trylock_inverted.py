"""The cure of movable-without-page-lock, with its test the wrong way round.

The first attempt at the fix used a trylock on the descriptor of the fresh page, and marked the
page movable in the branch where the lock had NOT been taken. On the normal path, then, alloc
takes the lock, does not mark the page, and never lets go. The page cannot be migrated, which
nobody notices; and when its last object is freed the release worker, which takes that lock before
it gives the page back, waits for ever.

It was seen in the -mm tree and put right before it was merged: an early form of 810481a24608.
It is here because the mistake is so easily made again.

Here one task allocates an object and frees it; the worker that should free the page is a task of
its own. The lock that alloc leaves with is reported at once.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    actors={
        "user": [op.alloc("a", 640), op.free("a")],
        "kworker": [op.kworker("release")],
    },
    arena={"frames": 2},
    shows="movable-trylock-inverted",
    expect={"lock-misuse", "deadlock"},
    tags=("migration", "deterministic"),
)
