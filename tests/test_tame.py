"""From a wild failure to a tame one: what is read of an arena, what is made of it, what comes."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from z3fold_stress import Arena, Pool, Verdict, VerdictError, _live
from z3fold_stress.campaign.crew import CrewError
from z3fold_stress.cli.soak import soak as soak_command
from z3fold_stress.cli.tame import tame_command
from z3fold_stress.designs import resolve
from z3fold_stress.dump import DumpError, save
from z3fold_stress.errors import SettingsError
from z3fold_stress.explore.explorer import Budget, explore_world
from z3fold_stress.explore.portfolio import PORTFOLIO
from z3fold_stress.explore.world import World
from z3fold_stress.findings import Finding, load_finding, replay
from z3fold_stress.findings.finding import make_finding
from z3fold_stress.findings.replay import Result
from z3fold_stress.inspection import Inspection
from z3fold_stress.scenario import load
from z3fold_stress.tame import Likeness, Wild, attempt, read_wild, tame, taming
from z3fold_stress.tame.attempt import Attempt, Batch
from z3fold_stress.tame.candidates import candidates
from z3fold_stress.tame.likeness import likeness
from z3fold_stress.tame.recorded import recorded
from z3fold_stress.tame.text import as_text
from z3fold_stress.tame.wild import Deed, Placed

LONG = 600.0
"""Seconds: tests are bounded by work, never by time."""
SIZES = (1200, 900, 500)


def freed_twice(pool: Pool) -> int:
    """A page of three objects, one of which is freed a second time; the page's number."""
    handles = [pool.alloc(size) for size in SIZES]
    page = pool.page_of(handles[0])
    assert all(pool.page_of(handle) == page for handle in handles)
    word = handles[2].offset
    pool.free(handles[2])
    with pytest.raises(VerdictError):
        pool.arena.call(_live.Call.CALL_FREE, pool.offset, word)
    return int(page)


@pytest.fixture
def failed() -> Iterator[tuple[Arena, int]]:
    with Arena("sound", frames=16, ring=64, seed=5) as arena:
        pool = Pool(arena)
        yield arena, freed_twice(pool)


def wild_of(verdict: Verdict = Verdict.LOST_PAGE, **changes: Any) -> Wild:
    wild = Wild(
        verdict=verdict,
        text="12 chunks are free, but the page is on no list",
        where="audit rule 17",
        design="sound",
        page=3,
        placed=(Placed("first", 0x1000, 1200),),
        deeds=(
            Deed(2, "worker", "free", 0x1008, 900, page=3),
            Deed(3, "migrator", "isolate", page=3),
        ),
    )
    return replace(wild, **changes)


# what is read


def test_the_failing_page_and_what_was_done_to_it(failed: tuple[Arena, int]) -> None:
    arena, page = failed
    wild = read_wild(arena)
    assert wild is not None
    assert (wild.verdict, wild.where) == (Verdict.STALE_HANDLE, "z3fold_free")
    assert (wild.design, wild.seed, wild.page) == ("sound", 5, page)
    assert [placed.buddy for placed in wild.placed] == ["first", "last"]
    assert [deed.op for deed in wild.deeds] == ["alloc"] * 3 + ["free"] * 2
    assert [deed.size for deed in wild.deeds] == [*SIZES, SIZES[2], SIZES[2]]


def test_an_arena_without_a_failure_has_nothing_to_tame() -> None:
    with Arena("sound", frames=16, ring=16) as arena:
        Pool(arena).alloc(100)
        assert read_wild(arena) is None


def test_failures_that_the_run_injected_are_known() -> None:
    with Arena("sound", frames=16, ring=16, faults={"target": 0.5, "evict": 0.1}) as arena:
        arena.engine.declare(1, "watch", "said by a test", 0, 0, False)
        wild = read_wild(arena)
    assert wild is not None
    assert wild.faults == ("target", "evict")
    assert wild.page is None


