"""Signatures: a table of pairs of failures that a maintainer calls the same bug, and of pairs that
she does not.  Each failure is a real execution, or what a soak told."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from z3fold_stress import Arena
from z3fold_stress.campaign.hunt import HuntSettings
from z3fold_stress.campaign.museum import bent
from z3fold_stress.designs import resolve
from z3fold_stress.explore.explorer import Budget, explore_world
from z3fold_stress.explore.names import Names
from z3fold_stress.explore.portfolio import PORTFOLIO, Arm
from z3fold_stress.explore.world import World
from z3fold_stress.findings import Finding, gather, replay, shrink
from z3fold_stress.findings.finding import make_finding, world_of
from z3fold_stress.findings.identity import Identity, of_check, rotated, words
from z3fold_stress.findings.replay import Result
from z3fold_stress.findings.soak_identity import soak_identity
from z3fold_stress.judgement import Judgement
from z3fold_stress.live.explore import explore_live
from z3fold_stress.scenario import Op, Scenario, load, op
from z3fold_stress.scenario.value import Page
from z3fold_stress.soak.accesses import AccessChecks, AccessFault, AccessSide
from z3fold_stress.verdicts import Verdict

START = 255
RANDOM, POS = (Arm("random"),), (Arm("pos"),)


def found(
    scenario: Scenario,
    verdict: str,
    arms: tuple[Arm, ...] = PORTFOLIO,
    seed: int = 1,
    **how: Any,
) -> Finding:
    """The first failure of this kind."""
    wanted = frozenset({Verdict(verdict)})
    with World(scenario, bent(scenario), **how) as world:
        tally = explore_world(
            world, arms, budget=Budget(executions=20_000), seed=seed, most=99, wanted=wanted
        )
        return make_finding(world, next(f for f in tally.found if f.verdict in wanted))[0]


def told(scenario: Scenario, verdict: str, *how: Any, **more: Any) -> str:
    return found(scenario, verdict, *how, **more).signature


def scheduled(scenario: Scenario, *schedule: tuple[int, int, int, int]) -> str:
    """Of this very execution."""
    with World(scenario, resolve("sound")) as world:
        evidence = gather(world, schedule)
    assert evidence.verdict is not None
    return evidence.signature


def museum(name: str) -> Scenario:
    (scenario,) = [scenario for scenario in load([name]) if scenario.name == name]
    return scenario


@contextmanager
def arena_names() -> Iterator[Names]:
    with Arena(frames=8, tasks=2) as arena:
        yield Names.of_layout(arena.layout)


def soak(verdict: str, where: str, text: str, *, op: str = "", lock: int = 0) -> str:
    with arena_names() as names:
        judgement = Judgement(Verdict(verdict), text, where, 3, op, lock=lock)
        return soak_identity(judgement, names).signature


# programs of words


def adds(word: str = "n") -> list[Op]:
    return [op.load(word, "r"), op.add("r", 1), op.store(word, "r")]


def racy(word: str = "n", name: str = "racy") -> Scenario:
    return Scenario(name=name, actors={"a": adds(word), "b": adds(word)})


def crossed(first: str, second: str, *, name: str = "crossed", watcher: bool = False) -> Scenario:
    """AB and BA; perhaps with a third that wants one of them, and is no part of the cycle."""
    actors = {
        "one": [op.lock(first), op.lock(second), op.unlock(second), op.unlock(first)],
        "two": [op.lock(second), op.lock(first), op.unlock(first), op.unlock(second)],
    }
    if watcher:
        actors["third"] = [op.lock(first), op.unlock(first)]
    return Scenario(name=name, actors=actors)


def ring() -> Scenario:
    """Three tasks, three locks."""
    pairs = {"x": "AB", "y": "BC", "z": "CA"}
    return Scenario(
        name="ring",
        actors={
            name: [op.lock(a), op.lock(b), op.unlock(b), op.unlock(a)]
            for name, (a, b) in pairs.items()
        },
    )


def fails(*messages: str, word: str = "x", name: str = "fails", want: int = 1) -> Scenario:
    """One expectation for each message, in their order; the last of them fails."""
    ops: list[Op] = []
    for number, message in enumerate(messages, start=1):
        ops.append(op.fetch_add(word, 1, "r"))
        last = number == len(messages)
        ops.append(op.expect("r", "==" if last else "<", want, message))
    return Scenario(name=name, actors={"a": ops})


def added_twice(message: str, values: tuple[int, ...]) -> Scenario:
    """A value of a word that an expectation finds to be another, whichever."""
    return Scenario(
        name="added",
        actors={f"t{value}": [op.store("n", value, "relaxed")] for value in values},
        finish=[op.load("n", "n", "relaxed"), op.expect("n", "==", 0, message)],
    )


def spins(lock: str = "L", name: str = "spins") -> Scenario:
    tries = op.unless("taken", [op.trylock(lock, "taken")])
    return Scenario(
        name=name,
        actors={
            "owner": [op.lock(lock), op.wait_until("ready", 1), op.unlock(lock)],
            "polite": [
                op.set("taken", 0),
                op.repeat(30_000, [tries]),
                op.store("ready", 1, "release"),
            ],
        },
    )


def sleeps_with(lock: str) -> Scenario:
    return Scenario(name="sleeps", actors={"a": [op.lock(lock), op.might_sleep(), op.unlock(lock)]})


def strange_unlock(lock: str) -> Scenario:
    return Scenario(name="strange", actors={"a": [op.lock("M"), op.unlock(lock)]})


def forgets(lock: str) -> Scenario:
    return Scenario(name="forgets", actors={"a": [op.lock(lock)]})


def dies_with(lock: str) -> Scenario:
    body = [op.lock(lock), op.fetch_add("n", 1), op.unlock(lock)]
    return Scenario(
        name="dies", actors={"a": body, "b": body}, deaths={"actors": ["a"], "budget": 1}
    )


def lost_wakeup(word: str, sleepers: int = 1) -> Scenario:
    names = [f"s{number}" for number in range(sleepers)]
    return Scenario(name="asleep", actors={name: [op.wait_until(word, 1)] for name in names})


def page_locks() -> Scenario:
    """A cycle of two locks of the allocator."""
    one, two = op.page_of("a"), op.page_of("b")

    def both(first: Page, second: Page) -> list[Op]:
        return [
            *(op.lock_header(first), op.lock_header(second)),
            *(op.unlock_header(second), op.unlock_header(first)),
        ]

    return Scenario(
        setup=[op.alloc("a", 2600), op.alloc("b", 2600)],
        actors={"one": both(one, two), "two": both(two, one)},
    )


def place_of(names: Names, kind: str) -> int:
    """An offset of this kind in another arena."""
    starts = (names.layout.frame_offset(5), names.layout.page_offset(5))
    return next(
        at for start in starts for at in range(start, start + 256) if names.kind(at) == kind
    )


def watched_deadlock() -> str:
    """The same as a soak's watcher says it."""
    with arena_names() as names:
        first = place_of(names, "page lock of frame #")
        text = (
            f"worker-2 waits for the page lock 0x{first:x} held by migrator-0; migrator-0 waits "
            f"for the page lock 0x{first + 4096:x} held by worker-2"
        )
        judgement = Judgement(Verdict.DEADLOCK, text, "watch", 0, "", lock=first)
        return soak_identity(judgement, names).signature


