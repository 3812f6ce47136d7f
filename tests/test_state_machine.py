"""Hypothesis drives the subject: against the model where the model knows the answer, and where
pages move, against what each object must hold and every invariant of the audit."""

from __future__ import annotations

import errno
import random
from contextlib import suppress
from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from model import CHUNK_SIZE, HEADER_CHUNKS, LARGEST_BUDDY, Buddy, Model, Object, Page
from placement import place

from z3fold_stress import Arena, Handle, Pool
from z3fold_stress._live import LIMITS, Call

CPUS = 3
HEADLESS, NEEDS_COMPACTING, STALE, PG_ISOLATED = 1 << 0, 1 << 2, 1 << 3, 1 << 0
EDGES = [0, 1, 63, 64, 65, 3903, 3904, 3905, 3968, 4095, 4096, 4097, 2**31, -1]
SIZES = st.one_of(
    st.integers(1, LARGEST_BUDDY),
    st.integers(1, 61).map(lambda chunks: chunks * CHUNK_SIZE),
    st.sampled_from([1240, 1300, 1984]),
)
RULES = settings(
    max_examples=80,
    stateful_step_count=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def noise(seed: int, size: int) -> bytes:
    """Contents that no other object has."""
    return random.Random(seed).randbytes(size)


# Without migration: the model knows where everything is


@dataclass(eq=False)
class Pair:
    """An object of the subject, the same object of the model, and what was written to it."""

    handle: Handle
    object: Object
    contents: bytes = field(default=b"", repr=False)
    maps: int = 0
    overlapped: bool = False


class PlacementMachine(RuleBasedStateMachine):
    """One task on a few pages and CPUs: answers, page counts, places and contents.

    As posted, a first object may be placed over a middle that is mapped: then neither of the two
    is asked for its contents any more.
    """

    design = "sound"
    frames = 6

    def __init__(self) -> None:
        super().__init__()
        posted = self.design == "as-posted"
        self.posted = posted
        self.arena = Arena(
            self.design, frames=self.frames, slots=4096, cpus=CPUS, keep_going=posted
        )
        self.pool = Pool(self.arena)
        self.model = Model(cpus=CPUS, frames=self.frames, first_fit_ignores_header_chunks=posted)
        self.live: list[Pair] = []
        self.written = 0

    @rule(
        size=st.one_of(SIZES, SIZES, st.sampled_from(EDGES)),
        cpu=st.integers(0, CPUS - 1),
        atomic=st.booleans(),
        highmem=st.sampled_from([False] * 9 + [True]),
    )
    def alloc(self, size: int, cpu: int, atomic: bool, highmem: bool) -> None:
        self.arena.cpu = cpu
        expected, obj = self.model.alloc(size, cpu, atomic=atomic, highmem=highmem)
        try:
            handle = self.pool.alloc(size, atomic=atomic, highmem=highmem)
        except OSError as error:
            handle, answer = None, -error.errno
        else:
            answer = 0
        assert answer == expected
        if handle is None:
            return
        assert obj is not None
        assert handle.headless == (obj.page is None)
        pair = Pair(handle, obj)
        self.mark_overlaps(pair)
        self.live.append(pair)
        self.write(pair)

    @precondition(lambda self: self.can_hold_more())
    @rule(chunks=st.tuples(st.integers(15, 30), st.integers(8, 15), st.integers(5, 10)))
    def sandwich(self, chunks: tuple[int, int, int]) -> None:
        """Where there is an empty page to be had: a first, a last, a middle, which is mapped."""
        for n in chunks:
            self.alloc(n * CHUNK_SIZE, 0, False, False)
        if self.live:
            self.hold(self.live[-1])

    def pages_with_a_mapped_middle(self) -> list[Page]:
        pages = dict.fromkeys(pair.object.page for pair in self.live)
        return [page for page in pages if page is not None and page.middle_mapped]

    @precondition(lambda self: self.pages_with_a_mapped_middle())
    @rule(data=st.data())
    def free_around_a_mapped_middle(self, data: st.DataObject) -> None:
        page = data.draw(st.sampled_from(self.pages_with_a_mapped_middle()))
        for pair in tuple(self.live):
            if pair.object.page is page and not pair.maps:
                self.free_pair(pair, 0)
        self.drain(0)

    def rooms_before_a_mapped_middle(self) -> list[int]:
        return [
            page.start_middle - HEADER_CHUNKS
            for page in self.pages_with_a_mapped_middle()
            if Buddy.FIRST not in page.objects
        ]

    @precondition(lambda self: self.rooms_before_a_mapped_middle())
    @rule(data=st.data(), more=st.integers(-1, 2))
    def alloc_before_a_mapped_middle(self, data: st.DataObject, more: int) -> None:
        room = data.draw(st.sampled_from(self.rooms_before_a_mapped_middle()))
        self.alloc(max(1, room + more) * CHUNK_SIZE, 0, False, False)

    def mark_overlaps(self, new: Pair) -> None:
        begin, end = self.span(new)
        for pair in self.live:
            if new.object.page is not None and pair.object.page is new.object.page:
                other_begin, other_end = self.span(pair)
                if begin < other_end and other_begin < end:
                    assert self.posted, "two objects overlap"
                    new.overlapped = pair.overlapped = True

    def span(self, pair: Pair) -> tuple[int, int]:
        begin = self.model.map_offset(pair.object)
        return begin, begin + pair.object.chunks * CHUNK_SIZE

    def write(self, pair: Pair) -> None:
        """Through a map, which in the design as posted takes the mark off a mapped middle."""
        self.written += 1
        pair.contents = noise(self.written, pair.handle.size)
        with self.pool.map(pair.handle) as view:
            assert len(view) == pair.handle.size
            view[:] = pair.contents
        self.unmapped(pair)

    def unmapped(self, pair: Pair) -> None:
        page = pair.object.page
        if page is not None and pair.object.buddy is Buddy.MIDDLE:
            page.middle_mapped = pair.maps > 0 and not self.posted

    @precondition(lambda self: len(self.held()) < len(self.live))
    @rule(data=st.data(), cpu=st.integers(0, CPUS - 1))
    def free(self, data: st.DataObject, cpu: int) -> None:
        self.free_pair(data.draw(st.sampled_from([p for p in self.live if not p.maps])), cpu)

    def free_pair(self, pair: Pair, cpu: int) -> None:
        self.live.remove(pair)
        self.arena.cpu = cpu
        self.pool.free(pair.handle)
        self.model.free(pair.object, cpu)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def rewrite(self, data: st.DataObject) -> None:
        self.write(data.draw(st.sampled_from(self.live)))

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def verify(self, data: st.DataObject) -> None:
        pair = data.draw(st.sampled_from(self.live))
        with self.pool.map(pair.handle) as view:
            assert pair.overlapped or view == pair.contents
        self.unmapped(pair)

    def held(self) -> list[Pair]:
        return [pair for pair in self.live if pair.maps]

    def can_hold_more(self) -> bool:
        return sum(pair.maps for pair in self.live) < LIMITS["maps"] - 1

    @precondition(lambda self: self.live and self.can_hold_more())
    @rule(data=st.data(), again=st.booleans())
    def map_and_hold(self, data: st.DataObject, again: bool) -> None:
        self.hold(data.draw(st.sampled_from((again and self.held()) or self.live)))

    def hold(self, pair: Pair) -> None:
        self.arena.call(Call.CALL_MAP, self.pool.offset, pair.handle.offset)
        pair.maps += 1
        if pair.object.page is not None and pair.object.buddy is Buddy.MIDDLE:
            pair.object.page.middle_mapped = True

    @precondition(lambda self: self.held())
    @rule(data=st.data())
    def unmap(self, data: st.DataObject) -> None:
        pair = data.draw(st.sampled_from(self.held()))
        self.arena.call(Call.CALL_UNMAP, self.pool.offset, pair.handle.offset)
        pair.maps -= 1
        self.unmapped(pair)

    @rule(cpu=st.integers(0, CPUS - 1))
    def drain(self, cpu: int) -> None:
        self.pool.drain(cpu)
        self.model.drain(cpu)

    @invariant()
    def counts_and_places_are_the_models(self) -> None:
        assert self.arena.layout.get("pool", self.pool.offset, "pages_nr") == self.model.pages_nr
        pages: dict[int, object] = {}
        for pair in self.live:
            page, offset = place(self.arena, pair.handle.offset)
            assert offset == self.model.map_offset(pair.object)
            own = pair.object.page or pair.object
            assert pages.setdefault(page, own) is own
            if not pair.overlapped:
                at = page + offset
                assert self.arena.memory[at : at + pair.handle.size] == pair.contents
        assert len(set(map(id, pages.values()))) == len(pages)

    @invariant()
    def sound_has_no_finding(self) -> None:
        if not self.posted:
            assert self.arena.audit() == []
            assert self.arena.judgements() == []

    def teardown(self) -> None:
        for pair in self.live:
            for _ in range(pair.maps):
                self.arena.call(Call.CALL_UNMAP, self.pool.offset, pair.handle.offset)
            self.pool.free(pair.handle)
            self.model.free(pair.object)
        self.pool.drain(0)
        self.model.drain()
        assert self.arena.layout.get("pool", self.pool.offset, "pages_nr") == 0
        assert self.arena.layout.arena("frames_free") == self.frames
        if not self.posted:
            assert self.arena.layout.arena("slots_free") == 4096
            assert self.arena.audit() == []
        self.arena.close()


class PostedPlacementMachine(PlacementMachine):
    design = "as-posted"


TestPlacementOfSound = PlacementMachine.TestCase
TestPlacementOfSound.settings = RULES
TestPlacementAsPosted = PostedPlacementMachine.TestCase
TestPlacementAsPosted.settings = RULES


# With migration and reclaim: handles and contents stay, and every invariant holds


EVICTIONS = ["free", "free and fail", "free neighbours", "gone", "fail", "isolate"]


@dataclass(eq=False)
class Stored:
    handle: Handle
    contents: bytes = field(default=b"", repr=False)
    mapped_by: list[int] = field(default_factory=list)


class MigrationMachine(RuleBasedStateMachine):
    """Two tasks of one process isolate, move and put back pages, and reclaim evicts, while
    objects come and go. Which page holds what is theirs to decide."""

    frames = 14
    tasks = (1, 2)

    @initialize(lock=st.sampled_from(["ttas", "ticket", "mcs"]), seed=st.integers(0, 2**32))
    def begin(self, lock: str, seed: int) -> None:
        self.one = Arena(frames=self.frames, cpus=2, lock=lock, seed=seed)
        self.two = Arena.attach(self.one.fd, task=2)
        self.pool = Pool(self.one, evict=self.evict)
        self.stored: list[Stored] = []
        self.evictions: list[str] = []
        self.written = 0

    def arena(self, task: int) -> Arena:
        return self.one if task == 1 else self.two

    def page_of(self, stored: Stored) -> int:
        return self.pool.page_of(stored.handle)

    def page(self, pfn: int) -> dict[str, int]:
        return self.one.layout.page(pfn)

    def isolated_by(self, task: int) -> list[int]:
        pages = map(self.page, range(self.frames))
        return [
            pfn
            for pfn, page in enumerate(pages)
            if page["state"] and page["flags"] & 1 and page["isolated_by"] == task
        ]

    def isolated(self) -> list[tuple[int, int]]:
        return [(task, pfn) for task in self.tasks for pfn in self.isolated_by(task)]

    def can_be_tried(self) -> list[tuple[int, int]]:
        return [(task, pfn) for task, pfn in self.isolated() if self.page(pfn)["tries"] < 10]

    # objects

    @rule(
        sizes=st.lists(st.one_of(SIZES, SIZES, st.just(4000)), min_size=1, max_size=6),
        cpu=st.integers(0, 1),
        atomic=st.booleans(),
    )
    def alloc(self, sizes: list[int], cpu: int, atomic: bool) -> None:
        self.one.cpu = cpu
        for size in sizes:
            try:
                stored = Stored(self.pool.alloc(size, atomic=atomic))
            except OSError:
                assert self.one.layout.arena("frames_free") == 0
                return
            self.stored.append(stored)
            self.rewrite_object(stored)

    def rewrite_object(self, stored: Stored) -> None:
        self.written += 1
        stored.contents = noise(self.written, stored.handle.size)
        with self.pool.map(stored.handle) as view:
            view[:] = stored.contents

    def free_object(self, stored: Stored) -> None:
        self.stored.remove(stored)
        self.pool.free(stored.handle)

    def unmapped(self) -> list[Stored]:
        return [stored for stored in self.stored if not stored.mapped_by]

    def on_isolated_pages(self) -> list[Stored]:
        return [s for s in self.unmapped() if self.page(self.page_of(s))["flags"] & 1]

    @precondition(lambda self: self.unmapped())
    @rule(data=st.data(), cpu=st.integers(0, 1))
    def free(self, data: st.DataObject, cpu: int) -> None:
        self.one.cpu = cpu
        self.free_object(data.draw(st.sampled_from(self.unmapped())))

    @precondition(lambda self: self.on_isolated_pages())
    @rule(data=st.data())
    def free_on_an_isolated_page(self, data: st.DataObject) -> None:
        self.free_object(data.draw(st.sampled_from(self.on_isolated_pages())))

    @precondition(lambda self: self.stored)
    @rule(data=st.data())
    def rewrite(self, data: st.DataObject) -> None:
        self.rewrite_object(data.draw(st.sampled_from(self.stored)))

    @precondition(lambda self: self.stored and sum(len(s.mapped_by) for s in self.stored) < 5)
    @rule(data=st.data(), task=st.sampled_from(tasks))
    def map_and_hold(self, data: st.DataObject, task: int) -> None:
        stored = data.draw(st.sampled_from(self.stored))
        at, _, _ = self.arena(task).call(Call.CALL_MAP, self.pool.offset, stored.handle.offset)
        assert self.one.memory[at : at + stored.handle.size] == stored.contents
        stored.mapped_by.append(task)

    @precondition(lambda self: any(stored.mapped_by for stored in self.stored))
    @rule(data=st.data())
    def unmap(self, data: st.DataObject) -> None:
        stored = data.draw(st.sampled_from([s for s in self.stored if s.mapped_by]))
        task = stored.mapped_by.pop()
        self.arena(task).call(Call.CALL_UNMAP, self.pool.offset, stored.handle.offset)

    def owes_work(self) -> bool:
        pages = map(self.page, range(self.frames))
        return any(page["private"] & (NEEDS_COMPACTING | STALE) for page in pages)

    @precondition(lambda self: self.owes_work())
    @rule(cpu=st.sampled_from([None, 0, 1]))
    def drain(self, cpu: int | None) -> None:
        self.pool.drain(cpu)

    # pages

    @precondition(lambda self: self.stored)
    @rule(
        data=st.data(),
        task=st.sampled_from(tasks),
        most=st.integers(1, 4),
        wisely=st.sampled_from([True, True, False]),
    )
    def isolate(self, data: st.DataObject, task: int, most: int, wisely: bool) -> None:
        pages = sorted({self.page_of(stored) for stored in self.stored})
        idle = [pfn for pfn in pages if not self.reasons_to_refuse(pfn)]
        for pfn in data.draw(st.permutations(idle if wisely and idle else pages))[:most]:
            reasons = self.reasons_to_refuse(pfn)
            answer, _, _ = self.arena(task).call(Call.CALL_ISOLATE, self.pool.offset, pfn)
            assert answer == (not reasons)
            assert answer or self.arena(task).why_refused == reasons[0]

    def reasons_to_refuse(self, pfn: int) -> list[str]:
        """In the order in which they are looked at."""
        page = self.page(pfn)
        if page["private"] & HEADLESS:
            return ["not-movable"]
        reasons = {
            "isolated": page["flags"] & PG_ISOLATED,
            "compacting": page["private"] & NEEDS_COMPACTING,
            "mapped": self.one.layout.header(pfn)["mapped_count"],
        }
        return [reason for reason, present in reasons.items() if present]

    @precondition(lambda self: self.can_be_tried())
    @rule(data=st.data(), contended=st.sampled_from([False, False, True]))
    def migrate_once(self, data: st.DataObject, contended: bool) -> None:
        """One attempt; the errno follows from the state that the page is in."""
        task, pfn = data.draw(st.sampled_from(self.can_be_tried()))
        other = self.arena(3 - task)
        compacting = self.page(pfn)["private"] & NEEDS_COMPACTING
        mapped = self.one.layout.header(pfn)["mapped_count"]
        expected = 0
        if self.one.layout.arena("frames_free") == 0:
            expected = -errno.ENOMEM
        elif contended or compacting:
            expected = -errno.EAGAIN
        elif mapped:
            expected = -errno.EBUSY
        if contended:
            other.call(Call.CALL_LOCK_HEADER, 0, pfn)
        result, _, _ = self.arena(task).call(Call.CALL_MIGRATE, self.pool.offset, pfn)
        if contended:
            other.call(Call.CALL_UNLOCK_HEADER, 0, pfn)
        assert result == expected
        assert (pfn in self.isolated_by(task)) == (result != 0)

    @precondition(lambda self: self.isolated())
    @rule(data=st.data())
    def putback(self, data: st.DataObject) -> None:
        task, pfn = data.draw(st.sampled_from(self.isolated()))
        self.arena(task).call(Call.CALL_PUTBACK, self.pool.offset, pfn)
        assert pfn not in self.isolated_by(task)

    @precondition(lambda self: self.isolated())
    @rule(data=st.data(), mode=st.integers(0, 15))
    def migrate_pages(self, data: st.DataObject, mode: int) -> None:
        """Everything that a task has isolated; bit 3 of the mode keeps the caller's putback
        back. A page is tried ten times in all."""
        task, _ = data.draw(st.sampled_from(self.isolated()))
        pages = self.isolated_by(task)
        passes = 10 - max((self.page(pfn)["tries"] for pfn in pages), default=0)
        if mode & 4:
            passes //= 2  # a second attempt tries them all again
        if passes == 0:
            mode &= ~8
        result, _, _ = self.arena(task).call(
            Call.CALL_MIGRATE_PAGES, self.pool.offset, mode, passes
        )
        left = self.isolated_by(task)
        assert set(left) <= set(pages)
        if not mode & 8:
            assert left == []
        elif result >= 0:
            assert len(left) <= result <= len(pages) * 10

    @precondition(lambda self: self.stored and not self.isolated_by(1))
    @rule(data=st.data(), most=st.integers(1, 4), sync=st.booleans())
    def move(self, data: st.DataObject, most: int, sync: bool) -> None:
        """Isolate, migrate and put back in one go: what can move does, if there is room."""
        pages = data.draw(st.permutations(sorted({self.page_of(s) for s in self.stored})))[:most]
        idle = {pfn for pfn in pages if not self.reasons_to_refuse(pfn)}
        room = self.one.layout.arena("frames_free")
        migration = self.pool.migrate_pages(pages, sync=sync)
        assert set(migration.isolated) == idle
        assert set(migration.refused) == set(pages) - idle
        assert (migration.moved, migration.put_back) == (
            (len(idle), 0) if room or not idle else (0, len(idle))
        )

    @precondition(lambda self: self.stored)
    @rule(
        first=st.integers(0, 13),
        count=st.integers(1, 14),
        task=st.sampled_from(tasks),
        offline=st.booleans(),
    )
    def drive(self, first: int, count: int, task: int, offline: bool) -> None:
        """Memory compaction or offlining; they end what their task has isolated, too."""
        if any(self.page(pfn)["tries"] for pfn in self.isolated_by(task)):
            return
        arena = self.arena(task)
        if offline:
            left, _, _ = arena.call(Call.CALL_OFFLINE, self.pool.offset, first, count, 3)
            here = [self.page(pfn) for pfn in range(first, min(first + count, self.frames))]
            assert left == sum(page["mapping"] != 0 for page in here)
        else:
            moved, _, _ = arena.call(Call.CALL_COMPACT_MEMORY, self.pool.offset, first, count)
            assert 0 <= moved <= self.frames

    # reclaim

    @precondition(lambda self: self.stored)
    @rule(
        rounds=st.integers(1, 3),
        evictions=st.lists(st.sampled_from(EVICTIONS), max_size=6),
    )
    def reclaim(self, rounds: int, evictions: list[str]) -> None:
        self.evictions = evictions
        pages = self.pool.stats().pages
        with suppress(OSError):
            self.pool.reclaim(rounds)
            assert self.pool.stats().pages < pages

    def evict(self, handle: Handle) -> int:
        """The handle is reclaim's own: whose object it is follows from where it leads."""
        what = self.evictions.pop() if self.evictions else "fail"
        pfn = self.pool.page_of(handle)
        if what == "isolate" and not handle.headless:
            answer, _, _ = self.two.call(Call.CALL_ISOLATE, self.pool.offset, pfn)
            assert answer == 0
            return -errno.EAGAIN
        here = place(self.one, handle.offset)
        beside = [s for s in self.stored if self.page_of(s) == pfn]
        own = next((s for s in beside if place(self.one, s.handle.offset) == here), None)
        with self.pool.map(handle) as view:
            assert own is None or view[: own.handle.size] == own.contents
        if own is None:
            return 0
        freed = {"free": [own], "free and fail": [own], "free neighbours": beside}.get(what, [])
        for stored in freed:
            if not stored.mapped_by and (stored is not own or what != "free neighbours"):
                self.free_object(stored)
        return -errno.EIO if what.endswith("fail") else 0

    @invariant()
    def contents_are_kept(self) -> None:
        for stored in getattr(self, "stored", ()):
            page, offset = place(self.one, stored.handle.offset)
            at = page + offset
            assert self.one.memory[at : at + stored.handle.size] == stored.contents

    @invariant()
    def nothing_is_found(self) -> None:
        if hasattr(self, "stored"):
            assert self.one.audit() == []
            assert self.one.judgements() == []

    def teardown(self) -> None:
        if not hasattr(self, "stored"):
            return
        for task, pfn in self.isolated():
            self.arena(task).call(Call.CALL_PUTBACK, self.pool.offset, pfn)
        for stored in tuple(self.stored):
            for task in stored.mapped_by:
                self.arena(task).call(Call.CALL_UNMAP, self.pool.offset, stored.handle.offset)
            self.free_object(stored)
        self.pool.drain()
        self.pool.destroy()
        assert self.one.audit() == []
        assert self.one.layout.arena("frames_free") == self.frames
        assert self.one.layout.arena("slots_free") == 2 * self.frames
        self.two.close()
        self.one.close()


TestMigration = MigrationMachine.TestCase
TestMigration.settings = RULES
