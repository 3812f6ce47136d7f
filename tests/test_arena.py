"""The arena as memory: what is refused as one, how processes share it, what outlives them."""

from __future__ import annotations

import os
import pickle
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import multiprocess
import pytest
from puppet import puppet
from storing import store

import z3fold_stress
from z3fold_stress import Arena, ArenaSettings, HandleError, Pool, SettingsError, VerdictError
from z3fold_stress._live import LIMITS, ArenaError, Call, Role, fields
from z3fold_stress.designs import UnknownDesign
from z3fold_stress.settings import FAULTS, LOCK_KINDS

STARTS = ("fork", "spawn", "forkserver")
TIMEOUT = 60
ROOT = Path(z3fold_stress.__file__).parent.parent


@pytest.fixture
def arena() -> Iterator[Arena]:
    with Arena(frames=16) as made:
        yield made


def image(arena: Arena) -> bytearray:
    return bytearray(arena.memory)


def with_field(arena: Arena, name: str, value: int) -> bytes:
    """A copy of the arena in which one field of its header is different."""
    copy = image(arena)
    at, form = fields()["arena"][1][name]
    struct.pack_into("=" + form, copy, at, value)
    return bytes(copy)


# What is no arena


@pytest.mark.parametrize(
    ("junk", "why"),
    [
        (b"", "the file is empty"),
        (b"x", "not an arena"),
        (b"\0" * 15, "not an arena"),
        (b"\0" * 100_000, "does not begin with the arena's magic number"),
        (os.urandom(5000), "does not begin with the arena's magic number"),
        (Path(__file__).read_bytes(), "does not begin with the arena's magic number"),
    ],
    ids=["empty", "a byte", "15 bytes", "zeros", "noise", "text"],
)
def test_junk_is_refused(junk: bytes, why: str) -> None:
    with pytest.raises(ArenaError, match=why):
        Arena.from_bytes(junk)


@pytest.mark.parametrize("version", [0, LIMITS["layout_version"] + 1, 2**32 - 1])
def test_another_version_is_refused(arena: Arena, version: int) -> None:
    with pytest.raises(ArenaError, match="another version or build; use the z3fold_stress that"):
        Arena.from_bytes(with_field(arena, "version", version))


@pytest.mark.parametrize("keep", [16, 17, 100, 4096, -4096, -1])
def test_truncated_arena_is_refused(arena: Arena, keep: int) -> None:
    with pytest.raises(ArenaError, match="truncated: shorter than its header says"):
        Arena.from_bytes(bytes(image(arena)[:keep]))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nr_frames", 17),
        ("nr_frames", 2**32 - 1),
        ("nr_slots", 0),
        ("nr_objects", 1),
        ("nr_swap", 2**31),
        ("nr_tasks", LIMITS["tasks"] + 1),
        ("nr_cpus", 0),
        ("nr_cpus", LIMITS["cpus"] + 1),
        ("ring", 8),
        ("header_chunks", 65),
        ("size", 0),
        ("size", 2**63),
        ("tasks", 0),
        ("pools", 8),
        ("percpu", 2**40),
        ("memmap", 1),
        ("slots", 2**64 - 64),
        ("objects", 64),
        ("rings", 0),
        ("swapmap", 0),
        ("swap", 0),
        ("frames", 0),
    ],
)
def test_header_that_contradicts_itself_is_refused(arena: Arena, name: str, value: int) -> None:
    with pytest.raises(ArenaError, match="damaged: its header contradicts itself"):
        Arena.from_bytes(with_field(arena, name, value))


def test_refusal_leaves_no_descriptor_open(arena: Arena) -> None:
    damaged = with_field(arena, "nr_frames", 17)
    before = os.listdir("/proc/self/fd")
    for junk in (b"", b"junk" * 100, damaged):
        with pytest.raises(ArenaError):
            Arena.from_bytes(junk)
    assert os.listdir("/proc/self/fd") == before


def test_descriptor_of_something_else(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"not an arena" * 1000)
    fd = os.open(file, os.O_RDWR)
    try:
        with pytest.raises(ArenaError, match="not an arena"):
            Arena.attach(fd)
        assert os.fstat(fd).st_size == 12_000, "the descriptor stays the caller's"
    finally:
        os.close(fd)


