"""Campaigns: crews of processes, hunts, the museum, fuzzing and what it makes up."""

from __future__ import annotations

import contextlib
import json
import operator
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import psutil
import pytest

from z3fold_stress.campaign import fuzz as fuzzing
from z3fold_stress.campaign import museum as exhibiting
from z3fold_stress.campaign.crew import CrewError, available_jobs, run_jobs
from z3fold_stress.campaign.fuzz import Fuzz, FuzzSettings, Round, fuzz, shrink_all
from z3fold_stress.campaign.generate import MOST_OPS, generate, mutate
from z3fold_stress.campaign.hunt import Hunt, HuntSettings, Trail, explore_one, hunt
from z3fold_stress.campaign.museum import Exhibit, Museum, museum
from z3fold_stress.designs import resolve
from z3fold_stress.errors import SettingsError
from z3fold_stress.explore.explorer import Budget, Status
from z3fold_stress.explore.world import World
from z3fold_stress.findings import replay
from z3fold_stress.findings.replay import Result
from z3fold_stress.scenario import Scenario, load, op

LONG = 1e6
"""Seconds: the budget in executions is used up before."""


def workers() -> list[psutil.Process]:
    """Processes of a crew that are alive; not multiprocessing's own helpers, nor a process that
    another test keeps (those are multiprocess's)."""
    alive = []
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if (
                "from multiprocessing.spawn import" in line
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                alive.append(process)
    return alive


def named(*names: str) -> list[Scenario]:
    """Each alone, though its file may have others."""
    return [s for name in names for s in load([name]) if s.name == name]


# the crew


@pytest.mark.parametrize("processes", [1, 2])
def test_crew_answers_every_job(processes: int) -> None:
    answers = dict(run_jobs(abs, range(-20, 0), processes))
    assert answers == {job: -job for job in range(-20, 0)}
    assert workers() == []


@pytest.mark.parametrize("processes", [1, 2])
def test_crew_without_jobs(processes: int) -> None:
    assert list(run_jobs(abs, [], processes)) == []
    assert workers() == []


@pytest.mark.parametrize("processes", [0, -1])
def test_crew_of_nobody(processes: int) -> None:
    with pytest.raises(SettingsError, match="can do nothing"):
        next(run_jobs(abs, [1], processes))


def test_crew_takes_jobs_only_when_it_has_hands_for_them() -> None:
    """Jobs may depend on the answers before: they are asked for late."""
    asked = []

    def jobs() -> Iterator[int]:
        for job in range(12):
            asked.append(job)
            yield job

    for done, _ in enumerate(run_jobs(abs, jobs(), 2)):
        assert len(asked) <= done + 4
    assert len(asked) == 12


def test_killed_worker_ends_the_crew() -> None:
    kill = partial(signal.raise_signal, signal.SIGKILL)
    jobs = [partial(abs, -1), kill, *[partial(time.sleep, 60)] * 3]
    with pytest.raises(CrewError, match="a worker process died"):
        list(run_jobs(operator.call, jobs, 2))
    assert workers() == []


def test_leaving_early_ends_the_workers() -> None:
    jobs = [partial(abs, -1), *[partial(time.sleep, 60)] * 4]
    answers = run_jobs(operator.call, jobs, 2)
    with contextlib.closing(answers):
        assert next(answers)[1] == 1
        assert workers() != []
    assert workers() == []


def test_job_that_fails_ends_the_workers() -> None:
    jobs = [partial(int, "not a number"), partial(time.sleep, 60)]
    with pytest.raises(ValueError, match="not a number"):
        list(run_jobs(operator.call, jobs, 2))
    assert workers() == []


def test_interrupt_ends_the_workers() -> None:
    answers = run_jobs(operator.call, [partial(abs, -1), *[partial(time.sleep, 60)] * 4], 2)
    next(answers)
    with pytest.raises(KeyboardInterrupt):
        answers.throw(KeyboardInterrupt)
    assert workers() == []


def test_as_many_jobs_as_cpus() -> None:
    assert available_jobs() >= 1


# the hunt

QUICK = (
    "mapped-count-wraps",
    "putback-forgets-unbuddied",
    "reclaim-handles-in-shared-slots",
    "slot-read-before-page-lock",
    "headless-slots-leak",
)


def quick_hunt(design: str, *, processes: int = 1, seed: int = 5, **how: Any) -> Hunt:
    settings = HuntSettings(design=design, seed=seed, executions=400, **how)
    return hunt(named(*QUICK), settings, seconds=LONG, processes=processes)


def plain(trail: Trail) -> dict[str, Any]:
    """All but the time that it took."""
    value = trail.to_json()
    del value["seconds"]
    return value


def test_hunt_finds_nothing_in_the_correct_protocol() -> None:
    result = quick_hunt("sound")
    assert result.findings == []
    assert result.status is Status.CLEAN
    assert [trail.scenario for trail in result.trails] == sorted(QUICK)
    assert all(trail.executions > 0 and trail.steps > 0 for trail in result.trails)
    assert result.executions == sum(trail.executions for trail in result.trails)
    assert all(trail.status in ("clean", "complete") for trail in result.trails)


def test_hunt_finds_a_defect() -> None:
    result = quick_hunt("sound+putback-forgets-unbuddied")
    assert result.status is Status.FOUND
    trails = {trail.scenario: trail for trail in result.trails}
    (value,) = trails["putback-forgets-unbuddied"].findings
    assert value["verdict"] == "lost-page"
    for finding in result.findings:
        assert finding.found["seed"] == 5
        assert replay(finding).result is Result.IDENTICAL
    signatures = [finding.signature for finding in result.findings]
    assert len(set(signatures)) == len(signatures)


def test_hunt_is_the_same_for_any_number_of_processes() -> None:
    one = quick_hunt("as-posted", most=3)
    two = quick_hunt("as-posted", most=3, processes=2)
    assert [plain(trail) for trail in one.trails] == [plain(trail) for trail in two.trails]
    assert one.findings == two.findings
    assert one.status is two.status is Status.FOUND
    assert workers() == []


def test_hunt_is_the_same_in_any_order() -> None:
    """What a process explored before does not matter."""
    settings = HuntSettings(design="sound", seed=3, executions=300)
    scenarios = named(*QUICK)
    there = hunt(scenarios, settings, seconds=LONG, processes=1)
    back = hunt(scenarios[::-1], settings, seconds=LONG, processes=1)
    assert [plain(trail) for trail in there.trails] == [plain(trail) for trail in back.trails]


def test_hunt_with_another_seed_is_another() -> None:
    one, two = (
        [trail.steps for trail in quick_hunt("sound", seed=seed, strategy="random").trails]
        for seed in (1, 2)
    )
    assert one != two


def test_exhaustive_hunt_is_complete() -> None:
    settings = HuntSettings(design="sound", strategy="dfs", bound=1)
    result = hunt(named(*QUICK[:2]), settings, seconds=LONG, processes=1)
    assert result.status is Status.COMPLETE
    for trail in result.trails:
        assert trail.claims == ["all executions with at most 1 preemptions"]
        assert trail.left == {}


def test_interrupted_hunt_is_no_pass() -> None:
    def stop(result: Hunt, trail: Trail) -> None:
        raise KeyboardInterrupt

    settings = HuntSettings(design="sound", seed=1, executions=50)
    result = hunt(named(*QUICK), settings, seconds=LONG, processes=1, tell=stop)
    assert result.interrupted
    assert len(result.trails) == 1
    assert result.status is Status.INCONCLUSIVE


def test_hunt_with_a_killed_worker_is_no_pass() -> None:
    """And keeps what was found before."""

    def kill(result: Hunt, trail: Trail) -> None:
        for process in workers():
            process.kill()

    settings = HuntSettings(design="sound", seed=1, executions=50)
    result = hunt(named(*QUICK), settings, seconds=LONG, processes=2, tell=kill)
    assert "a worker process died" in result.error
    assert result.status is Status.INCONCLUSIVE
    assert len(result.trails) >= 1
    assert workers() == []


def test_hunt_for_nothing_is_no_pass() -> None:
    settings = HuntSettings(design="sound", seed=1, executions=50)
    assert hunt([], settings, seconds=LONG, processes=1).status is Status.INCONCLUSIVE


def test_step_limit_is_no_pass() -> None:
    endless = Scenario(
        name="endless",
        actors={name: [op.fetch_add("x", 1)] * 40 for name in ("one", "two")},
        finish=[],
    )
    settings = HuntSettings(design="sound", strategy="random", executions=20, max_steps=30)
    result = hunt([endless], settings, seconds=LONG, processes=1)
    assert result.status is Status.INCONCLUSIVE
    assert result.trails[0].status == "inconclusive"
    assert result.trails[0].limited == 20


def test_failing_set_up_is_told() -> None:
    broken = Scenario(
        name="broken",
        setup=[op.store("x", 1), op.load("x", "x"), op.expect("x", "==", 0, "x is 0")],
        actors={"t": [op.load("x", "x")]},
    )
    trail = explore_one(broken, HuntSettings(design="sound", executions=10))
    assert trail.status == "setup-failed"
    assert trail.setup != ""
    assert trail.executions == 0
    assert trail.findings == []


def test_trail_is_plain_data() -> None:
    trail = quick_hunt("as-posted").trails[0]
    assert json.loads(json.dumps(trail.to_json())) == trail.to_json()


# the museum


def test_three_pieces_of_the_museum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exhibiting, "CONTROL", Budget(executions=200))
    told = []
    pieces = named("putback-forgets-unbuddied", "lost-update", "message-passing-fixed")
    result = museum(pieces, processes=1, tell=lambda museum, piece: told.append(piece.scenario))
    assert result.good
    assert told == [piece.name for piece in pieces]
    lost_page, race, nothing = result.exhibits
    assert (lost_page.defect, lost_page.found) == ("putback-forgets-unbuddied", "lost-page")
    assert lost_page.control == "clean"
    assert lost_page.control_executions > 0
    assert lost_page.switches is not None
    assert (race.defect, race.found, race.control) == ("", "data-race", "-")
    assert (nothing.found, nothing.expected, nothing.control) == ("", [], "-")
    assert nothing.executions > 0
    assert all(piece.to_json()["as_expected"] for piece in result.exhibits)


