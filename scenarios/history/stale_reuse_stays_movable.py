"""Alloc takes a dead page that the scanner still thinks alive.

It is the release worker that takes the movable mark off a page. A page that alloc takes from the
stale list never gets there. It keeps its mark, and loses its stale flag at the very beginning,
before its header is made anew: nothing is left to turn the scanner away.

    user       takes a stale page, clears its flags ...
    scanner    sees a movable page: locks it by the old header, unlinks it by the old links
    user       ... and writes the new header over a page that others have their hands on

In the second scenario the new page is headless, and no race is needed: a headless page must not
be movable, and is freed without a look at the mark.

No fix of the race itself is known; "mm/z3fold: remove buggy use of stale list for allocation",
df6f0f1d0cf0, Miaohe Lin, v5.19-rc1, took the reuse out altogether. Found by reading.
"""

from z3fold_stress.scenario import Scenario, op

scenarios = [
    Scenario(
        name="stale-reuse-stays-movable",
        setup=[op.alloc("old", 640), op.fill("old")],
        actors={
            "user": [op.free("old"), op.alloc("new", 1280), op.fill("new")],
            "scanner": [op.migrate_pages(op.page_of("old"), passes=1)],
            "kworker": [op.kworker("compact")],
        },
        arena={"frames": 2},
        shows="stale-reuse-stays-movable",
        expect={
            "invariant",
            "list-corruption",
            "use-after-free",
            "data-race",
            "lock-misuse",
            "refcount",
        },
        tags=("stale", "migration"),
    ),
    Scenario(
        name="stale-reuse-stays-movable-headless",
        setup=[op.alloc("old", 640), op.fill("old")],
        actors={"user": [op.free("old"), op.alloc("new", 4096), op.free("new")]},
        arena={"frames": 2},
        shows="stale-reuse-stays-movable",
        expect={"invariant"},
        tags=("stale", "deterministic"),
    ),
]