def by_processes() -> str:
    settings = HuntSettings("sound", strategy="random", seed=3, executions=200, seconds=30.0)
    trail = explore_live(racy(), settings, None)
    return str(trail.findings[0]["signature"])


def race_of_the_subject() -> Finding:
    return found(museum("stale-flag-on-wrong-page"), "data-race")


def checked_race() -> str:
    """The same race, met by two processes of a checked soak."""
    finding = race_of_the_subject()
    with world_of(finding) as world:
        evidence = gather(world, finding.schedule)
        kind = Names(world).kind(world.simulator.outcome()["verdict"]["object"])
    with arena_names() as names:
        offset = place_of(names, kind)
        sides = [
            AccessSide(
                site=side.site.replace(":", ":1"),
                callers=[],
                kind=side.what.partition(" of ")[0],
                size=8,
                offset=offset,
                task=number,
                process=f"worker-{number}",
                holds=[],
            )
            for number, side in enumerate(evidence.sides)
        ]
        fault = AccessFault(4, "race", 1, sides[1], sides[0], None)
        checks = AccessChecks(1, 1, 0, 1, 0, [], [fault])
        judgement = Judgement(Verdict.DATA_RACE, "a store of ...", "access 4", 1, "map")
        return soak_identity(judgement, names, checks).signature


