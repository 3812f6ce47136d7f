# cython: freethreading_compatible = False
"""The engine as built for the sim world: tasks as coroutines, every access to the arena seen;
or real processes that check each of their own."""

include "engine.pxi"
include "sim/gate.pxi"
include "sim.pxi"
include "face/search.pxi"
include "face/simulator.pxi"
include "face/remote.pxi"
include "face/watch.pxi"
