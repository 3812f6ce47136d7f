"""The owner of a lock is killed while it has it.

Between tasks of one kernel this does not happen, and between processes that share memory it does:
a lock word says "owned", and its owner is no more. Everybody who wants the lock waits; the word
looks like that of any busy lock.

Whoever has waited long enough has to ask whether the owner is alive, which takes an owner's
number in the lock word. What to do with the answer is the harder part: the dead task was in the
middle of something.

The second scenario is the same with an owner that lives.
"""

from z3fold_stress.scenario import Scenario, op

adds = [op.lock("L"), op.load("n", "n"), op.add("n", 1), op.store("n", "n"), op.unlock("L")]

scenarios = [
    Scenario(
        name="orphaned-lock",
        actors={"mortal": adds, "heir": adds},
        deaths={"actors": ["mortal"], "budget": 1},
        expect={"orphaned-lock"},
        tags=("textbook", "deadlock", "death"),
    ),
    Scenario(
        name="orphaned-lock-fixed",
        actors={"one": adds, "two": adds},
        finish=[op.load("n", "n"), op.expect("n", "==", 2, "both have added")],
        tags=("textbook", "deadlock"),
    ),
]
