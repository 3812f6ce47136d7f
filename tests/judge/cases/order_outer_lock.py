"""Both orders, under one outer lock."""

from z3fold_stress import Scenario, op


def pair(a, b):
    return [op.lock("G"), op.lock(a), op.lock(b), op.unlock(b), op.unlock(a), op.unlock("G")]


scenario = Scenario(actors={"one": pair("A", "B"), "two": pair("B", "A")})
