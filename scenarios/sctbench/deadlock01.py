"""One counts up under locks a and b, one counts down under b and a.

Each has its first lock and wants the other's. SCTBench's deadlock01_bad.
"""

from z3fold_stress.scenario import Op, Scenario, op


def count(first: str, second: str, step: int) -> list[Op]:
    return [
        op.lock(first),
        op.lock(second),
        *(op.load("counter", "n"), op.add("n", step), op.store("counter", "n")),
        op.unlock(second),
        op.unlock(first),
    ]


scenario = Scenario(
    actors={"up": count("a", "b", 1), "down": count("b", "a", -1)},
    expect={"deadlock", "lock-order"},
    tags=("sctbench", "deadlock"),
)
