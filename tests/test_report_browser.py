"""The pages in a real browser: they show what they should, answer to keys and clicks, say nothing
on the console, and nothing of a stranger's finding runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from found import EVIL, evil, finding_of, replayed
from soaked import report

from z3fold_stress.findings import Finding
from z3fold_stress.judgement import Judgement
from z3fold_stress.report.html import page_of
from z3fold_stress.report.soak_page import soak_page
from z3fold_stress.verdicts import Verdict

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next((path for name in NAMES if (path := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"no browser: none of {', '.join(NAMES)}")
RACE = ("isolate-unlinks-outside-pool-lock", "data-race")
FREED = ("slot-read-before-page-lock", "use-after-free")
CASES = [("abba", "deadlock"), ("lost-update", "data-race"), RACE, FREED]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Shown:
    """A page that is open, and what it said."""

    def __init__(self, browser: Any, path: Path, **how: Any) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page = browser.new_page(**how)
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    @property
    def step(self) -> int:
        """The step that is shown, which the lanes, the bar and the panel agree on."""
        told = self.page.inner_text("nav .where")
        number = int(told.split()[1])
        (row,) = self.page.query_selector_all("tr.step.here")
        assert row.get_attribute("aria-current") == "step"
        assert row.query_selector("td.number").inner_text().split()[-1].endswith(str(number))
        assert self.page.inner_text("#state h2").lower().startswith(f"step {number} of")
        assert self.page.input_value("nav input[type=range]") == str(number)
        return number

    @property
    def last(self) -> int:
        return len(self.page.query_selector_all("tr.step"))

    def seen(self, selector: str) -> bool:
        """Whether it is inside the window, not clipped by what scrolls round it."""
        return bool(
            self.page.evaluate(
                """(selector) => {
                  const place = document.querySelector(selector).getBoundingClientRect();
                  const x = place.left + 20, y = (place.top + place.bottom) / 2;
                  const there = document.elementFromPoint(x, y);
                  return !!there && !!there.closest(selector);
                }""",
                selector,
            )
        )


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Any]:
    opened: list[Shown] = []

    def show(text: str, **how: Any) -> Shown:
        path = tmp_path / f"page-{len(opened)}.html"
        path.write_text(text, encoding="utf-8")
        opened.append(Shown(browser, path, **how))
        return opened[-1]

    yield show
    for one in opened:
        said, asked = one.said, one.asked
        one.page.close()
        assert said == []
        assert all(url.startswith("file:") for url in asked)


def page(finding: Finding) -> str:
    with replayed(finding) as (world, done):
        return page_of(world, finding, done.evidence)


@pytest.mark.parametrize(("name", "verdict"), CASES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_at_the_end_with_all_that_matters(
    show: Any, name: str, verdict: str, scheme: str
) -> None:
    finding = finding_of(name, verdict)
    shown = show(page(finding), viewport={"width": 1280, "height": 800}, color_scheme=scheme)
    assert shown.step == shown.last
    assert shown.seen("tr.verdict")
    head = shown.page.inner_text("header")
    assert verdict.upper() in head
    assert finding.text in head or verdict == "data-race"
    lanes = shown.page.inner_text("#lanes thead").split()
    assert [task for task in finding.scenario.actors if task in lanes] == list(
        finding.scenario.actors
    )
    marks = shown.page.query_selector_all("#lanes tr.marked .badge")
    assert [mark.inner_text() for mark in marks] == (
        ["✖"] if len(finding.sides) == 1 else ["1", "2"]
    )


def test_keys_go_about(show: Any) -> None:
    shown = show(page(finding_of(*RACE)))
    shown.press("Home")
    assert shown.step == 1
    assert shown.page.is_disabled("nav button:has-text('back')")
    shown.press("k", "ArrowUp")
    assert shown.step == 1
    seen = [1]
    for key in ("j", "ArrowDown", "ArrowRight"):
        shown.press(key)
        seen.append(shown.step)
    assert seen == sorted(set(seen))
    for key in ("k", "ArrowUp", "ArrowLeft"):
        shown.press(key)
        seen.pop()
        assert shown.step == seen[-1]
    shown.press("End")
    assert shown.step == shown.last
    shown.press("j")
    assert shown.step == shown.last


def test_switches_and_marks(show: Any) -> None:
    shown = show(page(finding_of("abba", "deadlock")))
    shown.press("Home", "n")
    switches = [shown.step]
    for _ in range(2):
        shown.press("n")
        switches.append(shown.step)
    assert switches == [2, 3, 5]
    shown.press("n")
    assert shown.step == 5  # no other
    shown.press("p")
    assert shown.step == 3
    shown.press("m")
    assert shown.step == 4
    shown.press("m")
    assert shown.step == 6
    shown.press("m")
    assert shown.step == 4
    assert "interrupted, the schedule says so" in shown.page.inner_text("tr.switch.chosen")


def test_clicks(show: Any) -> None:
    shown = show(page(finding_of(*RACE)))
    shown.page.click("header .side >> nth=0 >> button")
    first = shown.step
    assert "Side 1 of the failure" in shown.page.inner_text("#state")
    shown.page.click("tr.marked >> nth=1")
    assert shown.step > first
    assert "Side 2 of the failure" in shown.page.inner_text("#state")
    shown.page.click("nav button:has-text('back')")
    assert shown.step < shown.last
    shown.page.click("summary")
    assert "Upstream fix:" in shown.page.inner_text("header")


def test_the_keyboard_alone_reaches_everything(show: Any) -> None:
    shown = show(page(finding_of(*RACE)))
    reached = set()
    for _ in range(20):
        shown.press("Tab")
        reached.add(
            shown.page.evaluate(
                "(document.activeElement.textContent.trim().slice(0, 12) "
                "|| document.activeElement.type || document.activeElement.id)"
            )
        )
    assert {"◀ back", "switch ▶", "range", "checkbox"} <= reached
    outline = shown.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"


def test_plain_reads_are_hidden_until_asked_for(show: Any) -> None:
    shown = show(page(finding_of(*FREED)))
    rows = shown.page.query_selector_all("tr.minor-row")
    assert rows
    assert not any(row.is_visible() for row in rows)
    shown.press("f")
    assert all(row.is_visible() for row in rows)
    shown.press("f")
    shown.press("Home", "j", "j")
    assert not shown.page.query_selector("tr.here.minor-row")
    shown.press("Home", "n", "n", "n")  # a switch may lead to one: it alone is shown
    assert shown.page.query_selector("tr.here.minor-row")
    assert sum(row.is_visible() for row in rows) == 1


def test_states_follow_the_steps(show: Any) -> None:
    shown = show(page(finding_of(*FREED)))
    shown.press("Home")
    frame = "#state .card >> nth=0"
    assert "FIRST a" in shown.page.inner_text(frame)
    assert shown.page.query_selector("#state .card .chunks").get_attribute("aria-label") == (
        "64 chunks: hdr, 2 chunks; FIRST a, 10 chunks; free, 52 chunks"
    )
    shown.press("End")
    assert "free" in shown.page.inner_text(frame)
    assert "the failure is about this one" in shown.page.inner_text(frame)
    assert "lies in freed memory" in shown.page.inner_text("#state")


def test_a_textbook_case_has_words_and_no_pages(show: Any) -> None:
    shown = show(page(finding_of("lost-update", "data-race")))
    text = shown.page.inner_text("#state").lower()
    assert "words" in text
    assert "counter" in text
    assert "pages" not in text
    shown = show(page(finding_of("abba", "deadlock")))
    text = shown.page.inner_text("#state")
    assert "held by ab; waited for by ba" in text
    assert "waits for B; holds A" in text


@pytest.mark.parametrize("width", [800, 1280])
def test_nothing_is_wider_than_the_window(show: Any, width: int) -> None:
    for name, verdict in CASES:
        shown = show(page(finding_of(name, verdict)), viewport={"width": width, "height": 800})
        shown.press("k")
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
        assert shown.seen("tr.here")


def test_the_address_names_the_step(show: Any, browser: Any) -> None:
    shown = show(page(finding_of("abba", "deadlock")))
    shown.press("Home", "j", "j")
    assert shown.page.evaluate("location.hash") == "#3"
    shown.page.reload()
    assert shown.step == 3


def test_a_strangers_words_are_words(show: Any) -> None:
    shown = show(page(evil()))
    shown.page.click("summary")
    assert "<img src=x onerror='window.hacked=1'>" in shown.page.inner_text("header")
    assert EVIL.split("\u2028")[0] in shown.page.text_content(".story")
    assert shown.page.evaluate("window.hacked === undefined")
    assert shown.page.query_selector("img") is None


def test_a_page_that_was_tampered_with_does_not_run(browser: Any, tmp_path: Path) -> None:
    """Markup that somebody put into it is stopped by its policy."""
    text = page(finding_of("abba", "deadlock"))
    path = tmp_path / "tampered.html"
    path.write_text(text.replace("<footer", "<script>window.hacked = 1</script><footer"))
    shown = Shown(browser, path)
    assert shown.page.evaluate("window.hacked === undefined")
    assert any("Content Security Policy" in line for line in shown.said)
    shown.page.close()


# a soak


@pytest.mark.parametrize("width", [800, 1280])
def test_a_soak_page(show: Any, width: int) -> None:
    judgement = Judgement(Verdict.LEAK, EVIL, "end of the run", 1, "alloc", 0, 0, 0)
    found = report(judgements=[judgement], events=["-1.0 us worker-1 alloc <b>"])
    shown = show(soak_page(found), viewport={"width": width, "height": 800})
    text = shown.page.inner_text("body")
    assert "LEAK soak of sound" in text
    assert "<img src=x" in text
    assert "alloc <b>" in text
    assert len(shown.page.query_selector_all("svg")) == 6
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.page.query_selector("img") is None
    box = shown.page.query_selector("svg path.line0").bounding_box()
    assert box["width"] > 50
