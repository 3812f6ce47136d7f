"""A taming in a few lines, for the end of a soak's report."""

from __future__ import annotations

from z3fold_stress.tame.likeness import Likeness
from z3fold_stress.tame.taming import Taming

__all__ = ["as_text"]


def as_text(taming: Taming) -> str:
    """Whether the failure was tamed, what was tried for it, and how to see it again."""
    return "\n".join([_head(taming), *_rest(taming)]) + "\n"


def _work(taming: Taming) -> str:
    lost = f", {taming.lost} batches lost to crashes" if taming.lost else ""
    return f"{taming.candidates:,} candidates, {taming.executions:,} executions{lost}"


def _head(taming: Taming) -> str:
    finding = taming.finding
    if finding is None or not taming.tamed:
        how = "interrupted after" if taming.interrupted else "in"
        why = f" ({taming.reason})" if taming.reason else ""
        return f"Not tamed{why}, {how} {taming.seconds:.0f} s: tried {_work(taming)}."
    how = f"found by {finding.found.get('strategy', '?')} after {_work(taming)}"
    return f"Tamed: {_place(taming)} ({finding.verdict}, {how}, {taming.seconds:.1f} s)"


def _rest(taming: Taming) -> list[str]:
    finding = taming.finding
    if finding is None:
        return []
    lines = []
    if taming.likeness is Likeness.AKIN:
        lines.append(f"  akin, {finding.verdict} in {finding.where}: {_place(taming)}")
    elif taming.likeness is Likeness.OTHER:
        lines.append(
            f"  the design also fails otherwise, {finding.verdict} in {finding.where}: "
            f"{_place(taming)}"
        )
    again = taming.saved[0] if taming.saved else finding.line()
    lines.append(f"  replay with: z3fold-stress replay {again}")
    return lines


def _place(taming: Taming) -> str:
    return taming.saved[-1] if taming.saved else f"{finding_size(taming)}, not saved"


def finding_size(taming: Taming) -> str:
    """``a scenario of 2 actors``."""
    assert taming.finding is not None
    return f"a scenario of {len(taming.finding.scenario.actors)} actors"
