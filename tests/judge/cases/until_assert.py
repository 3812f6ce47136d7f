"""A wait reads its word: b may run first, and a then reads 1."""

from z3fold_stress import Scenario, op

scenario = Scenario(
    expect={"invariant"},
    actors={
        "a": [
            op.load("z", "r", "acquire"),
            op.store("y", 0, "release"),
            op.expect("r", "==", 0, "z is 0"),
        ],
        "b": [op.wait_until("y", 0), op.store("z", 1, "release")],
    },
)
