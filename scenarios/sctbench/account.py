"""A deposit, a withdrawal and an audit of a bank account, each one critical section.

The auditor computes what the balance must be when both have happened, and gets the sign of the
deposit wrong: whenever it comes last it complains. SCTBench's account_bad.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    words={"x": 1, "y": 2, "z": 4, "balance": 1},
    actors={
        "check": [
            op.lock("m"),
            op.load("deposited", "done"),
            op.when("done", [op.load("withdrawn", "done")]),
            op.when(
                "done",
                [
                    op.load("balance", "balance"),
                    op.load("x", "sum"),
                    op.load("y", "part"),
                    op.multiply("part", -1),
                    op.add("sum", "part"),
                    op.load("z", "part"),
                    op.multiply("part", -1),
                    op.add("sum", "part"),
                    op.expect("balance", "==", "sum", "the balance is (x - y) - z"),
                ],
            ),
            op.unlock("m"),
        ],
        "deposit": [
            op.lock("m"),
            op.load("balance", "balance"),
            op.load("y", "part"),
            op.add("balance", "part"),
            op.store("balance", "balance"),
            op.store("deposited", 1),
            op.unlock("m"),
        ],
        "withdraw": [
            op.lock("m"),
            op.load("balance", "balance"),
            op.load("z", "part"),
            op.multiply("part", -1),
            op.add("balance", "part"),
            op.store("balance", "balance"),
            op.store("withdrawn", 1),
            op.unlock("m"),
        ],
    },
    expect={"invariant"},
    tags=("sctbench",),
)
