"""A lock that a dead task holds is left behind, though the survivors only try it."""

from z3fold_stress import Scenario, op

scenario = Scenario(
    deaths=["mortal"],
    expect={"orphaned-lock"},
    actors={
        "mortal": [op.lock("L"), op.unlock("L")],
        "other": [op.trylock("L", "t"), op.when("t", [op.unlock("L")])],
    },
)
