"""Real processes on a chosen schedule: the actors of a scenario are processes on one arena, and
the scheduler of the sim world says which of them goes on.

Nothing here chooses or judges: strategies, checks and findings are those of the sim world.
Imports nothing by itself: the process of each actor comes by here on its way to ``member``.
"""
