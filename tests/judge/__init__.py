"""A judge of the explorer that shares nothing with it: small programs, by brute force.

``program`` and ``machine`` say what an operation does, ``order`` what happens before what,
``search`` walks all interleavings, ``classes`` counts the equivalence classes among them.
``generate`` makes up programs; ``compare`` puts the same questions to the engine, ``allocator``
those that only searches can answer for each other; ``shrink`` makes a disagreement small.
From tests/: ``python -m judge --help``.
"""
