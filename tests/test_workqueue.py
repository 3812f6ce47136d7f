"""Work queues: pending, running, cancelled, flushed, destroyed. The item is a pool's release work,
which frees the pages on the stale list."""

from __future__ import annotations

import contextlib
import random

import multiprocess
import pytest
from puppet import puppet, until

from z3fold_stress import Arena, Pool, Verdict, VerdictError
from z3fold_stress._live import Call, fields
from z3fold_stress.designs import resolve
from z3fold_stress.explore.explorer import Budget, Exploration, Status, explore
from z3fold_stress.scenario import Op, Scenario, op

WORK_ENTRY = 8  # where an item has its link


def field_of(pool: Pool, field: str) -> int:
    """The offset of a field of the pool."""
    return pool.offset + fields()["pool"][1][field][0]


def queue_of(pool: Pool, name: str = "release_wq") -> dict[str, int]:
    return pool.arena.layout.read("workqueue", field_of(pool, name))


def first_item(pool: Pool) -> int:
    """The offset of the link of the first item, which is the queue itself when it is empty."""
    return queue_of(pool)["next"]


def pending(pool: Pool) -> bool:
    return first_item(pool) != field_of(pool, "release_wq") + fields()["workqueue"][1]["next"][0]


def release_a_page(pool: Pool) -> None:
    """Free the only object of a page: its release is queued."""
    pool.free(pool.alloc(100))


def test_pending_item_is_not_queued_again() -> None:
    with Arena(frames=8) as arena, Pool(arena) as pool:
        assert arena.call(Call.CALL_QUEUE_WORK, pool.offset)[0] == 1
        assert arena.call(Call.CALL_QUEUE_WORK, pool.offset)[0] == 0
        assert queue_of(pool)["queued"] == 1
        assert arena.call(Call.CALL_RUN_WORK, pool.offset)[0] == 1
        assert arena.call(Call.CALL_RUN_WORK, pool.offset)[0] == 0
        assert arena.call(Call.CALL_QUEUE_WORK, pool.offset)[0] == 1


def test_running_does_the_work() -> None:
    with Arena(frames=8) as arena, Pool(arena) as pool:
        release_a_page(pool)
        assert arena.layout.arena("frames_free") == 7
        assert arena.call(Call.CALL_RUN_WORK, pool.offset)[0] == 1
        assert arena.layout.arena("frames_free") == 8
        assert arena.layout.pool(0)["stale_next"] == field_of(pool, "stale_next")


def test_cancelled_item_does_not_run() -> None:
    with Arena(frames=8) as arena, Pool(arena) as pool:
        assert arena.call(Call.CALL_CANCEL_WORK, pool.offset)[0] == 0
        release_a_page(pool)
        assert arena.call(Call.CALL_CANCEL_WORK, pool.offset)[0] == 1
        assert arena.call(Call.CALL_CANCEL_WORK, pool.offset)[0] == 0
        assert arena.call(Call.CALL_RUN_WORK, pool.offset)[0] == 0
        assert arena.layout.arena("frames_free") == 7
        assert arena.call(Call.CALL_QUEUE_WORK, pool.offset)[0] == 1
        assert arena.call(Call.CALL_RUN_WORK, pool.offset)[0] == 1
        assert arena.layout.arena("frames_free") == 8


def test_flush_runs_all_that_is_queued() -> None:
    with Arena(frames=8) as arena, Pool(arena) as pool:
        release_a_page(pool)
        arena.call(Call.CALL_FLUSH, pool.offset)
        assert arena.layout.arena("frames_free") == 8
        arena.call(Call.CALL_FLUSH, pool.offset)
        assert arena.call(Call.CALL_RUN_WORK, pool.offset)[0] == 0


