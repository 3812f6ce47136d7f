"""The audit: every rule is broken on purpose in a healthy arena, by overwriting memory, and must be
the one that fires; and a healthy arena with pages in all their states has no finding."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from placement import place

from z3fold_stress import Arena, Handle, Pool, Verdict, VerdictError
from z3fold_stress._live import Call, fields
from z3fold_stress.layout import Layout
from z3fold_stress.soak.settings import SoakSettings

CHUNK = 64
LIST_HEAD = 16
HEADLESS, MIDDLE_MAPPED, NEEDS_COMPACTING, STALE, CLAIMED, FREED = (1 << bit for bit in range(6))
PG_ISOLATED = 1
UNUSED_SLOTS, UNUSED_FRAME = 20, 20


@dataclass
class Healthy:
    """An arena whose pages are in all the states that a page can rest in."""

    arena: Arena = field(default_factory=lambda: Arena(frames=32, cpus=2))
    pages: dict[str, int] = field(default_factory=dict)
    handles: dict[str, Handle] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pool = Pool(self.arena)
        self.layout: Layout = self.arena.layout
        for page, *chunks in (
            ("full", 20, 20, 22),
            ("mapped", 22, 20, 10),
            ("stale", 55),
            ("isolated", 50),
            ("compacting", 45, 15),
            ("listed", 40),
            ("headless", 64),
        ):
            handles = [self.pool.alloc(n * CHUNK) for n in chunks]
            (self.pages[page],) = {self.pool.page_of(handle) for handle in handles}
            names = ("first", "last", "middle")
            self.handles |= {f"{page} {n}": h for n, h in zip(names, handles, strict=False)}
        assert len(set(self.pages.values())) == len(self.pages)
        self.mapped = self.handles["mapped middle"].offset
        self.arena.call(Call.CALL_MAP, self.pool.offset, self.mapped)
        self.pool.free(self.handles["compacting last"])
        self.pool.free(self.handles["stale first"])
        assert self.pool.isolate(self.pages["isolated"])

    def page(self, name: str) -> int:
        """The offset of a page's descriptor."""
        return self.layout.page_offset(self.pages[name])

    def header(self, name: str) -> int:
        return self.layout.frame_offset(self.pages[name])

    def slots(self, name: str) -> int:
        return self.layout.get("header", self.header(name), "slots")

    def unbuddied(self, chunks: int, cpu: int = 0) -> int:
        return self.layout.pool(0)["percpu"] + (cpu * 64 + chunks) * LIST_HEAD

    def change(self, kind: str, offset: int, **by: int) -> None:
        """Add to fields."""
        for name, n in by.items():
            self.layout.poke(kind, offset, **{name: self.layout.get(kind, offset, name) + n})

    def flip(self, name: str, bits: int) -> None:
        """Flip bits of a page's private word."""
        private = self.layout.get("page", self.page(name), "private")
        self.layout.poke("page", self.page(name), private=private ^ bits)

    def link(self, first: int, second: int) -> None:
        """Make two list entries, given by the offsets of their links, neighbours."""
        struct.pack_into("=Q", self.arena.memory, first, second)
        struct.pack_into("=Q", self.arena.memory, second + 8, first)

    def unlink_from_lru(self, name: str) -> None:
        at, _ = fields()["page"][1]["lru_next"]
        page, link = self.layout.page(self.pages[name]), self.page(name) + at
        self.link(page["lru_prev"], page["lru_next"])
        self.link(link, link)


@pytest.fixture
def healthy() -> Iterator[Healthy]:
    made = Healthy()
    yield made
    made.arena.close()


def test_healthy_arena_has_no_finding(healthy: Healthy) -> None:
    private = {name: healthy.layout.page(pfn)["private"] for name, pfn in healthy.pages.items()}
    assert private == {
        "full": 0,
        "mapped": MIDDLE_MAPPED,
        "stale": STALE,
        "isolated": CLAIMED,
        "compacting": NEEDS_COMPACTING,
        "listed": 0,
        "headless": HEADLESS,
    }
    assert healthy.arena.audit() == []


