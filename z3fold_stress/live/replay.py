"""Does a finding again with real processes, and says whether the events were the same.

The finding is done by coroutines first: what is wrong with it is said by that, and the hash of its
events is what the processes' is compared with.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from z3fold_stress.explore.world import World
from z3fold_stress.findings import Finding, Replayed, replay
from z3fold_stress.findings.finding import checks_of, design_of
from z3fold_stress.findings.replay import Policy
from z3fold_stress.live.deadlock import DEADLOCKS, Deadlock, wait_for_real
from z3fold_stress.live.world import PATIENCE, LiveWorld
from z3fold_stress.scenario import Scenario
from z3fold_stress.verdicts import Verdict

__all__ = ["LiveReplay", "follow_finding", "replay_live"]


@dataclass(slots=True)
class LiveReplay:
    """What came of it."""

    simulated: Replayed
    verdict: Verdict | None
    """Of the processes' execution."""
    text: str
    hash: str
    pids: dict[str, int]
    """Of each actor's process."""
    killed: tuple[str, ...]
    """The actors whose processes the schedule killed."""
    deadlock: Deadlock | None = None

    @property
    def same(self) -> bool:
        """The same verdict as by coroutines, by the same events."""
        evidence = self.simulated.evidence
        return self.verdict is evidence.verdict and self.hash == f"{evidence.hash:016x}"

    def to_json(self) -> dict[str, Any]:
        return {
            "verdict": None if self.verdict is None else str(self.verdict),
            "text": self.text,
            "hash": self.hash,
            "same": self.same,
            "pids": self.pids,
            "killed": list(self.killed),
            "deadlock": None if self.deadlock is None else self.deadlock.to_json(),
        }


@contextmanager
def replay_live(
    finding: Finding,
    *,
    policy: Policy = Policy.STRICT,
    scenario: Scenario | None = None,
    simulated: Replayed | None = None,
    patience: float = PATIENCE,
) -> Iterator[LiveReplay]:
    """A context manager: the processes are there inside it (deadlocked, if that is what the
    finding is), and gone after it. ``simulated``: what came of it by coroutines, where that is
    known already. No other world can be open inside it.

    Raises FindingError as replay() does, SettingsError for too many actors, LiveError when a
    process fails by itself.
    """
    simulated = simulated or replay(finding, policy=policy, scenario=scenario)
    with LiveWorld(
        scenario or finding.scenario,
        design_of(finding),
        **checks_of(finding),
        patience=patience,
    ) as world:
        yield follow_finding(world, finding, simulated)


def follow_finding(world: LiveWorld, finding: Finding, simulated: Replayed) -> LiveReplay:
    """One replay in a world that is there already; it is used up if that ends in a deadlock."""
    outcome = _follow(world, finding)
    verdict = Verdict.LOCK_ORDER if outcome["order"] is not None else World.verdict(outcome)
    found = outcome["verdict"]
    done = LiveReplay(
        simulated,
        verdict,
        simulated.evidence.text if found is None else found["text"],
        f"{outcome['hash']:016x}",
        {world.actor(actor): process.pid for actor, process in world.processes.items()},
        tuple(world.actor(actor) for actor in world.processes if not world.pid(actor)),
    )
    if verdict in DEADLOCKS and found is not None:
        done.deadlock = wait_for_real(world, outcome)
    return done


def _follow(world: LiveWorld, finding: Finding) -> dict[str, Any]:
    """The finding's execution; where several make it, up to the one that closes it."""
    for schedule in (*finding.lead, finding.schedule) if finding.lead else ():
        outcome = world.follow(schedule)
        if outcome["order"] is not None:
            return outcome
    outcome = world.follow(finding.schedule)
    if not finding.lead:
        outcome["order"] = None
    return outcome
