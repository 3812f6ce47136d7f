"""One exploration for pytest: the plan of it, what came of it, and what a person is told.

Explores as ``hunt`` does and judges as the museum does. Never knows which worker it is on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from z3fold_stress.campaign.hunt import HuntSettings, Trail, explore_one
from z3fold_stress.campaign.museum import CONTROL, FIND, as_expected, bent
from z3fold_stress.explore.explorer import limits_met
from z3fold_stress.explore.portfolio import arms_of
from z3fold_stress.explore.sites import known_lines
from z3fold_stress.findings import Finding, gather
from z3fold_stress.findings.finding import world_of
from z3fold_stress.findings.store import StoreError
from z3fold_stress.pytest_plugin.handover import count, hand_over
from z3fold_stress.pytest_plugin.options import Settings
from z3fold_stress.pytest_plugin.seeds import Block, blocks
from z3fold_stress.report import report_text, summary_line
from z3fold_stress.scenario import Scenario

__all__ = ["Plan", "Record", "clean_plans", "plans", "pursue", "why_inconclusive"]

OTHERS = 9
"""Verdicts that are not the expected ones, after which the search for those ends."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an item explores."""

    scenario: Scenario
    label: str
    """In the item's id: ``found``, or the design that is to be clean."""
    hunt: HuntSettings
    expected: tuple[str, ...] = ()
    """One of them must come; where it is empty nothing may."""
    block: str = ""


@dataclass(slots=True)
class Record:
    """What came of a plan: plain values, for it travels from the worker to the controller."""

    scenario: str
    design: str
    strategy: str
    seed: int
    status: str = "inconclusive"
    executions: int = 0
    steps: int = 0
    limited: int = 0
    unordered: int = 0
    seconds: float = 0.0
    expected: list[str] = field(default_factory=list)
    outcome: str = "inconclusive"
    """``good``, ``bad`` or ``inconclusive``."""
    findings: list[dict[str, Any]] = field(default_factory=list)
    """Of each: verdict, text, signature, replay, saved."""
    warnings: list[str] = field(default_factory=list)
    """Orders of locks that could deadlock, and did not."""
    degraded: list[str] = field(default_factory=list)
    unrepeated: list[str] = field(default_factory=list)
    """What was met and did not come again, each as one line with its replay."""
    interrupted: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def properties(self) -> list[tuple[str, str]]:
        """For JUnit, where a value is one word or number."""
        told = [
            ("hunt_scenario", self.scenario),
            ("hunt_design", self.design),
            ("hunt_strategy", self.strategy),
            ("hunt_seed", str(self.seed)),
            ("hunt_executions", str(self.executions)),
            ("hunt_steps", str(self.steps)),
            ("hunt_status", self.status),
        ]
        for finding in self.findings:
            told += [
                (f"hunt_{key}", finding[key]) for key in ("verdict", "signature") if finding[key]
            ]
            told.append(("hunt_replay", finding["saved"] or finding["replay"]))
        return told


def plans(scenario: Scenario, settings: Settings) -> list[Plan]:
    """The items of a scenario: what it shows is found, and the correct protocol is clean; or with
    a design that was asked for, nothing is found."""
    if settings.design and scenario.shows:
        return clean_plans(scenario, settings, settings.design)
    if not scenario.expect:
        return clean_plans(scenario, settings, scenario.design)
    showing = _found(scenario, settings)
    return [showing, *clean_plans(scenario, settings, "sound")] if scenario.shows else [showing]


def _found(scenario: Scenario, settings: Settings) -> Plan:
    hunt = replace(
        _usual(settings, bent(scenario, scenario.design).name),
        executions=max(FIND.executions or 1, settings.executions or 1),
        most=OTHERS,
        wanted=tuple(sorted(map(str, scenario.expect))),
    )
    return Plan(scenario, "found", hunt, hunt.wanted)


def _usual(settings: Settings, design: str) -> HuntSettings:
    return HuntSettings(
        design=design,
        strategy=settings.strategy,
        seed=settings.seed,
        release_sequence=settings.release_sequence,
        strict_order=settings.strict_order,
    )


def clean_plans(scenario: Scenario, settings: Settings, design: str) -> list[Plan]:
    """Nothing may be found; a large budget is dealt out in blocks."""
    base = _usual(settings, design)
    if settings.seconds is not None:
        hunt = replace(base, executions=settings.executions, seconds=settings.seconds)
        return [Plan(scenario, design, hunt)]
    executions = settings.executions or CONTROL.executions or 1
    return [
        Plan(scenario, design, in_block(base, block), block=block.mark)
        for block in deal(executions, settings.strategy)
    ]


def deal(executions: int, strategy: str, asked: int | None = None) -> list[Block]:
    """The blocks of a budget; one, where the strategy has no use for a seed."""
    seedless = all(arm.exhaustive for arm in arms_of(strategy))
    return blocks(executions, 1 if seedless else asked)


def in_block(hunt: HuntSettings, block: Block) -> HuntSettings:
    """The share of a hunt that is this block."""
    return replace(
        hunt,
        seed=block.seed(hunt.seed),
        executions=block.executions,
        exhaustive=block.exhaustive,
    )


