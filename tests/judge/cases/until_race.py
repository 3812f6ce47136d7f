"""A wait reads its word: b may go on at once, and nothing orders the two accesses of z."""

from z3fold_stress import Scenario, op

scenario = Scenario(
    words={"ready": 1},
    expect={"data-race"},
    actors={
        "a": [op.load("z", "r"), op.store("ready", 1, "release")],
        "b": [op.wait_until("ready", 1), op.store("z", 1)],
    },
)
