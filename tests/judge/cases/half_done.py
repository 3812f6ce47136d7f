"""After a death the finish still runs: the mortal may die between its two stores."""

from z3fold_stress import Scenario, op

scenario = Scenario(
    deaths=["mortal"],
    expect={"invariant"},
    actors={
        "mortal": [op.store("half", 1, "release"), op.store("half", 2, "release")],
        "other": [op.load("half", "h", "acquire")],
    },
    finish=[op.load("half", "h"), op.expect("h", "!=", 1, "nothing is left half done")],
)
