"""Reclaim's evictions fail, one after the other, while the objects are freed from two CPUs.

A page of three objects that fills its frame exactly. What reclaim could not empty goes back to the
LRU and, if a free has made room meanwhile, to the list of pages with room.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc(name, n * 64, fill=True) for name, n in (("a", 20), ("b", 20), ("c", 22))],
    actors={
        "reclaim": [op.reclaim(3)],
        "owner": [op.free("a")],
        "other": [op.free("c"), op.alloc("c", 22 * 64, fill=True)],
        "compact": [op.kworker("compact")],
    },
    cpus={"other": 1},
    faults={"evict": 2},
    finish=[op.drain(), op.audit(), op.probe(8)],
    arena={"frames": 4},
    tags=("reclaim", "exact fit"),
)