def test_longer_file_than_needed_is_an_arena(arena: Arena) -> None:
    with Arena.from_bytes(bytes(image(arena)) + bytes(4096)) as copy:
        assert copy.layout.arena("nr_frames") == 16


def test_image_is_a_private_copy(arena: Arena) -> None:
    pool = Pool(arena)
    handle = pool.alloc(100)
    page = pool.page_of(handle)
    with Arena.from_bytes(bytes(arena.memory)) as copy:
        assert copy.audit() == []
        copy.layout.poke("header", copy.layout.frame_offset(page), refcount=9)
        assert [finding.rule for finding in copy.audit()] == [7]
    assert arena.audit() == []


# Sharing


@pytest.mark.parametrize("start", STARTS)
def test_child_sees_and_changes_the_same_memory(start: str) -> None:
    context = multiprocess.get_context(start)
    sizes = [100, 1000, 3000, 4000]
    with Arena(frames=16) as arena:
        pool = Pool(arena)
        mine = pool.alloc(500)
        ours, theirs = context.Pipe()
        child = context.Process(target=store, args=(arena, 2, pool.offset, sizes, theirs))
        child.start()
        assert ours.poll(TIMEOUT)
        handles = ours.recv()
        for size, handle in zip(sizes, handles, strict=True):
            at, _, _ = arena.call(Call.CALL_MAP, pool.offset, handle)
            assert arena.memory[at : at + size] == b"\2" * size
            arena.call(Call.CALL_UNMAP, pool.offset, handle)
        task = arena.layout.task(2)
        assert (task["pid"], task["role"]) == (child.pid, Role.ROLE_CALLER)
        ours.send("done")
        child.join(TIMEOUT)
        assert child.exitcode == 0
        for handle in handles:
            arena.call(Call.CALL_FREE, pool.offset, handle)
        pool.free(mine)
        pool.drain()
        assert arena.audit() == []
        assert arena.layout.arena("frames_free") == 16


@pytest.mark.parametrize("start", STARTS)
def test_killed_child_leaves_its_data(start: str) -> None:
    context = multiprocess.get_context(start)
    with Arena(frames=16) as arena:
        pool = Pool(arena)
        ours, theirs = context.Pipe()
        child = context.Process(target=store, args=(arena, 3, pool.offset, [2000, 900], theirs))
        child.start()
        assert ours.poll(TIMEOUT)
        handles = ours.recv()
        os.kill(child.pid, signal.SIGKILL)
        child.join(TIMEOUT)
        assert child.exitcode == -signal.SIGKILL
        assert arena.audit() == []
        for size, handle in zip([2000, 900], handles, strict=True):
            at, _, _ = arena.call(Call.CALL_MAP, pool.offset, handle)
            assert arena.memory[at : at + size] == b"\3" * size
            arena.call(Call.CALL_UNMAP, pool.offset, handle)


def test_attached_arena_is_another_task(arena: Arena) -> None:
    with Arena.attach(arena.fd, task=4) as other:
        assert (arena.task, other.task) == (1, 4)
        assert other.fd != arena.fd
        other.cpu = 0
        assert arena.layout.task_field(4, "pid") == os.getpid()
        arena.memory[arena.layout.frame_offset(3)] = 77
        assert other.memory[other.layout.frame_offset(3)] == 77
    assert Pool(arena).stats().pages == 0, "closing one leaves the other"


def test_onlooker_is_no_task(arena: Arena) -> None:
    with Arena.attach(arena.fd) as onlooker:
        assert onlooker.task == 0
        assert onlooker.audit() == []
        assert [arena.layout.task_field(task, "state") for task in (1, 2, 3, 4)] == [2, 0, 0, 0]


def test_verdict_of_one_process_is_read_by_another(arena: Arena) -> None:
    with puppet(arena) as other:
        assert other.call(Call.CALL_UNLOCK, 0, 3) == ["lock-misuse"]
    (judgement,) = arena.judgements()
    assert (judgement.task, judgement.where) == (2, "spin_unlock")
    arena.forget_verdicts()
    assert arena.judgements() == []


@pytest.mark.parametrize("task", [0, 5, -1])
def test_task_that_does_not_exist(arena: Arena, task: int) -> None:
    with pytest.raises(ValueError, match=f"task {task} does not exist: the arena has 4"):
        arena.become(task)


