"""The closed list of verdicts: all that the tool can say has gone wrong.

Their names, numbers and sentences are in pyx/vocabulary/verdict.h.
"""

from z3fold_stress._vocabulary import Verdict

__all__ = ["Verdict"]
