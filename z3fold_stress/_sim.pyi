"""Types of the instrumented engine (pyx/_sim.pyx): the simulator alone; the rest is as in _live."""

from typing import Any

from z3fold_stress._live import fields as fields

Choice = tuple[int, int, int, int]
"""task, its clock, decision (0 switch, 255 start, else what fails or dies), the task to go to"""

BUILD: str
"""Of the sources that it was built of, 12 hex digits."""

def coverage_forget() -> None: ...
def coverage_total() -> int: ...

class Simulator:
    def __init__(
        self,
        geometry: dict[str, int],
        config: dict[str, Any],
        setup: bytes,
        actors: list[tuple[bytes, int, bool, int, bool]],
        finish: bytes,
    ) -> None: ...
    def close(self) -> None: ...
    def prepare(
        self, words: dict[int, int], kworkers: list[tuple[int, int, int]], max_steps: int = 20000
    ) -> dict[str, Any] | None: ...
    def configure(
        self,
        faults: dict[int, int],
        deaths: int,
        races: bool = True,
        every_access: bool = False,
        coverage: bool = False,
        max_steps: int = 20000,
        finish_is_audit: bool = False,
        deadlock_ok: bool = False,
        lifetimes: bool = True,
    ) -> None: ...
    def begin(
        self,
        strategy: str,
        seed: int,
        first: int = 0,
        depth: int = 3,
        delay_bound: int = -1,
        slot: int = 0,
        resume: bool = False,
    ) -> None: ...
    def explore(self, executions: int, nanoseconds: int) -> str: ...
    def totals(self) -> dict[str, Any]: ...
    def outcome(self) -> dict[str, Any]: ...
    def lock_edges(self) -> list[tuple[int, int, int, int, list[Choice]]]: ...
    def forget_lock_order(self) -> None: ...
    def replay(
        self, schedule: list[Choice], strict: bool = False, record: int = 1
    ) -> dict[str, Any]: ...
    def events(self) -> list[tuple[Any, ...]]: ...
    def held(self) -> list[tuple[int, int, int, list[tuple[int, int]]]]: ...
    def known_races(self) -> list[tuple[int, int, int, int]]: ...
    def scratch(self) -> list[int]: ...
    @property
    def memory(self) -> memoryview: ...
