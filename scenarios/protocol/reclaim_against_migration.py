"""Reclaim and migration want the same page, and its owner reads it.

Reclaim claims the page, drops all locks, and evicts object by object; migration isolates it, which
is a claim as well. Whoever comes second goes away, and whoever has the page mends its lists.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("a", 1200, fill=True), op.alloc("b", 1200, fill=True)],
    actors={
        "reclaim": [op.reclaim(2)],
        "engine": [op.migrate_pages(op.page_of("a"), passes=3)],
        "reader": [op.map("b"), op.check("b"), op.unmap("b")],
        "compact": [op.kworker("compact")],
    },
    cpus={"engine": 1},
    finish=[op.drain(), op.audit(), op.probe(8)],
    arena={"frames": 4},
    tags=("reclaim", "migration"),
)
