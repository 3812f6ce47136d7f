"""Makes a failure small: the simplest scenario and schedule, by one order, with the same signature.

``size.sort_key`` is the order.  ``passes.py`` lists ways to make a scenario simpler, and says how
to write another; ``schedules.py`` makes a schedule short; ``shrinker.py`` tries them, and takes
what fails in the same way; ``flip.py`` says which choice decides.
"""

from z3fold_stress.findings.shrink.flip import Flip
from z3fold_stress.findings.shrink.shrinker import Shrunk, shrink, shrink_schedule

__all__ = ["Flip", "Shrunk", "shrink", "shrink_schedule"]