def test_audit_only_reads(healthy: Healthy) -> None:
    healthy.change("header", healthy.header("full"), refcount=1)
    before = bytes(healthy.arena.memory)
    assert healthy.arena.audit() != []
    assert bytes(healthy.arena.memory) == before


def test_healthy_arena_ends_empty(healthy: Healthy) -> None:
    healthy.arena.call(Call.CALL_UNMAP, healthy.pool.offset, healthy.mapped)
    healthy.pool.putback(healthy.pages["isolated"])
    for handle in healthy.handles.values():
        if handle.live:
            healthy.pool.free(handle)
    healthy.pool.drain()
    assert healthy.arena.audit() == []
    assert healthy.layout.arena("frames_free") == 32
    assert healthy.layout.arena("slots_free") == 64
    healthy.pool.destroy()
    assert healthy.arena.audit() == []


# What is broken, and the one rule and verdict that must tell

Break = Callable[[Healthy], None]
BREAKS: list[tuple[int, Verdict, Break]] = []


def breaks(rule: int, verdict: Verdict) -> Callable[[Break], Break]:
    def note(function: Break) -> Break:
        BREAKS.append((rule, verdict, function))
        return function

    return note


@breaks(1, Verdict.INVARIANT)
def middle_begins_inside_the_first(h: Healthy) -> None:
    h.change("header", h.header("full"), start_middle=-1)


@breaks(1, Verdict.INVARIANT)
def middle_ends_inside_the_last(h: Healthy) -> None:
    h.change("header", h.header("full"), middle_chunks=1)


@breaks(1, Verdict.INVARIANT)
def first_reaches_over_the_last(h: Healthy) -> None:
    h.layout.poke("header", h.header("full"), first_chunks=43)


@breaks(2, Verdict.INVARIANT)
def listed_under_another_number_of_free_chunks(h: Healthy) -> None:
    h.change("header", h.header("listed"), first_chunks=1)


@breaks(4, Verdict.STALE_HANDLE)
def slot_names_a_free_page(h: Healthy) -> None:
    free = h.layout.frame_offset(UNUSED_FRAME)
    h.layout.poke("slots", h.slots("full"), slot1=free | 1)


@breaks(4, Verdict.STALE_HANDLE)
def slot_names_no_page(h: Healthy) -> None:
    h.layout.poke("slots", h.slots("full"), slot1=12345)


@breaks(4, Verdict.STALE_HANDLE)
def slot_names_another_page(h: Healthy) -> None:
    h.layout.poke("slots", h.slots("full"), slot1=h.header("listed") | 1)


@breaks(4, Verdict.STALE_HANDLE)
def slot_of_the_last_has_another_length(h: Healthy) -> None:
    h.change("slots", h.slots("full"), slot3=1 << 2)


@breaks(4, Verdict.STALE_HANDLE)
def slot_is_cleared_and_its_handle_is_not(h: Healthy) -> None:
    h.layout.poke("slots", h.slots("full"), slot1=0)
    h.arena.handles -= 1  # or it is told twice: by the page, and by the count


@breaks(4, Verdict.LEAK)
def handle_that_nobody_knows(h: Healthy) -> None:
    h.arena.handles -= 1


@breaks(5, Verdict.LEAK)
def slots_without_a_page(h: Healthy) -> None:
    h.layout.poke("slots", h.layout.slots_offset(UNUSED_SLOTS), state=1)
    h.layout.poke("slots", h.layout.slots_offset(UNUSED_SLOTS - 1), next_free=UNUSED_SLOTS + 2)
    h.layout.poke("arena", 0, slots_free=h.layout.arena("slots_free") - 1)


@breaks(6, Verdict.LIST_CORRUPTION)
def link_of_idle_work_leads_elsewhere(h: Healthy) -> None:
    h.layout.poke("header", h.header("full"), work_next=h.header("listed"))


