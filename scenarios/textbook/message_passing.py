"""A flag says that the message is there. Says who?

One task writes a message, then sets a flag. Another sees the flag and reads the message. On one's
own machine it always works. With a plain flag nothing promises that the two stores are seen in
the order in which they were written: the compiler may exchange them, and a weakly ordered CPU
does.

This tool runs executions in which every store is seen at once, so it never shows the wrong
message. It shows that nothing forbids it: a data race.

With a release store and an acquire load, in the second scenario, the message is ordered before
the flag, and the flag before the reading.
"""

from typing import Literal

from z3fold_stress.scenario import Scenario, op


def passing(
    name: str,
    load: Literal["plain", "acquire"],
    store: Literal["plain", "release"],
    expect: set[str],
) -> Scenario:
    return Scenario(
        name=name,
        actors={
            "writer": [op.store("message", 42), op.store("flag", 1, store)],
            "reader": [
                op.load("flag", "there", load),
                op.when(
                    "there",
                    [op.load("message", "m"), op.expect("m", "==", 42, "the message is whole")],
                ),
            ],
        },
        expect=expect,
        tags=("textbook",),
    )


scenarios = [
    passing("message-passing", "plain", "plain", {"data-race"}),
    passing("message-passing-fixed", "acquire", "release", set()),
]
