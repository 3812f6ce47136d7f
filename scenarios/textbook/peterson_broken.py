"""Peterson's lock, with two lines exchanged.

To enter, a task says that it wants to, then gives the other the turn, and goes in unless the
other wants to and has the turn (Peterson, 1981). The order of the first two lines is the whole
trick. Exchanged, both go in:

    one        gives two the turn ...
    two        gives one the turn, says that it wants in; one does not want in: goes in
    one        ... says that it wants in; two wants in, but one has the turn: goes in

Every access is atomic, and executions here are sequentially consistent, which is what Peterson
assumed. (On a real CPU the right order needs a full barrier as well: two stores and a load of
another word are just what a store buffer turns round.)

A task that may not go in gives up here, where the original waits: that keeps executions short and
loses none in which two are inside.
"""

from z3fold_stress.scenario import Op, Scenario, op


def enters(me: int, other: int, want_first: bool) -> list[Op]:
    want, turn = op.store(f"wants{me}", 1, "release"), op.store("turn", other, "release")
    return [
        *([want, turn] if want_first else [turn, want]),
        op.set("enter", 0),
        op.load(f"wants{other}", "wanted", "acquire"),
        op.load("turn", "turn", "acquire"),
        op.unless("wanted", [op.set("enter", 1)]),
        op.when("turn", "==", me, [op.set("enter", 1)]),
        op.when(
            "enter",
            [
                op.fetch_add("inside", 1, "others"),
                op.expect("others", "==", 0, "nobody else is inside"),
                op.fetch_add("inside", -1),
            ],
        ),
        op.store(f"wants{me}", 0, "release"),
    ]


def lock(name: str, want_first: bool, expect: set[str]) -> Scenario:
    return Scenario(
        name=name,
        actors={"one": enters(1, 2, want_first), "two": enters(2, 1, want_first)},
        expect=expect,
        tags=("textbook", "lock-free"),
    )


scenarios = [
    lock("peterson-broken", False, {"invariant"}),
    lock("peterson-broken-fixed", True, set()),
]
