"""One pushes ten times, another pops ten times, each under the mutex.

The popper looks whether anything was ever pushed, not whether something is there: once it has
caught up with the pusher it takes from an empty stack. SCTBench's stack_bad; the contents are
one word here, for nobody looks at them.
"""

from z3fold_stress.scenario import Scenario, op

SIZE = 10

PUSH = [
    op.lock("m"),
    op.load("top", "n"),
    op.expect("n", "!=", SIZE, "no overflow"),
    op.load("top", "n"),
    op.store("contents", "n"),
    *(op.load("top", "n"), op.add("n", 1), op.store("top", "n")),
    op.store("pushed", 1),
    op.unlock("m"),
]

POP = [
    op.lock("m"),
    op.load("pushed", "n"),
    op.when(
        "n",
        [
            op.load("top", "n"),
            op.expect("n", "!=", 0, "no underflow"),
            *(op.load("top", "n"), op.add("n", -1), op.store("top", "n")),
            op.load("top", "n"),
            op.load("contents", "n"),
        ],
    ),
    op.unlock("m"),
]

scenario = Scenario(
    actors={"pusher": [op.repeat(SIZE, PUSH)], "popper": [op.repeat(SIZE, POP)]},
    expect={"invariant"},
    tags=("sctbench",),
)
