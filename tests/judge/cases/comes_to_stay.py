"""A right program: the word becomes 1, 0, and 1 for good."""

from z3fold_stress import Scenario, op

scenario = Scenario(
    actors={
        "waiter": [op.wait_until("w", 1)],
        "setter": [op.store("w", v, "release") for v in (1, 0, 1)],
    }
)
