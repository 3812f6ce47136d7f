"""One sends the numbers of its rounds through a buffer, another expects those of its own.

Two flags let them take turns, but a round in which it was not one's turn counts as well: the two
only agree as long as both waste equally many. SCTBench's circular_buffer_bad; as they take turns
the buffer never holds more than one number, and is one word here.
"""

from z3fold_stress.scenario import Scenario, op

ROUNDS = 7
SIZE = 10

SEND = [
    op.lock("m"),
    op.load("send", "turn"),
    op.when(
        "turn",
        [
            op.load("next", "n"),
            op.when(
                "n",
                "<",
                SIZE,
                [op.store("buffer", "round"), op.add("n", 1), op.store("next", "n")],
            ),
            op.store("send", 0),
            op.store("receive", 1),
        ],
    ),
    op.unlock("m"),
    op.add("round", 1),
]

RECEIVE = [
    op.lock("m"),
    op.load("receive", "turn"),
    op.when(
        "turn",
        [
            op.load("next", "n"),
            *(op.load("first", "n"), op.add("n", 1), op.store("first", "n")),
            op.load("buffer", "n"),
            op.expect("n", "==", "round", "the number of this round"),
            op.store("receive", 0),
            op.store("send", 1),
        ],
    ),
    op.unlock("m"),
    op.add("round", 1),
]

scenario = Scenario(
    words={"send": 1},
    actors={
        "sender": [op.set("round", 0), op.repeat(ROUNDS, SEND)],
        "receiver": [op.set("round", 0), op.repeat(ROUNDS, RECEIVE)],
    },
    expect={"invariant"},
    tags=("sctbench",),
)
