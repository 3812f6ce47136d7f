"""Three pass a value on, each under the mutex, and expect to be called in the order of the ring.

The fourth compares the values when all three have run; the ring's order is nobody's duty, and
only two orders of six come out right. SCTBench's token_ring_bad.
"""

from z3fold_stress.scenario import Op, Scenario, op


def pass_on(source: str, target: str, flag: str) -> list[Op]:
    return [
        op.lock("m"),
        op.load(source, "v"),
        op.store(target, "v"),
        op.store(flag, 1),
        op.unlock("m"),
    ]


scenario = Scenario(
    words={"x1": 1, "x2": 2, "x3": 1},
    actors={
        "first": [
            op.lock("m"),
            op.load("x3", "v"),
            op.add("v", 1),
            op.when("v", "==", 4, [op.set("v", 0)]),
            op.store("x1", "v"),
            op.store("flag1", 1),
            op.unlock("m"),
        ],
        "second": pass_on("x1", "x2", "flag2"),
        "third": pass_on("x2", "x3", "flag3"),
        "check": [
            op.lock("m"),
            op.load("flag1", "all"),
            op.when("all", [op.load("flag2", "all")]),
            op.when("all", [op.load("flag3", "all")]),
            op.when(
                "all",
                [
                    op.load("x1", "a"),
                    op.load("x2", "b"),
                    op.expect("a", "==", "b", "x1 is x2"),
                    op.load("x2", "a"),
                    op.load("x3", "b"),
                    op.expect("a", "==", "b", "x2 is x3"),
                ],
            ),
            op.unlock("m"),
        ],
    },
    expect={"invariant"},
    tags=("sctbench",),
)
