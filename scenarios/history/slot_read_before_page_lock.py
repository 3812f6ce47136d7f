"""By the time the page is locked, the handle names another one.

Map, unmap and free go from the handle to the page in two steps: read the slot, then lock the page
that it names. Nothing is held in between. The migration engine changes slots.

    mapper     reads the slot: the old page
    engine     isolates, copies, rewrites the slot, frees the old page
    mapper     locks the old page (freed), counts its map there, and returns an address in it

A free that loses this race clears the object in the old page only: the new one has a ghost that
no handle names, and a reference that no one will drop.

Fixed with "mm/z3fold.c: add inter-page compaction", 4a3ac9311dac, v5.5, into which a fix called
"protect handle reads" was folded: the slots got a lock, the slot is read and the page try-locked
under it. (That was not the end of it: migrated-page-still-lockable.) One preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("a", 640), op.fill("a")],
    actors={
        "mapper": [op.map("a"), op.check("a"), op.unmap("a")],
        "engine": [op.migrate_pages(op.page_of("a"), passes=1)],
        "kworker": [op.kworker("compact")],
    },
    arena={"frames": 3},
    shows="slot-read-before-page-lock",
    expect={"data-race", "use-after-free", "corruption", "stale-handle"},
    tags=("migration",),
)
