"""Reports for people, made of findings and their evidence. Never runs anything itself."""

from z3fold_stress.report.text import report_text, summary_line

__all__ = ["report_text", "summary_line"]
