"""Findings: what is kept of a failure, that it comes back whole, replays exactly, and shrinks."""

from __future__ import annotations

import base64
import contextlib
import copy
import functools
import json
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from z3fold_stress.campaign.fuzz import ARMS
from z3fold_stress.campaign.generate import generate
from z3fold_stress.defects import DEFECTS
from z3fold_stress.designs import resolve
from z3fold_stress.explore.explorer import Budget, explore_world
from z3fold_stress.explore.portfolio import PORTFOLIO, Arm
from z3fold_stress.explore.world import World
from z3fold_stress.findings import (
    Evidence,
    Finding,
    FindingError,
    gather,
    load_finding,
    replay,
    shrink,
)
from z3fold_stress.findings.finding import PREFIX, design_of, make_finding, world_of
from z3fold_stress.findings.replay import Policy, Result
from z3fold_stress.findings.shrink import shrink_schedule
from z3fold_stress.report import report_text, summary_line
from z3fold_stress.scenario import Scenario, load, op
from z3fold_stress.verdicts import Verdict

ENOUGH = Budget(executions=20_000)
PLENTY = 600.0
"""Seconds that shrinking of a small scenario does not need, on however busy a machine."""
CASES = [
    ("abba", "lock-order"),
    ("abba", "deadlock"),
    ("atomic-alloc-sleeps", "sleep-in-atomic"),
    ("broken-seqlock", "invariant"),
    ("compact-ignores-claim", "list-corruption"),
    ("create-error-leak", "leak"),
    ("lost-update", "data-race"),
    ("migrate-double-page-lock", "eagain-contract"),
    ("movable-without-page-lock", "lock-misuse"),
    ("orphaned-lock", "orphaned-lock"),
    ("putback-forgets-unbuddied", "lost-page"),
    ("reclaim-handles-in-shared-slots", "stale-handle"),
    ("reclaim-readds-released-page", "refcount"),
    ("slot-read-before-page-lock", "corruption"),
    ("slot-read-before-page-lock", "use-after-free"),
    ("trylock-loop", "livelock"),
]
"""Scenario and verdict: an injected failure and a death among them, and one with a lead."""

RELAXED = Scenario(
    name="lost-update-relaxed",
    setup=[op.alloc("spare", 100)],
    actors={
        name: [
            op.load("other", "m", "relaxed"),
            op.load("n", "n", "relaxed"),
            op.add("n", 1),
            op.store("n", "n", "relaxed"),
            op.fetch_add("done", 1),
        ]
        for name in ("one", "two", "three")
    },
    finish=[op.load("n", "n", "relaxed"), op.expect("n", ">=", 2, "one addition may be lost")],
)
"""Needs two of its actors and two of their operations; nothing in it is a data race."""


def bent(scenario: Scenario) -> str:
    """The correct protocol with what the scenario shows, and what that needs to bite."""
    needs = [need for name in scenario.shows for need in DEFECTS[name].needs]
    return resolve("sound", [*scenario.shows, *needs]).name


def find_in(
    scenario: Scenario,
    verdict: str,
    *,
    arms: tuple[Arm, ...] = PORTFOLIO,
    seed: int = 1,
    **how: Any,
) -> tuple[Finding, Evidence]:
    """The first failure of this kind that a seed meets."""
    wanted = frozenset({Verdict(verdict)})
    with World(scenario, resolve(bent(scenario)), **how) as world:
        tally = explore_world(world, arms, budget=ENOUGH, seed=seed, most=99, wanted=wanted)
        (found,) = [found for found in tally.found if found.verdict == verdict]
        return make_finding(world, found, seed=seed)


def scenario_named(name: str) -> Scenario:
    """It alone, though its file may have others."""
    (scenario,) = [scenario for scenario in load([name]) if scenario.name == name]
    return scenario


@functools.cache
def evidence_of(name: str, verdict: str) -> tuple[Finding, Evidence]:
    return find_in(scenario_named(name), verdict)


def finding_of(name: str = "lost-update", verdict: str = "data-race") -> Finding:
    return evidence_of(name, verdict)[0]


@functools.cache
def relaxed() -> Finding:
    return find_in(RELAXED, "invariant")[0]


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


# replay


