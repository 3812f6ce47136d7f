"""Does a finding again, and says whether the same happened: same verdict, same place, same events.

Replay is exact because a schedule is written in the tasks' own clocks.  What may differ is the
engine: one built of other sources is warned about, and a schedule that it cannot follow ends as
the chosen policy says.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from z3fold_stress import _sim
from z3fold_stress.explore.world import World
from z3fold_stress.findings.evidence import Evidence, gather
from z3fold_stress.findings.finding import Finding, FindingError, world_of
from z3fold_stress.findings.identity import SCHEME, words
from z3fold_stress.scenario import Scenario

__all__ = ["Policy", "Replayed", "Result", "replay", "replay_in"]


class Result(StrEnum):
    """What came of a replay."""

    IDENTICAL = "identical"
    """The same failure, by the same events."""
    SAME_FAILURE = "same-failure"
    """The same verdict in the same place, by other events: another build."""
    OTHER_FAILURE = "other-failure"
    NO_FAILURE = "no-failure"


class Policy(StrEnum):
    """What to do where the schedule cannot be followed: the scenario or the engine changed."""

    STRICT = "strict"
    """Refuse: a changed scenario is an error; a schedule of which something never came up shows a
    failure only where all events are the same."""
    DEFAULT = "default"
    """Go on with the default choice, and see what comes of it."""


@dataclass(frozen=True, slots=True)
class Replayed:
    result: Result
    evidence: Evidence
    warnings: tuple[str, ...]


def replay(
    finding: Finding,
    *,
    policy: Policy = Policy.STRICT,
    scenario: Scenario | None = None,
) -> Replayed:
    """``scenario``: replay against this one, as it is now, instead of the finding's own.

    Raises FindingError where ``policy`` refuses.
    """
    warnings = []
    if scenario is not None and scenario.content_hash() != finding.scenario.content_hash():
        if policy is Policy.STRICT:
            raise FindingError(
                f"scenario {scenario.name!r} was changed since this was found: replay the "
                "finding's own (leave --scenario out), or see what comes with --policy default"
            )
        warnings.append("the scenario was changed since this was found")
    with world_of(finding, scenario) as world:
        done = replay_in(world, finding, policy=policy)
    return Replayed(done.result, done.evidence, (*warnings, *done.warnings))


def replay_in(world: World, finding: Finding, *, policy: Policy = Policy.STRICT) -> Replayed:
    """As replay(), in a world that stays open: its arena is as the failure left it."""
    warnings = []
    if finding.build != _sim.BUILD:
        warnings.append(
            f"found with an engine built of other sources ({finding.build}, this is "
            f"{_sim.BUILD}): the schedule may not fit"
        )
    if world.failed is not None:
        raise FindingError(f"the set-up fails: {world.failed['verdict']['text']}")
    evidence = gather(world, finding.schedule, finding.lead, text=finding.text)
    result = _result(finding, evidence)
    if evidence.unused:
        warnings.append(f"{evidence.unused} interventions of the schedule never came up")
        if policy is Policy.STRICT and result is not Result.IDENTICAL:
            result = Result.NO_FAILURE
    return Replayed(result, evidence, tuple(warnings))


def _result(finding: Finding, evidence: Evidence) -> Result:
    if evidence.verdict is None:
        return Result.NO_FAILURE
    if evidence.verdict is not finding.verdict:
        return Result.OTHER_FAILURE
    if f"{evidence.hash:016x}" == finding.hash:
        return Result.IDENTICAL
    return Result.SAME_FAILURE if _is_same(finding, evidence) else Result.OTHER_FAILURE


def _is_same(finding: Finding, evidence: Evidence) -> bool:
    """A signature made by other rules says nothing: then the place and the words of the check."""
    if finding.scheme == SCHEME:
        return evidence.signature == finding.signature
    told = (evidence.where, words(evidence.text))
    return told == (finding.where, words(finding.text))
