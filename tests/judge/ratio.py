"""How many executions the search with reduction makes for each equivalence class there is."""

from __future__ import annotations

from dataclasses import dataclass, replace

from judge.classes import count
from judge.compare import Question, search, without_checks
from judge.program import program_of
from judge.search import TooLarge, ask
from z3fold_stress.scenario import Scenario

MOST_RATIO = 1.5
"""On the average."""


@dataclass(slots=True)
class Ratio:
    """Executions of the search with reduction, against the classes that there are."""

    programs: int = 0
    classes: int = 0
    executions: int = 0
    sum: float = 0.0
    worst: float = 0.0
    worst_of: str = ""

    @property
    def average(self) -> float:
        return self.sum / max(1, self.programs)

    def __str__(self) -> str:
        return (
            f"{self.programs} programs, {self.classes} classes, {self.executions} executions of "
            f"dpor: {self.average:.3f} for each class on the average, "
            f"{self.executions / max(1, self.classes):.3f} over all, at most {self.worst:.2f} "
            f"({self.worst_of})"
        )


def measure(scenario: Scenario, made: Ratio, most: int = 20_000) -> None:
    """Add one program, if nothing in it ends an execution early: then a class is an execution."""
    quiet = replace(
        without_checks(scenario, lambda message: False),
        deadlock_ok=True,
        finish=[],
        deaths=[],
        faults={},
    )
    program = program_of(quiet)
    try:
        if ask(program, races=False, most=most).ends:
            return
        number = count(program, most)
    except TooLarge:
        return
    question = Question("classes", quiet, False, frozenset())
    exploration = search(question, "dpor", True, 100 * number)
    made.programs += 1
    made.classes += number
    made.executions += exploration.executions
    made.sum += exploration.executions / number
    if exploration.executions / number > made.worst:
        made.worst, made.worst_of = exploration.executions / number, scenario.name
