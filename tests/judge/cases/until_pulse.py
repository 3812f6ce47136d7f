"""The waiter may see the first 1, and find 0 when it looks again."""

from z3fold_stress import Scenario, op

scenario = Scenario(
    expect={"invariant"},
    actors={
        "waiter": [
            op.wait_until("w", 1),
            op.load("w", "r", "relaxed"),
            op.expect("r", "==", 1, "still 1"),
        ],
        "setter": [op.store("w", v, "release") for v in (1, 0, 1)],
    },
)
