"""Which choice decides: the last one of a schedule, and what happens without it."""

from __future__ import annotations

from dataclasses import dataclass

from z3fold_stress._vocabulary import Decision
from z3fold_stress.explore.world import World
from z3fold_stress.findings.evidence import Schedule
from z3fold_stress.findings.shrink.schedules import BEGINNING
from z3fold_stress.findings.size import START
from z3fold_stress.settings import FAULTS

__all__ = ["Flip", "decisive"]

NOTHING = "there is no failure"


@dataclass(frozen=True, slots=True)
class Flip:
    """One choice, and what happens when it is left out."""

    kind: str
    """``switch``, ``death`` or ``failure``."""
    task: str
    clock: int
    to: str
    """Who goes on after a switch; what fails; empty for a death."""
    without: str

    def __str__(self) -> str:
        match self.kind:
            case "death":
                what = f"Decisive death: {self.task} dies at step {self.clock}"
            case "failure":
                what = f"Decisive failure: {self.to} fails for {self.task} at step {self.clock}"
            case _:
                what = f"Decisive switch: {self.task} to {self.to} at step {self.clock}"
        return f"{what}; without it {self.without}."

    def to_json(self) -> dict[str, str | int]:
        return {
            "kind": self.kind,
            "task": self.task,
            "clock": self.clock,
            "to": self.to,
            "without": self.without,
            "text": str(self),
        }


def decisive(world: World, schedule: Schedule) -> Flip | None:
    """None where nothing is chosen but who begins."""
    for i in range(len(schedule) - 1, -1, -1):
        task, clock, decision, to = schedule[i]
        if decision == START:
            continue
        outcome = world.simulator.replay(list(schedule[:i] + schedule[i + 1 :]), False, 1)
        verdict = world.verdict(outcome)
        without = NOTHING if verdict is None else f"the execution ends with {verdict} instead"
        if verdict is None and outcome["ending"] == "steps":
            without = "the execution comes to the step limit"
        name = "the beginning" if task == BEGINNING else world.actor(task)
        if decision == Decision.DECIDE_SWITCH:
            return Flip("switch", name, clock, world.actor(to), without)
        if decision == Decision.DECIDE_DIE:
            return Flip("death", name, clock, "", without)
        return Flip("failure", name, clock, f"{FAULTS[decision - 1]}", without)
    return None