@breaks(21, Verdict.LEAK)
def slots_object_missing_from_its_free_list(h: Healthy) -> None:
    h.layout.poke("slots", h.layout.slots_offset(UNUSED_SLOTS), next_free=0)


@breaks(6, Verdict.LIST_CORRUPTION)
def link_of_an_unlisted_page_leads_elsewhere(h: Healthy) -> None:
    h.layout.poke("header", h.header("full"), next=h.header("listed"))


@breaks(7, Verdict.REFCOUNT)
def reference_too_many(h: Healthy) -> None:
    h.change("header", h.header("full"), refcount=1)


@breaks(7, Verdict.REFCOUNT)
def reference_of_the_isolation_is_gone(h: Healthy) -> None:
    h.change("header", h.header("isolated"), refcount=-1)


@breaks(7, Verdict.REFCOUNT)
def reference_of_the_queued_compaction_is_gone(h: Healthy) -> None:
    h.change("header", h.header("compacting"), refcount=-1)


@breaks(8, Verdict.REFCOUNT)
def page_reference_too_many(h: Healthy) -> None:
    h.change("page", h.page("headless"), refcount=1)


@breaks(8, Verdict.REFCOUNT)
def page_reference_of_the_isolation_is_gone(h: Healthy) -> None:
    h.change("page", h.page("isolated"), refcount=-1)


@breaks(9, Verdict.INVARIANT)
def stale_page_has_a_reference(h: Healthy) -> None:
    h.change("header", h.header("stale"), refcount=1)


@breaks(9, Verdict.INVARIANT)
def page_on_the_stale_list_is_not_stale(h: Healthy) -> None:
    h.flip("stale", STALE)


@breaks(9, Verdict.INVARIANT)
def stale_page_is_on_no_stale_list(h: Healthy) -> None:
    at, _ = fields()["pool"][1]["stale_next"]
    head = h.pool.offset + at
    h.link(head, head)


@breaks(10, Verdict.INVARIANT)
def compaction_is_owed_and_not_queued(h: Healthy) -> None:
    h.flip("full", NEEDS_COMPACTING)
    h.change("header", h.header("full"), refcount=1)


@breaks(10, Verdict.INVARIANT)
def work_is_running_and_nobody_runs_it(h: Healthy) -> None:
    at, _ = fields()["pool"][1]["compact_wq"]
    h.layout.poke("workqueue", h.pool.offset + at, running=h.header("full") + 24)


@breaks(10, Verdict.LIST_CORRUPTION)
def work_queue_leads_to_no_work_item(h: Healthy) -> None:
    at, _ = fields()["pool"][1]["release_wq"]
    items = h.pool.offset + at + fields()["workqueue"][1]["next"][0]
    stranger = h.layout.slots_offset(UNUSED_SLOTS)
    h.link(items, stranger)
    h.link(stranger, items)


@breaks(11, Verdict.INVARIANT)
def page_is_claimed_by_nobody(h: Healthy) -> None:
    h.flip("full", CLAIMED)


@breaks(11, Verdict.LEAK)
def headless_page_is_claimed_by_nobody(h: Healthy) -> None:
    h.flip("headless", CLAIMED)


@breaks(11, Verdict.LEAK)
def headless_page_was_freed_and_is_still_there(h: Healthy) -> None:
    h.flip("headless", FREED)


@breaks(12, Verdict.INVARIANT)
def page_on_an_isolation_list_is_not_isolated(h: Healthy) -> None:
    h.layout.poke("page", h.page("isolated"), flags=0)


@breaks(12, Verdict.INVARIANT)
def isolated_page_is_on_no_isolation_list(h: Healthy) -> None:
    h.layout.poke("page", h.page("full"), flags=PG_ISOLATED)


@breaks(12, Verdict.INVARIANT)
def pool_counts_more_isolated_pages_than_there_are(h: Healthy) -> None:
    h.change("pool", h.pool.offset, isolated=1)


