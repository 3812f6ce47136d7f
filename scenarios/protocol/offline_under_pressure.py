"""A range of memory is taken offline while objects come and go, and targets run out.

The driver avoids its own range for the targets, keeps such frames aside, and gives up after its
budget; what it could not move goes back.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("a", 3000, fill=True), op.alloc("b", 1200, fill=True)],
    actors={
        "driver": [op.offline(0, 2, 2)],
        "user": [op.map("a"), op.check("a"), op.unmap("a"), op.free("a")],
        "other": [op.alloc("c", 2600, atomic=True, fill=True), op.free("b")],
        "compact": [op.kworker("compact")],
    },
    cpus={"other": 1},
    faults={"target": 1},
    finish=[op.drain(), op.audit(), op.probe(8)],
    arena={"frames": 5},
    tags=("migration", "offline"),
)
