"""A lock operation reads and writes its word: somebody initialises a lock that is held."""

from z3fold_stress import Scenario, op

scenario = Scenario(
    expect={"lock-misuse"},
    actors={
        "a": [op.lock("L"), op.store("d", 1), op.unlock("L")],
        "b": [op.store("L", 0, "release")],
    },
)
