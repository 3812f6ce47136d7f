"""Real processes on a chosen schedule: the actors of a scenario are processes on one arena, and
the scheduler of the sim world says which of them goes on.

Nothing here chooses or judges: strategies, checks and findings are those of the sim world.
"""

from z3fold_stress.live.deadlock import Deadlock, Stuck
from z3fold_stress.live.explore import explore_live
from z3fold_stress.live.replay import LiveReplay, replay_live
from z3fold_stress.live.world import LiveError, LiveWorld

__all__ = [
    "Deadlock",
    "LiveError",
    "LiveReplay",
    "LiveWorld",
    "Stuck",
    "explore_live",
    "replay_live",
]
