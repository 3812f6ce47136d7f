"""A mapped page is not going to move, and migrate asks to be called again.

The engine isolates a page that nobody has mapped. Then somebody maps an object in it, as its owner
may at any time, and keeps it mapped for as long as it likes. The core's tries are for short
troubles: a lock that is taken, a compaction that is queued. For a map the answer is -EBUSY, and the
core puts the page back at the first one.

Our own: no version of z3fold had it. It was put into the correct protocol to see whether the tool
would notice, and at first it did not. One task, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

page = op.page_of("a")

scenario = Scenario(
    setup=[op.alloc("a", 640), op.fill("a")],
    actors={
        "engine": [
            op.isolate(page),
            op.map("a"),
            op.migrate(page),
            op.unmap("a"),
            op.putback(page),
        ]
    },
    finish=[op.drain(), op.probe(64)],
    arena={"frames": 4},
    shows="migrate-mapped-says-eagain",
    expect={"eagain-contract"},
    tags=("migration", "deterministic"),
)
