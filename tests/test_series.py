"""The course of a soak: bounded samples, rates that are right after merging, plots and the page."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from commanding import Run
from soaked import report

from z3fold_stress import Arena, Pool, _live
from z3fold_stress.report.plot import plot, ticks
from z3fold_stress.report.soak_page import soak_page
from z3fold_stress.soak.series import COUNTED, Sample, Series
from z3fold_stress.soak.statistics import Statistics


def sample(at: float, allocs: int, **more: Any) -> Sample:
    counts = tuple(allocs if name == "alloc" else 0 for name in COUNTED)
    return replace(Sample(at, counts, {}, 10.0, 2.0, 0.5), **more)


def series(most: int) -> Series:
    nobody: Any = None
    return Series(nobody, most)


def test_samples_are_bounded_and_the_whole_course_is_kept() -> None:
    course = series(most=8)
    interval = course.interval
    for at in range(100):
        course.add(sample(float(at), 10 * at))
    assert len(course.samples) <= 8
    assert course.interval > interval
    assert course.samples[0].seconds == 0.0
    assert course.samples[-1].seconds == 99.0
    told = course.to_json()
    assert told["allocs_per_s"] == [10.0] * (len(course.samples) - 1)
    spans = [b.seconds - a.seconds for a, b in pairwise(course.samples)]
    total = sum(r * s for r, s in zip(told["allocs_per_s"], spans, strict=True))
    assert total == pytest.approx(990)


def test_merged_samples_keep_counters_and_average_the_fill() -> None:
    course = series(most=3)
    for at, used in enumerate((0.0, 0.2, 0.6, 0.9)):
        course.add(sample(float(at), at, used=used))
    assert [s.seconds for s in course.samples] == [0.0, 2.0, 3.0]
    assert course.samples[1].used == pytest.approx(0.4)
    assert course.samples[1].counts[COUNTED.index("alloc")] == 2


def test_the_share_of_eagain_and_waits() -> None:
    course = series(most=10)
    at = {name: COUNTED.index(name) for name in COUNTED}

    def counts(tried: int, refused: int) -> tuple[int, ...]:
        made = [0] * len(COUNTED)
        made[at["migrate-attempt"]], made[at["eagain"]] = tried, refused
        return tuple(made)

    course.add(sample(0, 0, counts=counts(0, 0)))
    course.add(sample(2, 0, counts=counts(0, 0), wait_ns={"page": 4e6}))
    course.add(sample(3, 0, counts=counts(8, 2), wait_ns={"page": 5e6, "pool": 1e6}))
    told = course.to_json()
    assert told["eagain_share"] == [None, 0.25]
    assert told["waits_ms_per_s"] == {"page": [2.0, 1.0], "pool": [0.0, 1.0]}


def test_a_sample_of_an_arena() -> None:
    with Arena(frames=16, tasks=2) as arena, Pool(arena) as pool:
        course = Series(Statistics(arena.layout, _live.clock_rate()))
        assert course.due(0.0)
        course.take(0.0)
        assert not course.due(0.0)
        pool.alloc(1200)
        course.take(5.0)
        assert course.due(6.0)
        told = course.to_json()
        course.take(5.01)  # too soon to be one of its own
        assert [s.seconds for s in course.samples] == [0.0, 5.01]
    assert told["seconds"] == [5.0]
    assert told["pages"] == [1]


def test_a_run_that_ends_at_once_has_no_stretch_of_no_length() -> None:
    """Seconds are kept in thousandths: what is less apart is one moment."""
    with Arena(frames=16, tasks=2) as arena:
        course = Series(Statistics(arena.layout, _live.clock_rate()))
        course.take(0.00110)
        course.take(0.00114)
        assert [s.seconds for s in course.samples] == [0.001]
        assert course.to_json()["seconds"] == []


@pytest.mark.parametrize("most", [0.0, 1e-6, 0.3, 1.0, 7.0, 99.0, 100.0, 123456.0, 1e12])
def test_ticks_are_round_and_reach_the_top(most: float) -> None:
    found = ticks(most)
    assert found[0] == 0.0
    assert found[-1] >= most * (1 - 1e-9)
    assert 2 <= len(found) <= 7
    steps = [round((b - a) / (found[1] - found[0]), 6) for a, b in pairwise(found)]
    assert set(steps) == {1.0}


def test_ticks_of_what_is_no_number() -> None:
    assert ticks(math.nan) == ticks(math.inf) == ticks(1.0)


def test_a_plot_has_axes_units_and_names_and_escapes_them() -> None:
    text = plot("T <b>", "u & v", [1.0, 2.0, 3.0], {"<a>": [1.0, None, 3.0], "b": [0.0, 0.0, 0.0]})
    assert "<b>" not in text
    assert "<a>" not in text
    assert "u &amp; v" in text
    assert "seconds of the run" in text
    paths = re.findall(r'<path class="line line0" d="([^"]*)"><title>', text)
    assert paths[0].count("M") == 2  # broken where there is no value
    assert "No sample" in plot("T", "u", [], {"a": []})
    assert "No sample" in plot("T", "u", [1.0], {"a": [None]})


def test_names_of_lines_stay_apart_and_inside() -> None:
    lines = {f"line {i}": [value] for i, value in enumerate((400.0, 3.0, 2.0, 1.0, 0.5, 0.0))}
    text = plot("T", "u", [0.1], lines)
    at = [float(y) for y in re.findall(r'<text x="518" y="([-\d.]+)">', text)]
    assert len(at) == 6
    assert at == sorted(at)
    assert all(after - before >= 14 for before, after in pairwise(at))
    assert at[0] > 0
    assert at[-1] < 230


def test_a_soak_page_has_its_plots_and_nothing_that_runs() -> None:
    text = soak_page(report())
    assert text.count("<svg") == 6
    assert "<script" not in text
    assert "script-src &#x27;none&#x27;" in text
    assert "z3fold-stress soak --seed 7" in text
    assert "page=0.1" in text
    assert "http" not in text.replace("http-equiv", "")


def test_a_soak_page_without_a_course() -> None:
    text = soak_page(report(series={}))
    assert "<svg" not in text
    assert "before there was a course to draw" in text


# the command


SHORT = (
    "soak",
    "--operations",
    100_000,
    "--workers",
    1,
    "--objects",
    256,
    "--no-dump",
    "--seed",
    5,
)


def test_a_soak_writes_its_page(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "soak.html"
    status, out, err = run(*SHORT, "--html", path, "--json")
    assert status == 0
    assert err.endswith(f"page: {path}\n")
    told = json.loads(out)
    assert told["series"]["seconds"]
    assert sum(told["series"]["allocs_per_s"]) > 0
    assert told["settings"]["seed"] == 5
    assert path.read_text().count("<svg") == 6
    assert list(tmp_path.iterdir()) == [path]


def test_a_page_that_cannot_be_written_is_said_before_the_soak(tmp_path: Path, run: Run) -> None:
    status, out, err = run(*SHORT, "--html", tmp_path / "none" / "soak.html")
    assert status == 2
    assert out == ""
    assert "no page can be written" in err
    status, out, err = run(*SHORT, "--html", tmp_path)
    assert status == 2
    assert out == ""
