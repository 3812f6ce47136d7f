"""The flag is checked, the bell rings, and only then does the task lie down to sleep.

A task waits for a flag: it looks, and if the flag is not set it goes to sleep until somebody
wakes it. The other task sets the flag and wakes whoever sleeps. Between the look and the sleep
nobody sleeps yet: the wake-up goes to nobody, and there will be no other.

    sleeper    looks at the flag: not set
    waker      sets the flag, wakes all sleepers: there is none
    sleeper    goes to sleep, for ever

The kernel's order is: put yourself on the queue first, then look, then sleep. From the moment one
is on the queue a wake-up counts, and a sleep after it returns at once. The second scenario does
so: what it waits for is a change since before it looked.
"""

from z3fold_stress.scenario import Scenario, op

waker = [op.store("flag", 1, "release"), op.wake("queue")]

scenarios = [
    Scenario(
        name="missed-wakeup",
        actors={
            "sleeper": [op.load("flag", "set", "acquire"), op.unless("set", [op.sleep("queue")])],
            "waker": waker,
        },
        expect={"deadlock"},
        tags=("textbook", "deadlock"),
    ),
    Scenario(
        name="missed-wakeup-fixed",
        actors={
            "sleeper": [
                op.load("flag", "set", "acquire"),
                op.unless("set", [op.wait_while("queue", 0)]),  # 0: what it was before the look
            ],
            "waker": waker,
        },
        tags=("textbook", "deadlock"),
    ),
]