def test_a_damaged_arena_can_be_read(failed: tuple[Arena, int]) -> None:
    arena, _ = failed
    layout = arena.layout
    choose = random.Random(7)
    first, last = layout.arena("memmap"), layout.frame_offset(layout.arena("nr_frames") - 1)
    for _ in range(200):
        arena.memory[choose.randrange(first, last)] = choose.randrange(256)
        wild = read_wild(arena)
        assert wild is not None
        assert next(candidates(wild))


# what is made of it


def test_a_candidate_has_the_layout_of_the_failing_page(failed: tuple[Arena, int]) -> None:
    arena, page = failed
    wild = read_wild(arena)
    assert wild is not None
    seen = Inspection(arena).page(page)["page"]["chunks"]
    shortest = next(recorded(replace(wild, deeds=wild.deeds[-1:])))
    with Arena("sound", frames=8) as fresh:
        pool = Pool(fresh)
        handles = [pool.alloc(size) for _, size in shortest.objects]
        pool.free(handles[-1])
        again = pool.page_of(handles[0])
        assert Inspection(fresh).page(int(again))["page"]["chunks"] == seen
    names = [str(each.args[0]) for each in shortest.scenario.setup]
    assert len(names) == 3
    assert [str(each) for each in shortest.scenario.actors["caller1"]] == [f"free {names[-1]}"]


def test_each_task_is_an_actor_with_its_own_operations() -> None:
    (scenario, *_) = [one.scenario for one in recorded(wild_of())]
    assert set(scenario.actors) == {"worker2", "migrator3", "compactor", "releaser"}
    assert scenario.actors["worker2"][0].name == "free"
    assert scenario.actors["migrator3"][0].name == "migrate_pages"
    assert [each.args[1] for each in scenario.setup] == [1200, 900]


def test_failures_and_deaths_of_the_run_are_choices_of_the_scenario() -> None:
    wild = wild_of(Verdict.ORPHANED_LOCK, faults=("target",), deaths=True)
    made = [one.scenario for one in recorded(wild)]
    assert {tuple(scenario.faults) for scenario in made} == {(), ("target",)}
    assert all(scenario.deaths["budget"] for scenario in made)


def test_neighbours_are_older_or_younger() -> None:
    wild = wild_of(neighbours=((Placed("headless", 0x9001, 4090),),))
    sizes = {tuple(each.args[1] for each in one.scenario.setup) for one in recorded(wild)}
    assert sizes == {(1200, 900), (1200, 900, 4090), (4090, 1200, 900)}


def test_candidates_follow_from_the_failure_and_the_seed() -> None:
    def some(seed: int) -> list[tuple[str, str]]:
        made = islice(candidates(wild_of(), seed), 150)
        return [(each.origin, each.scenario.content_hash()) for each in made]

    assert some(1) == some(1)
    first, other = some(1), some(2)
    assert [one for one in first if one[0] != "mutant"] == [o for o in other if o[0] != "mutant"]
    assert first != other
    assert {origin for origin, _ in first} == {"recorded", "relaxed", "mutant"}


def test_what_was_seen_last_is_tried_first() -> None:
    def first_of(*ops: str) -> str:
        wild = wild_of(deeds=tuple(Deed(2, "worker", name, page=3) for name in ops), placed=())
        relaxed = (each for each in candidates(wild) if each.origin == "relaxed")
        return next(iter(next(relaxed).scenario.actors))

    assert first_of("migrate", "alloc", "free") == "free1"
    assert first_of("free", "alloc", "migrate") == "migrate1"


# how much alike

LIST = "list-corruption"


