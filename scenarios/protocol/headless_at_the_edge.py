"""Two objects of nearly a page: the larger by a byte has no header, and is freed while evicted.

The largest object that shares a page leaves one chunk; one byte more, and the page has neither
header nor lock, and all that guards it is a claim under the pool lock.
"""

from z3fold_stress.scenario import Scenario, op

EDGE = 4096 - 3 * 64

scenario = Scenario(
    setup=[op.alloc("a", EDGE + 1, fill=True), op.alloc("b", EDGE, fill=True)],
    actors={
        "reclaim": [op.reclaim(2)],
        "owner": [op.free("a"), op.alloc("a", EDGE, fill=True)],
        "neighbour": [op.alloc("c", 16, fill=True), op.free("b")],
        "scanner": [op.compact_memory(0, 4)],
    },
    cpus={"neighbour": 1},
    faults={"evict": 1},
    finish=[op.drain(), op.audit(), op.probe(8)],
    arena={"frames": 5},
    tags=("reclaim", "headless", "exact fit"),
)
