"""Readers share a lock, a writer has it alone, and what it guards is written by nobody else.

Reader-writer spinlocks by themselves, as the slots of z3fold have had one since v5.5: two readers
that meet, one that comes back, and a writer between them.
"""

from z3fold_stress.scenario import Scenario, op

READ = [
    *(op.read_lock("lock"), op.load("low", "r"), op.load("high", "s")),
    *(op.expect("r", "==", "s", "both or neither"), op.read_unlock("lock")),
]
WRITE = [
    *(op.write_lock("lock"), op.load("low", "r"), op.add("r", 1), op.store("low", "r")),
    *(op.store("high", "r"), op.write_unlock("lock")),
]

scenario = Scenario(
    actors={"reader": [*READ, *READ], "other": READ, "writer": [*WRITE, *WRITE]},
    finish=[op.load("high", "r"), op.expect("r", "==", 2, "two writes")],
    tags=("locks",),
)
