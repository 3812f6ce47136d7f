"""Writers fill in two values one after the other, each under a lock of its own.

A reader that finds the first value set expects the second to follow from it. Between the two
sections of a writer it need not: all writers that are through the first must wait until the
reader has seen both values. SCTBench's twostage_N_bad, N threads; most of them are writers.
"""

from z3fold_stress.scenario import Scenario, op

WRITE = [
    op.lock("lock1"),
    op.store("data1", 1),
    op.unlock("lock1"),
    op.lock("lock2"),
    op.load("data1", "v"),  # not under its own lock
    op.add("v", 1),
    op.store("data2", "v"),
    op.unlock("lock2"),
]

READ = [
    op.lock("lock1"),
    op.load("data1", "first"),
    op.when("first", "==", 0, [op.unlock("lock1")]),
    op.when(
        "first",
        [
            op.load("data1", "first"),
            op.unlock("lock1"),
            op.lock("lock2"),
            op.load("data2", "second"),
            op.unlock("lock2"),
            op.add("first", 1),
            op.expect("second", "==", "first", "the second stage follows the first"),
        ],
    ),
]


def twostage(name: str, writers: int, readers: int) -> Scenario:
    return Scenario(
        name=name,
        actors={
            **{f"write{n}": WRITE for n in range(1, writers + 1)},
            **{f"read{n}": READ for n in range(1, readers + 1)},
        },
        expect={"data-race", "invariant"},
        tags=("sctbench",),
    )


scenarios = [
    twostage("twostage", 1, 1),
    twostage("twostage-20", 10, 10),
    twostage("twostage-50", 40, 10),
    twostage("twostage-100", 99, 1),
]
