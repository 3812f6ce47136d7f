"""A page that could not be moved comes back, and its free room does not.

Isolation takes a page off two lists: the LRU, and the list of pages with room. When migration
fails, putback returns it to the first and forgets the second. The room in the page is found again
only when something in it is freed; until then the next object that would have fitted gets a page
of its own.

With migrate-double-page-lock in the same patch set, this was how every attempt to migrate ended.

    engine     isolates the page; there is no frame to move it to; puts it back

Miaohe Lin asked about it on the list in October 2020 and got no answer. Fixed by "mm/z3fold: put
z3fold page back into unbuddied list when reclaim or migration fails", 6cf9a34967ed, Miaohe Lin,
v5.19-rc1. One task, one failed allocation, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("a", 640), op.fill("a")],
    actors={"engine": [op.migrate_pages(op.page_of("a"), passes=1)]},
    faults={"target": 1},
    arena={"frames": 2},
    shows="putback-forgets-unbuddied",
    expect={"lost-page"},
    tags=("migration", "deterministic"),
)