def test_museum_with_two_processes() -> None:
    pieces = named("putback-forgets-unbuddied", "lost-update")
    result = museum(pieces, processes=2)
    assert result.good
    assert [piece.scenario for piece in result.exhibits] == [piece.name for piece in pieces]
    assert workers() == []


@pytest.mark.parametrize("expect", [{"leak"}, set()])
def test_piece_that_is_not_as_expected(monkeypatch: pytest.MonkeyPatch, expect: set[str]) -> None:
    monkeypatch.setattr(exhibiting, "FIND", Budget(executions=200))
    (piece,) = named("lost-update")
    result = museum([replace(piece, expect=expect)], processes=1)
    assert not result.good
    (exhibit,) = result.exhibits
    assert not exhibit.good
    assert "data-race" in exhibit.found


def test_fault_that_is_not_found_is_not_as_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A textbook piece that expects something, and is correct."""
    monkeypatch.setattr(exhibiting, "FIND", Budget(executions=200))
    correct = Scenario(name="correct", actors={"t": [op.fetch_add("x", 1)]}, expect={"data-race"})
    result = museum([correct], processes=1)
    assert not result.good
    assert result.exhibits[0].found == ""


def test_cure_that_does_not_hold_is_not_as_expected() -> None:
    piece = Exhibit("x", "x", ["leak"], found="leak", control="clean")
    assert piece.good
    assert not replace(piece, control="leak").good
    assert not replace(piece, control="inconclusive").good
    assert not replace(piece, found="").good
    assert not replace(piece, found="corruption").good


def test_interrupted_museum_is_not_good() -> None:
    def stop(result: Museum, piece: Exhibit) -> None:
        raise KeyboardInterrupt

    result = museum(named("lost-update", "abba"), processes=1, tell=stop)
    assert result.interrupted
    assert len(result.exhibits) == 1
    assert not result.good


# fuzzing


def quick_fuzz(
    monkeypatch: pytest.MonkeyPatch, design: str, seed: int, programs: int = 8, **how: Any
) -> Fuzz:
    """In this process, with shorter rounds."""
    monkeypatch.setattr(fuzzing, "PROGRAMS", 4)
    monkeypatch.setattr(fuzzing, "FIRST_LOOK", Budget(executions=200))
    monkeypatch.setattr(fuzzing, "SECOND_LOOK", Budget(executions=400))
    settings = FuzzSettings(resolve(design).name, seed)
    return fuzz(settings, seconds=None, programs=programs, processes=1, **how)


def outcome(result: Fuzz) -> tuple[object, ...]:
    findings = {signature: f.to_json() for signature, f in sorted(result.findings.items())}
    times = dict(sorted(result.times.items()))
    return (
        result.programs,
        result.executions,
        result.corpus,
        result.coverage,
        result.limited,
        findings,
        times,
    )


def test_fuzz_is_the_same_for_any_number_of_processes() -> None:
    settings = FuzzSettings("sound+migrate-copies-live-header", 1)
    one = fuzz(settings, seconds=None, programs=48, processes=1)
    two = fuzz(settings, seconds=None, programs=48, processes=2)
    assert one.programs == 48
    assert one.corpus > 0
    assert len(one.findings) > 1
    assert sorted(one.findings) == sorted(two.findings)
    assert (one.executions, one.corpus, one.coverage) == (two.executions, two.corpus, two.coverage)
    assert one.times == two.times
    assert workers() == []


def test_fuzz_is_the_same_whoever_is_ready_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Findings too: of those with one signature the one of the earliest round is kept."""
    design = "sound+slot-read-before-page-lock"
    forward = quick_fuzz(monkeypatch, design, 3, programs=12)

    def backward(work: Any, jobs: Any, processes: int, early: Any) -> Iterator[tuple[Any, Any]]:
        yield from reversed([(job, work(job)) for job in jobs])

    monkeypatch.setattr(fuzzing, "run_jobs", backward)
    assert outcome(quick_fuzz(monkeypatch, design, 3, programs=12)) == outcome(forward)
    assert any(times > 1 for times in forward.times.values())


