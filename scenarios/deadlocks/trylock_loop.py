"""It never blocks, so it cannot deadlock; it tries again instead, for ever.

A task wants a lock and, having been told never to wait for it, tries in a loop. The owner of the
lock waits for that task to say that it is ready, which it will as soon as it has the lock.

Turn the trylock into a lock and any checker says "deadlock". With the trylock everybody is busy,
the load is high, and nothing is stuck, as far as the eye can see. See offline-endless-loop.

In the second scenario the task says that it is ready before it asks for the lock.
"""

from z3fold_stress.scenario import Scenario, op

owner = [op.lock("L"), op.wait_until("ready", 1), op.unlock("L")]
tries = op.unless("taken", [op.trylock("L", "taken")])

scenarios = [
    Scenario(
        name="trylock-loop",
        actors={
            "owner": owner,
            "polite": [
                op.set("taken", 0),
                op.repeat(30_000, [tries]),
                op.store("ready", 1, "release"),
                op.when("taken", [op.unlock("L")]),
            ],
        },
        expect={"livelock"},
        tags=("textbook", "livelock"),
    ),
    Scenario(
        name="trylock-loop-fixed",
        actors={
            "owner": owner,
            "polite": [op.store("ready", 1, "release"), op.lock("L"), op.unlock("L")],
        },
        tags=("textbook", "livelock"),
    ),
]
