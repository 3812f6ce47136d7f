"""The program ``z3fold-stress``: listens for signals before the rest of the package is loaded."""

from __future__ import annotations

import sys

from z3fold_stress import stopping

__all__ = ["main"]

INCONCLUSIVE = 4


def main() -> int:
    """Run the command line; see ``cli``."""
    try:
        with stopping.listening(to_the_end=True):
            from z3fold_stress.cli import main as command

            command()
    except KeyboardInterrupt:
        print("z3fold-stress: interrupted: before anything was done", file=sys.stderr)
    return INCONCLUSIVE