def pursue(plan: Plan, settings: Settings) -> tuple[Record, str]:
    """Explore, judge, and hand over what fails; the text is for people, empty when all is good.

    Raises ScenarioError or SettingsError for what cannot be explored.
    """
    trail = explore_one(plan.scenario, plan.hunt)
    record = _record(plan, trail)
    findings = [Finding.from_json(value) for value in trail.findings]
    verdicts = [str(finding.verdict) for finding in findings] or [trail.setup_verdict]
    if plan.expected:
        right = any(as_expected(plan.expected, verdict) for verdict in verdicts)
    else:
        right = all(as_expected((), verdict) for verdict in verdicts)
    record.outcome = _outcome(plan, trail, right)
    kept = [_kept(one, settings, record) for one in findings]
    for finding, saved in zip(findings, kept, strict=True):
        record.findings.append(
            {
                "verdict": str(finding.verdict),
                "text": finding.text,
                "signature": finding.signature,
                "replay": finding.line(),
                "saved": saved,
            }
        )
    for value in trail.unrepeated:
        it = Finding.from_json(value)
        record.unrepeated.append(f"{summary_line(it)}: {_kept_anyway(it, settings) or it.line()}")
    if trail.setup_verdict:
        record.findings.append(
            {
                "verdict": trail.setup_verdict,
                "text": f"in the set-up: {trail.setup}",
                "signature": "",
                "replay": "",
                "saved": "",
            }
        )
    if record.outcome == "good":
        return record, ""
    return record, _told(plan, record, zip(findings, kept, strict=True))


def _kept(finding: Finding, settings: Settings, record: Record) -> str:
    """Where a finding that fails the test was saved."""
    if record.outcome != "bad":
        return ""
    try:
        count(finding, settings)
    except StoreError as error:
        record.degraded.append(f"a finding was not counted in the store: {error}")
    try:
        return hand_over(finding, settings)
    except OSError as error:
        record.degraded.append(f"a finding was not saved, it is told as a line: {error}")
        return ""


def _kept_anyway(finding: Finding, settings: Settings) -> str:
    """Where what did not repeat was saved, if it could be."""
    try:
        return hand_over(finding, settings)
    except OSError:
        return ""


def _outcome(plan: Plan, trail: Trail, right: bool) -> str:
    """Nothing that was found is no pass unless it says how much was looked at."""
    if plan.expected and right:
        return "good"
    if not right and (trail.findings or trail.setup_verdict):
        return "bad"
    if trail.interrupted or trail.executions == 0 or trail.status == "inconclusive":
        return "inconclusive"
    return "good" if right else "bad"


def _record(plan: Plan, trail: Trail) -> Record:
    record = Record(
        scenario=plan.scenario.name,
        design=plan.hunt.design,
        strategy=plan.hunt.strategy,
        seed=plan.hunt.seed,
        status=trail.status,
        executions=trail.executions,
        steps=trail.steps,
        limited=trail.limited,
        unordered=trail.unordered,
        seconds=round(trail.seconds, 3),
        expected=list(plan.expected),
        interrupted=trail.interrupted,
        warnings=[f"{plan.scenario.name}: {warning['text']}" for warning in trail.warnings],
    )
    usable, there = len(os.sched_getaffinity(0)), os.cpu_count() or 0
    if usable < there:
        record.degraded.append(f"{usable} of {there} CPUs may be used")
    if trail.findings and not known_lines():
        record.degraded.append("there is no addr2line: reports name offsets, not lines of source")
    if trail.unordered and not (plan.expected and trail.findings):
        record.degraded.append(limits_met(trail.unordered, trail.unordered))
    if trail.limited > trail.unordered and not (plan.expected and trail.findings):
        record.degraded.append(
            f"{plan.scenario.name}, {plan.hunt.design}: "
            f"{trail.limited - trail.unordered:,} executions were cut at "
            f"{plan.hunt.max_steps:,} steps, nothing is known of them"
        )
    return record


def _told(plan: Plan, record: Record, findings: Iterable[tuple[Finding, str]]) -> str:
    lines = [
        f"scenario {record.scenario}, design {record.design}, strategy {record.strategy}, "
        f"seed {record.seed}: {record.executions:,} executions, {record.status}"
    ]
    if record.outcome == "inconclusive":
        lines.append(why_inconclusive(record))
    elif plan.expected:
        lines.append(f"expected {' or '.join(plan.expected)}, which did not come")
    if record.status == "setup-failed":
        lines.append(f"the set-up fails by itself: {record.findings[-1]['verdict']}, "
                     f"{record.findings[-1]['text']}")  # fmt: skip
    for finding, saved in findings:
        lines += ["", _report(finding, saved)]
    return "\n".join(lines)


def why_inconclusive(record: Record) -> str:
    """One line."""
    if record.interrupted:
        return "inconclusive: interrupted"
    if record.unrepeated:
        told = "".join(f"\n  {line}" for line in record.unrepeated)
        return f"inconclusive: what was met did not come again when it was repeated:{told}"
    if record.executions == 0:
        return "inconclusive: no execution was done, so nothing was shown"
    if record.unordered:
        return f"inconclusive: {limits_met(record.limited, record.unordered)}"
    return (
        f"inconclusive: {record.limited:,} of {record.executions:,} executions were cut at the "
        "step limit, and nothing is known of them"
    )


def _report(finding: Finding, saved: str) -> str:
    with world_of(finding) as world:
        evidence = gather(world, finding.schedule, finding.lead, text=finding.text)
        return report_text(world, finding, evidence, saved=saved)
