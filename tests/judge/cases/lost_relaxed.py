"""Muting a verdict must not blind the search."""

from z3fold_stress import Scenario, op

add = [op.load("n", "r", "relaxed"), op.add("r", 1), op.store("n", "r", "relaxed")]
scenario = Scenario(
    actors={"one": add, "two": add},
    expect={"invariant"},
    finish=[op.load("n", "r"), op.expect("r", "==", 2, "both count")],
)