Failure = Callable[[], str]


def of(make: Callable[..., str], *args: Any, **more: Any) -> Failure:
    return functools.partial(make, *args, **more)


SAME: dict[str, tuple[Failure, Failure]] = {
    "a race, by another strategy": (
        of(told, racy(), "data-race", PORTFOLIO),
        of(told, racy(), "data-race", POS, 9),
    ),
    "a race, its sides the other way round": (
        of(scheduled, racy(), (0, 1, 0, 1)),
        of(scheduled, racy(), (0xFFFF, 0, START, 1), (1, 1, 0, 0)),
    ),
    "a race, by real processes that take turns": (
        of(told, racy(), "data-race"),
        of(by_processes),
    ),
    "a race of the subject, by another seed": (
        of(told, museum("destroy-vs-migrate-queue"), "data-race"),
        of(told, museum("destroy-vs-migrate-queue"), "data-race", PORTFOLIO[2:7], 2),
    ),
    "a race of the subject, met by a checked soak": (
        lambda: race_of_the_subject().signature,
        of(checked_race),
    ),
    "a deadlock, by another schedule": (
        of(told, crossed("A", "B"), "deadlock"),
        of(told, crossed("A", "B"), "deadlock", RANDOM, 8),
    ),
    "a deadlock, and one more waits for it": (
        of(told, crossed("A", "B"), "deadlock"),
        of(told, crossed("A", "B", watcher=True), "deadlock", RANDOM, 4),
    ),
    "a ring of three, told from elsewhere": (
        of(told, ring(), "deadlock"),
        of(told, ring(), "deadlock", RANDOM, 7),
    ),
    "a deadlock of the allocator's locks, and a soak's": (
        of(told, page_locks(), "deadlock"),
        of(watched_deadlock),
    ),
    "lock order, the other edge last": (
        of(told, crossed("A", "B"), "lock-order"),
        of(told, crossed("A", "B"), "lock-order", POS, 2),
    ),
    "an expectation, with another value": (
        of(told, added_twice("none", (1,)), "invariant"),
        of(told, added_twice("none", (7, 5)), "invariant", RANDOM, 3),
    ),
    "an expectation, now with another before it": (
        of(told, fails("fault 1", want=5), "invariant"),
        of(told, fails("another", "fault 1", want=5), "invariant"),
    ),
    "a livelock, cut at another limit": (
        of(told, spins(), "livelock", max_steps=3_000),
        of(told, spins(), "livelock", max_steps=4_321),
    ),
    "a livelock, by another schedule": (
        of(told, spins(), "livelock", max_steps=4_000),
        of(told, spins(), "livelock", RANDOM, 3, max_steps=4_000),
    ),
    "damage of a payload, and a soak's": (
        of(told, museum("first-fit-ignores-header-chunks"), "corruption"),
        of(
            soak,
            "corruption",
            "check",
            "object 811: byte 77 holds 0x5a, which is not what was written",
            op="map",
        ),
    ),
    "what the audit says, and a soak's audit": (
        of(told, museum("putback-forgets-unbuddied"), "lost-page"),
        of(
            soak,
            "lost-page",
            "audit rule 17",
            "9 chunks are free, but the page is on no list: its room is lost",
        ),
    ),
    "a soak's, by another worker": (
        of(soak, "deadlock", "spin_lock", "task 4 waits for the page lock, which it holds itself"),
        of(soak, "deadlock", "spin_lock", "task 2 waits for the page lock, which it holds itself"),
    ),
    "a missing wakeup, with others that sleep too": (
        of(told, lost_wakeup("go"), "deadlock"),
        of(told, lost_wakeup("go", sleepers=3), "deadlock"),
    ),
}

