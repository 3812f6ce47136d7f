"""The middle object becomes the first of its page, and its handle stays good.

Both of its neighbours are freed, from two CPUs, and the page is compacted; meanwhile it is mapped
and unmapped, and the page may move.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc(name, n * 64, fill=True) for name, n in (("a", 20), ("b", 20), ("c", 22))],
    actors={
        "user": [
            op.map("c"),
            op.check("c"),
            op.unmap("c"),
            op.map("c"),
            op.check("c"),
            op.unmap("c"),
        ],
        "owner": [op.free("a")],
        "other": [op.free("b")],
        "engine": [op.migrate_pages(op.page_of("c"), passes=2)],
        "compact": [op.kworker("compact")],
    },
    cpus={"other": 1, "engine": 1},
    finish=[op.drain(), op.audit(), op.probe(8)],
    arena={"frames": 3},
    tags=("compaction", "map"),
)
