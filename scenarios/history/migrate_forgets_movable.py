"""A page moves once, and never again.

What makes a page movable is a mark in its descriptor, and a migration copies the page, not the
descriptor. z3fold must mark the new page itself, under its PG lock, before anybody can ask. If it
does not, nothing is torn and nothing leaks: the page is found by nobody who looks for movable ones.
Memory that was compacted once has fixed pages all over it.

Our own: no version of z3fold had it. It was put into the correct protocol to see whether the tool
would notice, and at first it did not. One task, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("a", 640), op.fill("a")],
    actors={"engine": [op.migrate_pages(op.page_of("a")), op.drain()]},
    finish=[op.drain(), op.probe(64)],
    arena={"frames": 4},
    shows="migrate-forgets-movable",
    expect={"eagain-contract"},
    tags=("migration", "deterministic"),
)
