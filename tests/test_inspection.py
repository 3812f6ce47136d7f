"""Inspections: pages, lists, slots, locks, tasks and events as they are, and damage told, not
stumbled over."""

from __future__ import annotations

import json
import os
import random
import signal
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from z3fold_stress import Arena, Pool, SettingsError, _live
from z3fold_stress._live import Call
from z3fold_stress.dump import load, save
from z3fold_stress.inspection import SECTIONS, Inspection
from z3fold_stress.inspection.lists import offset_in
from z3fold_stress.inspection.pages import chunk_map
from z3fold_stress.inspection.text import page_text, section_text

RUNNING, DEAD = int(_live.TaskState.TASK_RUNNING), int(_live.TaskState.TASK_DEAD)
WORKER, MIGRATOR = int(_live.Role.ROLE_WORKER), int(_live.Role.ROLE_MIGRATOR)


@pytest.fixture
def arena() -> Iterator[Arena]:
    with Arena(frames=32, cpus=2, tasks=6, ring=64, keep_going=True) as arena:
        yield arena


@pytest.fixture
def pool(arena: Arena) -> Pool:
    return Pool(arena)


def page_lock(arena: Arena, page: int) -> int:
    return arena.layout.frame_offset(page) + offset_in("header", "page_lock")


def as_task(arena: Arena, task: int, role: int = WORKER, **fields: int) -> None:
    """Make it look as if a task were there."""
    fields = {"state": RUNNING, "role": role, "pid": 4242, **fields}
    arena.layout.poke("task", arena.layout.task_offset(task), **fields)


def lists_by_name(view: Inspection) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in view.lists()}


# chunk maps


@pytest.mark.parametrize(
    ("first", "start", "middle", "last", "expected"),
    [
        (0, 0, 0, 0, "##" + "." * 62),
        (6, 48, 0, 0, "##" + "1" * 6 + "." * 56),
        (6, 40, 10, 4, "##" + "1" * 6 + "." * 32 + "2" * 10 + "." * 10 + "3" * 4),
        (62, 0, 0, 0, "##" + "1" * 62),
        (6, 6, 4, 0, "##1111XX22" + "." * 54),
        (40, 0, 0, 40, "##" + "1" * 22 + "X" * 18 + "3" * 22),
        (60000, 65535, 9, 27499, "XX" + "X" * 62),
    ],
)
def test_chunk_map(first: int, start: int, middle: int, last: int, expected: str) -> None:
    header = {
        "first_chunks": first,
        "start_middle": start,
        "middle_chunks": middle,
        "last_chunks": last,
    }
    assert chunk_map(header, 2) == expected


# what is there


def test_pages_objects_and_slots(arena: Arena, pool: Pool) -> None:
    pool.alloc(640)
    last = pool.alloc(1280)
    pool.alloc(640)
    headless = pool.alloc(4090)
    view = Inspection(arena)
    page, whole = view.pages()
    assert page["chunks"] == "##" + "1" * 10 + "2" * 10 + "." * 22 + "3" * 20
    assert [o["buddy"] for o in page["objects"]] == ["FIRST", "MIDDLE", "LAST"]
    assert page["objects"][2]["handle"] == last.offset
    assert (page["kref"], page["refcount"], page["lists"]) == (3, 1, ["LRU"])
    assert whole["flags"] == ["HEADLESS"]
    assert whole["chunks"] == "@" * 64
    assert whole["objects"][0]["handle"] == headless.offset
    (slots,) = view.slots()
    assert slots["pages"] == [page["page"]]
    assert [w["names"] for w in slots["words"]] == [
        f"{buddy} of page {page['page']}" for buddy in ("FIRST", "MIDDLE", "LAST")
    ]
    assert view.clean()


def test_flags_by_name(arena: Arena, pool: Pool) -> None:
    page = pool.page_of(pool.alloc(100))
    arena.layout.poke("page", arena.layout.page_offset(page), private=0b101010, flags=1)
    (view,) = Inspection(arena).pages()
    assert view["flags"] == ["MIDDLE_CHUNK_MAPPED", "STALE", "FREED", "PG_isolated"]
    arena.layout.poke("page", arena.layout.page_offset(page), private=0x10014)
    assert Inspection(arena).pages()[0]["flags"][:3] == ["NEEDS_COMPACTING", "CLAIMED", "0x10000"]


