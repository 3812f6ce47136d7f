"""A right program: whoever waits for the semaphore gets there under any fair scheduler."""

from z3fold_stress import Scenario, op

scenario = Scenario(
    words={"s": 1},
    actors={"a": [op.wait_until("s", 1)], "b": [op.exchange("s", 0, "g"), op.fetch_add("s", 1)]},
)
