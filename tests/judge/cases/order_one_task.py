"""Both orders, one task: no deadlock can come of it."""

from z3fold_stress import Scenario, op


def pair(a, b):
    return [op.lock(a), op.lock(b), op.unlock(b), op.unlock(a)]


scenario = Scenario(actors={"one": [*pair("A", "B"), *pair("B", "A")]})
