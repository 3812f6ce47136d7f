# cython: freethreading_compatible = False
"""The engine as built for the live world: real processes, at full speed."""

include "engine.pxi"
include "sync/gate.pxi"
