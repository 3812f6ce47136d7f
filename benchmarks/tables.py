"""Plain aligned tables for the benchmarks of this directory."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["ratio", "show"]


def ratio(value: float, base: float) -> str:
    """``1.24x``."""
    return f"{value / base:.2f}x" if base else "-"


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table with its first column to the left, the others to the right."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    print(f"{title}\n")
    for row in cells:
        first, *others = (
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  " + "  ".join([first, *others]).rstrip())
    print()
