"""The list says that there is room for 52 chunks. There is room for 20.

Pages with room are listed by how much they have, and alloc believes the list: it does not measure
again. A page on the wrong list either has no free buddy at all, which alloc logs ("No free chunks
in unbuddied") and searches again, and finds the same page; or it has one that is too small.

    owner      has three objects in a page, frees the first: 52 chunks are said to be free
    owner      allocates 45 chunks: there they go, over the end of the page's last object and
               the middle of its middle one

The log was flooded with that message on 4.13 (systemd-swap issue 44). Our mutation counts the
chunks as if there were no middle object; what was wrong then was never traced, and no fix is
known. One task, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[
        op.alloc("first", 1280),
        op.fill("first"),
        op.alloc("last", 640),
        op.fill("last"),
        op.alloc("middle", 640),
        op.fill("middle"),
    ],
    actors={
        "owner": [
            op.map("middle"),
            op.free("first"),
            op.drain(),
            op.alloc("large", 2880),
            op.fill("large"),
            op.check("middle"),
            op.unmap("middle"),
        ]
    },
    arena={"frames": 2},
    shows="unbuddied-wrong-free-count",
    expect={"corruption", "invariant"},
    tags=("layout", "deterministic"),
)
