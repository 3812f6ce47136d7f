"""Both orders, for reading only."""

from z3fold_stress import Scenario, op


def pair(a, b):
    return [op.read_lock(a), op.read_lock(b), op.read_unlock(b), op.read_unlock(a)]


scenario = Scenario(actors={"one": pair("A", "B"), "two": pair("B", "A")})
