"""Findings: what is kept of a failure, that it comes back whole, replays exactly, and shrinks."""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from found import CASES, RELAXED, evidence_of, find_in, finding_of, relaxed, scenario_named
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from z3fold_stress.designs import resolve
from z3fold_stress.explore.portfolio import Arm
from z3fold_stress.explore.world import World
from z3fold_stress.findings import Finding, FindingError, gather, load_finding
from z3fold_stress.findings.finding import PREFIX, design_of
from z3fold_stress.report import report_text, summary_line
from z3fold_stress.scenario import Scenario, op


def told(finding: Finding) -> Finding:
    """The finding without what a line leaves out: what only people read."""
    return replace(finding, sides=(), found={})


def packed(value: object) -> str:
    """Any JSON value as a replay string."""
    text = value if isinstance(value, str) else json.dumps(value)
    return PREFIX + base64.urlsafe_b64encode(zlib.compress(text.encode())).decode().rstrip("=")


# two forms


@pytest.mark.parametrize(("name", "verdict"), CASES)
def test_round_trip_of_both_forms(tmp_path: Path, name: str, verdict: str) -> None:
    finding = finding_of(name, verdict)
    path = tmp_path / "finding.json"
    path.write_text(finding.dumps())
    assert load_finding(str(path)) == finding
    assert finding.dumps() == load_finding(str(path)).dumps()
    line = finding.line()
    assert len(line.split()) == 1
    assert load_finding(line) == told(finding)
    assert load_finding(line).line() == line
    path.write_text(f"{line}\n")
    assert load_finding(str(path)) == told(finding)
    assert load_finding(f"{PREFIX} {line.removeprefix(PREFIX)}\n") == told(finding)


def test_finding_says_all_that_a_replay_needs() -> None:
    value = finding_of("create-error-leak", "leak").to_json()
    assert value["design"] == "sound+create-error-leak"
    assert value["content"] == Scenario.from_json(value["scenario"]).content_hash()
    assert [decision for _, _, decision, _ in value["schedule"]] != []
    assert value["found"]["seed"] == 1
    assert len(value["hash"]) == 16
    assert value["version"]
    assert value["build"]


def test_summary_is_one_line() -> None:
    line = summary_line(finding_of())
    assert line.startswith("data-race: ")
    assert line.endswith("(lost-update, sound)")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"finding": 2}, "a finding of version 2"),
        ({"finding": "1"}, "a finding of version '1'"),
        ({"finding": None}, "a finding of version None"),
        ({"finding": True}, "a finding of version True"),
        ({"design": "sund"}, "no design is named 'sund'"),
        ({"design": "sound+nosuch"}, "no defect is named 'nosuch'"),
        ({"design": 5}, "'design' must be text"),
        ({"verdict": "sad"}, "'sad'"),
        ({"verdict": []}, "damaged"),
        ({"where": None}, "'where' must be text"),
        ({"text": 1}, "'text' must be text"),
        ({"signature": []}, "'signature' must be text"),
        ({"hash": 7}, "'hash' must be text"),
        ({"schedule": None}, "damaged"),
        ({"schedule": "abcd"}, "no intervention"),
        ({"schedule": [[0, 1, 0]]}, "no intervention"),
        ({"schedule": [[0, -1, 0, 1]]}, "no intervention"),
        ({"schedule": [[0, 1.5, 0, 1]]}, "no intervention"),
        ({"schedule": [[0, 2**64, 0, 1]]}, "no intervention"),
        ({"schedule": [[9, 1, 0, 1]]}, "names a task that there is not"),
        ({"schedule": [[0, 1, 0, 9]]}, "names a task that there is not"),
        ({"schedule": [[0, 1, 256, 1]]}, "names a task that there is not"),
        ({"lead": [[[0, 1]]]}, "no intervention"),
        ({"lead": 5}, "damaged"),
        ({"max_steps": -1}, "-1 is no count"),
        ({"max_steps": "many"}, "'many' is no count"),
        ({"steps": True}, "True is no count"),
        ({"found": 5}, "damaged"),
        ({"sides": 5}, "damaged"),
        ({"scenario": []}, "is no scenario"),
        ({"scenario": None}, "is no scenario"),
        ({"content": "0" * 16}, "was changed after it was found"),
        ({"content": None}, "was changed after it was found"),
    ],
)
def test_load_refuses(change: dict[str, Any], says: str) -> None:
    value = {**finding_of().to_json(), **change}
    with pytest.raises(FindingError, match=says):
        Finding.from_json(value)
    with pytest.raises(FindingError, match=says):
        load_finding(packed(value))


