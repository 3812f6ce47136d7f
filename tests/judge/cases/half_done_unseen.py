"""A death may come anywhere, also where nobody else looks."""

from z3fold_stress import Scenario, op

scenario = Scenario(
    deaths=["mortal"],
    expect={"invariant"},
    actors={
        "mortal": [op.store("half", 1, "release"), op.store("half", 2, "release")],
        "other": [op.fetch_add("n", 1)],
    },
    finish=[op.load("half", "h"), op.expect("h", "!=", 1, "nothing is left half done")],
)