@breaks(13, Verdict.INVARIANT)
def mapped_count_is_too_high(h: Healthy) -> None:
    h.change("header", h.header("full"), mapped_count=1)


@breaks(13, Verdict.INVARIANT)
def mapped_count_is_too_low(h: Healthy) -> None:
    h.change("header", h.header("mapped"), mapped_count=-1)


@breaks(13, Verdict.INVARIANT)
def middle_is_mapped_and_not_marked(h: Healthy) -> None:
    h.flip("mapped", MIDDLE_MAPPED)


@breaks(14, Verdict.CORRUPTION)
def mapped_object_is_now_elsewhere(h: Healthy) -> None:
    task = h.layout.task_offset(1)
    ((handle, _, _),) = h.layout.maps(h.layout.task(1))
    here = h.header("full")
    h.layout.poke("task", task, maps=struct.pack("=QQQ", handle, here, here + 2 * CHUNK))
    h.change("header", here, mapped_count=1)
    h.change("header", h.header("mapped"), mapped_count=-1, middle_maps=-1)
    h.flip("mapped", MIDDLE_MAPPED)


@breaks(6, Verdict.INVARIANT)
def idle_work_item_is_marked_as_pending(h: Healthy) -> None:
    h.change("header", h.header("full"), work_data=1)


@breaks(6, Verdict.INVARIANT)
def work_item_names_another_function(h: Healthy) -> None:
    h.layout.poke("header", h.header("full"), work_func=2)


@breaks(9, Verdict.LEAK)
def stale_pages_that_no_work_will_free(h: Healthy) -> None:
    assert h.arena.call(Call.CALL_CANCEL_WORK, h.pool.offset)[0] == 1


@breaks(10, Verdict.INVARIANT)
def queued_work_is_not_marked_as_pending(h: Healthy) -> None:
    h.change("header", h.header("compacting"), work_data=-1)


@breaks(10, Verdict.INVARIANT)
def queue_counts_an_item_too_many(h: Healthy) -> None:
    at, _ = fields()["pool"][1]["compact_wq"]
    h.change("workqueue", h.pool.offset + at, queued=1)


@breaks(11, Verdict.INVARIANT)
def isolated_page_is_not_claimed(h: Healthy) -> None:
    h.flip("isolated", CLAIMED)


@breaks(11, Verdict.INVARIANT)
def page_with_a_header_is_marked_as_freed(h: Healthy) -> None:
    h.flip("full", FREED)


@breaks(12, Verdict.INVARIANT)
def isolated_page_is_noted_for_another_task(h: Healthy) -> None:
    h.layout.poke("page", h.page("isolated"), isolated_by=2)


@breaks(13, Verdict.INVARIANT)
def maps_of_the_middle_are_miscounted(h: Healthy) -> None:
    h.change("header", h.header("mapped"), middle_maps=1)


