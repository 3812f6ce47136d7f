"""Unlocking for reading orders nothing among readers."""

from z3fold_stress import Scenario, op

scenario = Scenario(
    expect={"data-race"},
    actors={
        "a": [
            op.read_lock("L"),
            op.store("d", 1),
            op.read_unlock("L"),
            op.store("f", 1, "relaxed"),
        ],
        "b": [
            op.load("f", "f", "relaxed"),
            op.when("f", [op.read_lock("L"), op.load("d", "v"), op.read_unlock("L")]),
        ],
    },
)
