"""One chunk too many before the middle object, and its first 64 bytes are gone.

A page may have three objects: first, middle, last. The middle one has a start, counted in chunks
from the beginning of the page; and the header is at the beginning. When alloc asks whether a new
object fits before the middle one it compares its size with that start, header and all. With a
header of one chunk nothing goes wrong. With two, as on every 4096-byte page, we counted 961
layouts in which it does.

    user       allocates 20 chunks (first), 10 (last), 10 (middle, at chunk 22), maps the middle
    user       frees the first and the last: listed by the room behind the middle
    user       allocates 21: 21 is less than 22, so it goes first, into a room of 20

Silent: no list is torn, no count is wrong, and the machine swaps in somebody's wrong data.

Never announced as a fix; the corrected comparison is in v5.14 (by comparing versions). One task,
no preemption.
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
        "user": [
            op.map("middle"),
            op.free("first"),
            op.free("last"),
            op.drain(),
            op.alloc("larger", 1344),
            op.fill("larger"),
            op.check("middle"),
            op.unmap("middle"),
        ]
    },
    arena={"frames": 2},
    shows="first-fit-ignores-header-chunks",
    expect={"corruption", "invariant"},
    tags=("layout", "deterministic"),
)
