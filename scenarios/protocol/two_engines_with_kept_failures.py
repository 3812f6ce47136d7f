"""Two engines move the pages of one list each, and try again what failed, without a putback.

Newer cores migrate a batch without waiting, keep aside what failed for good, and try that again,
one page at a time. A page that was mapped at the first attempt is free at the second.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("a", 3000, fill=True), op.alloc("b", 3000, fill=True)],
    actors={
        "engine": [op.migrate_pages(op.page_of("a"), passes=6, keep_failed=True)],
        "other": [op.migrate_pages(op.page_of("b"), passes=6, keep_failed=True)],
        "mapper": [op.map("a"), op.map("b"), op.unmap("a"), op.check("b"), op.unmap("b")],
        "compact": [op.kworker("compact")],
    },
    cpus={"other": 1},
    finish=[op.drain(), op.audit(), op.probe(8)],
    arena={"frames": 6},
    tags=("migration",),
)