def test_items_run_in_the_order_in_which_they_were_queued() -> None:
    """Of two compactions the later lists its page last, at the head, where alloc looks first."""
    with Arena(frames=8) as arena, Pool(arena) as pool:
        firsts = [pool.alloc(40 * 64) for _ in range(3)]
        lasts = [pool.alloc(22 * 64) for _ in range(3)]
        for handle in firsts:
            assert any(pool.page_of(handle) == pool.page_of(last) for last in lasts)
        order = [lasts[i] for i in (1, 2, 0)]
        pages = [pool.page_of(handle) for handle in order]
        for handle in order:
            pool.free(handle)
        pool.drain()
        again = [pool.page_of(pool.alloc(22 * 64)) for _ in order]
        assert again == pages[::-1]


def test_compaction_runs_before_the_release_that_it_causes() -> None:
    with Arena(frames=8) as arena, Pool(arena) as pool:
        first, last = pool.alloc(100), pool.alloc(100)
        pool.free(first)
        pool.free(last)
        assert pool.stats().pages == 1, "the queued compaction has a reference"
        pool.drain()
        assert (pool.stats().pages, arena.layout.arena("frames_free")) == (0, 8)


def test_work_runs_on_the_cpu_it_was_queued_on_unless_told() -> None:
    for cpu, expected in ((None, 1), (0, 0)):
        with Arena(frames=8, cpus=2) as arena, Pool(arena) as pool:
            arena.cpu = 1
            first, _ = pool.alloc(100), pool.alloc(100)
            page = pool.page_of(first)
            pool.free(first)
            arena.cpu = 0
            pool.drain(cpu)
            assert arena.layout.header(page)["cpu"] == expected
            assert arena.cpu == 0, "the work's CPU is not kept"


def test_queueing_on_a_destroyed_queue() -> None:
    with Arena(frames=8) as arena:
        pool = Pool(arena)
        pool.destroy()
        with pytest.raises(VerdictError) as caught:
            arena.call(Call.CALL_QUEUE_WORK, pool.offset)
        (judgement,) = caught.value.judgements
        assert judgement.verdict is Verdict.USE_AFTER_FREE
        assert "destroyed" in judgement.text


@pytest.mark.parametrize("call", [Call.CALL_FLUSH, Call.CALL_CANCEL_WORK])
def test_waiting_for_work_may_sleep(call: Call) -> None:
    with Arena(frames=8) as arena:
        pool = Pool(arena)
        arena.call(Call.CALL_LOCK, 0, 0)
        with pytest.raises(VerdictError) as caught:
            arena.call(call, pool.offset)
        assert caught.value.judgements[0].verdict is Verdict.SLEEP_IN_ATOMIC


def test_running_item_is_queued_again_and_waited_for() -> None:
    """One process is held up in the middle of the work; meanwhile the item can be queued anew,
    and who cancels it waits until the work is done."""
    with (
        Arena(frames=8) as arena,
        Pool(arena) as pool,
        puppet(arena, 2) as worker,
        puppet(arena, 3) as canceller,
    ):
        release_a_page(pool)
        work = first_item(pool) - WORK_ENTRY
        stale_lock = field_of(pool, "stale_lock")
        arena.layout.poke("pool", pool.offset, stale_lock=1)  # as if this task held it
        worker.start(Call.CALL_RUN_WORK, pool.offset)
        worker.wait_for(stale_lock)
        assert (queue_of(pool)["running"], queue_of(pool)["running_task"]) == (work, 2)
        assert arena.layout.inside(arena.layout.task(2)) == [("release", work, 0)]

        assert arena.call(Call.CALL_QUEUE_WORK, pool.offset)[0] == 1
        assert arena.call(Call.CALL_QUEUE_WORK, pool.offset)[0] == 0
        canceller.start(Call.CALL_CANCEL_WORK, pool.offset)
        until(lambda: not pending(pool), "the item is taken off the queue")
        assert arena.layout.arena("frames_free") == 7
        worker.stop()
        arena.layout.poke("pool", pool.offset, stale_lock=0)
        assert queue_of(pool)["running_task"] == 2
        worker.go_on()

        assert canceller.result() == 1
        assert queue_of(pool)["running"] == 0
        assert arena.layout.arena("frames_free") == 8
        assert worker.result() == 1
        assert arena.call(Call.CALL_RUN_WORK, pool.offset)[0] == 0


