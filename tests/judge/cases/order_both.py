"""Both orders by two tasks: this one is real."""

from z3fold_stress import Scenario, op


def pair(a, b):
    return [op.lock(a), op.lock(b), op.unlock(b), op.unlock(a)]


scenario = Scenario(
    actors={"one": pair("A", "B"), "two": pair("B", "A")}, expect={"deadlock", "lock-order"}
)
