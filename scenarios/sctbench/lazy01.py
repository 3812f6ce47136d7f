"""Three critical sections under one mutex: add one, add two, and complain when it is three.

Nothing races; the one who complains only has to come last. SCTBench's lazy01_bad.
"""

from z3fold_stress.scenario import Op, Scenario, op


def add(number: int) -> list[Op]:
    return [
        op.lock("m"),
        *(op.load("data", "n"), op.add("n", number), op.store("data", "n")),
        op.unlock("m"),
    ]


scenario = Scenario(
    actors={
        "complain": [
            op.lock("m"),
            op.load("data", "n"),
            op.expect("n", "<", 3, "not both have added"),
            op.unlock("m"),
        ],
        "two": add(2),
        "one": add(1),
    },
    expect={"invariant"},
    tags=("sctbench",),
)
