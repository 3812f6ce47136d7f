"""The door says "open" before the shop is furnished.

To spare a lock on each use, a task looks at a flag first: if it is set, the thing is ready. If
not, it takes the lock, looks again, and makes the thing. It was made once, and yet somebody used
it unmade, for the flag was set before the data was written.

    one        takes the lock, sets the flag ...
    two        sees the flag, takes no lock, reads the data: 0
    one        ... writes the data

Written the other way round it is still wrong as long as the flag is a plain word: nothing orders
the data before the flag, neither for the compiler nor for the CPU. It takes a release store and
an acquire load, as in the second scenario.
"""

from z3fold_stress.scenario import Op, Scenario, op

flag_first = [op.store("ready", 1, "release"), op.store("data", 42)]
data_first = [op.store("data", 42), op.store("ready", 1, "release")]


def user(make: list[Op]) -> list[Op]:
    return [
        op.load("ready", "ready", "acquire"),
        op.unless(
            "ready",
            [
                op.lock("L"),
                op.load("ready", "ready", "acquire"),
                op.unless("ready", [op.fetch_add("made", 1), *make]),
                op.unlock("L"),
            ],
        ),
        op.load("data", "data"),
        op.expect("data", "==", 42, "whoever finds it ready finds it made"),
    ]


once = [op.load("made", "made"), op.expect("made", "==", 1, "it was made once")]

scenarios = [
    Scenario(
        name="double-checked-init",
        actors={"one": user(flag_first), "two": user(flag_first)},
        finish=once,
        expect={"data-race", "invariant"},
        tags=("textbook",),
    ),
    Scenario(
        name="double-checked-init-fixed",
        actors={"one": user(data_first), "two": user(data_first)},
        finish=once,
        tags=("textbook",),
    ),
]
