"""The report of a soak as one page: the verdict, the events around it, the course as plots, the
settings.  No script: a browser has only to draw it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from z3fold_stress.report.plot import Line, plot
from z3fold_stress.report.template import assemble
from z3fold_stress.soak import SoakReport, as_text
from z3fold_stress.soak.text import verdict_lines

__all__ = ["soak_page"]


def soak_page(report: SoakReport) -> str:
    """The whole page."""
    body = [*_verdict(report), *_plots(report), *_numbers(report), *_settings(report)]
    title = f"{report.verdict}: soak of {report.design}"
    return assemble("soak", {"title": html.escape(title), "body": "\n".join(body)})


def _verdict(report: SoakReport) -> list[str]:
    tone = {0: "good", 1: "bad"}.get(report.status, "dim")
    first, *around = verdict_lines(report)
    if report.events:
        around = around[: -len(report.events) - 1]
    parts = [
        f'<h1><span class="{tone}">{html.escape(report.verdict.upper())}</span> '
        f"soak of {html.escape(report.design)}</h1>",
        f"<p><b>{html.escape(first)}</b></p>",
        f'<p class="dim">{report.seconds:g} seconds, seed {report.seed}</p>',
    ]
    if around:
        parts.append(_lines(around))
    if report.events:
        parts += ["<h2>The last events around it</h2>", _lines(report.events)]
    if report.dump:
        told = html.escape(f"z3fold-stress inspect {report.dump}")
        parts.append(f"<p>The arena is saved: <code>{told}</code></p>")
    if report.deaths:
        lines = [f"{d['name']}: {d['text']}" for d in report.deaths[-8:]]
        parts.append(f"<h2>Deaths: {len(report.deaths)}</h2>")
        parts.append(_lines(lines))
    return parts


def _plots(report: SoakReport) -> list[str]:
    series = report.series
    if not series.get("seconds"):
        return ["<h2>Over time</h2><p>It ended before there was a course to draw.</p>"]

    def column(name: str, factor: float = 1.0) -> Line:
        return [None if value is None else value * factor for value in series[name]]

    def draw(title: str, unit: str, lines: dict[str, Line]) -> str:
        return plot(title, unit, series["seconds"], lines)

    waits: dict[str, Line] = dict(
        sorted(series["waits_ms_per_s"].items(), key=lambda item: -sum(item[1]))[:6]
    )
    figures = [
        draw(
            "Throughput, all workers",
            "operations a second",
            {
                "verified maps": column("maps_per_s"),
                "allocations": column("allocs_per_s"),
                "frees": column("frees_per_s"),
            },
        ),
        draw(
            "Pages moved and evicted",
            "pages a second",
            {"migrated": column("migrated_per_s"), "evicted": column("evicted_per_s")},
        ),
        draw(
            "Attempts to migrate that answered -EAGAIN",
            "% of the attempts",
            {"-EAGAIN": column("eagain_share", 100.0)},
        ),
        draw(
            "Waiting for locks, all tasks",
            "ms waited a second",
            waits,
        ),
        draw("Density", "objects a page", {"objects a page": column("objects_per_page")}),
        draw("Bytes of the pages in use", "%", {"used": column("used", 100.0)}),
    ]
    return ["<h2>Over time</h2>", f'<div class="plots">{"".join(figures)}</div>']


def _numbers(report: SoakReport) -> list[str]:
    lines = as_text(report).splitlines()[len(verdict_lines(report)) :]
    return ["<h2>In all</h2>", _lines(lines)]


def _lines(lines: Sequence[str]) -> str:
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>"


def _settings(report: SoakReport) -> list[str]:
    def value(one: Any) -> str:
        if isinstance(one, dict):
            return ", ".join(f"{name}={rate:g}" for name, rate in one.items()) or "none"
        return f"{one:g}" if isinstance(one, float) else str(one)

    rows = "".join(
        f"<dl><dt>{html.escape(name)}</dt><dd>{html.escape(value(one))}</dd></dl>"
        for name, one in report.settings.items()
    )
    return [
        "<h2>Settings</h2>",
        f"<p><code>{html.escape(report.command)}</code></p>",
        f'<div class="settings">{rows}</div>',
    ]
