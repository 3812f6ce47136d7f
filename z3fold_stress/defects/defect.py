"""What is known of one defect."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass

from z3fold_stress.verdicts import Verdict

# A line break that only wraps a paragraph: not one at a blank line, nor one before a numbered step.
_WRAP = re.compile(r"(?<!\n)\n(?!\n| *\d+\. ) *")


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """A named way in which one line of the correct protocol is bent.

    ``story`` is written indented and wrapped in the source; it is kept as paragraphs, separated by
    blank lines, and numbered steps, each one line long, so that a reader can wrap it as it likes.
    """

    name: str
    summary: str
    """One line, at most 90 characters."""
    story: str
    """The mechanism, and the steps to the damage."""
    fix: str
    """The upstream commit (title, id, version), or "none known"."""
    symptom: str
    """What users saw, or would see."""
    verdicts: tuple[Verdict, ...]
    """What the tool may raise for it, the likeliest first; any one of them shows the defect."""
    as_posted: bool
    """Whether the patch set had it as posted (v2, April 2019)."""
    needs: tuple[str, ...] = ()
    """Other defects that must be set too, or this one never bites."""
    masks: tuple[str, ...] = ()
    """Defects that stay hidden, wholly or mostly, while this one is set."""

    def __post_init__(self) -> None:
        for field in ("story", "fix", "symptom"):
            text = inspect.cleandoc(getattr(self, field))
            object.__setattr__(self, field, _WRAP.sub(" ", text))
