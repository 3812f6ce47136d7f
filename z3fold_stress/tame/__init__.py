"""From a wild failure to a tame one: what a soak met by chance, found again in the sim world.

from z3fold_stress.tame import read_wild, tame

wild = read_wild(arena)            # an arena in which a check failed, live or from a dump
taming = tame(wild, seconds=30)    # taming.tamed, taming.finding, taming.likeness
"""

from z3fold_stress.tame.likeness import Likeness
from z3fold_stress.tame.taming import Taming, tame
from z3fold_stress.tame.wild import Wild, read_wild

__all__ = ["Likeness", "Taming", "Wild", "read_wild", "tame"]
