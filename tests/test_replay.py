"""Replays: the same by the same events, whoever does them; and shrinking, which is many of them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from found import CASES, evidence_of, find_in, finding_of, relaxed, scenario_named

from z3fold_stress.campaign.fuzz import ARMS
from z3fold_stress.campaign.generate import generate
from z3fold_stress.designs import resolve
from z3fold_stress.explore.explorer import Budget, explore_world
from z3fold_stress.explore.portfolio import Arm
from z3fold_stress.explore.world import World
from z3fold_stress.findings import FindingError, gather, load_finding, replay, shrink
from z3fold_stress.findings.finding import design_of, world_of
from z3fold_stress.findings.replay import Policy, Result
from z3fold_stress.findings.shrink import shrink_schedule
from z3fold_stress.report import report_text
from z3fold_stress.scenario import Scenario, op
from z3fold_stress.verdicts import Verdict

PLENTY = 600.0
"""Seconds that shrinking of a small scenario does not need, on however busy a machine."""


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
