"""Findings: failures of one execution, as data that replays them.

A finding is one JSON file, or one line of text. Loading one never runs code.
"""

from z3fold_stress.findings.evidence import Evidence, gather
from z3fold_stress.findings.finding import Finding, FindingError, load_finding
from z3fold_stress.findings.replay import Replayed, replay
from z3fold_stress.findings.shrink import Shrunk, shrink

__all__ = [
    "Evidence",
    "Finding",
    "FindingError",
    "Replayed",
    "Shrunk",
    "gather",
    "load_finding",
    "replay",
    "shrink",
]