DIFFERENT: dict[str, tuple[Failure, Failure]] = {
    "two expectations of one scenario": (
        of(told, fails("fault 1", want=5), "invariant"),
        of(told, fails("fault 2", want=5), "invariant"),
    ),
    "two expectations without words, of two words": (
        of(told, fails("", want=5, word="x"), "invariant"),
        of(told, fails("", want=5, word="y"), "invariant"),
    ),
    "the same words in two scenarios": (
        of(told, fails("fault", want=5), "invariant"),
        of(told, fails("fault", want=5, name="another"), "invariant"),
    ),
    "deadlocks of two pairs of words": (
        of(told, crossed("A", "B"), "deadlock"),
        of(told, crossed("C", "D"), "deadlock"),
    ),
    "deadlocks of two scenarios": (
        of(told, crossed("A", "B"), "deadlock"),
        of(told, crossed("A", "B", name="another"), "deadlock"),
    ),
    "a deadlock of two, and of three": (
        of(told, crossed("A", "B"), "deadlock"),
        of(told, ring(), "deadlock"),
    ),
    "deadlocks of words, and of the allocator's locks": (
        of(told, crossed("A", "B"), "deadlock"),
        of(told, page_locks(), "deadlock"),
    ),
    "lock order of two pairs of words": (
        of(told, crossed("A", "B"), "lock-order"),
        of(told, crossed("A", "C"), "lock-order"),
    ),
    "lock order, and its deadlock": (
        of(told, crossed("A", "B"), "lock-order"),
        of(told, crossed("A", "B"), "deadlock"),
    ),
    "races of two words": (
        of(told, racy("n"), "data-race"),
        of(told, racy("m"), "data-race"),
    ),
    "races of a store with a load, and with a store": (
        of(told, racy(), "data-race"),
        of(
            told,
            Scenario(name="racy", actors={"a": [op.store("n", 1)], "b": [op.store("n", 1)]}),
            "data-race",
        ),
    ),
    "races in two functions of the subject": (
        of(told, museum("isolate-ignores-claim"), "data-race"),
        of(told, museum("stale-flag-on-wrong-page"), "data-race"),
    ),
    "livelocks at two locks": (
        of(told, spins("L"), "livelock", max_steps=4_000),
        of(told, spins("M"), "livelock", max_steps=4_000),
    ),
    "livelocks of a program and of the subject": (
        of(told, spins("L"), "livelock", max_steps=4_000),
        of(told, museum("offline-endless-loop"), "livelock", max_steps=4_000),
    ),
    "sleeping with two locks": (
        of(told, sleeps_with("L"), "sleep-in-atomic"),
        of(told, sleeps_with("M"), "sleep-in-atomic"),
    ),
    "unlocks of two locks": (
        of(told, strange_unlock("L"), "lock-misuse"),
        of(told, strange_unlock("K"), "lock-misuse"),
    ),
    "two locks that are never let go": (
        of(told, forgets("L"), "lock-misuse"),
        of(told, forgets("M"), "lock-misuse"),
    ),
    "locks of the dead": (
        of(told, dies_with("L"), "orphaned-lock"),
        of(told, dies_with("M"), "orphaned-lock"),
    ),
    "wakeups that are missing for two words": (
        of(told, lost_wakeup("go"), "deadlock"),
        of(told, lost_wakeup("come"), "deadlock"),
    ),
    "two finds of the audit": (
        of(told, museum("putback-forgets-unbuddied"), "lost-page"),
        of(told, museum("reclaim-claim-leak"), "invariant"),
    ),
    "a check in two functions": (
        of(soak, "stale-handle", "z3fold_map", "the handle was freed"),
        of(soak, "stale-handle", "z3fold_unmap", "the handle was freed"),
    ),
    "a torn list, in two operations": (
        of(soak, "list-corruption", "list_add", "entry 0x1 is unlinked twice", op="alloc"),
        of(soak, "list-corruption", "list_add", "entry 0x1 is unlinked twice", op="reclaim"),
    ),
    "two verdicts in the same words": (
        of(soak, "leak", "end of the run", "3 pages are left"),
        of(soak, "lost-page", "end of the run", "3 pages are left"),
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_one_bug_has_one_signature(name: str) -> None:
    one, other = SAME[name]
    assert one() == other()


@pytest.mark.parametrize("name", DIFFERENT)
def test_two_bugs_have_two(name: str) -> None:
    one, other = DIFFERENT[name]
    assert one() != other()


# the rules


def test_a_cycle_is_told_from_its_first() -> None:
    assert rotated(["c", "a", "b"]) == rotated(["b", "c", "a"]) == ("a", "b", "c")
    assert rotated(["a", "c", "b"]) != rotated(["a", "b", "c"])
    assert rotated([]) == ()


def test_numbers_are_left_out_of_words() -> None:
    assert words("the page has -3 free chunks at  0x1f00") == "the page has # free chunks at #"


def test_parts_do_not_run_into_each_other() -> None:
    one = Identity(Verdict.LEAK, "audit", ("a", "b"))
    other = Identity(Verdict.LEAK, "audit", ("ab",))
    assert one.signature != other.signature
    assert Identity(Verdict.LEAK, "audit", ("\ud800",)).signature


def test_locks_are_checked_in_words_of_their_own() -> None:
    """The two worlds say it otherwise; the lock is what both know."""
    texts = ("unlock of a lock that belongs to task 2", "unlock of a lock that it does not hold")
    one, other = (
        of_check(Verdict.LOCK_MISUSE, "spin_unlock", text, lock="pool lock") for text in texts
    )
    assert one == other


def test_shrinking_keeps_the_expectation_that_failed() -> None:
    """Of two that fail in one scenario, not the one that is easier to come by."""
    scenario = Scenario(
        name="two-faults",
        actors={
            "a": [op.load("x", "r", "relaxed"), op.expect("r", "==", 0, "FAULT-1")],
            "b": [
                *(op.store("x", 1, "relaxed"), op.load("y", "s")),
                op.expect("s", "==", 1, "FAULT-2"),
            ],
        },
    )
    with World(scenario, resolve("sound")) as world:
        tally = explore_world(world, PORTFOLIO, budget=Budget(executions=50), most=1)
        first, _ = make_finding(world, tally.found[0])
    assert first.text.startswith("FAULT-")
    small = shrink(first, seconds=600.0).finding
    assert small.text.partition(":")[0] == first.text.partition(":")[0]


def test_finding_of_the_old_scheme_replays_and_shrinks() -> None:
    """Its signature was made by other rules: it says nothing about this one."""
    finding = found(crossed("A", "B"), "deadlock")
    old = {**finding.to_json(), "signature": "0123456789ab", "build": "of another time"}
    del old["scheme"]
    it = Finding.from_json(old)
    assert it.scheme == 1
    assert replay(it).result is Result.IDENTICAL
    moved = replace(it, hash="0" * 16)
    assert replay(moved).result is Result.SAME_FAILURE
    assert replay(replace(moved, text="said otherwise")).result is Result.OTHER_FAILURE
    small = shrink(it, seconds=600.0).finding
    assert (small.signature, small.scheme) == (finding.signature, 2)
