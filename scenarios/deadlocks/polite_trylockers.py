"""After you. No, after you.

Two tasks want two locks, in opposite order. To be safe from deadlock each takes its first, tries
the second, and if that is taken gives back the first and begins anew. Nobody ever waits while
holding a lock. But if the two keep in step, each finds the other's lock taken, each gives way,
and each begins anew, at the same time.

A schedule that keeps them in step for ever is a livelock. A tool that ends its executions sees
the beginning of it: both had their two tries, and neither got anywhere.

    one        takes A                       two        takes B
    one        tries B: taken                two        tries A: taken
    one        gives A back                  two        gives B back
               ... and once more

The cure is to agree on an order, as ever (the second scenario), or on who gives way.
"""

from z3fold_stress.scenario import Op, Scenario, op


def tries(first: str, second: str) -> list[Op]:
    attempt = [
        op.lock(first),
        op.trylock(second, "taken"),
        op.when("taken", [op.fetch_add("successes", 1), op.unlock(second), op.set("done", 1)]),
        op.unlock(first),
    ]
    return [op.set("done", 0), op.repeat(2, [op.unless("done", attempt)])]


somebody = [
    op.load("successes", "n", "relaxed"),
    op.expect("n", ">", 0, "of all the tries one has succeeded"),
]

scenarios = [
    Scenario(
        name="polite-trylockers",
        actors={"one": tries("A", "B"), "two": tries("B", "A")},
        finish=somebody,
        expect={"invariant"},
        tags=("textbook", "livelock"),
    ),
    Scenario(
        name="polite-trylockers-fixed",
        actors={"one": tries("A", "B"), "two": tries("A", "B")},
        finish=somebody,
        tags=("textbook", "livelock"),
    ),
]
