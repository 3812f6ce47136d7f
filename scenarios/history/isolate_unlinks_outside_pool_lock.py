"""Two tasks unlink neighbours on one list, each under a lock of its own.

The lists of pages with room belong to the pool lock. The isolate callback unlinks its page from
such a list with only that page's lock held, and takes the pool lock later, for the LRU. The page
lock keeps others off the page. It does not keep them off the page's neighbours, whose links are
what an unlink writes.

    engine     isolates a page, is in the middle of unlinking it
    user       allocates: takes the page next to it off the same list, under the pool lock
    both       have written the same two links; one of the writes is lost, and the list is torn

Putback does the same.

No fix is known; the code left the kernel with z3fold. Found by reading. The race
is seen with no preemption; the torn list takes one, between two stores.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[
        op.alloc("a", 2560),
        op.fill("a"),
        op.alloc("b", 2560),
        op.fill("b"),
    ],
    actors={
        "engine": [op.migrate_pages(op.page_of("a"), passes=1)],
        "user": [op.alloc("c", 1280), op.fill("c")],
        "kworker": [op.kworker("compact")],
    },
    arena={"frames": 4},
    shows="isolate-unlinks-outside-pool-lock",
    expect={"data-race", "list-corruption", "lost-page"},
    tags=("migration", "lists"),
)