def test_flush_leaves_the_work_to_the_worker_of_the_queue() -> None:
    """Where a queue has a worker of its own, who flushes waits for it."""
    with Arena(frames=8) as arena, Pool(arena) as pool, puppet(arena) as other:
        release_a_page(pool)
        offset = field_of(pool, "release_wq")
        arena.layout.poke("workqueue", offset, worker=1)
        other.start(Call.CALL_FLUSH, pool.offset)
        assert arena.layout.arena("frames_free") == 7
        assert arena.call(Call.CALL_RUN_WORK, pool.offset)[0] == 1
        other.result()
        assert arena.layout.arena("frames_free") == 8
        assert arena.layout.task_field(2, "progress") == 0, "the other one ran nothing"
        arena.layout.poke("workqueue", offset, worker=0)


def test_item_that_was_overwritten() -> None:
    with Arena(frames=8) as arena:
        pool = Pool(arena)
        first, _ = pool.alloc(100), pool.alloc(100)
        page = pool.page_of(first)
        pool.free(first)
        arena.layout.poke("header", arena.layout.frame_offset(page), work_func=77)
        with pytest.raises(VerdictError) as caught:
            pool.drain()
        (judgement,) = caught.value.judgements
        assert judgement.verdict is Verdict.USE_AFTER_FREE
        assert arena.layout.pfn(judgement.page) == page


# All orders


def explored(actors: dict[str, list[Op]], *, faults: tuple[str, ...] = ()) -> Exploration:
    """To the end, by all orders of what others can notice; the audit counts the items."""
    scenario = Scenario(actors=actors, finish=[op.audit(), op.drain()], arena={"frames": 2})
    return explore(
        scenario,
        resolve("sound", faults),
        strategy="dpor",
        budget=Budget(executions=100_000, seconds=60.0),
        seed=1,
    )


@pytest.mark.parametrize(
    "actors",
    [
        {"queuer": [op.queue_work()], "canceller": [op.cancel_work()]},
        {"queuer": [op.queue_work()], "other": [op.queue_work()], "canceller": [op.cancel_work()]},
        {"queuer": [op.queue_work()], "worker": [op.release_work()], "end": [op.cancel_work()]},
        {"queuer": [op.queue_work()], "flusher": [op.flush_work()], "end": [op.cancel_work()]},
        {"queuer": [op.queue_work(), op.queue_work()], "worker": [op.kworker("release")]},
        {"queuer": [op.queue_work(), op.flush_work()], "worker": [op.kworker("release")]},
        {"one": [op.queue_work(), op.flush_work()], "two": [op.queue_work(), op.flush_work()]},
    ],
    ids=lambda actors: ", ".join(str(o) for ops in actors.values() for o in ops),
)
def test_whatever_meets_no_promise_is_broken(actors: dict[str, list[Op]]) -> None:
    """What was cancelled is not on the queue: neither when it was just being queued."""
    tally = explored(actors)
    assert not tally.found, tally.found
    assert tally.status is Status.COMPLETE


def test_flush_that_does_not_wait_is_found() -> None:
    actors = {"one": [op.queue_work(), op.flush_work()], "worker": [op.kworker("release")]}
    (found,) = explored(actors, faults=("flush-ignores-running",)).found
    assert found.verdict is Verdict.INVARIANT
    assert "the flush is over" in found.outcome["verdict"]["text"]


def change_queue(pool: Pool, name: str, **by: int) -> None:
    at = field_of(pool, name)
    fields_now = pool.arena.layout.read("workqueue", at)
    pool.arena.layout.poke("workqueue", at, **{k: fields_now[k] + n for k, n in by.items()})


def judged(arena: Arena, call: Call, pool: Pool) -> str:
    with pytest.raises(VerdictError) as caught:
        arena.call(call, pool.offset)
    (judgement,) = caught.value.judgements
    assert judgement.verdict is Verdict.INVARIANT
    return judgement.text


