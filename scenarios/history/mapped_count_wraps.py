"""Three objects, two bits: four maps count as none.

A page holds three objects at most, and its header counts maps in two bits. That looks like
enough. But an object may be mapped by more than one task: by its owner, and by the write-back of
reclaim; or by two readers.

    one        maps the three objects of a page: three
    two        maps one of them as well: four, which in two bits is zero
    two        wants memory, and compacts it: who has an object of z3fold mapped may sleep. The
               page is not mapped, says its header, so it is moved, and the old frame is freed
    one, two   go on reading and writing there

Found by reading; no fix is known. One preemption; if a third task compacts, two.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[
        op.alloc("a", 640),
        op.fill("a"),
        op.alloc("b", 640),
        op.fill("b"),
        op.alloc("c", 640),
        op.fill("c"),
    ],
    actors={
        "one": [
            op.map("a"),
            op.map("b"),
            op.map("c"),
            op.check("a"),
            op.unmap("a"),
            op.unmap("b"),
            op.unmap("c"),
        ],
        "two": [
            op.map("a"),
            op.migrate_pages(op.page_of("a"), passes=1),
            op.check("a"),
            op.unmap("a"),
        ],
    },
    arena={"frames": 3},
    shows="mapped-count-wraps",
    expect={"use-after-free", "corruption", "invariant"},
    tags=("migration",),
)
