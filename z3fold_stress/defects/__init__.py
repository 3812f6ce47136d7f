"""The catalogue of defects: the historical faults of z3fold, each a bit that can be set alone.

Pure data; the engine has the bits (``_live.DEFECT_BITS``), in the order of ``DEFECTS``.
"""

from __future__ import annotations

import difflib

from z3fold_stress.defects.built import BUILT
from z3fold_stress.defects.defect import Defect
from z3fold_stress.defects.found import FOUND
from z3fold_stress.defects.later import LATER
from z3fold_stress.defects.older import OLDER
from z3fold_stress.defects.posted import POSTED

__all__ = ["DEFECTS", "Defect", "UnknownDefect", "by_name"]

DEFECTS: dict[str, Defect] = {
    defect.name: defect for defect in (*POSTED, *LATER, *OLDER, *FOUND, *BUILT)
}


class UnknownDefect(ValueError):
    """No defect has this name."""


def by_name(name: str) -> Defect:
    """The defect of this name; raises UnknownDefect, which names the nearest."""
    if name not in DEFECTS:
        (nearest,) = difflib.get_close_matches(name, DEFECTS, n=1, cutoff=0.0)
        raise UnknownDefect(
            f"no defect is named {name!r}; the nearest is {nearest!r} "
            "(z3fold-stress defects lists them all)"
        )
    return DEFECTS[name]