def test_lists_tell_where_each_page_is(arena: Arena, pool: Pool) -> None:
    arena.cpu = 1
    listed = pool.page_of(pool.alloc(640))
    gone = pool.alloc(3500)
    full = pool.page_of(pool.alloc(4090))
    isolated = pool.page_of(gone)
    assert pool.isolate(isolated)
    lists = lists_by_name(Inspection(arena))
    assert lists["unbuddied, CPU 1, 52 chunks"]["entries"] == [listed]
    assert lists["LRU"]["entries"] == [full, listed]
    assert lists["isolated by task 1"]["entries"] == [isolated]
    assert lists["compact_wq"]["entries"] == lists["stale"]["entries"] == []
    pool.putback(isolated)
    pool.free(gone)
    lists = lists_by_name(Inspection(arena))
    assert lists["stale"]["entries"] == [isolated]
    assert lists["release_wq"]["entries"] == ["release work of pool 0"]


def test_queued_compaction_is_a_page_on_the_queue(arena: Arena, pool: Pool) -> None:
    first, middle, last = (pool.alloc(640) for _ in range(3))
    page = pool.page_of(middle)
    pool.free(first)
    pool.free(last)
    view = Inspection(arena)
    assert lists_by_name(view)["compact_wq"]["entries"] == [page]
    assert "NEEDS_COMPACTING" in view.pages()[0]["flags"]
    assert view.pages()[0]["work_pending"]


def test_maps_and_object_table_are_named() -> None:
    with Arena(frames=8, objects=4) as arena:
        pool = Pool(arena)
        handle = pool.alloc(640)
        arena.layout.poke("object", arena.layout.object_offset(2), handle=handle.offset, size=640)
        with pool.map(handle):
            view = Inspection(arena)
    (task,) = view.tasks()
    (page,) = view.pages()
    assert task["maps"] == [{"handle": handle.offset, "page": page["page"], "at": 128}]
    assert page["mapped_by"] == [1]
    assert page["objects"][0] | {"object": 2, "size": 640} == page["objects"][0]


def test_tasks(arena: Arena, pool: Pool) -> None:
    pool.alloc(100)
    inside = struct.pack("=IIQQ", _live.Op.OP_ALLOC, 0, 77, 3).ljust(4 * 24, b"\0")
    at = arena.layout.task_offset(3) + offset_in("task", "ops")
    arena.memory[at : at + len(inside)] = inside
    as_task(arena, 3, WORKER, depth=1, progress=9)
    first, second = Inspection(arena).tasks()
    assert (first["role"], first["state"], first["operations"]) == ("caller", "running", 2)
    assert second["inside"] == [{"op": "alloc", "a": 77, "b": 3}]
    assert (second["task"], second["role"], second["pid"]) == (3, "worker", 4242)


# locks


def test_held_lock_and_who_waits_for_it(arena: Arena, pool: Pool) -> None:
    page = pool.page_of(pool.alloc(100))
    arena.call(Call.CALL_LOCK_HEADER, 0, page)
    as_task(arena, 2, waits_for=page_lock(arena, page), waits_class=2)
    told = Inspection(arena).locks()
    name = f"page lock of page {page}"
    (lock,) = told["locks"]
    assert (lock["lock"], lock["owner"], lock["waiters"], lock["note"]) == (name, 1, [2], "")
    assert told["waits"] == [{"task": 2, "lock": name, "owners": [1]}]
    assert told["cycle"] == []


def test_every_lock_has_a_name(arena: Arena, pool: Pool) -> None:
    page = pool.page_of(pool.alloc(100))
    arena.call(Call.CALL_LOCK, 0, 5)
    arena.call(Call.CALL_READ_LOCK, 0, 6)
    arena.call(Call.CALL_TRYLOCK_PAGE, 0, page)
    slots = arena.layout.slots_offset(0) + offset_in("slots", "lock")
    at = arena.layout.pool_offset(0)
    queue = at + offset_in("pool", "release_wq") + offset_in("workqueue", "lock")
    for offset in (slots, at, at + offset_in("pool", "stale_lock"), queue):
        struct.pack_into("=I", arena.memory, offset, 1)
    locks = {lock["lock"]: lock for lock in Inspection(arena).locks()["locks"]}
    assert set(locks) == {
        "scratch lock 5",
        "scratch lock 6",
        f"PG lock of page {page}",
        "lock of slots 0",
        "lock of pool 0",
        "stale lock of pool 0",
        "release_wq lock of pool 0",
    }
    assert locks["scratch lock 6"]["readers"] == [1]
    assert locks["lock of slots 0"]["note"] == "its owner does not know that it holds it"


