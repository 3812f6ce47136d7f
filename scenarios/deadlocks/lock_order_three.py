"""Three tasks, three locks, and no two tasks that disagree.

One takes A then B, another B then C, the third C then A. Any two of them get along: there is no
pair of locks that is taken in both orders. All three at once can wait in a circle.

This is why a lock checker keeps a graph and not a list of pairs: the edge from C to A is the one
that closes the circle, though nobody ever took A and C the other way round in one breath.

In the second scenario the third task takes A first, as the order demands.
"""

from z3fold_stress.scenario import Op, Scenario, op


def takes(first: str, second: str) -> list[Op]:
    return [op.lock(first), op.lock(second), op.unlock(second), op.unlock(first)]


scenarios = [
    Scenario(
        name="lock-order-three",
        actors={"ab": takes("A", "B"), "bc": takes("B", "C"), "ca": takes("C", "A")},
        expect={"deadlock", "lock-order"},
        tags=("textbook", "deadlock"),
    ),
    Scenario(
        name="lock-order-three-fixed",
        actors={"ab": takes("A", "B"), "bc": takes("B", "C"), "ac": takes("A", "C")},
        tags=("textbook", "deadlock"),
    ),
]
