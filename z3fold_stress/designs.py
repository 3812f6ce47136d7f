"""Designs: named sets of defects, and what is made of them by adding and removing single ones."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from z3fold_stress.defects import DEFECTS, by_name

__all__ = ["DESIGNS", "Design", "UnknownDesign", "resolve"]


@dataclass(frozen=True, slots=True)
class Design:
    """A protocol to test: the correct one, bent by these defects."""

    name: str
    summary: str
    defects: frozenset[str]


DESIGNS: dict[str, Design] = {
    "as-posted": Design(
        name="as-posted",
        summary="the patch set as posted (v2, April 2019), with every defect that it had",
        defects=frozenset(name for name, defect in DEFECTS.items() if defect.as_posted),
    ),
    "sound": Design(
        name="sound",
        summary="our corrected protocol: no defect set",
        defects=frozenset(),
    ),
}


class UnknownDesign(ValueError):
    """No design has this name."""


def resolve(design: str, defects: Iterable[str] = (), without: Iterable[str] = ()) -> Design:
    """The design of this name, with ``defects`` added and those of ``without`` removed.

    The result is named by how it differs from the design it comes from, in the catalogue's order:
    ``sound+putback-forgets-unbuddied``, ``as-posted~migrate-double-page-lock``.  Such a name is
    itself good for ``design``.  A defect both added and removed is removed.
    """
    base_name, *steps = re.split(r"([+~])", design)
    if base_name not in DESIGNS:
        (nearest,) = difflib.get_close_matches(base_name, DESIGNS, n=1, cutoff=0.0)
        raise UnknownDesign(
            f"no design is named {base_name!r}; the nearest is {nearest!r} "
            "(z3fold-stress designs lists them all)"
        )
    base = DESIGNS[base_name]

    chosen = set(base.defects)
    for sign, name in zip(steps[::2], steps[1::2], strict=True):
        if sign == "+":
            chosen.add(by_name(name).name)
        else:
            chosen.discard(by_name(name).name)
    chosen.update(by_name(name).name for name in defects)
    chosen.difference_update(by_name(name).name for name in without)

    if chosen == base.defects:
        return base
    added = [name for name in DEFECTS if name in chosen - base.defects]
    removed = [name for name in DEFECTS if name in base.defects - chosen]
    summary = base.summary
    if added:
        summary += "; with " + ", ".join(added)
    if removed:
        summary += "; without " + ", ".join(removed)
    return Design(
        name=base.name + "".join(f"+{name}" for name in added) + "".join(f"~{n}" for n in removed),
        summary=summary,
        defects=frozenset(chosen),
    )
