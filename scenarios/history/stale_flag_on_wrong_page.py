"""A dead page still says that it needs compacting, and a late worker believes it.

When a page is released its needs-compacting flag must go. The original cleared the flag when a
stale page was used again, by a page pointer that it had not assigned yet: some other page lost
its flag, the stale one kept it. Here the flag is cleared at reuse instead of at release.

Where the queued work owns a reference no page is released with the flag set, so this takes
compact-vs-free-no-ref as well.

    owner      frees one of two objects: a compaction is queued, without a reference
    owner      frees the other: the page goes to the stale list, its flag still set
    kworker    takes the page for one to be compacted, and unlinks it: from the stale list,
               under the wrong lock. The release worker will never see it

Fixed by "z3fold: fix stale list handling", Vitaly Wool, 14 September 2017 (commit id unconfirmed).
One task and two workers; no preemption for the leak.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("a", 640), op.fill("a"), op.alloc("b", 640), op.fill("b")],
    actors={
        "owner": [op.free("a"), op.free("b")],
        "compactor": [op.kworker("compact")],
        "releaser": [op.kworker("release")],
    },
    arena={"frames": 2},
    shows="stale-flag-on-wrong-page",
    expect={"data-race", "leak", "list-corruption", "use-after-free"},
    tags=("stale",),
)
