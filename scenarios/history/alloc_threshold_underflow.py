"""A page that has no room for anything but its header is filled all the same.

What is larger than a page, less the header, less one chunk, gets a page of its own. Nobody checks
that the difference is not negative. With a header as large as the page it wraps round to a huge
number, nothing is larger than that, and every object is placed in a page that has no room.

No real configuration comes near: the header takes one chunk or two, of 64. Upstream made it a
build-time check. Here the size of the header is a parameter, and creating a pool with one that
cannot work is refused; the defect lets it pass.

Fixed by "mm/z3fold: avoid possible underflow in z3fold_alloc()", 014284a0815f, Miaohe Lin,
v5.14-rc1. One task, one operation, no preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    actors={"user": [op.alloc("a", 640)]},
    arena={"frames": 2, "header_chunks": 64},
    shows="alloc-threshold-underflow",
    expect={"invariant"},
    tags=("deterministic",),
)
