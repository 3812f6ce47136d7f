"""One seat is left, and two tasks look before either sits down.

Each asks whether a seat is free, and if so takes it: time of check, time of use. Both steps are
atomic. The pair is not.

    one        a seat is free
    two        a seat is free
    one, two   take it: there are -1

A tool that looks for data races finds nothing here, and is right: every access is atomic. What is
wrong is that the answer to a question was used after it had ceased to be true.

In the second scenario the taking is itself the question.
"""

from z3fold_stress.scenario import Op, Scenario, op

asks_first = [
    op.load("seats", "free", "relaxed"),
    op.when("free", ">", 0, [op.fetch_add("seats", -1)]),
]
takes = [op.cas("seats", 1, 0, "mine")]


def theatre(name: str, visitor: list[Op], expect: set[str]) -> Scenario:
    return Scenario(
        name=name,
        actors={"one": visitor, "two": visitor},
        finish=[
            op.load("seats", "left"),
            op.expect("left", "==", 0, "the one seat was sold once"),
        ],
        words={"seats": 1},
        expect=expect,
        tags=("textbook",),
    )


scenarios = [
    theatre("toctou", asks_first, {"invariant"}),
    theatre("toctou-fixed", takes, set()),
]
