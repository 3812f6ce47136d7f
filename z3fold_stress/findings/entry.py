"""What a store keeps of a failure: of a finding all of it, of a soak's verdict what it told.

A soak is not replayed: what it told is kept, with the command that runs it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import z3fold_stress
from z3fold_stress import _sim
from z3fold_stress.findings.finding import Finding
from z3fold_stress.findings.identity import SCHEME
from z3fold_stress.findings.size import Size, size_of

if TYPE_CHECKING:
    from z3fold_stress.soak.report import SoakReport

__all__ = ["SOAK_VERSION", "Entry", "entry_of", "soak_entries"]

SOAK_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One failure, ready to be stored."""

    signature: str
    verdict: str
    text: str
    design: str
    scenario: str
    """Empty for a soak."""
    replays: bool
    """Whether the body is a finding that replays; else it is what a soak told, or a finding that
    did not repeat."""
    size: Size
    build: str
    body: dict[str, Any]


def entry_of(finding: Finding) -> Entry:
    return Entry(
        signature=finding.signature,
        verdict=str(finding.verdict),
        text=finding.text,
        design=finding.design,
        scenario=finding.scenario.name,
        replays=finding.repeated,
        size=size_of(finding),
        build=finding.build,
        body=finding.to_json(),
    )


def soak_entries(report: SoakReport, *, later: bool = False) -> list[Entry]:
    """The verdict of a soak; with ``later`` the ones after it too, for a run that went on."""
    entries: dict[str, Entry] = {}
    told = list(zip(report.judgements, report.signatures, strict=True))
    for judgement, signature in told if later else told[:1]:
        body = {
            "soak": SOAK_VERSION,
            "verdict": str(judgement.verdict),
            "text": judgement.text,
            "signature": signature,
            "scheme": SCHEME,
            "where": judgement.where,
            "op": judgement.op,
            "design": report.design,
            "seed": report.seed,
            "seconds": report.seconds,
            "events": report.events,
            "dump": report.dump,
            "version": z3fold_stress.__version__,
            "build": _sim.BUILD,
            "command": report.command,
        }
        entry = Entry(
            signature=signature,
            verdict=str(judgement.verdict),
            text=judgement.text,
            design=report.design,
            scenario="",
            replays=False,
            size=Size(0, 0),
            build=_sim.BUILD,
            body=body,
        )
        entries.setdefault(signature, entry)
    return list(entries.values())