def test_an_item_that_starts_out_of_turn() -> None:
    with Arena(frames=8) as arena:
        pool = Pool(arena)
        arena.call(Call.CALL_QUEUE_WORK, pool.offset)
        change_queue(pool, "release_wq", started=1)
        assert "starts after one that was queued later" in judged(arena, Call.CALL_RUN_WORK, pool)


def test_an_item_of_a_queue_that_was_destroyed() -> None:
    with Arena(frames=8) as arena:
        pool = Pool(arena)
        arena.call(Call.CALL_QUEUE_WORK, pool.offset)
        change_queue(pool, "release_wq", destroyed=1)
        assert "its queue was destroyed" in judged(arena, Call.CALL_RUN_WORK, pool)


def test_a_flush_that_is_over_too_early() -> None:
    with Arena(frames=8) as arena:
        pool = Pool(arena)
        change_queue(pool, "release_wq", queued=1)
        assert "the flush is over" in judged(arena, Call.CALL_FLUSH, pool)


# waits that nobody can end


def moves(pool: Pool, choose: random.Random) -> None:
    """Isolate, free, migrate and put back at random; then free all that is left."""
    handles = [pool.alloc(choose.choice([300, 700, 1200])) for _ in range(24)]
    pages = sorted({pool.page_of(handle) for handle in handles})
    for _ in range(40):
        with contextlib.suppress(OSError, ValueError):
            dice = choose.random()
            if dice < 0.35:
                pool.isolate(choose.choice(pages))
            elif dice < 0.6 and handles:
                pool.free(handles.pop(choose.randrange(len(handles))))
            elif dice < 0.85:
                pool.migrate(choose.choice(pages))
            elif dice < 0.9:
                pool.putback(choose.choice(pages))
            elif dice < 0.93:
                pool.drain()
            else:
                handles.append(pool.alloc(300))
    for handle in handles:
        pool.free(handle)
    for page in range(64):
        with contextlib.suppress(OSError, ValueError):
            pool.putback(page)


def test_pool_with_spoilt_queues_is_not_destroyed_for_ever() -> None:
    """Pages were migrated with their work items queued: the list of a queue leads to the same item
    again and again."""
    said = set()
    for seed in (216, 264, 323, 506, 609, 697):
        design, poison = "sound+migrate-without-work-cancel", bool(seed % 2)
        with Arena(frames=64, design=design, cpus=1, poison=poison) as arena:
            pool = Pool(arena)
            try:
                moves(pool, random.Random(seed))
                pool.destroy()
            except VerdictError as error:
                said.add(error.judgements[0].text)
    assert any("starts after one that was queued later" in text for text in said)


def destroy_with_a_page_isolated(arena: Arena) -> None:
    pool = Pool(arena)
    page = pool.page_of(pool.alloc(1200))
    assert pool.isolate(page)
    arena.call(Call.CALL_DESTROY_POOL, pool.offset)


def test_wait_for_a_page_that_only_oneself_could_put_back_is_a_deadlock() -> None:
    with Arena(frames=16, tasks=3) as arena:
        with pytest.raises(VerdictError, match="waits for what no task is left to do"):
            destroy_with_a_page_isolated(arena)
        assert [j.verdict for j in arena.judgements()] == [Verdict.DEADLOCK]


def _waits(arena: Arena) -> None:
    arena.become(2)
    with contextlib.suppress(VerdictError):
        destroy_with_a_page_isolated(arena)


def test_wait_in_company_goes_on() -> None:
    """Another task is there, which may end it: this is for whoever watches both."""
    with Arena(frames=16, tasks=3) as arena:
        process = multiprocess.get_context("fork").Process(target=_waits, args=(arena,))
        process.start()
        process.join(1.0)
        try:
            assert process.is_alive()
            assert arena.judgements() == []
        finally:
            process.kill()
            process.join()
