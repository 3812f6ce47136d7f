"""Two tasks take two locks in opposite order.

Each can have one and wait for the other for ever. Even where they miss each other, the order in
which the locks were taken says that they need not have.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    actors={
        "ab": [op.lock("A"), op.lock("B"), op.unlock("B"), op.unlock("A")],
        "ba": [op.lock("B"), op.lock("A"), op.unlock("A"), op.unlock("B")],
    },
    expect={"deadlock", "lock-order"},
    tags=("textbook", "deadlock"),
)
