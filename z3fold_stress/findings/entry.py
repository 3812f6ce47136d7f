"""What a store keeps of a failure: of a finding all of it, of a soak's verdict what it told.

A soak is not replayed, so its verdict has a signature of its own kind: what failed and where, in
which words, numbers left out.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import z3fold_stress
from z3fold_stress import _sim
from z3fold_stress.findings.finding import Finding
from z3fold_stress.findings.size import Size, size_of
from z3fold_stress.judgement import Judgement

if TYPE_CHECKING:
    from z3fold_stress.soak.report import SoakReport

__all__ = ["SOAK_VERSION", "Entry", "entry_of", "soak_entries"]

SOAK_VERSION = 1
_NUMBERS = re.compile(r"0x[0-9a-f]+|\d+")


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
    """Whether the body is a finding; else it is what a soak told."""
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
        replays=True,
        size=size_of(finding),
        build=finding.build,
        body=finding.to_json(),
    )


def soak_signature(judgement: Judgement) -> str:
    words = _NUMBERS.sub("#", judgement.text)
    whole = "|".join(("soak", str(judgement.verdict), judgement.where, judgement.op, words))
    return hashlib.sha256(whole.encode()).hexdigest()[:12]


def soak_entries(report: SoakReport, *, later: bool = False) -> list[Entry]:
    """The verdict of a soak; with ``later`` the ones after it too, for a run that went on."""
    entries: dict[str, Entry] = {}
    for judgement in report.judgements if later else report.judgements[:1]:
        signature = soak_signature(judgement)
        body = {
            "soak": SOAK_VERSION,
            "verdict": str(judgement.verdict),
            "text": judgement.text,
            "signature": signature,
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
