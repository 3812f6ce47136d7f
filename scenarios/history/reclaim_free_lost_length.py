"""The last object of a page ends where the page ends; where it begins was the header's secret.

An object at the end of a page is found by its length: page end minus length. The length was read
from the header. A free sets it to zero there, for everybody who still has the handle.

    kswapd     writes the handle of a last object, unlocks the page
    owner      frees the object: its length in the header is zero
    kswapd     maps the handle: the object begins at the end of the page. It reads the next page,
               whosever that is, and writes it to swap

z3fold on 4.19-rc could be crashed at will (raspberrypi/linux issue 2649; that this was the cause
is not certain).

Fixed by "z3fold: fix possible reclaim races", ca0246bb97c2, Vitaly Wool and Jongseok Kim, November
2018, v4.20: the length moved into the handle's word. One preemption.
"""

from z3fold_stress.scenario import Scenario, op

scenario = Scenario(
    setup=[op.alloc("first", 640), op.fill("first"), op.alloc("last", 640), op.fill("last")],
    actors={"kswapd": [op.reclaim(1)], "owner": [op.free("last")]},
    arena={"frames": 2},
    shows="reclaim-free-lost-length",
    expect={"corruption"},
    tags=("reclaim",),
)