@pytest.mark.parametrize("key", ["scenario", "design", "schedule", "verdict", "where", "hash"])
def test_load_names_a_missing_key(key: str) -> None:
    value = finding_of().to_json()
    del value[key]
    with pytest.raises(FindingError, match=f"damaged finding: it has no key '{key}'"):
        Finding.from_json(value)


@pytest.mark.parametrize("key", ["finding", "content"])
def test_load_refuses_without_version_or_content(key: str) -> None:
    value = finding_of().to_json()
    del value[key]
    with pytest.raises(FindingError, match=r"not a finding|was changed"):
        Finding.from_json(value)


@pytest.mark.parametrize("value", [None, 5, "finding", [], ["finding"], {}, {"scenario": {}}])
def test_load_refuses_what_is_no_finding(value: object) -> None:
    with pytest.raises(FindingError, match="not a finding"):
        Finding.from_json(value)


def test_changed_scenario_is_refused() -> None:
    """Not by its name or story: by what is executed."""
    value = finding_of().to_json()
    value["scenario"]["story"] = "told otherwise"
    assert Finding.from_json(value).scenario.story == "told otherwise"
    value["scenario"]["words"] = {"counter": 5}
    with pytest.raises(FindingError, match="was changed after it was found"):
        Finding.from_json(value)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"nonsense", b"\xff\xfe\x00", b"[" * 100_000, b'{"finding": 1}', b"[1]", b"zs1:"],
    ids=["empty", "open", "words", "binary", "deep", "bare", "list", "prefix"],
)
def test_file_that_is_no_finding(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(raw)
    with pytest.raises(FindingError):
        load_finding(str(path))


@pytest.mark.parametrize("path", ["/nonexistent/finding.json", "/", "x" * 5000, "a\0b", "\ud800"])
def test_path_that_leads_nowhere(path: str) -> None:
    with pytest.raises(FindingError):
        load_finding(path)


@pytest.mark.parametrize(
    "text",
    [
        "9" * 5000,
        '{"finding": ' * 2000,
        "NaN",
        '"\\ud800"',
        '{"finding": 1, "scenario": ' + '{"a": ' * 300 + "1" + "}" * 300 + "}",
    ],
    ids=["digits", "deep", "nan", "surrogate", "nested"],
)
def test_line_with_json_of_a_kind(text: str) -> None:
    with pytest.raises(FindingError):
        load_finding(packed(text))


def test_deep_scenario_is_refused() -> None:
    value = finding_of().to_json()
    body = value["scenario"]["actors"][0]["ops"]
    for _ in range(2000):
        body = [{"op": "repeat", "times": 1, "body": body}]
    value["scenario"]["actors"][0]["ops"] = body
    with pytest.raises(FindingError):
        Finding.from_json(value)


@pytest.mark.parametrize("filler", [b"[", b" ", b'{"finding":1,"x":"'])
def test_zip_bomb_is_bounded(filler: bytes) -> None:
    """An eighth of a gigabyte in a few hundred kilobytes."""
    packer = zlib.compressobj(9)
    block = (filler * (1 << 16))[: 1 << 16]
    bomb = b"".join(packer.compress(block) for _ in range(1 << 11)) + packer.flush()
    line = PREFIX + base64.urlsafe_b64encode(bomb).decode()
    assert len(line) < 500_000
    code = (
        "import resource, sys\n"
        "from z3fold_stress.findings import FindingError, load_finding\n"
        "line = sys.stdin.read()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: load_finding(line)\n"
        "except FindingError: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], input=line, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 64 << 10


@pytest.mark.parametrize("keep", range(0, 60, 7))
def test_truncated_line(keep: int) -> None:
    line = finding_of().line()
    with pytest.raises(FindingError):
        load_finding(line[: len(PREFIX) + (len(line) - len(PREFIX)) * keep // 60])


LINE = st.deferred(lambda: st.just(finding_of().line()))


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A line with characters replaced, cut out, doubled, or put in."""
    line = list(draw(LINE))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(line) - 1))
        match draw(st.integers(0, 4)):
            case 0:
                line[at] = draw(st.characters())
            case 1:
                line[at] = draw(st.sampled_from("ABCDEFGHabcdefgh0123456789-_=+/"))
            case 2:
                del line[at : at + draw(st.integers(1, 40))]
            case 3:
                line[at:at] = line[at : at + draw(st.integers(1, 40))]
            case _:
                del line[at:]
        if not line:
            break
    return "".join(line)


@settings(
    max_examples=300,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(damaged())
def test_any_damage_to_a_line_is_noticed(line: str) -> None:
    try:
        finding = load_finding(line)
    except FindingError:
        return
    assert finding == told(finding_of())


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(st.integers(0, 1 << 30), st.integers(0, 7))
def test_any_flipped_bit_is_noticed(at: int, bit: int) -> None:
    word = finding_of().line().removeprefix(PREFIX)
    raw = bytearray(base64.urlsafe_b64decode(word + "=" * (-len(word) % 4)))
    raw[at % len(raw)] ^= 1 << bit
    line = PREFIX + base64.urlsafe_b64encode(raw).decode().rstrip("=")
    try:
        finding = load_finding(line)
    except FindingError:
        return
    assert finding == told(finding_of())


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 255, 256, 2**31 - 1, 2**31, 2**63, 10**30, 1.5]),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["sound", "as-posted", "leak", "alloc", "a", "\ud800"]),
    st.builds(list),
    st.builds(dict),
    st.builds(lambda: [[0, 1, 0, 1]]),  # a new one each time: places in it may be drawn next
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    if isinstance(value, dict):
        keys: list[Any] = list(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    else:
        return []
    return [(value, key) for key in keys] + [p for key in keys for p in _places(value[key])]


@settings(
    max_examples=400,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_a_strangers_finding_is_loaded_or_refused(data: st.DataObject) -> None:
    """Any value in any place, with a content hash that fits: what loads can be saved again."""
    name, verdict = data.draw(st.sampled_from(CASES))
    value = copy.deepcopy(finding_of(name, verdict).to_json())
    for _ in range(data.draw(st.integers(1, 2))):
        places = _places(value)
        container, key = places[data.draw(st.integers(0, len(places) - 1))]
        if data.draw(st.booleans()):
            container[key] = data.draw(JUNK)
        else:
            del container[key]
    with contextlib.suppress(KeyError, ValueError):
        value["content"] = Scenario.from_json(value["scenario"]).content_hash()
    try:
        finding = Finding.from_json(value)
    except FindingError:
        return
    assert told(load_finding(finding.line())) == told(finding)


# signatures


def test_signature_is_the_same_whoever_finds_it() -> None:
    scenario = scenario_named("slot-read-before-page-lock")
    strategies = (
        (Arm("dfs", depth=2), 0),
        (Arm("random"), 6),
        (Arm("pct", depth=3), 7),
        (Arm("pos"), 8),
        (Arm("surw"), 9),
    )
    found = [find_in(scenario, "corruption", arms=(arm,), seed=seed)[0] for arm, seed in strategies]
    assert len({finding.schedule for finding in found}) > 1
    assert {finding.signature for finding in found} == {
        finding_of("slot-read-before-page-lock", "corruption").signature
    }


def test_signature_is_another_for_another_failure() -> None:
    signatures = [finding_of(name, verdict).signature for name, verdict in CASES]
    assert len(set(signatures)) == len(CASES)


def test_signature_tells_two_expectations_apart() -> None:
    """Two messages, two failures: who has seen one of them has not seen the other."""
    looks = [
        op.load("x", "x", "relaxed"),
        op.expect("x", "==", 0, "x is 0"),
        op.load("y", "y", "relaxed"),
        op.expect("y", "==", 0, "y is 0"),
    ]
    signatures = {}
    for word in ("x", "y"):
        scenario = Scenario(name="two", actors={"looks": looks}, words={word: 1})
        finding, _ = find_in(scenario, "invariant")
        assert finding.text == f"{word} is 0: the value is 1, compared with 0"
        signatures[word] = finding.signature
    assert signatures["x"] != signatures["y"]


def test_signature_tells_two_leaks_apart() -> None:
    """The audit finds both, for different reasons."""
    names = ("headless-slots-leak", "destroy-leaks-percpu-lists", "headless-free-forgotten")
    assert len({finding_of(name, "leak").signature for name in names}) == 3


# evidence


def test_race_names_both_sides() -> None:
    finding, evidence = evidence_of("isolate-ignores-claim", "data-race")
    assert len(evidence.sides) == 2
    first, second = evidence.sides
    assert {first.task, second.task} == {"kswapd", "engine"}
    for side in evidence.sides:
        assert side.what.startswith(("load of ", "store of "))
        file, _, function = side.site.partition(" ")
        assert ".pxi:" in file
        assert function
        assert side.chain
    assert [side.to_json() for side in evidence.sides] == list(finding.sides)


@pytest.mark.parametrize(
    "name",
    [
        "destroy-vs-migrate-queue",
        "headless-evict-frees-for-owner",
        "isolate-ignores-claim",
        "isolate-unlinks-outside-pool-lock",
        "migrate-without-work-cancel",
        "middle-mapped-one-bit",
        "stale-flag-on-wrong-page",
        "stale-reuse-stays-movable",
    ],
)
def test_sides_of_a_race_hold_no_lock_in_common(name: str) -> None:
    """Else it would be none: the locks are those of that access, not of another by the task."""
    _, evidence = evidence_of(name, "data-race")
    first, second = evidence.sides
    assert first.task != second.task
    assert set(first.held).isdisjoint(second.held)


def test_wrong_lock_is_named() -> None:
    scenario = scenario_named("wronglock")
    _, evidence = find_in(scenario, "data-race")
    held = {lock for side in evidence.sides for lock in side.held}
    assert len(held) == 2


def test_deadlock_names_all_who_wait_and_what_they_hold() -> None:
    _, evidence = evidence_of("dining-philosophers-3", "deadlock")
    assert len(evidence.sides) == 3
    assert len({side.task for side in evidence.sides}) == 3
    held = [lock for side in evidence.sides for lock in side.held]
    assert len(held) == len(set(held)) == 3
    assert all(side.what.startswith("waits in lock ") for side in evidence.sides)


def test_lock_order_names_both_orders() -> None:
    _, evidence = evidence_of("abba", "lock-order")
    assert {side.what for side in evidence.sides} == {
        "waits for B with A held",
        "waits for A with B held",
    }


def test_expectation_is_told_in_its_own_words() -> None:
    assert relaxed().text.startswith("one addition may be lost: the value is ")


def test_schedule_that_shows_nothing_has_no_sides() -> None:
    with World(RELAXED, resolve("sound")) as world:
        evidence = gather(world, ())
    assert evidence.verdict is None
    assert (evidence.sides, evidence.signature) == ((), "")


# the report


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        *CASES[:4],
        ("dining-philosophers-5", "deadlock"),
        ("destroy-vs-migrate-queue", "data-race"),
        ("migrated-page-still-lockable", "refcount"),
        ("reclaim-free-lost-length", "corruption"),
        ("slot-read-before-page-lock", "use-after-free"),
        ("stale-reuse-stays-movable", "data-race"),
        ("trylock-loop", "livelock"),
        ("twostage-20", "invariant"),
    ],
)
def test_report_fits_a_screen(name: str, verdict: str) -> None:
    finding, _ = evidence_of(name, verdict)
    with World(finding.scenario, design_of(finding)) as world:
        evidence = gather(world, finding.schedule, finding.lead)
        saved = report_text(world, finding, evidence, saved="a-finding.json")
        pasted = report_text(world, finding, evidence)
    lines = saved.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 125
    assert lines[0].startswith(f"{verdict.upper()} in scenario {name}, design ")
    assert lines[-1] == "Replay: z3fold-stress replay a-finding.json"
    assert pasted.splitlines()[-1] == f"Replay: z3fold-stress replay {finding.line()}"
    assert saved.splitlines()[:-1] == pasted.splitlines()[:-1]
    for side in evidence.sides[:4]:
        assert side.task in saved
    assert "Traceback" not in saved
