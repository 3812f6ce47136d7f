"""One adds to a value under a lock, others under another lock.

Among themselves the others are safe. But the first reads, adds and reads again, and whatever one
of them adds in between is seen, or lost. SCTBench's wronglock_bad (seven others) and
wronglock_3_bad (three).
"""

from z3fold_stress.scenario import Scenario, op

RIGHT = [
    op.lock("data-lock"),
    op.load("data", "x"),
    *(op.load("data", "n"), op.add("n", 1), op.store("data", "n")),
    op.load("data", "n"),
    op.add("x", 1),
    op.expect("n", "==", "x", "nobody else was at it"),
    op.unlock("data-lock"),
]

WRONG = [
    op.lock("this-lock"),
    *(op.load("data", "n"), op.add("n", 1), op.store("data", "n")),
    op.unlock("this-lock"),
]


def wronglock(name: str, others: int) -> Scenario:
    return Scenario(
        name=name,
        actors={"right": RIGHT, **{f"wrong{n}": WRONG for n in range(1, others + 1)}},
        expect={"data-race", "invariant"},
        tags=("sctbench",),
    )


scenarios = [wronglock("wronglock", 7), wronglock("wronglock-3", 3)]
