"""The head of the stack is what it was, and yet it is not the same stack.

A lock-free stack (Treiber, 1986): to pop, read the head, read its next, and swap the head from
the one to the other if it still is the one. Nodes are used again.

The stack is 1, 2. Node 1's next is 2.

    one        wants to pop: head is 1, its next is 2 ...
    two        pops 1, pops 2, keeps 2, pushes 1 again: head is 1, its next is nothing
    one        ... the head is 1, as it was: swaps it to 2

Now node 2 is the head, and belongs to the other task. The compare-and-swap compared the value of
the head; what it should have compared is whether anybody had been there.

So a tag goes into the head beside the node, here in the tens, and each push counts it up: in the
second scenario the head is 11 when the first task comes back, and its swap from 1 fails.
"""

from z3fold_stress.scenario import Scenario, op


def stack(name: str, pushed: int, expect: set[str]) -> Scenario:
    return Scenario(
        name=name,
        actors={
            "one": [
                op.load("head", "head", "acquire"),
                op.when(
                    "head",
                    "==",
                    1,
                    [
                        op.load("next1", "next", "acquire"),
                        op.when("next", "==", 2, [op.cas("head", 1, 2, "popped")]),
                    ],
                ),
            ],
            "two": [
                op.cas("head", 1, 2, "popped1"),
                op.cas("head", 2, 0, "popped2"),
                op.when("popped2", [op.store("owned2", 1, "release")]),
                op.when(
                    "popped1",
                    [
                        op.load("head", "head", "acquire"),
                        op.store("next1", "head", "release"),
                        op.when("head", "==", 0, [op.cas("head", 0, pushed, "again")]),
                    ],
                ),
            ],
        },
        finish=[
            op.load("owned2", "owned"),
            op.load("head", "head"),
            op.when("owned", [op.expect("head", "!=", 2, "node 2 is not on the stack and in use")]),
        ],
        words={"head": 1, "next1": 2},
        expect=expect,
        tags=("textbook", "lock-free"),
    )


scenarios = [
    stack("treiber-stack-aba", 1, {"invariant"}),
    stack("treiber-stack-aba-fixed", 11, set()),
]
