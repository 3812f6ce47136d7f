"""A driver is stopped while a request comes in.

A request looks whether the driver is stopping, and then counts itself in. If the driver stops
between the two, it finds nobody inside and releases its resources; the request goes on without
them. SCTBench's bluetooth_driver_bad, from the driver of the KISS paper (Qadeer and Wu, PLDI
2004).
"""

from z3fold_stress.scenario import Scenario, op

LEAVE = [
    op.lock("m"),
    *(op.load("pending", "n"), op.add("n", -1), op.store("pending", "n")),
    op.load("pending", "n"),
    op.unlock("m"),
    op.when("n", "==", 0, [op.store("idle", 1)]),
]

scenario = Scenario(
    words={"pending": 1},
    actors={
        "stop": [
            op.store("stopping", 1),
            *LEAVE,
            op.load("idle", "n"),
            op.when("n", [op.store("stopped", 1)]),
        ],
        "request": [
            op.load("stopping", "n"),
            op.unless(
                "n",
                [
                    op.lock("m"),
                    *(op.load("pending", "n"), op.add("n", 1), op.store("pending", "n")),
                    op.unlock("m"),
                    op.load("stopped", "n"),
                    op.expect("n", "==", 0, "the driver is there"),
                ],
            ),
            *LEAVE,
        ],
    },
    expect={"data-race", "invariant"},
    tags=("sctbench",),
)
