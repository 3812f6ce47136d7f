"""A page that waits for its release is taken by an allocation, looked at by the scanner, and freed.

Its last object is gone, its work may still be queued, and it is still marked movable. The
allocation has it or the release worker, and the scanner leaves it alone.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("a", 3000, fill=True), op.alloc("b", 640, fill=True), op.free("a")],
    actors={
        "owner": [op.free("b")],
        "user": [op.alloc("c", 4090, fill=True), op.free("c")],
        "scanner": [op.isolate(op.frame(0)), op.putback(op.frame(0))],
        "compact": [op.kworker("compact")],
        "release": [op.kworker("release")],
    },
    cpus={"user": 1},
    finish=[op.drain(), op.audit(), op.probe(8)],
    arena={"frames": 3},
    tags=("release", "alloc"),
)
