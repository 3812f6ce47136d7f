"""A function takes a lock and calls another, which takes it too.

Each of the two is right by itself. The second one is called from many places, from one of them
with the lock held. A spinlock does not ask who waits: the task spins on itself.

The kernel's way out is a pair of functions, one for callers that have the lock and one for those
that have not. See reclaim-ref-before-page-lock for what it looks like when the second lock is
four calls further down.
"""

from z3fold_stress.scenario import Scenario, op

update = [op.load("total", "n"), op.add("n", 1), op.store("total", "n")]
locked_update = [op.lock("L"), *update, op.unlock("L")]

scenarios = [
    Scenario(
        name="self-deadlock",
        actors={"caller": [op.lock("L"), *locked_update, op.unlock("L")]},
        expect={"deadlock"},
        tags=("textbook", "deadlock", "deterministic"),
    ),
    Scenario(
        name="self-deadlock-fixed",
        actors={
            "caller": [op.lock("L"), *update, op.unlock("L")],
            "other": locked_update,
        },
        tags=("textbook", "deadlock"),
    ),
]
