"""What the sim world sees: each detector fires where it must, and is silent where it must be.

Every execution follows from its seed, and budgets are counted in executions: what is found here
is found always."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from looking import DIES, PASSED, SOUND, first, look, outcomes, told, under

from z3fold_stress import _sim
from z3fold_stress.designs import Design, resolve
from z3fold_stress.explore import sites
from z3fold_stress.explore.explorer import Status
from z3fold_stress.explore.world import World
from z3fold_stress.layout import Layout
from z3fold_stress.scenario import Op, Scenario, load, op
from z3fold_stress.settings import FAULTS
from z3fold_stress.verdicts import Verdict

ROOT = Path(__file__).parents[1]


def built_in(name: str) -> tuple[Scenario, Design]:
    (scenario,) = load([name])
    return scenario, resolve("sound", scenario.shows)


# Where one may not sleep, and whose lock it is.

PAGE = {"setup": [op.alloc("a", 100)]}
HEADER = (op.lock_header(op.page_of("a")), op.unlock_header(op.page_of("a")))
PG = (op.lock_page(op.page_of("a")), op.unlock_page(op.page_of("a")))
SLEEPS = {
    "under a spinlock": under("L", op.might_sleep()),
    "preemption is off": [op.preempt_disable(), op.might_sleep(), op.preempt_enable()],
    "under a reader's lock": [op.read_lock("L"), op.might_sleep(), op.read_unlock("L")],
    "under a page lock": [HEADER[0], op.might_sleep(), HEADER[1]],
}
MISUSES = {
    "never taken": [op.unlock("L")],
    "twice": [*under("L"), op.unlock("L")],
    "no reader": [op.read_unlock("L")],
    "no writer": [op.write_unlock("L")],
    "kept a PG lock": [PG[0]],
    "kept a page lock": [HEADER[0]],
    "kept preemption off": [op.preempt_disable()],
}
FINE = {
    "outside": [*under("L"), op.preempt_disable(), op.preempt_enable(), op.might_sleep()],
    "PG_locked sleeps": [PG[0], op.might_sleep(), PG[1]],
    "crossed": [op.lock("L"), op.lock("M"), op.unlock("L"), op.unlock("M")],
}


@pytest.mark.parametrize("ops", SLEEPS.values(), ids=SLEEPS)
def test_sleeping_where_one_may_not(ops: list[Op]) -> None:
    assert look({"user": ops}, **PAGE).verdicts == {Verdict.SLEEP_IN_ATOMIC}


@pytest.mark.parametrize("ops", MISUSES.values(), ids=MISUSES)
def test_locks_are_used_as_they_must_not_be(ops: list[Op]) -> None:
    assert look({"user": ops}, **PAGE).verdicts == {Verdict.LOCK_MISUSE}


@pytest.mark.parametrize("ops", FINE.values(), ids=FINE)
def test_locks_are_used_as_they_may_be(ops: list[Op]) -> None:
    assert look({"user": ops}, **PAGE).status in PASSED


def test_an_unlock_by_another_task() -> None:
    holder = [
        op.lock("L"),
        op.store("taken", 1, "release"),
        op.wait_until("done", 1),
        op.unlock("L"),
    ]
    tally = look({"holder": holder, "thief": [op.wait_until("taken", 1), op.unlock("L")]})
    misuse = told(tally, Verdict.LOCK_MISUSE)
    assert (misuse["task"], "owner: task 1" in misuse["text"]) == (1, True)


# The allocator.


@pytest.mark.parametrize(
    ("name", "verdict", "words", "line"),
    [
        ("headless-slots-leak", Verdict.LEAK, "audit", ""),
        ("putback-forgets-unbuddied", Verdict.LOST_PAGE, "audit", ""),
        ("migrate-double-page-lock", Verdict.EAGAIN_CONTRACT, "probe_migration", "verdict("),
        ("slot-read-before-page-lock", Verdict.USE_AFTER_FREE, "access", "zhdr.page_lock"),
        ("migrate-copies-live-header", Verdict.USE_AFTER_FREE, "access", "zhdr.buddy"),
        ("pool-lookup-through-freed-slots", Verdict.USE_AFTER_FREE, "zhdr_to_pool", "verdict("),
        ("isolate-unlinks-outside-pool-lock", Verdict.DATA_RACE, "race", "buddy"),
        ("reclaim-free-lost-length", Verdict.CORRUPTION, "z3fold_map", "bug("),
        ("first-fit-ignores-header-chunks", Verdict.CORRUPTION, "check", "byte, value"),
        ("middle-mapped-one-bit", Verdict.CORRUPTION, "outside the object", "reads_range"),
        (
            "reclaim-ref-before-page-lock",
            Verdict.LIST_CORRUPTION,
            "release_z3fold_page",
            "verdict(",
        ),
        ("reclaim-readds-released-page", Verdict.REFCOUNT, "kref_get", ""),
        ("reclaim-stale-header-on-retry", Verdict.STALE_HANDLE, "z3fold_map", ""),
        ("reclaim-claim-leak", Verdict.INVARIANT, "audit", ""),
        ("atomic-alloc-sleeps", Verdict.SLEEP_IN_ATOMIC, "kmem_cache_alloc", "might_sleep"),
        ("movable-trylock-inverted", Verdict.LOCK_MISUSE, "op_leave", ""),
        ("offline-endless-loop", Verdict.LIVELOCK, "livelock", ""),
        ("destroy-wait-inverted", Verdict.DEADLOCK, "deadlock", ""),
    ],
)
def test_a_defect_is_seen(name: str, verdict: Verdict, words: str, line: str) -> None:
    """And the line that the report names is one of the subject, and touches what it says."""
    scenario, design = built_in(name)
    with World(scenario, design) as world:
        seen = first(world, verdict, words)["verdict"]
    if line and sites.known_lines():
        site = sites.subject_site(sites.resolve([seen["pc"]])[seen["pc"]])
        source = (ROOT / "pyx" / site.file).read_text().splitlines()
        assert line in source[site.line - 1], site
    assert look(scenario, executions=1500).status in PASSED


THREE = [op.alloc("first", 1280), op.alloc("last", 640), op.alloc("middle", 640, fill=True)]
ONE_BIT = resolve("sound", ["middle-mapped-one-bit"])


@pytest.mark.parametrize("design", [SOUND, ONE_BIT], ids=lambda design: design.name)
def test_a_write_that_is_lost_is_not_linearizable(design: Design) -> None:
    """Between map and write the object is moved, so the new version goes where nobody reads."""
    actors = {
        "other": [op.map("middle"), op.unmap("middle")],
        "writer": [op.write("middle"), op.read("middle")],
        "owner": [op.free("first")],
    }
    tally = look(actors, design, races=False, strategy="pct", setup=THREE, arena={"frames": 3})
    assert tally.verdicts == ({Verdict.CORRUPTION} if design is ONE_BIT else set())
    if design is ONE_BIT:
        assert told(tally, Verdict.CORRUPTION)["where"] == "linearizability"


def versions(bracket: Any) -> dict[str, list[Op]]:
    reads = [op.read("a"), op.read("a")]
    programs = {"one": [op.write("a")], "two": [op.write("a")], "reader": reads}
    return {name: bracket(*ops) for name, ops in programs.items()}


def whoever_gets_it(*ops: Op) -> list[Op]:
    """A lock made of a word; who does not get it goes without."""
    return [op.cas("L", 0, 1, "got"), op.when("got", [*ops, op.store("L", 0, "release")])]


def test_writers_and_readers_of_versions() -> None:
    fields: dict[str, Any] = {"setup": [op.alloc("a", 160, fill=True)], "arena": {"frames": 2}}
    for every_access in (False, True):
        tally = look(versions(whoever_gets_it), every_access=every_access, **fields)
        assert tally.status in PASSED, tally.found
    free = versions(lambda *ops: [*ops])
    assert look(free, **fields).verdicts == {Verdict.DATA_RACE}
    torn = look(free, races=False, every_access=True, **fields)
    assert "holds no version that was written" in told(torn, Verdict.CORRUPTION)["text"]


@pytest.mark.parametrize("reads", [60, 70, 200])
def test_a_history_may_be_long(reads: int) -> None:
    actors = {"reader": [op.read("a")] * reads}
    fields: dict[str, Any] = {"setup": [op.alloc("a", 160, fill=True)], "arena": {"frames": 2}}
    assert look(actors, strategy="dfs", **fields).status is Status.COMPLETE


def test_an_expectation() -> None:
    three = [op.set("r", 3)]
    broken = told(look({"a": [*three, op.expect("r", "<", 3, "few")]}), Verdict.INVARIANT)
    assert (broken["where"], "the value is 3" in broken["text"]) == ("expect", True)
    assert look({"a": [*three, op.expect("r", "<=", 3, "few")]}).status in PASSED


def test_an_audit_at_a_quiet_point() -> None:
    """It ends the execution there: what comes after is not reached."""
    ops = [op.alloc("a", 4096), op.free("a"), op.audit(), op.fetch_add("after", 1)]
    with World(Scenario(actors={"a": ops}), resolve("sound", ["headless-slots-leak"])) as world:
        outcome = next(outcomes(world, "random", 1))
        assert world.verdict(outcome) is Verdict.LEAK
        assert not any(world.simulator.scratch())
    assert look({"a": ops}).status in PASSED


def test_a_wild_address_is_a_verdict_and_not_the_end() -> None:
    scenario = Scenario(actors={"a": [op.alloc("a", 640)], "b": under("L")}, arena={"frames": 2})
    with World(scenario, SOUND) as world:
        memory = world.simulator.memory
        at = Layout(memory).arena("pools") + _sim.fields()["pool"][1]["percpu"][0]
        right = bytes(memory[at : at + 8])
        memory[at : at + 8] = struct.pack("=Q", 1 << 33)
        for outcome in outcomes(world, "random", 50):
            assert world.verdict(outcome) is Verdict.CRASH
            assert "wild address" in outcome["verdict"]["text"]
        memory[at : at + 8] = right
        assert all(outcome["ending"] == "done" for outcome in outcomes(world, "random", 200))


@pytest.mark.parametrize("kind", ["page", "slots", "target", "evict"])
@pytest.mark.parametrize("budget", [0, 1, 2])
def test_failures_are_injected_within_their_budget(kind: str, budget: int) -> None:
    actors = {
        "engine": [op.migrate_pages(op.page_of("a"))] * 4,
        "kswapd": [op.reclaim(2), op.reclaim(2)],
        "user": [op.alloc(name, 3000) for name in "bcd"],
    }
    scenario = Scenario(actors=actors, setup=[op.alloc("a", 640, fill=True)], faults={kind: budget})
    seen = set()
    with World(scenario, SOUND) as world:
        for outcome in outcomes(world, "pos", 2000):
            assert outcome["ending"] == "done", outcome
            failed = [choice[2] - 1 for choice in outcome["schedule"] if 0 < choice[2] < DIES]
            assert set(failed) <= {FAULTS.index(kind)}
            seen.add(len(failed))
    assert seen == set(range(budget + 1))
