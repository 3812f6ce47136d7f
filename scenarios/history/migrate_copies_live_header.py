"""The moved page believes that it is listed, in the page it came from.

A page is migrated by copying its bytes, the header among them. The header has a list link, and
the link of an isolated page points at itself: at the old page's address. The copy at the new
address therefore points into the old page. To list_empty() it looks like a page on a list.

The engine frees the old page. Then the compaction worker takes up the new one, and the first
thing it does is to unlink it: it writes the neighbours of that link, both of which are the freed
page. Whoever got the frame meanwhile has two words of it overwritten.

It takes no race at all, once migration works: for as long as migrate-double-page-lock was in, no
migration ever came this far.

Fixed by "mm/z3fold.c: reinitialize zhdr structs after migration", c92d2f38563d, Henry Burns, July
2019, v5.3-rc1 and 5.2.7.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("a", 640), op.fill("a")],
    actors={
        "engine": [op.migrate_pages(op.page_of("a"))],
        "kworker": [op.kworker("compact")],
    },
    arena={"frames": 3},
    shows="migrate-copies-live-header",
    expect={"use-after-free", "list-corruption"},
    tags=("migration", "deterministic"),
)
