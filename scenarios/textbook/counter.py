"""Three tasks add one to a counter, each in one atomic step.

This is lost-update done right: a read-modify-write that nobody can come between. Nothing orders
the tasks, and nothing needs to. It is here as a scenario in which there is nothing to find.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    actors={name: [op.fetch_add("counter", 1)] for name in ("one", "two", "three")},
    finish=[
        op.load("counter", "n"),
        op.expect("n", "==", 3, "the counter has all three additions"),
    ],
    tags=("textbook", "clean"),
)
