"""Line plots as SVG that stands in a page: axes, units, a name at the end of each line.

Lines differ by their dashes as well as by colour.  Numbers and names in, text out.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence

__all__ = ["Line", "plot", "ticks"]

WIDTH, HEIGHT = 620, 230
LEFT, RIGHT, TOP, BOTTOM = 64, 134, 12, 38
SERIES = 6
"""Styles that there are; a line more begins them again."""
LABEL = 14
"""Pixels between two names."""

Line = Sequence[float | None]


def ticks(most: float, about: int = 4) -> list[float]:
    """Round numbers from 0 to at least ``most``, which is not negative."""
    if not most > 0 or not math.isfinite(most):
        most = 1.0
    raw = most / about
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * n for n in (1, 2, 2.5, 5, 10) if unit * n >= raw * 0.999999)
    return [step * n for n in range(math.ceil(most / step - 1e-9) + 1)]


def _number(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:.3g}"


def plot(title: str, unit: str, seconds: Sequence[float], lines: Mapping[str, Line]) -> str:
    """A figure: ``lines`` over ``seconds`` (of the run, rising), None where there is no value."""
    values = [value for line in lines.values() for value in line if value is not None]
    head = f"<figure><figcaption>{html.escape(title)}</figcaption>"
    if not values or not seconds:
        return f"{head}<p>No sample was taken.</p></figure>"
    rows, columns = ticks(max(values)), ticks(seconds[-1], 6)
    columns = [at for at in columns if at <= seconds[-1]]
    scale_x, scale_y = seconds[-1], rows[-1]

    def x(at: float) -> float:
        return LEFT + at / scale_x * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - value / scale_y * (HEIGHT - TOP - BOTTOM)

    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = [
        head,
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}, '
        f'{html.escape(unit)}, over {seconds[-1]:g} seconds">',
    ]
    for value in rows:
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
            f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" class="right">{_number(value)}</text>'
        )
    for at in columns:
        parts.append(
            f'<path class="grid" d="M{x(at):.1f} {bottom}v4"/>'
            f'<text x="{x(at):.1f}" y="{bottom + 16}" class="middle">{_number(at)}</text>'
        )
    parts.append(
        f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>'
        f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 5}" class="middle">seconds of the run</text>'
        f'<text x="12" y="{(TOP + bottom) / 2}" class="middle" '
        f'transform="rotate(-90 12 {(TOP + bottom) / 2})">{html.escape(unit)}</text>'
    )
    ends = []
    for number, (name, line) in enumerate(lines.items()):
        style = f"line line{number % SERIES}"
        path, last = _path(seconds, line, x, y)
        parts.append(f'<path class="{style}" d="{path}"><title>{html.escape(name)}</title></path>')
        if last is not None:
            ends.append((last, style, name))
    parts += _names(ends, right, bottom)
    return "".join([*parts, "</svg></figure>"])


def _path(
    seconds: Sequence[float],
    line: Line,
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> tuple[str, float | None]:
    """The path, broken where there is no value, and where it ends."""
    words: list[str] = []
    last: float | None = None
    before = 0.0
    for at, value in zip(seconds, line, strict=True):
        if value is None:
            last = None
        elif last is None:  # what begins is drawn over its whole stretch
            last = y(value)
            words.append(f"M{x(before):.1f} {last:.1f}H{x(at):.1f}")
        else:
            last = y(value)
            words.append(f"L{x(at):.1f} {last:.1f}")
        before = at
    ends = [value for value in line if value is not None]
    return "".join(words), y(ends[-1]) if ends else None


def _names(ends: list[tuple[float, str, str]], right: int, bottom: int) -> list[str]:
    """Each name beside the end of its line, none over another, with a piece of the line."""
    parts = []
    places = sorted(ends)
    at = [max(TOP + 4.0, place) for place, *_ in places]
    for i in range(1, len(at)):
        at[i] = max(at[i], at[i - 1] + LABEL)
    room = float(bottom)
    for i in reversed(range(len(at))):
        at[i] = min(at[i], room)
        room = at[i] - LABEL
    for place, (_, style, name) in zip(at, places, strict=True):
        parts.append(
            f'<path class="{style}" d="M{right + 6} {place:.1f}h22"/>'
            f'<text x="{right + 32}" y="{place + 4:.1f}">{html.escape(name)}</text>'
        )
    return parts
