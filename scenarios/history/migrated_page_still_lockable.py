"""The old page is unlocked a moment too early: the slots still name it.

Migration copies the page, unlocks the old one, and only then rewrites the slots. In the gap a
lookup reads the old address from the slot, under the slots' lock as it should be, and gets the
page lock without trouble: nothing says that the page is being left.

    engine     copies the page, unlocks the old one
    mapper     reads the slot, locks the old page, counts its map there, unlocks
    engine     rewrites the slots, frees the old page
    mapper     uses its pointer

The lock on slot reads that v5.5 brought did not help. This one was there from v5.2 to v5.18,
three years.

Fixed by "mm/z3fold: fix z3fold_page_migrate races with z3fold_map", 943fb61dd66f, Miaohe Lin, 2022,
v5.19-rc1: the old page is marked as migrated, and lookups spin past it. Keeping it locked until
the slots are rewritten serves as well, and is what the sound protocol here does. One preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("a", 640), op.fill("a")],
    actors={
        "engine": [op.migrate_pages(op.page_of("a"), passes=1)],
        "mapper": [op.map("a"), op.check("a"), op.unmap("a")],
        "kworker": [op.kworker("compact")],
    },
    arena={"frames": 3},
    shows="migrated-page-still-lockable",
    expect={"use-after-free", "corruption", "data-race", "refcount"},
    tags=("migration",),
)
