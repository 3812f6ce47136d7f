"""A task goes to sleep with a spinlock in its pocket.

Who waits for a spinlock spins: there will only be a few instructions to wait for. If the owner
sleeps, every CPU that wants the lock burns until it wakes up, which may be after one of those
CPUs has done something for it.

It need not happen to be wrong. The call may sleep only when memory is short; the checker does not
wait for that day: what may sleep says so, and is asked where it stands. See atomic-alloc-sleeps
and sleep-under-page-lock.

In the second scenario what may sleep is done before the lock is taken.
"""

from z3fold_stress.scenario import Scenario, op

scenarios = [
    Scenario(
        name="sleep-in-atomic",
        actors={"user": [op.lock("L"), op.might_sleep(), op.unlock("L")]},
        expect={"sleep-in-atomic"},
        tags=("textbook", "deterministic"),
    ),
    Scenario(
        name="sleep-in-atomic-fixed",
        actors={"user": [op.might_sleep(), op.lock("L"), op.unlock("L")]},
        tags=("textbook", "deterministic"),
    ),
]