def test_deadlock_is_a_cycle(arena: Arena, pool: Pool) -> None:
    pages = [pool.page_of(pool.alloc(4000)) for _ in range(3)]
    for task, page in enumerate(pages, start=2):
        struct.pack_into("=I", arena.memory, page_lock(arena, page), task)
        wanted = pages[(task - 1) % 3]
        as_task(arena, task, MIGRATOR, waits_for=page_lock(arena, wanted), waits_class=2)
    as_task(arena, 5, waits_for=page_lock(arena, pages[0]), waits_class=2)
    view = Inspection(arena)
    told = view.locks()
    assert sorted(told["cycle"]) == [2, 3, 4]
    text = section_text(view, "locks")
    assert "DEADLOCK: task 2 (migrator) -> task 3 (migrator) -> task 4 (migrator)" in text
    assert f"task 5 (worker) waits for the page lock of page {pages[0]}" in text


def test_orphaned_lock(arena: Arena, pool: Pool) -> None:
    page = pool.page_of(pool.alloc(100))
    struct.pack_into("=I", arena.memory, page_lock(arena, page), 4)
    as_task(arena, 4, state=DEAD)
    (lock,) = Inspection(arena).locks()["locks"]
    assert (lock["owner"], lock["note"]) == (4, "orphaned: its owner is dead")
    assert "task 4 (worker, dead)" in section_text(Inspection(arena), "locks")


# events


def test_events_around_a_page(arena: Arena, pool: Pool) -> None:
    here = pool.alloc(3000)
    elsewhere = pool.alloc(3100)
    page = pool.page_of(here)
    with pool.map(here), pool.map(elsewhere):
        pass
    pool.isolate(page)
    pool.migrate(page)
    new = pool.page_of(here)
    view = Inspection(arena)
    around = view.events(page)
    assert [e["op"] for e in around] == ["alloc", "map", "unmap", "isolate", "migrate"]
    assert around[-1]["says"] == f"to page {new}, attempt 1"
    assert around[0]["says"] == f"3000 bytes, handle 0x{here.offset:x}"
    assert [e["before_end_us"] >= 0 for e in around] == [True] * 5
    assert around[-1]["before_end_us"] == 0
    assert "migrate" in {e["op"] for e in view.events(new)}
    assert len(view.events()) == 8
    assert [e["op"] for e in view.events(None, 2)] == ["isolate", "migrate"]
    assert f"to page {new}, attempt 1" in page_text(view, page)


def test_recorder_off_has_no_events() -> None:
    with Arena(frames=4) as arena:
        Pool(arena).alloc(100)
        view = Inspection(arena)
        assert view.events() == view.events(0) == []
        assert "the recorder was off" in section_text(view, "events")


# verdicts, the audit, the whole


def test_verdict_and_finding_lead_to_their_page(arena: Arena, pool: Pool) -> None:
    page = pool.page_of(pool.alloc(100))
    other = pool.page_of(pool.alloc(4000))
    header = arena.layout.frame_offset(page)
    arena.engine.declare(3, "here", "it was touched", arena.layout.frame_offset(other))
    arena.layout.poke("header", header, mapped_count=3)
    view = Inspection(arena)
    assert not view.clean()
    assert view.suspects() == [other, page]
    assert view.verdicts()[0]["says"].startswith("use-after-free: it was touched")
    assert f"(audit rule 13), page {page}\n" in section_text(view, "audit")
    assert [f["rule"] for f in view.page(page)["audit"]] == [13]
    assert "it was touched" in page_text(view, other)
    assert f"!{page} " in section_text(view, "pages", 16)


def test_leaked_slots_object_is_told(arena: Arena, pool: Pool) -> None:
    pool.alloc(100)
    leaked = arena.layout.slots_offset(7)
    arena.layout.poke("slots", leaked, state=1, pool=pool.offset, slot1=0xDEAD0)
    view = Inspection(arena)
    assert "NO PAGE" in section_text(view, "slots")
    assert not view.clean()


def test_long_sections_are_folded(arena: Arena, pool: Pool) -> None:
    for _ in range(30):
        pool.alloc(4000)
    view = Inspection(arena)
    assert "... and 14 more pages (--section pages)" in section_text(view, "pages", 16)
    assert "more" not in section_text(view, "pages")
    assert len(section_text(view, "pages").splitlines()) == 33