@breaks(14, Verdict.CORRUPTION)
def mapped_object_was_moved_in_its_page(h: Healthy) -> None:
    """The last one, which is told from its length."""
    last = h.handles["mapped last"].offset
    address, _, _ = h.arena.call(Call.CALL_MAP, h.pool.offset, last)
    ((_, _, _), (_, page, _)) = h.layout.maps(h.layout.task(1))
    raw = bytearray(h.layout.task(1)["maps"])
    struct.pack_into("=QQQ", raw, len(raw) // 32, last, page, address - CHUNK)
    h.layout.poke("task", h.layout.task_offset(1), maps=bytes(raw))


@breaks(15, Verdict.LIST_CORRUPTION)
def lru_does_not_agree_backwards(h: Healthy) -> None:
    h.layout.poke("pool", h.pool.offset, lru_prev=h.pool.offset)


@breaks(15, Verdict.LIST_CORRUPTION)
def unbuddied_list_leads_out_of_the_arena(h: Healthy) -> None:
    struct.pack_into("=Q", h.arena.memory, h.unbuddied(5), 1 << 50)


@breaks(15, Verdict.LIST_CORRUPTION)
def unbuddied_list_leads_to_no_header(h: Healthy) -> None:
    stranger = h.layout.slots_offset(UNUSED_SLOTS)
    h.link(h.unbuddied(5), stranger)
    h.link(stranger, h.unbuddied(5))


@breaks(15, Verdict.LIST_CORRUPTION)
def lru_leads_to_no_page(h: Healthy) -> None:
    at, _ = fields()["pool"][1]["lru_next"]
    head, stranger = h.pool.offset + at, h.layout.slots_offset(UNUSED_SLOTS)
    h.link(h.layout.pool(0)["lru_prev"], stranger)
    h.link(stranger, head)


@breaks(15, Verdict.USE_AFTER_FREE)
def free_page_is_on_a_list(h: Healthy) -> None:
    frame, head = h.layout.frame_offset(UNUSED_FRAME), h.unbuddied(5)
    h.link(head, frame)
    h.link(frame, head)


@breaks(16, Verdict.INVARIANT)
def page_is_on_the_list_of_another_cpu(h: Healthy) -> None:
    h.layout.poke("header", h.header("listed"), cpu=1)


@breaks(16, Verdict.INVARIANT)
def full_page_is_listed(h: Healthy) -> None:
    page, head = h.header("full"), h.unbuddied(0)
    h.link(head, page)
    h.link(page, head)


@breaks(17, Verdict.LOST_PAGE)
def page_with_room_is_not_listed(h: Healthy) -> None:
    page, head = h.header("listed"), h.unbuddied(22)
    assert h.layout.word(head) == page
    h.link(head, head)
    h.link(page, page)


@breaks(18, Verdict.LOST_PAGE)
def page_is_not_on_the_lru(h: Healthy) -> None:
    h.unlink_from_lru("full")


@breaks(19, Verdict.LOCK_MISUSE)
def page_lock_is_held(h: Healthy) -> None:
    h.layout.poke("header", h.header("full"), page_lock=3)


@breaks(19, Verdict.LOCK_MISUSE)
def descriptor_lock_is_held(h: Healthy) -> None:
    h.layout.poke("page", h.layout.page_offset(UNUSED_FRAME), pg_lock=3)


@breaks(19, Verdict.LOCK_MISUSE)
def pool_lock_is_held(h: Healthy) -> None:
    h.layout.poke("pool", h.pool.offset, lock=3)


@breaks(19, Verdict.LOCK_MISUSE)
def stale_lock_is_held(h: Healthy) -> None:
    h.layout.poke("pool", h.pool.offset, stale_lock=3)


@breaks(19, Verdict.LOCK_MISUSE)
def queue_lock_is_held(h: Healthy) -> None:
    at, _ = fields()["pool"][1]["compact_wq"]
    h.layout.poke("workqueue", h.pool.offset + at, lock=3)


@breaks(19, Verdict.LOCK_MISUSE)
def slots_lock_is_held(h: Healthy) -> None:
    h.layout.poke("slots", h.slots("full"), lock=3)


@breaks(20, Verdict.LOCK_MISUSE)
def another_task_holds_a_lock(h: Healthy) -> None:
    with Arena.attach(h.arena.fd, task=2) as other:
        other.call(Call.CALL_LOCK, 0, 0)


@breaks(19, Verdict.LOCK_MISUSE)
def page_lock_of_a_stale_page_is_held(h: Healthy) -> None:
    h.layout.poke("header", h.header("stale"), page_lock=3)


@breaks(20, Verdict.LOCK_MISUSE)
def another_task_has_preemption_disabled(h: Healthy) -> None:
    with Arena.attach(h.arena.fd, task=2):
        h.layout.poke("task", h.layout.task_offset(2), preempt_count=1)


@breaks(20, Verdict.INVARIANT)
def another_task_is_inside_an_operation(h: Healthy) -> None:
    with Arena.attach(h.arena.fd, task=2):
        h.layout.poke("task", h.layout.task_offset(2), depth=1)


@breaks(21, Verdict.LEAK)
def pool_counts_a_page_too_many(h: Healthy) -> None:
    h.change("pool", h.pool.offset, pages_nr=1)


@breaks(21, Verdict.LEAK)
def pool_counts_a_slots_object_too_few(h: Healthy) -> None:
    h.change("pool", h.pool.offset, slots_nr=-1)


@breaks(21, Verdict.LEAK)
def frame_is_allocated_to_nobody(h: Healthy) -> None:
    h.arena.call(Call.CALL_ALLOC_PAGE)


@breaks(21, Verdict.LEAK)
def free_frames_are_miscounted(h: Healthy) -> None:
    h.change("arena", 0, frames_free=1)


@breaks(22, Verdict.INVARIANT)
def page_is_not_marked_movable(h: Healthy) -> None:
    h.layout.poke("page", h.page("full"), mapping=0)


@breaks(22, Verdict.INVARIANT)
def page_is_movable_as_another_pools(h: Healthy) -> None:
    second = Pool(h.arena)
    h.layout.poke("page", h.page("full"), mapping=second.offset + fields()["pool"][1]["inode"][0])


@breaks(22, Verdict.INVARIANT)
def headless_page_is_marked_movable(h: Healthy) -> None:
    inode = h.pool.offset + fields()["pool"][1]["inode"][0]
    h.layout.poke("page", h.page("headless"), mapping=inode)


@breaks(25, Verdict.LEAK)
def inode_of_a_pool_that_is_gone(h: Healthy) -> None:
    second = Pool(h.arena)
    second.destroy()
    h.layout.poke("pool", second.offset, inode=1)


@breaks(25, Verdict.USE_AFTER_FREE)
def work_for_a_pool_that_is_gone(h: Healthy) -> None:
    second = Pool(h.arena)
    second.destroy()
    at, _ = fields()["pool"][1]["compact_wq"]
    h.layout.poke("workqueue", second.offset + at, next=h.header("compacting"))


@breaks(25, Verdict.LEAK)
def per_cpu_lists_without_a_pool(h: Healthy) -> None:
    h.change("arena", 0, percpu_used=2)


@pytest.mark.parametrize(
    ("rule", "verdict", "how"), BREAKS, ids=[f"{rule}-{how.__name__}" for rule, _, how in BREAKS]
)
def test_rule_fires(healthy: Healthy, rule: int, verdict: Verdict, how: Break) -> None:
    how(healthy)
    findings = healthy.arena.audit()
    assert {(finding.rule, finding.verdict) for finding in findings} == {(rule, verdict)}, findings
    assert f"audit rule {rule}" in str(findings[0])


def test_every_rule_but_the_payload_has_a_break_of_its_own() -> None:
    """Rule 3 needs the object table, and has its tests below."""
    assert {rule for rule, _, _ in BREAKS} == {*range(1, 23), 25} - {3}


# Breaks that several rules see


@pytest.mark.parametrize("field_name", ["pool", "slots"])
def test_header_that_names_something_else(healthy: Healthy, field_name: str) -> None:
    healthy.layout.poke("header", healthy.header("full"), **{field_name: 4096})
    rules = {(finding.rule, finding.verdict) for finding in healthy.arena.audit()}
    assert (6, Verdict.INVARIANT) in rules


def test_slots_that_were_freed_under_a_live_page(healthy: Healthy) -> None:
    healthy.layout.poke("slots", healthy.slots("full"), state=0)
    assert (5, Verdict.USE_AFTER_FREE) in {(f.rule, f.verdict) for f in healthy.arena.audit()}


def test_slots_that_two_pages_share(healthy: Healthy) -> None:
    healthy.layout.poke("header", healthy.header("listed"), slots=healthy.slots("full"))
    assert {(5, Verdict.LEAK), (4, Verdict.STALE_HANDLE)} <= {
        (finding.rule, finding.verdict) for finding in healthy.arena.audit()
    }


def test_headless_page_that_is_not_on_the_lru(healthy: Healthy) -> None:
    """Only by the LRU is it known whose it is, so its pool's count is wrong as well."""
    healthy.unlink_from_lru("headless")
    assert {(finding.rule, finding.verdict) for finding in healthy.arena.audit()} == {
        (18, Verdict.LOST_PAGE),
        (21, Verdict.LEAK),
    }


def test_mapping_of_live_pages_that_is_gone(healthy: Healthy) -> None:
    healthy.layout.poke("pool", healthy.pool.offset, inode=0)
    told = [f.page for f in healthy.arena.audit() if f.rule == 25]
    assert healthy.header("full") in told
    assert healthy.header("headless") not in told


def test_queued_work_in_a_freed_page(healthy: Healthy) -> None:
    healthy.layout.poke("page", healthy.page("compacting"), state=0)
    assert (10, Verdict.USE_AFTER_FREE) in {(f.rule, f.verdict) for f in healthy.arena.audit()}


def test_allocated_frame_on_the_free_list(healthy: Healthy) -> None:
    healthy.layout.poke("page", healthy.layout.page_offset(UNUSED_FRAME), state=1)
    assert (21, Verdict.DOUBLE_FREE) in {(f.rule, f.verdict) for f in healthy.arena.audit()}


def test_list_that_never_comes_back_to_its_head(healthy: Healthy) -> None:
    """Three entries in a ring of their own, which the head only leads into."""
    ring = [healthy.layout.frame_offset(pfn) for pfn in range(21, 24)]
    for here, there in zip(ring, [*ring[1:], ring[0]], strict=True):
        healthy.link(here, there)
    struct.pack_into("=Q", healthy.arena.memory, healthy.unbuddied(5), ring[0])
    assert (15, Verdict.LIST_CORRUPTION) in {(f.rule, f.verdict) for f in healthy.arena.audit()}


def test_findings_are_limited_on_request(healthy: Healthy) -> None:
    for name in ("full", "listed", "compacting"):
        healthy.change("header", healthy.header(name), refcount=1)
    assert len(healthy.arena.audit()) == 3
    assert len(healthy.arena.audit(most=2)) == 2


# Objects of the table: handles and payloads


def worked(arena: Arena) -> Pool:
    """A pool on which a soak's worker has done some hundred operations."""
    pool = Pool(arena)
    sizes = array("H", [16, 17, 100, 700, 1200, 2000, 4000])
    mix = SoakSettings(fill=0.8, linger=0.0).mix(pool.offset) | {"operations": 400}
    arena.engine.worker(mix, sizes)
    return pool


def live_objects(arena: Arena) -> list[int]:
    numbers = range(arena.layout.arena("nr_objects"))
    offsets = map(arena.layout.object_offset, numbers)
    return [at for at in offsets if arena.layout.get("object", at, "state") == 1]


def payload_of(arena: Arena, at: int) -> int:
    """Where the contents of an object of the table are."""
    return sum(place(arena, arena.layout.get("object", at, "handle")))


@pytest.fixture
def table() -> Iterator[Arena]:
    with Arena(frames=64, objects=48) as arena:
        worked(arena)
        assert len(live_objects(arena)) > 20
        assert arena.audit() == []
        yield arena


@pytest.mark.parametrize("byte", [0, 8, 15, -1], ids=["number", "tag", "tag-end", "end"])
def test_payload_byte_that_changed(table: Arena, byte: int) -> None:
    changed = set()
    for at in live_objects(table):
        size = table.layout.get("object", at, "size")
        where = payload_of(table, at) + byte % size
        table.memory[where] ^= 1
        (finding,) = table.audit()
        assert (finding.rule, finding.verdict) == (3, Verdict.CORRUPTION)
        assert finding.handle == table.layout.get("object", at, "handle")
        changed.add(finding.handle)
        table.memory[where] ^= 1
    assert len(changed) == len(live_objects(table))
    assert table.audit() == []


def test_byte_behind_a_payload_is_nobodys(table: Arena) -> None:
    at = next(
        at for at in live_objects(table) if table.layout.get("object", at, "size") in (17, 100)
    )
    table.memory[payload_of(table, at) + table.layout.get("object", at, "size")] ^= 0xFF
    assert table.audit() == []


@pytest.mark.parametrize(
    ("change", "rule", "verdict"),
    [
        ({"handle": 0}, 4, Verdict.STALE_HANDLE),
        ({"handle": 64}, 4, Verdict.STALE_HANDLE),
        ({"size": 4097}, 1, Verdict.INVARIANT),
        ({"version": 2**31}, 3, Verdict.CORRUPTION),
    ],
)
def test_object_that_does_not_fit_its_handle(
    table: Arena, change: dict[str, int], rule: int, verdict: Verdict
) -> None:
    table.layout.poke("object", live_objects(table)[0], **change)
    assert (rule, verdict) in {(finding.rule, finding.verdict) for finding in table.audit()}


def test_handle_in_the_pool_that_the_table_does_not_know(table: Arena) -> None:
    pool = table.layout.pool_offset(0)
    table.call(Call.CALL_ALLOC, pool, 100, 1)
    (finding,) = table.audit()
    assert (finding.rule, finding.verdict) == (4, Verdict.LEAK)


# Rule 22 needs doing: the probe


def probe(arena: Arena, pages: int = 400) -> int:
    moved: int = arena.call(Call.CALL_PROBE, 0, pages)[0]
    return moved


def test_probe_moves_the_pages_of_a_sound_arena() -> None:
    with Arena(frames=16) as arena, Pool(arena) as pool:
        handles = [pool.alloc(size) for size in (1000, 1000, 1000, 3000, 4000)]
        for number, handle in enumerate(handles):
            with pool.map(handle) as view:
                view[:] = bytes([number]) * handle.size
        assert probe(arena) > 10
        for number, handle in enumerate(handles):
            with pool.map(handle) as view:
                assert view == bytes([number]) * handle.size
        assert arena.audit() == []
        assert arena.judgements() == []


def test_probe_lets_mapped_pages_be() -> None:
    with Arena(frames=4) as arena, Pool(arena) as pool:
        handle = pool.alloc(1000)
        page = pool.page_of(handle)
        with pool.map(handle):
            assert probe(arena) == 0
        assert pool.page_of(handle) == page


def test_probe_finds_a_migration_that_never_succeeds() -> None:
    with Arena(defects=["migrate-double-page-lock"], frames=4) as arena:
        pool = Pool(arena)
        pool.alloc(1000)
        with pytest.raises(VerdictError) as caught:
            probe(arena)
        assert [j.verdict for j in caught.value.judgements] == [Verdict.EAGAIN_CONTRACT]
        assert "does not move" in caught.value.judgements[0].text


def test_probe_finds_a_count_of_maps_that_nobody_has() -> None:
    with Arena(frames=4) as arena:
        pool = Pool(arena)
        page = pool.page_of(pool.alloc(1000))
        arena.layout.poke("header", arena.layout.frame_offset(page), mapped_count=2)
        with pytest.raises(VerdictError) as caught:
            probe(arena)
        assert "mapped_count is 2" in caught.value.judgements[0].text


def test_probe_finds_a_page_that_refuses_for_another_reason() -> None:
    with Arena(frames=4) as arena:
        pool = Pool(arena)
        page = arena.layout.page_offset(pool.page_of(pool.alloc(1000)))
        arena.layout.poke("page", page, private=CLAIMED)
        with pytest.raises(VerdictError) as caught:
            probe(arena)
        assert [j.verdict for j in caught.value.judgements] == [Verdict.EAGAIN_CONTRACT]
        assert "cannot be isolated" in caught.value.judgements[0].text
