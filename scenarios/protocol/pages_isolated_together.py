"""Two pages are isolated at once, one of them loses its objects, and they go back in any order.

What its owner freed while it was isolated is released when the isolation ends: by a migration that
finds nothing to move, or by the putback.
"""

from z3fold_stress.scenario import Scenario, op

first, second = op.page_of("a"), op.page_of("b")

scenario = Scenario(
    setup=[op.alloc("a", 3000, fill=True), op.alloc("b", 3000, fill=True)],
    actors={
        "engine": [
            *(op.isolate(first), op.isolate(second)),
            *(op.migrate(second), op.migrate(first)),
            *(op.putback(first), op.putback(second)),
        ],
        "owner": [op.free("a"), op.map("b"), op.check("b"), op.unmap("b")],
        "reclaim": [op.reclaim(1)],
        "compact": [op.kworker("compact")],
    },
    cpus={"owner": 1},
    finish=[op.drain(), op.audit(), op.probe(8)],
    arena={"frames": 5},
    tags=("migration", "reclaim"),
)
