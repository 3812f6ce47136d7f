"""A pool is made, used by a guest, and destroyed with its work still queued, while the memory is
scanned.

The guest is let in and leaves by two words. All that the destroying task may rely on is what it
has waited for: the guest has left, the pages are free or on their way, and what the scanner has
isolated comes back.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    actors={
        "landlord": [
            *(op.create_pool(1, evicts=True), op.alloc("x", 640, fill=True, pool=1)),
            *(op.store("open", 1, "release"), op.wait_until("left", 1)),
            *(op.free("x"), op.free("y"), op.destroy_pool(1)),
        ],
        "guest": [
            *(op.wait_until("open", 1), op.map("x"), op.check("x"), op.unmap("x")),
            *(op.alloc("y", 640, fill=True, pool=1), op.free("x")),
            op.store("left", 1, "release"),
        ],
        "scanner": [op.migrate_pages(op.page_of("x")), op.compact_memory(0, 3)],
    },
    cpus={"guest": 1},
    finish=[op.audit()],
    arena={"frames": 4},
    tags=("pools", "destroy"),
)
