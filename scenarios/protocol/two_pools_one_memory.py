"""Two pools share the frames, the slots cache, and whoever compacts the memory.

A slots object that one pool gives back is the next that the other gets, and a frame as well. The
scanner knows frames, not pools: it takes whatever is movable, of both pools in one batch.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.create_pool(1), op.alloc("a", 640, fill=True), op.alloc("x", 640, fill=True, pool=1)],
    actors={
        "user": [op.free("a"), op.alloc("a", 1280, fill=True), op.map("a"), op.unmap("a")],
        "guest": [op.free("x"), op.alloc("x", 1280, fill=True, pool=1)],
        "scanner": [op.compact_memory(0, 4)],
        "release": [op.kworker("release")],
        "release-1": [op.kworker("release", 1)],
    },
    cpus={"guest": 1},
    finish=[op.drain(), op.drain(1), op.audit(), op.probe(8)],
    arena={"frames": 4},
    tags=("pools", "migration"),
)