@pytest.mark.parametrize(("name", "verdict"), CASES)
def test_replay_is_identical(name: str, verdict: str) -> None:
    finding, evidence = evidence_of(name, verdict)
    for it in (finding, load_finding(finding.line())):
        done = replay(it)
        assert done.result is Result.IDENTICAL
        assert done.warnings == ()
        assert done.evidence.verdict is evidence.verdict
        assert done.evidence.text == finding.text
        assert done.evidence.signature == finding.signature
        assert f"{done.evidence.hash:016x}" == finding.hash


def test_replay_without_the_events_has_the_same_hash() -> None:
    finding = finding_of("slot-read-before-page-lock", "corruption")
    with world_of(finding) as world:
        evidence = gather(world, finding.schedule, record=1)
    assert f"{evidence.hash:016x}" == finding.hash
    assert (evidence.events, evidence.signature) == ([], "")


def test_replay_in_a_fresh_process(tmp_path: Path) -> None:
    """Same hashes, wherever the memory of that process is."""
    lines = [finding_of(name, verdict).line() for name, verdict in CASES]
    code = (
        "import sys\n"
        "from z3fold_stress.findings import load_finding, replay\n"
        "for line in sys.stdin:\n"
        "    done = replay(load_finding(line.strip()))\n"
        "    print(done.result, f'{done.evidence.hash:016x}', done.evidence.signature)"
    )
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-P", "-c", code],
            input="\n".join(lines),
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
        )
        expected = [
            f"identical {finding_of(name, verdict).hash} {finding_of(name, verdict).signature}"
            for name, verdict in CASES
        ]
        assert done.stdout.splitlines() == expected


def test_replay_is_the_same_after_other_worlds() -> None:
    """Nothing that one world leaves behind (promotions, lock order) reaches the next."""
    first = replay(finding_of("abba", "lock-order"))
    for name, verdict in CASES[3:8]:
        replay(finding_of(name, verdict))
    again = replay(finding_of("abba", "lock-order"))
    assert first.evidence == again.evidence


SCANNED = Scenario(
    name="scanned",
    setup=[op.alloc("a", 600, fill=True)],
    actors={
        "scanner": [op.compact_memory(0, 4)],
        "engine": [op.migrate_pages(op.page_of("a"))],
        "holder": [op.map("a"), op.unmap("a")],
    },
)
"""A scanner looks at the page that a refused migration was to move to."""


@pytest.mark.parametrize(
    "scenario", [SCANNED, generate(2, 63), generate(2, 4)], ids=["scanned", "63", "4"]
)
def test_nothing_that_was_explored_changes_a_replay(scenario: Scenario) -> None:
    """Each execution begins as the first did: what one of them writes, wherever, is undone."""
    with World(scenario, resolve("sound")) as world:
        hashes = {world.simulator.replay([], False, 1)["hash"]}
        for number, arm in enumerate(ARMS):
            tally = explore_world(world, (arm,), budget=Budget(executions=400), seed=number)
            assert tally.verdicts == set()
            hashes.add(world.simulator.replay([], False, 1)["hash"])
    assert len(hashes) == 1


def test_broken_contract_is_a_finding() -> None:
    """The -EAGAIN contract is watched while migration runs, not only asked for at the end."""
    scenario = Scenario(
        name="eleven",
        setup=[op.alloc("a", 600, fill=True)],
        actors={
            "engine": [op.migrate_pages(op.page_of("a"), passes=11, sync=False)],
            "holder": [op.lock_header(op.frame(0)), op.wait_until("over", 1)],
        },
        finish=[],
        deadlock_ok=True,
    )
    finding, _ = find_in(scenario, "eagain-contract")
    assert finding.text.startswith("attempt number 11 of one migrate_pages: ten are allowed")
    assert replay(finding).result is Result.IDENTICAL


def test_replay_against_a_changed_scenario() -> None:
    finding = finding_of()
    changed = replace(finding.scenario, words={"counter": 5})
    with pytest.raises(FindingError, match="was changed since this was found"):
        replay(finding, scenario=changed)
    done = replay(finding, scenario=changed, policy=Policy.DEFAULT)
    assert any("was changed since this was found" in warning for warning in done.warnings)
    assert done.evidence.verdict is Verdict.DATA_RACE
    assert done.result in (Result.SAME_FAILURE, Result.IDENTICAL)