@pytest.mark.parametrize(
    ("wild", "found", "alike"),
    [
        (("lost-page", "audit rule 17", "12 chunks"), ("lost-page", "audit", "9 chunks"), 3),
        (("leak", "audit rule 9", "2 slots"), ("leak", "audit", "a page of 2"), 2),
        (("leak", "audit rule 9", "2 slots"), ("lost-page", "audit", "2 slots"), 1),
        (("refcount", "z3fold_unmap", "a"), ("refcount", "z3fold_unmap", "b"), 3),
        (("refcount", "z3fold_unmap", "a"), ("refcount", "kref_put", "a"), 2),
        (("use-after-free", "z3fold_free", "a"), ("use-after-free", "access", "b"), 3),
        (("use-after-free", "z3fold_map", "a"), ("use-after-free", "access", "b"), 2),
        (("corruption", "map held", "a"), ("corruption", "check", "b"), 3),
        (("corruption", "map", "a"), ("corruption", "access", "b"), 3),
        (("corruption", "spin_lock", "a"), ("corruption", "access", "b"), 2),
        ((LIST, "list_del", "0x10 is torn"), (LIST, "list_add", "0x2 is torn"), 3),
        ((LIST, "list_del", "0x1 torn"), (LIST, "list_del", "0x1 twice"), 2),
        (("deadlock", "watch", "a waits"), ("deadlock", "deadlock", "b waits"), 3),
        (("orphaned-lock", "alloc", "a"), ("orphaned-lock", "wait", "b"), 3),
        (("stall", "watch", "a"), ("deadlock", "deadlock", "b"), 2),
        (("stall", "watch", "a"), ("leak", "audit", "b"), 1),
    ],
)  # fmt: skip
def test_likeness(wild: tuple[str, str, str], found: tuple[str, str, str], alike: int) -> None:
    one = wild_of(Verdict(wild[0]), where=wild[1], text=wild[2])
    functions = ("z3fold_free", "spin_lock_slow")
    assert likeness(one, Verdict(found[0]), found[1], found[2], functions) == alike


# the whole

SOAK = [
    *("--workers", "2", "--objects", "400", "--frames", "300", "--quiet-interval", "0.1"),
    *("--seconds", "60", "--seed", "3"),
]


