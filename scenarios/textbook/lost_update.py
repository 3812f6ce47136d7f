"""Two tasks add one to a counter that nothing protects.

Both load it before either stores: one of the additions is lost.
"""

from z3fold_stress.scenario import Scenario, op

increment = [op.load("counter", "n"), op.add("n", 1), op.store("counter", "n")]

scenario = Scenario(
    actors={"one": increment, "two": increment},
    finish=[
        op.load("counter", "n"),
        op.expect("n", "==", 2, "the counter has both additions"),
    ],
    expect={"data-race", "invariant"},
    tags=("textbook",),
)
