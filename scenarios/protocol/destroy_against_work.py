"""A pool is destroyed while both of its workers are busy, and one of its pages is being moved.

Destroying waits for what the engine has isolated, then drains the compaction queue, which feeds
the release queue, then drains that. The workers go on while it waits.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[
        *(op.create_pool(1), op.alloc("x", 640, pool=1), op.alloc("y", 640, pool=1)),
        op.alloc("z", 3000, pool=1),
    ],
    actors={
        "owner": [op.free("x"), op.free("z"), op.free("y"), op.destroy_pool(1)],
        "engine": [op.migrate_pages(op.page_of("x"), passes=2)],
        "compact": [op.kworker("compact", 1)],
        "release": [op.kworker("release", 1)],
    },
    cpus={"engine": 1},
    finish=[op.audit()],
    arena={"frames": 4},
    tags=("destroy", "migration"),
)