def test_replay_against_the_same_scenario_with_another_story() -> None:
    finding = finding_of()
    told_otherwise = replace(finding.scenario, story="told otherwise", tags=(), name="other")
    done = replay(finding, scenario=told_otherwise)
    assert (done.result, done.warnings) == (Result.IDENTICAL, ())


def test_replay_against_a_corrected_scenario_fails_no_more() -> None:
    finding = relaxed()
    adds = [op.fetch_add("n", 1)]
    sound = replace(finding.scenario, actors=dict.fromkeys(("one", "two", "three"), adds))
    done = replay(finding, scenario=sound, policy=Policy.DEFAULT)
    assert done.result is Result.NO_FAILURE
    assert done.evidence.verdict is None


def test_replay_of_another_design_fails_no_more() -> None:
    finding = replace(finding_of("slot-read-before-page-lock", "corruption"), design="sound")
    assert replay(finding).result is Result.NO_FAILURE


def test_another_build_is_warned_about() -> None:
    finding = replace(finding_of(), build="0" * 16)
    done = replay(finding)
    assert done.result is Result.IDENTICAL
    (warning,) = done.warnings
    assert "engine built of other sources (0000000000000000" in warning


def test_interventions_that_never_come_up_are_warned_about() -> None:
    finding = finding_of()
    longer = replace(finding, schedule=(*finding.schedule, (0, 1 << 40, 0, 1), (1, 1 << 41, 0, 0)))
    done = replay(longer, policy=Policy.DEFAULT)
    assert "2 interventions of the schedule never came up" in done.warnings


def test_same_failure_by_other_events() -> None:
    finding = replace(finding_of(), hash="0" * 16)
    assert replay(finding).result is Result.SAME_FAILURE


def test_other_failure() -> None:
    """The verdict counts, not only that something fails."""
    finding = replace(finding_of(), verdict=Verdict.LEAK)
    assert replay(finding).result is Result.OTHER_FAILURE


def test_set_up_that_fails_is_no_replay() -> None:
    finding = finding_of()
    broken = replace(finding.scenario, setup=[op.lock("L"), op.lock("L")])
    with pytest.raises(FindingError, match="the set-up fails"):
        replay(finding, scenario=broken, policy=Policy.DEFAULT)
    assert replay(finding).result is Result.IDENTICAL


def test_finding_without_race_detection_replays() -> None:
    """What is found with races off is a finding of that: found again, told and made small so."""
    scenario = scenario_named("lost-update")
    finding, _ = find_in(scenario, "invariant", races=False, every_access=True)
    assert replay(finding).result is Result.IDENTICAL
    assert replay(load_finding(finding.line())).result is Result.IDENTICAL
    assert shrink(finding, seconds=PLENTY).finding.verdict is Verdict.INVARIANT


def test_finding_at_every_access_replays() -> None:
    scenario = scenario_named("reclaim-readds-released-page")
    finding, _ = find_in(scenario, "data-race", arms=(Arm("random"),), seed=3, every_access=True)
    assert replay(finding).result is Result.IDENTICAL


