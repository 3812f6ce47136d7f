"""The last room of a page is filled to the chunk, from another CPU's list, while a neighbour goes.

First and last leave 22 chunks, and a request for 22 on another CPU finds the page by the search
over all CPUs' lists. The owner of the first frees it at that moment: the page is compacted, listed
anew with another number of chunks, or taken.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("a", 20 * 64, fill=True), op.alloc("b", 20 * 64, fill=True)],
    actors={
        "far": [op.alloc("c", 22 * 64, fill=True)],
        "near": [op.alloc("d", 22 * 64 - 1, fill=True)],
        "owner": [op.free("a")],
        "compact": [op.kworker("compact")],
    },
    cpus={"far": 1},
    finish=[op.drain(), op.audit(), op.probe(8)],
    arena={"frames": 4},
    tags=("alloc", "exact fit"),
)
