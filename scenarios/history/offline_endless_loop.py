"""Taking memory offline goes round and round over a page that will not come.

To empty a range of memory, the kernel isolates and migrates whatever is movable in it, and does so
again until nothing is left. It does not count. A page whose isolate callback always refuses keeps
it busy for ever: one that is mapped for good, or whose count of maps was never right
(mapped-count-uninitialised), or whose compaction never runs.

    reader     maps an object, and keeps it for as long as the range is not offline
    driver     tries to take the range offline

A driver wants a budget, and has to say why isolation refused: which flag, which count, whose.

Reported by Qian Cai, "zswap z3fold + memory offline = infinite loop", May 2020; no fix of the loop
itself is known. No preemption once the object is mapped.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("a", 640), op.fill("a")],
    actors={
        "reader": [op.map("a"), op.wait_until("offline", 1), op.unmap("a")],
        "driver": [op.offline(0, 2, budget=2), op.store("offline", 1, "release")],
        "kworker": [op.kworker("compact")],
    },
    arena={"frames": 3},
    shows="offline-endless-loop",
    expect={"livelock"},
    tags=("migration", "livelock"),
)