def test_dump_tells_the_same_as_the_arena(arena: Arena, pool: Pool, tmp_path: Path) -> None:
    for size in (100, 1000, 3000, 4090):
        pool.alloc(size)
    live = Inspection(arena)
    save(arena, tmp_path / "a", {})
    loaded, header = load(tmp_path / "a")
    with loaded:
        saved = Inspection(loaded, header)
        for section in set(SECTIONS) - {"overview", "events"}:
            assert saved.to_json([section]) == live.to_json([section])
        assert saved.overview() | {"written_by": None} == live.overview()
        text = "".join(section_text(saved, section) for section in SECTIONS)
        json.dumps(saved.page(0))
    assert "written  by z3fold-stress" in text


def test_page_that_does_not_exist(arena: Arena) -> None:
    with pytest.raises(SettingsError, match="page 32 does not exist: the arena has pages 0 to 31"):
        Inspection(arena).page(32)
    assert page_text(Inspection(arena), 31).startswith("Page 31: free")


# damage


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (0x5B5B5B5B5B5B0100, "LIST_POISON1"),
        (0x6B6B6B6B6B6B6B6B, "freed memory"),
        (0, "null"),
        (2**63, "no place in the arena"),
        (0x1001, "no place in the arena"),
    ],
)
def test_torn_link_ends_the_walk(arena: Arena, pool: Pool, value: int, says: str) -> None:
    pages = [pool.page_of(pool.alloc(4000)) for _ in range(3)]
    arena.layout.poke("page", arena.layout.page_offset(pages[1]), lru_next=value)
    lru = lists_by_name(Inspection(arena))["LRU"]
    assert lru["entries"] == [pages[2], pages[1]]
    assert says in lru["damage"]
    assert "TORN: pool 0, LRU, after 2" in section_text(Inspection(arena), "lists")


def test_link_into_the_middle_of_a_list_is_noticed(arena: Arena, pool: Pool) -> None:
    pages = [pool.page_of(pool.alloc(4000)) for _ in range(3)]
    head = arena.layout.pool_offset(0) + offset_in("pool", "lru_next")
    first = arena.layout.page_offset(pages[2]) + offset_in("page", "lru_next")
    last = arena.layout.page_offset(pages[0])
    arena.layout.poke("page", last, lru_next=first)
    lru = lists_by_name(Inspection(arena))["LRU"]
    assert lru["entries"] == [pages[2], pages[1], pages[0]]
    assert lru["damage"].endswith(f"says next 0x{first:x}, which says prev 0x{head:x}")


def test_lists_out_of_the_arena(arena: Arena, pool: Pool) -> None:
    pool.alloc(100)
    arena.layout.poke("pool", pool.offset, percpu=2**60)
    lists = lists_by_name(Inspection(arena))
    assert "out of the arena" in lists["unbuddied"]["damage"]


def test_audit_that_crashes_is_a_finding(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(self: Arena, most: int) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)

    monkeypatch.setattr(Arena, "audit", crash)
    (finding,) = Inspection(arena).audit()
    assert finding["verdict"] == "unreadable"
    assert "could not get through this arena (SIGSEGV)" in finding["says"]


def test_any_damage_is_told_and_never_stumbled_over(arena: Arena, pool: Pool) -> None:
    """Random words all over a small arena; what is told does not matter here."""
    handles = [pool.alloc(size) for size in (100, 1500, 800, 4090, 300, 1200, 2500, 600)]
    pool.free(handles.pop(1))
    pool.isolate(pool.page_of(handles[3]))
    image, tasks = bytes(arena.memory), arena.layout.arena("pools")
    end = arena.layout.frame_offset(8)
    used = [at for at in range(tasks, end, 8) if any(image[at : at + 8])]
    for seed in range(40):
        choose = random.Random(seed)
        damaged = bytearray(image)
        for _ in range(choose.choice((1, 5, 40, 400))):
            value = choose.choice(
                (choose.getrandbits(64), choose.randrange(0, end, 8), 2**64 - 1, 0x6B6B6B6B6B6B6B6B)
            )
            struct.pack_into("=Q", damaged, choose.choice(used), value)
        with Arena.from_bytes(bytes(damaged)) as copy:
            view = Inspection(copy)
            for section in SECTIONS:
                if section != "audit":  # a process each
                    assert section_text(view, section)
            if seed % 10 == 0:
                assert page_text(view, 0)
                json.dumps(view.to_json())
