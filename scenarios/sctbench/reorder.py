"""Some set a and then b; others look at both, and one pair of values is wrong.

Every setter stores a = 1 and then b = -1; a checker accepts both of them old or both new. It
fails where it sees the new a and the old b: one setter must be between its two stores, and not
one of the others may have come further, until the checker is through. Each setter more makes
that rarer. SCTBench's reorder_N_bad: nothing is locked, and N is the number of threads.
"""

from z3fold_stress.scenario import Scenario, op

SET = [op.store("a", 1), op.store("b", -1)]

# if (!((a == 0 && b == 0) || (a == 1 && b == -1))) fail, as C evaluates it.
CHECK = [
    op.load("a", "a"),
    op.when("a", "==", 0, [op.load("b", "b"), op.when("b", "==", 0, [op.set("ok", 1)])]),
    op.unless(
        "ok",
        [
            op.load("a", "a"),
            op.when("a", "==", 1, [op.load("b", "b"), op.when("b", "==", -1, [op.set("ok", 1)])]),
        ],
    ),
    op.expect("ok", "==", 1, "a and b are both old or both new"),
]


def reorder(setters: int, checkers: int) -> Scenario:
    return Scenario(
        name=f"reorder-{setters + checkers}",
        actors={
            **{f"set{n}": SET for n in range(1, setters + 1)},
            **{f"check{n}": CHECK for n in range(1, checkers + 1)},
        },
        expect={"data-race", "invariant"},
        tags=("sctbench",),
    )


scenarios = [reorder(2, 1), reorder(3, 1), reorder(4, 1), reorder(9, 1), reorder(10, 10)]
