"""The reader of a seqlock looks at the sequence once.

A seqlock lets readers run without a lock. The writer makes the sequence odd, writes, and makes it
even again. The reader notes the sequence, reads, and looks again: if it is another one, or odd,
what was read may be half old and half new, and is thrown away.

Leave out the second look, and the half-and-half is used:

    reader     sequence is 0, fine; x is 0
    writer     sequence 1; x is 1, y is 1; sequence 2
    reader     y is 1

The accesses are relaxed atomics, as a seqlock's must be. So no data race is reported: that there
is none does not mean that there is no fault.
"""

from z3fold_stress.scenario import Scenario, op

writer = [
    op.fetch_add("sequence", 1),
    op.store("x", 1, "relaxed"),
    op.store("y", 1, "relaxed"),
    op.fetch_add("sequence", 1),
]
reads = [
    op.load("sequence", "before", "acquire"),
    op.load("x", "x", "acquire"),
    op.load("y", "y", "acquire"),
]
same = op.expect("x", "==", "y", "the reader has x and y of the same moment")

scenarios = [
    Scenario(
        name="broken-seqlock",
        actors={"writer": writer, "reader": [*reads, op.when("before", "!=", 1, [same])]},
        expect={"invariant"},
        tags=("textbook",),
    ),
    Scenario(
        name="broken-seqlock-fixed",
        actors={
            "writer": writer,
            "reader": [
                *reads,
                op.load("sequence", "after", "acquire"),
                op.when("before", "!=", 1, [op.when("before", "==", "after", [same])]),
            ],
        },
        tags=("textbook",),
    ),
]
