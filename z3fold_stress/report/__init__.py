"""Reports for people, made of findings and their evidence. Never runs anything itself."""

from z3fold_stress.report.text import report_text, summary_line, unrepeated_text

__all__ = ["report_text", "summary_line", "unrepeated_text"]