@pytest.mark.parametrize(
    ("design", "verdict", "seed", "most"),
    [
        ("sound+putback-forgets-unbuddied", "lost-page", 4, 1),
        ("sound+slot-read-before-page-lock", "use-after-free", 6, 3),
    ],
)
def test_fuzz_finds_a_defect(
    monkeypatch: pytest.MonkeyPatch, design: str, verdict: str, seed: int, most: int
) -> None:
    result = quick_fuzz(monkeypatch, design, seed, programs=24, most=most)
    assert verdict in {str(finding.verdict) for finding in result.findings.values()}
    for signature, finding in result.findings.items():
        assert finding.signature == signature
        assert finding.design == design
        assert finding.scenario.name.startswith(f"fuzz-{seed}-")
        assert replay(finding).result is Result.IDENTICAL
        assert result.times[signature] >= 1


@pytest.mark.parametrize("processes", [1, 2])
def test_what_is_found_is_told_before_its_round_is_over(processes: int) -> None:
    order: list[str] = []
    fuzz(
        FuzzSettings("sound+migrate-copies-live-header", 1),
        seconds=None,
        programs=24,
        processes=processes,
        tell=lambda result, done: order.append("round"),
        tell_found=lambda finding: order.append(finding.signature),
    )
    *found, last = order
    assert last == "round"
    assert len(found) == len({*found}) > 1


