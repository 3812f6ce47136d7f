"""Another task's store ends a release sequence."""

from z3fold_stress import Scenario, op

scenario = Scenario(
    expect={"data-race"},
    actors={
        "a": [op.store("data", 1), op.store("flag", 1, "release")],
        "b": [
            op.load("flag", "f", "relaxed"),
            op.when("f", "==", 1, [op.store("flag", 2, "relaxed")]),
        ],
        "c": [op.load("flag", "f", "acquire"), op.when("f", "==", 2, [op.load("data", "d")])],
    },
)