@pytest.mark.parametrize(
    "change", ["faults={'page': 300}", "deaths={'actors': ['t'], 'budget': 300}"]
)
def test_world_that_cannot_be_made_leaves_no_simulator(change: str) -> None:
    """A process has one at a time: it must not be lost with what could not be made of it."""
    code = (
        "from z3fold_stress.designs import resolve\n"
        "from z3fold_stress.explore.world import World\n"
        "from z3fold_stress.scenario import Scenario, op\n"
        "actors = {'t': [op.alloc('a', 64)]}\n"
        f"try: World(Scenario(actors=actors, {change}), resolve('sound')).close()\n"
        "except ValueError as error: print(error)\n"
        "World(Scenario(actors=actors), resolve('sound')).close()\n"
        "print('another')"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.endswith("another\n")


# shrinking


def size(scenario: Scenario) -> int:
    return sum(len(ops) for ops in (scenario.setup, *scenario.actors.values(), scenario.finish))


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("abba", "deadlock"),
        ("create-error-leak", "leak"),
        ("lost-update", "data-race"),
        ("orphaned-lock", "orphaned-lock"),
        ("putback-forgets-unbuddied", "lost-page"),
    ],
)
def test_shrunk_is_smaller_and_the_same_failure(name: str, verdict: str) -> None:
    finding = finding_of(name, verdict)
    done = shrink(finding, seconds=PLENTY)
    smaller = done.finding
    assert done.finished
    assert size(smaller.scenario) <= size(finding.scenario)
    assert done.operations == (size(finding.scenario), size(smaller.scenario))
    assert len(smaller.scenario.actors) <= len(finding.scenario.actors)
    assert done.actors == (len(finding.scenario.actors), len(smaller.scenario.actors))
    assert done.interventions[1] <= done.interventions[0]
    assert (smaller.verdict, smaller.signature) == (finding.verdict, finding.signature)
    for it in (smaller, load_finding(smaller.line())):
        assert replay(it).result is Result.IDENTICAL
        assert replay(it).warnings == ()
    again = shrink(smaller, seconds=PLENTY)
    assert size(again.finding.scenario) == size(smaller.scenario)
    assert len(again.finding.schedule) == len(smaller.schedule)


def test_shrinking_leaves_out_what_does_not_matter() -> None:
    done = shrink(relaxed(), seconds=PLENTY)
    smaller = done.finding.scenario
    assert smaller.setup == ()
    assert len(smaller.actors) == 2
    names = [one.name for ops in smaller.actors.values() for one in ops]
    assert "fetch_add" not in names
    assert done.operations[1] <= 8 < done.operations[0]


def test_without_the_flip_pair_all_goes_well() -> None:
    """Two tasks that add 1 without a lock, and no race to see: one order of two steps decides."""
    adds = [op.load("n", "n", "relaxed"), op.add("n", 1), op.store("n", "n", "relaxed")]
    two = Scenario(
        name="relaxed-two",
        actors={"one": adds, "two": adds},
        finish=[op.load("n", "n", "relaxed"), op.expect("n", "==", 2, "both additions")],
    )
    finding, _ = find_in(two, "invariant")
    done = shrink(finding, seconds=PLENTY)
    assert done.interventions[1] == 1
    assert done.flip is not None
    assert {done.flip.task, done.flip.to} == {"one", "two"}
    assert done.flip.without == "there is no failure"
    (choice,) = [choice for choice in done.finding.schedule if choice[2] != 255]
    assert choice[1] == done.flip.clock
    with World(done.finding.scenario, design_of(done.finding)) as world:
        left = [choice for choice in done.finding.schedule if choice[2] == 255]
        assert gather(world, left).verdict is None
        assert gather(world, done.finding.schedule).verdict is Verdict.INVARIANT
        report = report_text(
            world, done.finding, gather(world, done.finding.schedule), flip=done.flip
        )
    assert str(done.flip) in report
    assert str(done.flip) == (
        f"Decisive switch: {done.flip.task} to {done.flip.to} at step {done.flip.clock}; "
        "without it there is no failure."
    )


def test_one_preemption_of_the_mapper_decides() -> None:
    finding = finding_of("slot-read-before-page-lock", "use-after-free")
    with World(finding.scenario, design_of(finding)) as world:
        assert shrink_schedule(world, finding, seconds=PLENTY) == 1
    done = shrink(finding, seconds=PLENTY)
    assert done.interventions[1] == 1
    assert done.flip is not None
    assert done.flip.task == "mapper"
    assert done.flip.without == "there is no failure"


def test_lock_order_keeps_its_scenario() -> None:
    """No execution goes wrong: only its verdict is confirmed."""
    finding = finding_of("abba", "lock-order")
    done = shrink(finding, seconds=PLENTY)
    assert done.flip is None
    assert done.finding.scenario == finding.scenario
    assert done.finding.lead == finding.lead
    assert replay(done.finding).result is Result.IDENTICAL


def test_shrinking_without_time_is_no_failure() -> None:
    """What is not made small is still the finding."""
    done = shrink(relaxed(), seconds=1e-9)
    assert not done.finished
    assert replay(done.finding).result is Result.IDENTICAL


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
