"""Locks, references and the rules about sleeping: what they exclude, and what misuse is told."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from puppet import puppet, until

from z3fold_stress import Arena, Pool, Verdict, VerdictError
from z3fold_stress._live import LIMITS, Call, fields
from z3fold_stress.scenario import Scenario, op
from z3fold_stress.scenario.program import compile_scenario
from z3fold_stress.settings import LOCK_KINDS

WORD = 3  # the scratch word that most tests use as their lock
MEASURED = 0  # the one that Engine.measure("lock") uses; it guards word 1, and 2 starts it
POISON = 0x6B6B6B6B

each_kind = pytest.mark.parametrize("kind", LOCK_KINDS)


def scratch(arena: Arena, word: int) -> int:
    """The offset of a scratch word."""
    return fields()["arena"][1]["scratch"][0] + 64 * word


def put(arena: Arena, word: int, value: int) -> None:
    struct.pack_into("=Q", arena.memory, scratch(arena, word), value)


@contextmanager
def two_tasks(**settings: object) -> Iterator[tuple[Arena, Arena]]:
    """Tasks 1 and 2 of one arena, both played by this process."""
    with Arena(frames=8, **settings) as one, Arena.attach(one.fd, task=2) as two:
        yield one, two


def verdicts(arena: Arena, *call: int) -> list[Verdict]:
    """The verdicts that an operation ends with; none when it is let through."""
    try:
        arena.call(*call)
    except VerdictError as error:
        return [judgement.verdict for judgement in error.judgements]
    return []


# Spinlocks


@each_kind
def test_no_update_under_the_lock_is_lost(kind: str) -> None:
    """Three processes apply x -> 3x + 1 to one word; each application that is lost shows."""
    with Arena(frames=8, lock=kind) as arena, ExitStack() as stack:
        workers = [stack.enter_context(puppet(arena, task)) for task in (2, 3, 4)]
        settings = {"nanoseconds": 20_000_000, "inside": 8, "outside": 4}
        for worker in workers:
            worker.start_engine("measure", "lock", settings)
        put(arena, 2, 1)
        done = [worker.result()[1] for worker in workers]
        applied = 8 * sum(done)
        assert all(done)
        expected = (pow(3, applied, 2**65) - 1) // 2 % 2**64
        assert arena.layout.word(scratch(arena, 1)) == expected
        for worker in workers:
            acquired = arena.layout.lockstats(arena.layout.task(worker.task))["raw"][0]
            assert acquired == done[worker.task - 2]
        assert not arena.layout.word(scratch(arena, MEASURED)) & 0x3FF, "the lock has an owner"


@each_kind
def test_trylock_fails_while_another_holds(kind: str) -> None:
    with two_tasks(lock=kind) as (one, two):
        one.call(Call.CALL_LOCK, 0, WORD)
        assert two.call(Call.CALL_TRYLOCK, 0, WORD)[0] == 0
        assert two.layout.task_field(2, "nr_held") == 0
        one.call(Call.CALL_UNLOCK, 0, WORD)
        assert two.call(Call.CALL_TRYLOCK, 0, WORD)[0] == 1
        assert one.call(Call.CALL_TRYLOCK, 0, WORD)[0] == 0
        assert two.call(Call.CALL_TRYLOCK, 0, WORD)[0] == 0, "nor does its owner get it twice"
        two.call(Call.CALL_UNLOCK, 0, WORD)
        assert one.judgements() == []


@each_kind
def test_owner_is_readable_by_others(kind: str) -> None:
    with two_tasks(lock=kind) as (one, two):
        two.call(Call.CALL_LOCK, 0, WORD)
        assert one.layout.word(scratch(one, WORD)) & 0x3FF == 2
        (held,) = one.layout.held(one.layout.task(2))
        assert (held.lock, held.lock_class, held.reader) == (scratch(one, WORD), "raw", False)
        two.call(Call.CALL_UNLOCK, 0, WORD)
        assert one.layout.word(scratch(one, WORD)) & 0x3FF == 0
        assert one.layout.held(one.layout.task(2)) == []


@each_kind
def test_waiter_gets_the_lock_when_it_is_dropped(kind: str) -> None:
    with Arena(frames=8, lock=kind) as arena, puppet(arena) as other:
        arena.call(Call.CALL_LOCK, 0, WORD)
        other.start(Call.CALL_LOCK, 0, WORD)
        other.wait_for(scratch(arena, WORD))
        arena.call(Call.CALL_UNLOCK, 0, WORD)
        other.result()
        assert arena.layout.word(scratch(arena, WORD)) & 0x3FF == 2
        assert other.field("waits_for") == 0
        other.call(Call.CALL_UNLOCK, 0, WORD)
        acquired, contended, *_ = arena.layout.lockstats(arena.layout.task(2))["raw"]
        assert (acquired, contended) == (1, 1)


@each_kind
def test_locks_are_dropped_in_any_order(kind: str) -> None:
    with two_tasks(lock=kind) as (one, two):
        for word in (3, 4, 5):
            one.call(Call.CALL_LOCK, 0, word)
        for word in (4, 3, 5):
            one.call(Call.CALL_UNLOCK, 0, word)
            assert two.call(Call.CALL_TRYLOCK, 0, word)[0] == 1
        assert one.layout.task_field(1, "nr_held") == 0
        assert len(one.layout.held(one.layout.task(2))) == 3


@each_kind
def test_unlock_by_a_stranger(kind: str) -> None:
    with two_tasks(lock=kind) as (one, two):
        one.call(Call.CALL_LOCK, 0, WORD)
        assert verdicts(two, Call.CALL_UNLOCK, 0, WORD) == [Verdict.LOCK_MISUSE]
        assert "belongs to task 1" in two.judgements()[0].text


@each_kind
def test_unlock_of_a_free_lock(kind: str) -> None:
    with Arena(frames=8, lock=kind) as arena:
        arena.call(Call.CALL_LOCK, 0, WORD)
        arena.call(Call.CALL_UNLOCK, 0, WORD)
        assert verdicts(arena, Call.CALL_UNLOCK, 0, WORD) == [Verdict.LOCK_MISUSE]


@each_kind
def test_taking_a_lock_twice_is_a_deadlock(kind: str) -> None:
    with Arena(frames=8, lock=kind) as arena:
        arena.call(Call.CALL_LOCK, 0, WORD)
        assert verdicts(arena, Call.CALL_LOCK, 0, WORD) == [Verdict.DEADLOCK]
        (judgement,) = arena.judgements()
        assert (judgement.task, judgement.lock) == (1, scratch(arena, WORD))


@each_kind
def test_lock_of_a_killed_process_is_orphaned(kind: str) -> None:
    with Arena(frames=8, lock=kind) as arena:
        with puppet(arena) as other:
            other.call(Call.CALL_LOCK, 0, WORD)
            other.kill()
        assert verdicts(arena, Call.CALL_LOCK, 0, WORD) == [Verdict.ORPHANED_LOCK]
        assert "task 2, which is dead" in arena.judgements()[0].text


@each_kind
def test_waiter_notices_that_the_owner_was_killed(kind: str) -> None:
    """The death comes while the other one waits already."""
    with Arena(frames=8, lock=kind) as arena, puppet(arena, 3) as waiter:
        with puppet(arena, 2) as owner:
            owner.call(Call.CALL_LOCK, 0, WORD)
            waiter.start(Call.CALL_LOCK, 0, WORD)
            waiter.wait_for(scratch(arena, WORD))
            owner.kill()
        assert waiter.result() == ["orphaned-lock"]


@each_kind
def test_lock_in_freed_memory(kind: str) -> None:
    with Arena(frames=8, lock=kind) as arena, Pool(arena) as pool:
        handle = pool.alloc(100)
        page = pool.page_of(handle)
        pool.free(handle)
        pool.drain()
        assert verdicts(arena, Call.CALL_LOCK_HEADER, 0, page) == [Verdict.USE_AFTER_FREE]
        assert arena.layout.pfn(arena.judgements()[0].page) == page


@each_kind
def test_lock_word_that_names_no_task(kind: str) -> None:
    with Arena(frames=8, lock=kind, tasks=4) as arena:
        word = {"ttas": 9, "ticket": 1 << 24 | 9, "mcs": 1 << 16 | 9}[kind]
        put(arena, WORD, word)
        assert verdicts(arena, Call.CALL_LOCK, 0, WORD) == [Verdict.CORRUPTION]


@each_kind
def test_freeing_a_page_with_a_lock_held_in_it(kind: str) -> None:
    with Arena(frames=8, lock=kind) as arena:
        page = arena.call(Call.CALL_ALLOC_PAGE)[0]
        arena.call(Call.CALL_LOCK_HEADER, 0, page)
        assert verdicts(arena, Call.CALL_PUT_PAGE, 0, page) == [Verdict.LOCK_MISUSE]
        (judgement,) = arena.judgements()
        assert (
            judgement.lock
            == arena.layout.frame_offset(page) + fields()["header"][1]["page_lock"][0]
        )


@each_kind
def test_as_many_locks_as_a_task_can_hold(kind: str) -> None:
    """All words but one, which is read as often as there is room; then let go of in any order."""
    words = range(1, LIMITS["scratch"])
    with Arena(frames=8, lock=kind) as arena:
        for word in words:
            arena.call(Call.CALL_LOCK, 0, word)
        readers = LIMITS["held"] - len(words)
        for _ in range(readers):
            arena.call(Call.CALL_READ_LOCK, 0, 0)
        assert len(arena.layout.held(arena.layout.task(1))) == LIMITS["held"] == 64
        for word in (*words[::2], *words[1::2]):
            arena.call(Call.CALL_UNLOCK, 0, word)
        for _ in range(readers):
            arena.call(Call.CALL_READ_UNLOCK, 0, 0)
        assert arena.layout.task_field(1, "nr_held") == 0
        assert arena.audit() == []


@each_kind
@pytest.mark.parametrize("last", [Call.CALL_LOCK, Call.CALL_TRYLOCK, Call.CALL_READ_LOCK])
def test_more_locks_than_a_task_can_hold(kind: str, last: Call) -> None:
    with Arena(frames=8, lock=kind) as arena:
        for _ in range(LIMITS["held"]):
            arena.call(Call.CALL_READ_LOCK, 0, 0)
        assert verdicts(arena, last, 0, 1) == [Verdict.LOCK_MISUSE]


@each_kind
def test_operation_that_returns_with_a_lock_held(kind: str) -> None:
    with Arena(frames=8, lock=kind) as arena:
        pool = Pool(arena)
        arena.call(Call.CALL_LOCK, 0, WORD)
        size, atomic = 100, 0
        assert verdicts(arena, Call.CALL_ALLOC, pool.offset, size, atomic) == [Verdict.LOCK_MISUSE]
        (judgement,) = arena.judgements()
        assert "returned with 1 locks held" in judgement.text
        assert judgement.lock == scratch(arena, WORD)


# Reader-writer locks


def test_readers_share() -> None:
    with two_tasks() as (one, two):
        one.call(Call.CALL_READ_LOCK, 0, WORD)
        two.call(Call.CALL_READ_LOCK, 0, WORD)
        one.call(Call.CALL_READ_LOCK, 0, WORD)
        assert [held.reader for held in one.layout.held(one.layout.task(1))] == [True, True]
        for arena in (one, one, two):
            arena.call(Call.CALL_READ_UNLOCK, 0, WORD)
        assert one.layout.word(scratch(one, WORD)) == 0
        two.call(Call.CALL_WRITE_LOCK, 0, WORD)
        two.call(Call.CALL_WRITE_UNLOCK, 0, WORD)
        assert one.judgements() == []


def test_writer_waits_for_all_readers() -> None:
    with two_tasks() as (one, two), puppet(one, 3) as writer:
        for reader in (one, two):
            reader.call(Call.CALL_READ_LOCK, 0, WORD)
        writer.start(Call.CALL_WRITE_LOCK, 0, WORD)
        writer.wait_for(scratch(one, WORD))
        one.call(Call.CALL_READ_UNLOCK, 0, WORD)
        assert writer.field("nr_held") == 0
        assert one.layout.word(scratch(one, WORD)) & 0x3FF == 0
        two.call(Call.CALL_READ_UNLOCK, 0, WORD)
        writer.result()
        assert one.layout.word(scratch(one, WORD)) == 3
        writer.call(Call.CALL_WRITE_UNLOCK, 0, WORD)


def test_readers_and_writers_in_processes() -> None:
    """Four at once: what a reader sees under the lock is whole, and no write is lost."""
    times = 3000
    read = [
        *(op.read_lock("lock"), op.load("low", "r"), op.load("high", "s")),
        *(op.expect("r", "==", "s", "both or neither"), op.read_unlock("lock")),
    ]
    write = [
        *(op.write_lock("lock"), op.load("low", "r"), op.add("r", 1), op.store("low", "r")),
        *(op.store("high", "r"), op.write_unlock("lock")),
    ]
    actors = {
        "reader": [op.repeat(times, read)],
        "writer": [op.repeat(times, write)],
        "other": [op.repeat(times, [*write, *read])],
        "last": [op.repeat(times, read)],
    }
    compiled = compile_scenario(Scenario(actors=actors))
    word = {name: number for number, name in enumerate(compiled.words)}
    with Arena(frames=8, tasks=5) as arena, ExitStack() as stack:
        tasks = [stack.enter_context(puppet(arena, task)) for task in range(2, 6)]
        for task, actor in zip(tasks, compiled.actors, strict=True):
            task.start_engine("run_program", actor.program)
        for task in tasks:
            task.result()
        assert arena.judgements() == []
        values = {name: arena.layout.word(scratch(arena, at)) for name, at in word.items()}
        assert values == {"lock": 0, "low": 2 * times, "high": 2 * times}


def test_reader_waits_for_the_writer() -> None:
    with Arena(frames=8) as arena, puppet(arena) as reader:
        arena.call(Call.CALL_WRITE_LOCK, 0, WORD)
        reader.start(Call.CALL_READ_LOCK, 0, WORD)
        reader.wait_for(scratch(arena, WORD))
        arena.call(Call.CALL_WRITE_UNLOCK, 0, WORD)
        reader.result()
        assert arena.layout.word(scratch(arena, WORD)) == 0x400
        reader.call(Call.CALL_READ_UNLOCK, 0, WORD)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (Call.CALL_READ_LOCK, Call.CALL_WRITE_LOCK),
        (Call.CALL_WRITE_LOCK, Call.CALL_WRITE_LOCK),
        (Call.CALL_WRITE_LOCK, Call.CALL_READ_LOCK),
    ],
)
def test_upgrading_ones_own_lock_is_a_deadlock(first: Call, then: Call) -> None:
    with Arena(frames=8) as arena:
        arena.call(first, 0, WORD)
        assert verdicts(arena, then, 0, WORD) == [Verdict.DEADLOCK]


@pytest.mark.parametrize(
    ("held", "unlock"),
    [
        (None, Call.CALL_READ_UNLOCK),
        (None, Call.CALL_WRITE_UNLOCK),
        (Call.CALL_WRITE_LOCK, Call.CALL_READ_UNLOCK),
        (Call.CALL_READ_LOCK, Call.CALL_WRITE_UNLOCK),
    ],
)
def test_unlock_of_the_other_kind(held: Call | None, unlock: Call) -> None:
    with Arena(frames=8) as arena:
        if held is not None:
            arena.call(held, 0, WORD)
        assert verdicts(arena, unlock, 0, WORD) == [Verdict.LOCK_MISUSE]


def test_write_lock_of_a_killed_process_is_orphaned() -> None:
    with Arena(frames=8) as arena:
        with puppet(arena) as other:
            other.call(Call.CALL_WRITE_LOCK, 0, WORD)
            other.kill()
        assert verdicts(arena, Call.CALL_READ_LOCK, 0, WORD) == [Verdict.ORPHANED_LOCK]


def test_readers_that_were_killed_can_be_found() -> None:
    """The word does not name readers; their own lists of held locks do."""
    with Arena(frames=8) as arena, puppet(arena, 3) as writer:
        with puppet(arena, 2) as other:
            other.call(Call.CALL_READ_LOCK, 0, WORD)
            other.kill()
        (held,) = arena.layout.held(arena.layout.task(2))
        assert (held.lock, held.reader) == (scratch(arena, WORD), True)
        writer.start(Call.CALL_WRITE_LOCK, 0, WORD)
        writer.wait_for(scratch(arena, WORD))


# The lock of a page descriptor


@pytest.mark.parametrize("spinning", [Call.CALL_LOCK, Call.CALL_READ_LOCK, Call.CALL_WRITE_LOCK])
def test_page_descriptor_lock_sleeps(spinning: Call) -> None:
    with Arena(frames=8) as arena:
        arena.call(spinning, 0, WORD)
        assert verdicts(arena, Call.CALL_LOCK_PAGE, 0, 5) == [Verdict.SLEEP_IN_ATOMIC]
        assert arena.judgements()[0].lock == scratch(arena, WORD)


def test_page_descriptor_locks_may_be_held_together_and_tried_anywhere() -> None:
    with Arena(frames=8) as arena:
        arena.call(Call.CALL_LOCK_PAGE, 0, 5)
        arena.call(Call.CALL_LOCK_PAGE, 0, 6)
        arena.call(Call.CALL_MIGHT_SLEEP)
        arena.call(Call.CALL_LOCK, 0, WORD)
        assert arena.call(Call.CALL_TRYLOCK_PAGE, 0, 7)[0] == 1
        assert arena.judgements() == []


def test_might_sleep_tells_of_the_spinlock() -> None:
    with Arena(frames=8) as arena:
        assert verdicts(arena, Call.CALL_MIGHT_SLEEP) == []
        arena.call(Call.CALL_LOCK, 0, WORD)
        assert verdicts(arena, Call.CALL_MIGHT_SLEEP) == [Verdict.SLEEP_IN_ATOMIC]


def test_page_descriptor_lock_excludes() -> None:
    with two_tasks() as (one, two):
        one.call(Call.CALL_LOCK_PAGE, 0, 5)
        assert two.call(Call.CALL_TRYLOCK_PAGE, 0, 5)[0] == 0
        assert verdicts(two, Call.CALL_UNLOCK_PAGE, 0, 5) == [Verdict.LOCK_MISUSE]


def test_page_descriptor_lock_taken_twice_is_a_deadlock() -> None:
    with Arena(frames=8) as arena:
        arena.call(Call.CALL_LOCK_PAGE, 0, 5)
        assert verdicts(arena, Call.CALL_LOCK_PAGE, 0, 5) == [Verdict.DEADLOCK]


def test_page_descriptor_lock_of_a_killed_process_is_orphaned() -> None:
    with Arena(frames=8) as arena:
        with puppet(arena) as other:
            other.call(Call.CALL_LOCK_PAGE, 0, 5)
            other.kill()
        assert verdicts(arena, Call.CALL_LOCK_PAGE, 0, 5) == [Verdict.ORPHANED_LOCK]


# References


@pytest.mark.parametrize(
    ("count", "call", "expected"),
    [
        (0, Call.CALL_KREF_GET, Verdict.REFCOUNT),
        (0, Call.CALL_KREF_PUT, Verdict.REFCOUNT),
        (0x10001, Call.CALL_KREF_GET, Verdict.REFCOUNT),
        (2**32 - 1, Call.CALL_KREF_PUT, Verdict.REFCOUNT),
        (POISON, Call.CALL_KREF_GET, Verdict.USE_AFTER_FREE),
        (POISON, Call.CALL_KREF_PUT, Verdict.USE_AFTER_FREE),
    ],
)
def test_reference_from_nothing(count: int, call: Call, expected: Verdict) -> None:
    with Arena(frames=8) as arena:
        put(arena, WORD, count)
        assert verdicts(arena, call, 0, WORD) == [expected]


def test_last_reference_is_told() -> None:
    with Arena(frames=8) as arena:
        put(arena, WORD, 1)
        arena.call(Call.CALL_KREF_GET, 0, WORD)
        assert [arena.call(Call.CALL_KREF_PUT, 0, WORD)[0] for _ in range(2)] == [0, 1]
        assert arena.layout.word(scratch(arena, WORD)) == 0


def test_page_reference_is_not_taken_from_nothing() -> None:
    with Arena(frames=8) as arena:
        assert arena.call(Call.CALL_GET_PAGE, 0, 5)[0] == 0
        page = arena.call(Call.CALL_ALLOC_PAGE)[0]
        assert arena.call(Call.CALL_GET_PAGE, 0, page)[0] == 1
        for _ in range(2):
            arena.call(Call.CALL_PUT_PAGE, 0, page)
        assert arena.layout.arena("frames_free") == 8
        assert verdicts(arena, Call.CALL_PUT_PAGE, 0, page) == [Verdict.REFCOUNT]


def test_delays_at_locks_change_nothing() -> None:
    """Dawdling at every lock operation is slow, and that is all."""
    with Arena(frames=8, delay_rate=1.0, delay_ns=2000) as arena, puppet(arena) as other:
        for one in (arena, other):
            one.call(Call.CALL_LOCK, 0, WORD)
            one.call(Call.CALL_UNLOCK, 0, WORD)
        with Pool(arena) as pool:
            handle = pool.alloc(100)
            with pool.map(handle) as view:
                view[:] = bytes(100)
        until(lambda: other.field("nr_held") == 0, "both are done")
        assert arena.audit() == []
