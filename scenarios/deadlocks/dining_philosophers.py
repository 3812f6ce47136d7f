"""Philosophers at a round table, a fork between each two, and all reach for the left one first.

Each wants two forks and takes the left one, then the right. If all take the left one before any
takes the right, there is no fork left on the table, and nobody puts one down.

Three of them are enough, five are the tradition (Dijkstra, 1965). Even an execution in which all
of them eat shows the fault in the order of the locks: fork 0 before 1, 1 before 2, 2 before 0.

The cure is an order: let the last of them be left-handed in reverse, so that everybody takes the
fork with the lower number first. Then whoever has the highest fork that is taken can eat.
"""

from z3fold_stress.scenario import Op, Scenario, op


def dines(first: int, second: int) -> list[Op]:
    return [
        op.lock(f"fork{first}"),
        op.lock(f"fork{second}"),
        op.fetch_add("meals", 1),
        op.unlock(f"fork{second}"),
        op.unlock(f"fork{first}"),
    ]


def table(seats: int, ordered: bool) -> Scenario:
    forks = {f"philosopher{n}": (n, (n + 1) % seats) for n in range(seats)}
    return Scenario(
        name=f"dining-philosophers-{seats}" + ("-ordered" if ordered else ""),
        actors={name: dines(*(sorted(pair) if ordered else pair)) for name, pair in forks.items()},
        finish=[
            op.load("meals", "meals", "relaxed"),
            op.expect("meals", "==", seats, "everybody has eaten"),
        ],
        expect=() if ordered else {"deadlock", "lock-order"},
        tags=("textbook", "deadlock"),
    )


scenarios = [table(3, False), table(5, False), table(3, True)]
