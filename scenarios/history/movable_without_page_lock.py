"""A fresh page says "move me" before its owner has finished with it.

The scanner of memory compaction trusts the lock of the page descriptor: while it has that lock,
the answers to "movable?" and "isolated?" do not change under it. Alloc set the movable mark
without the lock, and before the page was on any list.

What can follow: the scanner isolates the fresh page, there being nothing to unlink yet; alloc
then gets the page lock and lists the page, isolated as it is; the engine adds it to its own list
by the same link. One link, two lists.

Before that can happen, the assertion in the marking fires, as it did in every debug kernel: the
mark goes on without the lock. So the first fresh page shows it, whoever else is about.

Fixed by "mm/z3fold.c: lock z3fold page before __SetPageMovable()", 810481a24608, Henry Burns,
July 2019, v5.3-rc1 and 5.2.3. One task for the assertion; the scanner is here because, with the
fix, alloc and it have to get along.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    actors={
        "allocator": [op.alloc("a", 640), op.fill("a")],
        "scanner": [op.migrate_pages(op.frame(0), passes=1)],
        "kworker": [op.kworker("compact")],
    },
    arena={"frames": 3},
    shows="movable-without-page-lock",
    expect={"lock-misuse", "list-corruption", "data-race"},
    tags=("migration",),
)