def test_attaching_as_a_task_that_does_not_exist(arena: Arena) -> None:
    with pytest.raises(ValueError, match="task 61 does not exist: the arena has 4"):
        Arena.attach(arena.fd, task=61)


@pytest.mark.parametrize("cpu", [1, -1])
def test_cpu_that_does_not_exist(arena: Arena, cpu: int) -> None:
    with pytest.raises(ValueError, match=f"CPU {cpu} does not exist: the arena has 1"):
        arena.cpu = cpu
    assert arena.cpu == 0


def test_two_arenas_in_one_process() -> None:
    """The engine looks at one at a time, and turns to whichever is asked."""
    with Arena(frames=8, cpus=2) as one, Arena(frames=16, lock="mcs") as two:
        pools = Pool(one), Pool(two)
        handles = [[pool.alloc(3000) for _ in range(4)] for pool in pools]
        for pool, objects in zip(pools, handles, strict=True):
            assert sorted(map(pool.page_of, objects)) == [0, 1, 2, 3]
        assert [arena.layout.arena("frames_free") for arena in (one, two)] == [4, 12]
        assert [arena.audit() for arena in (one, two)] == [[], []]
        with pytest.raises(HandleError, match="belongs to another pool"):
            pools[1].free(handles[0][0])


# Nothing is left behind

MAKE_AND_WAIT = """
import signal
from z3fold_stress import Arena, Pool
arena = Arena(frames=64)
Pool(arena).alloc(1000)
print(arena.fd, flush=True)
signal.pause()
"""


def test_killed_parent_leaves_no_segment() -> None:
    """An arena has no name anywhere: not in /dev/shm, not in the file system."""
    before = set(os.listdir("/dev/shm"))
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", MAKE_AND_WAIT], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    fd = int(process.stdout.readline())
    assert "memfd:z3fold-stress" in os.readlink(f"/proc/{process.pid}/fd/{fd}")
    assert {name for name in set(os.listdir("/dev/shm")) - before if "z3fold" in name} == set()
    process.kill()
    process.wait(TIMEOUT)
    process.stdout.close()
    assert {name for name in set(os.listdir("/dev/shm")) - before if "z3fold" in name} == set()


def test_closed_arena_gives_its_descriptors_back() -> None:
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        arena = Arena(frames=4)
        Arena.attach(arena.fd).close()
        arena.close()
        arena.close()
    assert os.listdir("/proc/self/fd") == before


def test_use_after_close() -> None:
    arena = Arena(frames=4)
    pool = Pool(arena)
    handle = pool.alloc(100)
    arena.close()
    for use in (
        lambda: pool.alloc(100),
        lambda: pool.free(handle),
        lambda: pool.drain(),
        lambda: arena.audit(),
        lambda: arena.judgements(),
        lambda: arena.become(1),
        lambda: pool.stats(),
        lambda: arena.call(Call.CALL_PROBE),
    ):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_arena_left_in_the_middle_can_only_be_looked_at() -> None:
    with Arena(frames=4) as arena:
        pool = Pool(arena)
        arena.call(Call.CALL_LOCK, 0, 0)
        with pytest.raises(VerdictError, match="deadlock"):
            arena.call(Call.CALL_LOCK, 0, 0)
        with pytest.raises(VerdictError, match="deadlock"):
            pool.alloc(100)
        assert len(arena.judgements()) == 1
        assert arena.layout.pool(0)["pages_nr"] == 0
        arena.audit()


def test_only_an_open_arena_goes_to_a_child() -> None:
    """Outside of starting a process there is nobody to hand the descriptor to."""
    arena = Arena(frames=4)
    arena.close()
    with pytest.raises((ValueError, OSError, RuntimeError)):
        pickle.dumps(arena)


# Settings


