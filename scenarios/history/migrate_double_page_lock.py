"""No page ever moves: the migrate callback try-locks what its caller has locked.

The core locks the descriptors of the old and the new page, then calls z3fold's migrate callback.
The callback begins with a trylock of the old descriptor. It fails, of course: the lock is the
caller's. So the callback answers -EAGAIN, the core tries again, ten times in all, and puts the
page back. Memory compaction gets nowhere, and nothing in the logs says why: -EAGAIN means bad
luck, and this looks like very bad luck.

A blocking lock would have hung the first machine that booted it, and been found the same day.

Here an engine migrates the page of one object with nobody else about. Then the probe asks what
must be true of a quiet arena: a page that nobody uses moves at the first attempt.

Fixed by "mm/z3fold.c: remove z3fold_migration trylock", be03074c9af2, Henry Burns, July 2019,
v5.3-rc1. One task, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("a", 640), op.fill("a")],
    actors={"engine": [op.migrate_pages(op.page_of("a")), op.drain()]},
    finish=[op.drain(), op.probe(64)],
    arena={"frames": 4},
    shows="migrate-double-page-lock",
    expect={"eagain-contract"},
    tags=("migration", "deterministic"),
)