def test_a_set_up_that_fails_is_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set-ups are run by the correct protocol: it is what is wrong then."""
    broken = Scenario(
        name="broken",
        setup=[op.lock("x"), op.lock("x")],
        actors={"one": [op.load("x", "r")], "two": [op.load("x", "r")]},
    )
    monkeypatch.setattr(fuzzing, "generate", lambda seed, number: broken)
    result = quick_fuzz(monkeypatch, "sound", 2, programs=2)
    assert [line.split(":")[0] for line in result.setups] == ["broken", "broken"]


def test_fuzz_finds_nothing_in_the_correct_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    result = quick_fuzz(
        monkeypatch, "sound", 2, tell=lambda result, done: told.append(done.programs)
    )
    assert result.findings == {}
    assert result.programs == sum(told) == 8
    assert result.executions > 8
    assert result.coverage > 0
    assert result.limited == 0


def test_fuzz_builds_on_what_was_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """Later rounds mutate the programs of earlier ones."""
    monkeypatch.setattr(fuzzing, "LAG", 1)
    mutated = []

    def mutant(parent: Scenario, other: Scenario, seed: int, number: int) -> Scenario:
        mutated.append((parent.name, other.name, number))
        return mutate(parent, other, seed, number)

    monkeypatch.setattr(fuzzing, "mutate", mutant)
    quick_fuzz(monkeypatch, "sound", 6, programs=12)
    assert mutated != []
    for parent, other, number in mutated:
        assert int(parent.rpartition("-")[2]) < number // 4 * 4
        assert int(other.rpartition("-")[2]) < number // 4 * 4


def test_known_failures_are_not_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzing, "PROGRAMS", 4)
    first = fuzz(FuzzSettings("as-posted", 1), seconds=None, programs=4, processes=1)
    assert first.findings
    known = FuzzSettings("as-posted", 1, known=tuple(first.findings))
    again = fuzz(known, seconds=None, programs=4, processes=1)
    assert again.findings == {}
    assert again.executions == first.executions


def test_interrupted_fuzz_keeps_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(result: Fuzz, done: Round) -> None:
        raise KeyboardInterrupt

    result = quick_fuzz(monkeypatch, "as-posted", 1, tell=stop)
    assert result.interrupted
    assert result.programs == 4
    assert result.findings


def test_shrink_all_keeps_the_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    result = quick_fuzz(monkeypatch, "as-posted", 1, programs=4)
    before = dict(result.findings)
    shrink_all(result, seconds=2.0)
    assert list(result.findings) == list(before)
    for signature, finding in result.findings.items():
        assert finding.signature == signature
        assert len(finding.scenario.actors) <= len(before[signature].scenario.actors)
        assert replay(finding).result is Result.IDENTICAL


# what is made up


def duties_are_kept(scenario: Scenario) -> None:
    """Who maps unmaps, who isolates puts back, and what is used is allocated somewhere."""
    programs = {"setup": scenario.setup, **scenario.actors}
    allocated = {one.args[0] for ops in programs.values() for one in ops if one.name == "alloc"}
    for ops in programs.values():
        mapped: set[str] = set()
        isolated: set[object] = set()
        for one in ops:
            match one.name:
                case "map":
                    mapped.add(str(one.args[0]))
                case "unmap":
                    mapped.discard(str(one.args[0]))
                case "isolate":
                    isolated.add(one.args[0])
                case "putback":
                    isolated.discard(one.args[0])
        assert mapped == set()
        assert isolated == set()
        used = {one.args[0] for one in ops if one.name in ("map", "free", "fill", "check")}
        assert used <= allocated


def test_generated_scenarios_are_valid() -> None:
    seen = set()
    for number in range(300):
        scenario = generate(11, number)
        assert scenario == generate(11, number)
        assert scenario.name == f"fuzz-11-{number}"
        assert 1 <= len(scenario.actors) <= 5
        assert all(len(ops) <= MOST_OPS + 12 for ops in scenario.actors.values())
        assert Scenario.from_json(json.loads(json.dumps(scenario.to_json()))) == scenario
        duties_are_kept(scenario)
        seen.add(scenario.content_hash())
    assert len(seen) > 290


def test_generated_scenarios_do_every_kind_of_thing() -> None:
    names = {
        one.name
        for number in range(300)
        for ops in generate(1, number).actors.values()
        for one in ops
    }
    assert names >= {
        *("alloc", "free", "fill", "map", "check", "unmap", "reclaim", "kworker"),
        *("compact_work", "release_work", "isolate", "migrate", "putback", "migrate_pages"),
        *("compact_memory", "offline"),
    }
    assert any(generate(1, number).faults for number in range(50))
    assert any(generate(1, number).cpus for number in range(50))


def test_generated_scenarios_run() -> None:
    """Their set-up is sound, and an execution without any intervention is."""
    for number in range(40):
        with World(generate(12, number), resolve("sound")) as world:
            assert world.failed is None
            assert world.verdict(world.simulator.replay([], False, 1)) is None


def test_generated_scenarios_differ_by_seed() -> None:
    assert generate(1, 0).content_hash() != generate(2, 0).content_hash()


def test_mutants_are_valid() -> None:
    changed = 0
    parent, other = generate(13, 0), generate(13, 1)
    for number in range(300):
        mutant = mutate(parent, other, 13, number)
        assert mutant == mutate(parent, other, 13, number)
        assert mutant.name == f"fuzz-13-{number}"
        assert Scenario.from_json(json.loads(json.dumps(mutant.to_json()))) == mutant
        duties_are_kept(mutant)
        changed += mutant.content_hash() != parent.content_hash()
        parent, other = (mutant, parent) if number % 10 else (generate(13, number), parent)
    assert changed > 200


def test_mutants_of_what_cannot_be_changed() -> None:
    """The last resort is the parent itself."""
    parent = Scenario(name="tiny", actors={"task1": [op.free("a")]}, setup=[op.alloc("a", 64)])
    names = {mutate(parent, parent, 0, number).name for number in range(50)}
    assert names == {f"fuzz-0-{number}" for number in range(50)}