@pytest.mark.parametrize(
    ("defect", "verdict"),
    [("reclaim-fail-forgets-unbuddied", "lost-page"), ("headless-slots-leak", "leak")],
)
def test_a_failed_soak_ends_as_a_scenario(
    defect: str, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Soak, failure, taming; the finding replays, and the scenario can be explored."""
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(
        soak_command, [*SOAK, "--defect", defect, "--tame", str(LONG), "--json"]
    )
    told = json.loads(answer.stdout)
    assert answer.exit_code == 1, answer.output
    assert told["verdict"] == verdict
    assert told["taming"]["tamed"] is True, told["taming"]
    assert told["taming"]["executions"] > 0
    path, scenario_path = told["taming"]["saved"]
    finding = load_finding(path)
    assert finding.verdict == verdict
    assert replay(finding).result is Result.IDENTICAL
    (scenario,) = load([scenario_path])
    assert scenario.design == f"sound+{defect}"
    assert f"sound+{defect}, seed 3" in scenario.story
    assert verdict in scenario.story
    assert scenario.shows == (defect,)
    left = {each.name for each in tmp_path.iterdir()}
    assert left == {Path(path).name, Path(scenario_path).name, "z3fold-stress-3.dump"}

    if verdict == "leak":
        return  # once more, from the dump: one of them shows it
    again = CliRunner().invoke(
        tame_command,
        ["z3fold-stress-3.dump", "--seconds", str(LONG), "--no-save", "--json"],
        standalone_mode=False,
    )
    assert again.return_value == 1
    same = json.loads(again.stdout)
    assert same["origin"] == told["taming"]["origin"]
    assert same["finding"]["signature"] == told["taming"]["finding"]["signature"]
    assert same["saved"] == []
    assert {each.name for each in tmp_path.iterdir()} == left


def test_a_soak_may_leave_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = [*SOAK, "--defect", "headless-slots-leak", "--tame", "0", "--no-dump"]
    answer = CliRunner().invoke(soak_command, words)
    assert answer.exit_code == 1
    assert "amed" not in answer.output
    assert "FOUND: leak" in answer.output
    assert list(tmp_path.iterdir()) == []


def in_process(work: Callable[[Any], Any], jobs: Any, processes: int) -> Iterator[tuple[Any, Any]]:
    for job in jobs:
        yield job, work(job)


def test_what_cannot_be_tamed_is_told_as_such() -> None:
    nothing = tame(wild_of(), seconds=LONG, most=0)
    assert not nothing.tamed
    assert (nothing.candidates, nothing.executions, nothing.finding) == (0, 0, None)
    assert as_text(nothing) == "Not tamed, in 0 s: tried 0 candidates, 0 executions.\n"

    clean = tame(wild_of(), seconds=LONG, most=3)
    assert not clean.tamed
    assert clean.candidates == 3
    assert clean.executions > 100
    assert "tried 3 candidates" in as_text(clean)


def test_a_stall_is_a_matter_of_time() -> None:
    stall = tame(wild_of(Verdict.STALL, where="watch"), seconds=LONG, most=1)
    assert not stall.tamed
    assert "the sim world has no clock" in as_text(stall)


def test_another_failure_of_the_design_is_not_claimed() -> None:
    wild = wild_of(
        Verdict.CORRUPTION, design="sound+reclaim-fail-forgets-unbuddied", faults=("evict",)
    )
    wild = replace(wild, deeds=(Deed(2, "reclaimer", "reclaim", page=3),))
    other = tame(wild, seconds=LONG, most=8, shrink_seconds=2.0)
    assert other.likeness is Likeness.OTHER
    assert not other.tamed
    assert other.finding is not None
    assert other.finding.scenario.name == "other-0"
    text = as_text(other)
    assert text.startswith("Not tamed")
    assert "the design also fails otherwise, lost-page" in text
    assert "replay with: z3fold-stress replay zs1:" in text


def test_a_worker_that_dies_costs_its_batch_only(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def crew(work: Callable[[Any], Any], jobs: Any, processes: int) -> Iterator[tuple[Any, Any]]:
        calls.append(processes)
        if len(calls) == 2:
            next(jobs)
            raise CrewError("it died")
        for number, job in enumerate(jobs):
            yield job, work(job)
            if len(calls) == 1 and number == 1:
                raise CrewError("it died")

    monkeypatch.setattr(taming, "run_jobs", crew)
    monkeypatch.setattr(taming, "attempt", lambda b: Attempt(b.number, len(b.candidates), 10))
    result = tame(wild_of(), seconds=LONG, most=40)
    assert result.lost == 2
    assert result.candidates == 2 + 4 + 16 + 10  # of 2, 4, 8 (lost), 16, 10
    assert "2 batches lost to crashes" in as_text(result)


def test_the_earliest_candidate_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is ready first."""
    defect = "sound+reclaim-fail-forgets-unbuddied"
    text = "1 chunks are free, but the page is on no list: its room is lost"
    deeds = (Deed(2, "reclaimer", "reclaim", page=3),)
    wild = wild_of(design=defect, faults=("evict",), text=text, deeds=deeds)

    def backwards(work: Callable[[Any], Any], jobs: Any, processes: int) -> Iterator[Any]:
        if work is not attempt.attempt:
            yield from in_process(work, jobs, processes)
            return
        out = list(islice(jobs, 4))
        for job in reversed(out):
            yield job, work(job)

    monkeypatch.setattr(taming, "run_jobs", in_process)
    forwards = tame(wild, seconds=LONG, shrink_seconds=LONG)
    assert forwards.tamed
    monkeypatch.setattr(taming, "run_jobs", backwards)
    again = tame(wild, seconds=LONG, shrink_seconds=LONG)
    assert again.finding is not None
    assert forwards.finding is not None
    assert again.finding.scenario.content_hash() == forwards.finding.scenario.content_hash()


def test_ctrl_c_ends_it_with_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def crew(work: Callable[[Any], Any], jobs: Any, processes: int) -> Iterator[tuple[Any, Any]]:
        yield (batch := next(jobs)), Attempt(batch.number, 2, 77)
        raise KeyboardInterrupt

    monkeypatch.setattr(taming, "run_jobs", crew)
    result = tame(wild_of(), seconds=LONG)
    assert result.interrupted
    assert result.executions == 77
    assert "Not tamed, interrupted after" in as_text(result)


def test_a_batch_ends_at_its_time() -> None:
    chosen = tuple(islice(candidates(wild_of()), 5))
    assert attempt.attempt(Batch(0, wild_of(), chosen, 0, -1.0)).candidates == 0


# the checks of the real run


def places(world: World) -> set[str]:
    """Where verdicts were given, of some executions."""
    tally = explore_world(world, PORTFOLIO, budget=Budget(executions=600), seed=1, most=9)
    assert tally.found
    return {found.outcome["verdict"]["where"] for found in tally.found}


def test_without_eyes_on_memory_only_the_subjects_own_checks_speak() -> None:
    (scenario,) = load(["migrate-without-work-cancel"])
    design = resolve("sound", ["migrate-without-work-cancel"])
    with World(scenario, design, races=False) as world:
        assert "access" in places(world)
    with World(scenario, design, races=False, lifetimes=False) as world:
        assert "access" not in places(world)
        (found, *_) = explore_world(world, PORTFOLIO, budget=Budget(executions=600), seed=1).found
        finding, _ = make_finding(world, found)
    again = Finding.from_json(json.loads(finding.dumps()))
    assert again == finding
    assert again.lifetimes is False
    assert replay(again).result is Result.IDENTICAL
    assert Finding.from_json({**finding.to_json(), "lifetimes": True}).lifetimes


def test_candidates_show_nothing_of_the_correct_protocol() -> None:
    """What they show is the design's doing."""
    wild = wild_of(faults=("target", "evict", "trylock"))
    for candidate in islice(candidates(wild), 24):
        with World(candidate.scenario, resolve("sound"), races=False, lifetimes=False) as world:
            tally = explore_world(world, PORTFOLIO, budget=Budget(executions=128), seed=1)
        assert not tally.found, (candidate.scenario, tally.found[0].outcome)


# bad input


def test_no_time_is_refused() -> None:
    with pytest.raises(SettingsError, match="tame nothing"):
        tame(wild_of(), seconds=0)


def test_junk_is_no_dump(tmp_path: Path) -> None:
    junk = tmp_path / "junk.dump"
    junk.write_bytes(os.urandom(4000))
    answer = CliRunner().invoke(tame_command, [str(junk)])
    assert isinstance(answer.exception, DumpError)
    assert [each.name for each in tmp_path.iterdir()] == ["junk.dump"]


def test_a_dump_without_a_failure_is_refused(tmp_path: Path) -> None:
    with Arena("sound", frames=16, ring=16) as arena:
        save(arena, tmp_path / "good.dump", {})
    answer = CliRunner().invoke(tame_command, [str(tmp_path / "good.dump")])
    assert isinstance(answer.exception, SettingsError)
    assert "nothing to tame" in str(answer.exception)


def test_a_dump_that_is_not_tamed_is_inconclusive(
    failed: tuple[Arena, int], tmp_path: Path
) -> None:
    path = tmp_path / "failed.dump"
    save(failed[0], path, {})
    words = [str(path), "--candidates", "2", "--out", str(tmp_path / "out")]
    answer = CliRunner().invoke(tame_command, words, standalone_mode=False)
    assert answer.return_value == 4, answer.output
    assert answer.output.startswith("stale-handle in z3fold_free: ")
    assert "Not tamed" in answer.output
    assert not (tmp_path / "out").exists()
