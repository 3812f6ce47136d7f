"""Whether a's wait comes between the two stores, and its compare-and-swap before b's store."""

from z3fold_stress import Scenario, op

scenario = Scenario(
    actors={
        "a": [op.wait_until("x", 1), op.cas("y", 1, 2, "r")],
        "b": [op.store("y", 1, "release"), op.lock("L"), op.unlock("L")],
        "c": [op.store("x", 1, "release")],
        "d": [op.lock("L2"), op.store("x", 0, "release"), op.unlock("L2")],
    },
    finish=[
        op.load("x", "w0", "plain"),
        op.load("y", "w1", "plain"),
        op.when("w1", "==", 1, [op.expect("w0", "!=", 0, "it was before")]),
    ],
    deadlock_ok=True,
)