@pytest.mark.parametrize(
    ("setting", "value", "range_"),
    [
        ("frames", 0, "from 1 to"),
        ("frames", 2**22 + 1, "to 4194304"),
        ("slots", -1, "from 0"),
        ("objects", 2**24 + 1, "to 16777216"),
        ("swap", -1, "from 0"),
        ("tasks", 0, "from 1 to 60"),
        ("tasks", 61, "from 1 to 60"),
        ("cpus", 0, "from 1 to 64"),
        ("cpus", 65, "from 1 to 64"),
        ("header_chunks", 0, "from 1 to 64"),
        ("header_chunks", 65, "from 1 to 64"),
        ("seed", -1, "from 0"),
        ("seed", 2**64, "from 0"),
        ("delay_ns", -1, "from 0"),
        ("ring", 3, "a power of two"),
        ("ring", -2, "a power of two"),
        ("ring", 2**21, "a power of two"),
        ("lock", "futex", "the kinds are ttas, ticket, mcs"),
        ("delay_rate", 1.1, "from 0 to 1"),
        ("delay_rate", -0.1, "from 0 to 1"),
        ("delay_rate", float("nan"), "from 0 to 1"),
        ("faults", {"page": 2.0}, "from 0 to 1"),
        ("faults", {"paeg": 0.5}, "there are page, slots, target, evict, trylock, create"),
    ],
)
def test_settings_that_cannot_work_name_the_setting_and_its_range(
    setting: str, value: Any, range_: str
) -> None:
    with pytest.raises(SettingsError, match=range_) as caught:
        Arena(**{setting: value})
    named = {"faults": next(iter(value))} if setting == "faults" else {}
    assert named.get(setting, setting) in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_unknown_design_names_the_nearest() -> None:
    with pytest.raises(UnknownDesign, match="nearest is 'sound'"):
        Arena("sounds")


@pytest.mark.parametrize("lock", LOCK_KINDS)
@pytest.mark.parametrize("ring", [0, 1, 64])
def test_settings_arrive_in_the_arena(lock: str, ring: int) -> None:
    settings = ArenaSettings(
        frames=3, slots=5, objects=7, swap=2, tasks=9, cpus=4, ring=ring, lock=lock, seed=99
    )
    with Arena.make(settings) as arena:
        read = {name: arena.layout.arena(name) for name in fields()["arena"][1]}
        assert {
            "nr_frames": 3, "nr_slots": 5, "nr_objects": 7, "nr_swap": 2, "nr_tasks": 9,
            "nr_cpus": 4, "ring": ring, "lock_kind": LOCK_KINDS.index(lock), "seed": 99,
            "frames_free": 3, "slots_free": 5, "header_chunks": 2,
        }.items() <= read.items()  # fmt: skip
        assert arena.layout.arena("size") == len(arena.memory)
        assert arena.audit() == []


@pytest.mark.parametrize(
    "limits",
    [{"frames": 1}, {"tasks": LIMITS["tasks"]}, {"cpus": LIMITS["cpus"]}, {"header_chunks": 61}],
    ids=str,
)
def test_settings_at_their_limits_work(limits: dict[str, int]) -> None:
    with Arena(**{"frames": 2, **limits}) as arena:
        for task in (1, limits.get("tasks", 1)):
            arena.become(task)
            arena.cpu = limits.get("cpus", 1) - 1
            with Pool(arena) as pool:
                handle = pool.alloc(64)
                with pool.map(handle) as view:
                    view[:] = bytes(64)
            assert arena.audit() == []


@pytest.mark.parametrize("fault", FAULTS[:3])
def test_certain_failures_are_certain(fault: str) -> None:
    with Arena(frames=4, faults={fault: 1.0}) as arena:
        pool = Pool(arena)
        if fault != "target":
            with pytest.raises(OSError, match="allocate"):
                pool.alloc(100)
            assert arena.layout.arena("frames_free") == 4
        else:
            assert pool.migrate_pages([pool.page_of(pool.alloc(100))]).result < 0


# The flight recorder


def test_recorder_keeps_the_last_events_in_order() -> None:
    with Arena(frames=8, ring=8) as arena, Pool(arena) as pool:
        first = pool.alloc(100)
        second = pool.alloc(4000)
        with pool.map(second):
            pass
        page = pool.page_of(first)
        pool.free(first)
        pool.drain()
        events = list(arena.layout.events(1))
        assert [event.op for event in events] == [
            "alloc", "alloc", "map", "unmap", "free", "release"
        ]  # fmt: skip
        assert [event.ticks for event in events] == sorted(event.ticks for event in events)
        assert (events[0].page, events[0].a, events[0].b) == (page, first.offset, 100)
        for _ in range(20):
            pool.free(pool.alloc(4000))
        assert len(list(arena.layout.events(1))) == 8
        assert [event.op for event in arena.layout.all_events()] == ["alloc", "free"] * 4


def test_recorder_is_off_by_default(arena: Arena) -> None:
    Pool(arena).alloc(100)
    assert arena.layout.all_events() == []
