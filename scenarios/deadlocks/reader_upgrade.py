"""Two readers want to write, and each waits for the other to stop reading.

A task reads under a reader-writer lock, finds that something must be changed, and takes the lock
for writing without letting go of it. The writer's side waits until all readers have left, and the
task is one of them. With one such task it is a wait for oneself; with two it looks like a matter
between them, which no amount of patience settles.

There is no upgrade. Let go, take the lock for writing, and look again: what was read may have
changed in between. The second scenario does that: the value is set once, by whoever comes first.
"""

from z3fold_stress.scenario import Scenario, op

upgrades = [
    op.read_lock("L"),
    op.load("value", "v"),
    op.unless("v", [op.write_lock("L"), op.store("value", 1), op.write_unlock("L")]),
    op.read_unlock("L"),
]
looks_again = [
    op.read_lock("L"),
    op.load("value", "v"),
    op.read_unlock("L"),
    op.unless(
        "v",
        [
            op.write_lock("L"),
            op.load("value", "v"),
            op.unless("v", [op.store("value", 1), op.fetch_add("set", 1)]),
            op.write_unlock("L"),
        ],
    ),
]

scenarios = [
    Scenario(
        name="reader-upgrade",
        actors={"one": upgrades, "two": upgrades},
        expect={"deadlock"},
        tags=("textbook", "deadlock"),
    ),
    Scenario(
        name="reader-upgrade-fixed",
        actors={"one": looks_again, "two": looks_again},
        finish=[
            op.load("set", "n", "relaxed"),
            op.expect("n", "==", 1, "the value was set once"),
        ],
        tags=("textbook", "deadlock"),
    ),
]
