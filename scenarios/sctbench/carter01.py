"""Two kinds of workers; the first of a kind takes a lock for all of them, the last lets it go.

The count of each kind is kept under one mutex, and the lock is taken with the mutex held. So one
kind holds the lock and comes back for the mutex, which the other kind holds while it waits for
the lock. SCTBench's carter01_bad, without its two threads that do nothing.
"""

from z3fold_stress.scenario import Op, Scenario, op


def work(count: str) -> list[Op]:
    return [
        op.lock("m"),
        *(op.load(count, "n"), op.add("n", 1), op.store(count, "n")),
        op.load(count, "n"),
        op.when("n", "==", 1, [op.lock("l")]),
        op.unlock("m"),
        op.lock("m"),
        *(op.load(count, "n"), op.add("n", -1), op.store(count, "n")),
        op.load(count, "n"),
        op.when("n", "==", 0, [op.unlock("l")]),
        op.unlock("m"),
    ]


scenario = Scenario(
    actors={"class-a": work("A"), "class-b": work("B")},
    expect={"deadlock", "lock-order"},
    tags=("sctbench", "deadlock"),
)
