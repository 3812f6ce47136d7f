"""The race detector against happens-before from its definition, on random sequences of accesses."""

from __future__ import annotations

import ctypes
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from ctypes import POINTER, Structure, c_uint32, c_uint64
from pathlib import Path

import pytest
from happens_before import ACQUIRE, RELAXED, RELEASE, SEQ_CST, Access, HappensBefore

from z3fold_stress._vocabulary import PointKind
from z3fold_stress.verdicts import Verdict

ROOT = Path(__file__).parent.parent
DATA_RACE, USE_AFTER_FREE = Verdict.DATA_RACE.number, Verdict.USE_AFTER_FREE.number
COMPILER = shutil.which("cc") or shutil.which("gcc")
ARENA = 3 * 4096
WORDS, LOCKS, PAGE = 64, 128, 4096
"""Where the bytes that all touch lie, the locks, and the page that lives and dies."""

pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")


class Told(Structure):
    _fields_ = [
        *(
            (name, c_uint32)
            for name in ("task", "kind", "order", "reads", "writes", "atomic", "size", "pc")
        ),
        ("offset", c_uint64),
    ]


class Answer(Structure):
    _fields_ = [(name, c_uint32) for name in ("verdict", "pc", "other_pc", "again")]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    out = tmp_path_factory.mktemp("races") / "races.so"
    flags = ["-O2", "-g", "-fno-strict-aliasing", "-Wall", "-Wextra", "-Werror"]
    flags += ["-fsanitize=undefined", "-fno-sanitize-recover=all", "-fno-sanitize=alignment"]
    source = Path(__file__).with_name("races_driver.c")
    assert COMPILER
    subprocess.run([COMPILER, *flags, "-shared", "-fPIC", "-o", str(out), str(source)], check=True)
    loaded = ctypes.CDLL(str(out))
    loaded.driver_start.argtypes = [c_uint32, c_uint64, c_uint32]
    loaded.driver_run.argtypes = [POINTER(Told), c_uint32, c_uint32]
    loaded.driver_run.restype = Answer
    return loaded


class Detector:
    def __init__(self, library: ctypes.CDLL, tasks: int, c11: bool = True) -> None:
        self.library = library
        library.driver_start(tasks, ARENA, 0 if c11 else 1)

    def run(self, sequence: Sequence[Access], races: bool = True) -> Answer:
        told = (Told * len(sequence))(
            *(
                Told(a.task, a.kind, a.order, a.reads, a.writes, a.atomic, a.size, n + 1, a.offset)
                for n, a in enumerate(sequence)
            )
        )
        answer = self.library.driver_run(told, len(sequence), races)
        assert isinstance(answer, Answer)
        return answer

    def promoted(self, n: int) -> set[int]:
        """The accesses, by number, that were made schedule points."""
        return {number for number in range(n) if self.library.driver_promoted(number + 1)}


@pytest.fixture
def detector(library: ctypes.CDLL) -> Iterator[Callable[..., Detector]]:
    yield lambda tasks, c11=True: Detector(library, tasks, c11)
    library.driver_stop()


# --- sequences ---

ORDERS = {
    "load": [RELAXED, ACQUIRE, ACQUIRE | SEQ_CST],
    "store": [RELAXED, RELEASE, RELEASE | SEQ_CST],
    "rmw": [RELAXED, ACQUIRE, RELEASE, ACQUIRE | RELEASE, ACQUIRE | RELEASE | SEQ_CST],
    "fence": [ACQUIRE, RELEASE, ACQUIRE | RELEASE, ACQUIRE | RELEASE | SEQ_CST],
}


def place(rng: random.Random, most: int = 8) -> tuple[int, int]:
    """Offset and size of an aligned access to the bytes that all touch, or now and then to a
    lock."""
    size = rng.choice([1, 1, 2, 4, 4, 8, 8])
    base = LOCKS if rng.random() < 0.05 else WORDS
    return base + size * rng.randrange(16 // size), min(size, most)


def memory(rng: random.Random, task: int, pages: bool) -> Access:
    what = rng.choice(["load", "store", "rmw", "plain", "plain", "range", "wait", "hint"])
    offset, size = place(rng)
    if what == "plain":
        writes = rng.random() < 0.4
        kind = PointKind.POINT_STORE if writes else PointKind.POINT_LOAD
        return Access(task, kind, offset, size, reads=not writes, writes=writes)
    if what == "range":
        start, writes = WORDS + rng.randrange(12), rng.random() < 0.5
        kind = PointKind.POINT_STORE if writes else PointKind.POINT_LOAD
        size = rng.randrange(1, WORDS + 16 - start)
        if pages and rng.random() < 0.3:
            start, size = rng.choice([(PAGE - 8, 4110), (PAGE, 4096), (PAGE + 4, 200)])
        return Access(task, kind, start, size, reads=not writes, writes=writes)
    if what == "load":
        order = rng.choice(ORDERS["load"])
        return Access(task, PointKind.POINT_LOAD, offset, size, order, True, False, True)
    if what == "store":
        order = rng.choice(ORDERS["store"])
        return Access(task, PointKind.POINT_STORE, offset, size, order, False, True, True)
    if what == "rmw":
        if rng.random() < 0.3:  # a compare-and-swap that fails
            order = rng.choice(ORDERS["load"])
            return Access(task, PointKind.POINT_RMW, offset, size, order, True, False, True)
        order = rng.choice(ORDERS["rmw"])
        return Access(task, PointKind.POINT_RMW, offset, size, order, True, True, True)
    kind = rng.choice([PointKind.POINT_CHANGE, PointKind.POINT_EQUAL])
    order = ACQUIRE if what == "wait" else RELAXED
    size = rng.choice([4, 8])
    return Access(
        task, kind, WORDS + size * rng.randrange(16 // size), size, order, True, False, True
    )


class Locks:
    """A spin lock and a reader-writer lock: what a task can do with them now."""

    def __init__(self) -> None:
        self.spin: int | None = None
        self.writer: int | None = None
        self.readers: set[int] = set()

    def step(self, rng: random.Random, task: int) -> Access | None:
        if rng.random() < 0.5:
            return self._spin(rng, task)
        return self._rw(rng, task)

    def _lock(
        self, task: int, kind: PointKind, offset: int, order: int, writes: bool = True
    ) -> Access:
        return Access(task, kind, offset, 4, order, True, writes, True)

    def _spin(self, rng: random.Random, task: int) -> Access | None:
        if self.spin == task:
            self.spin = None
            return self._lock(task, PointKind.POINT_UNLOCK, LOCKS, RELEASE)
        if self.spin is None:
            self.spin = task
            kind = rng.choice([PointKind.POINT_LOCK, PointKind.POINT_TRYLOCK])
            return self._lock(task, kind, LOCKS, ACQUIRE)
        return self._lock(task, PointKind.POINT_TRYLOCK, LOCKS, RELAXED, writes=False)

    def _rw(self, rng: random.Random, task: int) -> Access | None:
        if self.writer == task:
            self.writer = None
            return self._lock(task, PointKind.POINT_WRITE_UNLOCK, LOCKS + 12, RELEASE)
        if task in self.readers:
            self.readers.remove(task)
            return self._lock(task, PointKind.POINT_READ_UNLOCK, LOCKS + 12, RELEASE)
        if self.writer is None and not self.readers and rng.random() < 0.4:
            self.writer = task
            return self._lock(task, PointKind.POINT_WRITE_LOCK, LOCKS + 12, ACQUIRE)
        if self.writer is None:
            self.readers.add(task)
            return self._lock(task, PointKind.POINT_READ_LOCK, LOCKS + 12, ACQUIRE)
        return None


def life(rng: random.Random, task: int) -> Access:
    kind = rng.choice([PointKind.POINT_BIRTH, PointKind.POINT_DEATH])
    offset, size = rng.choice([(PAGE, 4096), (WORDS, 8), (WORDS + 2, 10)])
    return Access(task, kind, offset, size, writes=True)


def sequence(rng: random.Random, tasks: int, length: int, pages: bool = False) -> list[Access]:
    """Mostly what orders, so that a race is not the rule; in some only that, and then one byte."""
    locks, made = Locks(), []
    orders = rng.choice([0.2, 0.5, 0.8])
    while len(made) < length:
        task = rng.randrange(tasks)
        if rng.random() < orders:
            if rng.random() < 0.25:
                order = rng.choice(ORDERS["fence"])
                made.append(Access(task, PointKind.POINT_FENCE, order=order, atomic=True))
            elif (step := locks.step(rng, task)) is not None:
                made.append(step)
        elif rng.random() < (0.2 if pages else 0.03):
            made.append(life(rng, task))
        else:
            made.append(memory(rng, task, pages))
    return made


def alike(rng: random.Random, tasks: int, length: int) -> list[Access]:
    """Atomics of two words, and now and then a plain access: few races, much that is handed on."""
    kinds = rng.choices(["load", "store", "rmw"], k=length)
    made = []
    for kind in kinds:
        task, order = rng.randrange(tasks), rng.choice(ORDERS[kind])
        offset = WORDS + 8 * rng.randrange(2)
        reads, writes = kind != "store", kind != "load"
        if rng.random() < 0.25:
            fence = rng.choice(ORDERS["fence"])
            made.append(Access(task, PointKind.POINT_FENCE, order=fence, atomic=True))
        elif rng.random() < 0.1:
            store = rng.random() < 0.5
            made.append(
                Access(
                    task,
                    PointKind.POINT_STORE if store else PointKind.POINT_LOAD,
                    WORDS + 32,
                    8,
                    reads=not store,
                    writes=store,
                )
            )
        else:
            point = {"load": PointKind.POINT_LOAD, "store": PointKind.POINT_STORE}.get(
                kind, PointKind.POINT_RMW
            )
            made.append(Access(task, point, offset, 8, order, reads, writes, True))
    return made


# --- what must hold ---


def first_race(
    made: Sequence[Access], tasks: int, c11: bool
) -> tuple[int, set[int], set[int]] | None:
    """The number of the first access that races, and of those it may be said to race with: as a
    use of freed memory, and as a data race."""
    model = HappensBefore(tasks, c11)
    for number, access in enumerate(made):
        found = model.access(access)
        if found.races:
            freed = {
                done.number
                for done in found.races
                if PointKind.POINT_DEATH in (access.kind, done.access.kind)
            }
            return number, freed, {done.number for done in found.races} - freed
    return None


def agree(detector: Detector, made: Sequence[Access], tasks: int, c11: bool) -> str:
    wanted = first_race(made, tasks, c11)
    answer = detector.run(made)
    if wanted is None:
        assert answer.verdict == 0, (answer.pc - 1, answer.other_pc - 1, made)
        return "no race"
    number, freed, races = wanted
    assert answer.verdict, (number, freed | races, made)
    assert answer.pc - 1 == number, made
    if answer.verdict == USE_AFTER_FREE:
        assert answer.other_pc - 1 in freed, made
        return "freed"
    assert answer.verdict == DATA_RACE
    assert answer.other_pc - 1 in races, made
    return "race"


def compare(
    detector: Callable[..., Detector], seeds: range, make: Callable[..., list[Access]], **more: bool
) -> Counter[str]:
    seen: Counter[str] = Counter()
    for seed in seeds:
        rng = random.Random(seed)
        tasks = rng.choice([2, 3, 3, 4, 7])
        c11 = rng.random() < 0.7
        here = detector(tasks, c11)
        for _ in range(10):
            made = make(rng, tasks, rng.choice([10, 20, 40]), **more)
            seen[agree(here, made, tasks, c11)] += 1
            if rng.random() < 0.02:
                here.library.driver_age()
    return seen


@pytest.mark.parametrize(("make", "pages"), [(sequence, False), (sequence, True), (alike, False)])
def test_the_verdict_is_that_of_full_clocks(
    detector: Callable[..., Detector], make: Callable[..., list[Access]], pages: bool
) -> None:
    more = {"pages": True} if pages else {}
    seen = compare(detector, range(20 if pages else 150), make, **more)
    assert seen["no race"] > 30
    assert seen["race"] > 30
    if make is sequence:
        assert seen["freed"] > 5


@pytest.mark.soak
@pytest.mark.parametrize(("make", "pages"), [(sequence, False), (sequence, True), (alike, False)])
def test_the_verdict_is_that_of_full_clocks_at_length(
    detector: Callable[..., Detector], make: Callable[..., list[Access]], pages: bool
) -> None:
    more = {"pages": True} if pages else {}
    compare(detector, range(1000, 1500 if pages else 11000), make, **more)


def test_what_conflicts_becomes_a_schedule_point(detector: Callable[..., Detector]) -> None:
    """The later one of two, and the earlier one where it is the last of its task: by itself, or
    because another of the same moment, that stands for it, is one already."""
    some = 0
    for seed in range(150):
        rng = random.Random(seed)
        tasks = rng.choice([2, 3, 5])
        here = detector(tasks)
        made = sequence(rng, tasks, 25)
        for _ in range(len(made) + 1):
            here.run(made, races=False)
        promoted = here.promoted(len(made))
        model = HappensBefore(tasks, c11=True)
        conflicting = set()
        for number, access in enumerate(made):
            found = model.access(access)
            conflicting |= {done.number for done in found.unordered}
            if found.unordered:
                conflicting.add(number)
                assert access.point or number in promoted, (number, made)
            for done in found.last:
                assert done.access.point or done.number in promoted, (done.number, number, made)
        some += len(promoted)
        assert not [number for number in promoted if made[number].point]
    assert some > 300


def test_a_muted_verdict_is_all_that_is_muted(detector: Callable[..., Detector]) -> None:
    for seed in range(100):
        rng = random.Random(seed)
        made = sequence(rng, 3, 20)
        wanted = first_race(made, 3, c11=True)
        until = len(made) if wanted is None else wanted[0]
        points = []
        for races in (True, False):
            here = detector(3)
            here.run(made[:until], races)
            points.append(here.promoted(until))
            assert bool(here.run(made, races).verdict) == (races and wanted is not None)
        assert points[0] == points[1]


def plain(task: int, offset: int, size: int, writes: bool) -> Access:
    kind = PointKind.POINT_STORE if writes else PointKind.POINT_LOAD
    return Access(task, kind, offset, size, reads=not writes, writes=writes)


def test_neighboring_bytes_do_not_race(detector: Callable[..., Detector]) -> None:
    made = [plain(0, WORDS, 2, True), *(plain(n, WORDS + n, 1, True) for n in range(2, 8))]
    assert detector(8).run(made).verdict == 0


def test_readers_are_remembered_when_a_granule_is_divided(
    detector: Callable[..., Detector],
) -> None:
    made = [*(plain(n, WORDS, 8, False) for n in range(3)), plain(3, WORDS + 5, 1, True)]
    answer = detector(4).run(made)
    assert (answer.verdict, answer.pc) == (DATA_RACE, 4)


TRY = Access(0, PointKind.POINT_RMW, WORDS, 8, RELAXED, True, False, True)
HINT = Access(0, PointKind.POINT_CHANGE, WORDS, 8, RELAXED, True, False, True)


def test_a_failing_compare_and_swap_reads(detector: Callable[..., Detector]) -> None:
    """By its failure order, and it races with a plain store as any load does; a wait that looks
    again by itself does not, nor does it hide the other."""
    store = plain(1, WORDS, 8, True)
    for made, races in (
        ([TRY, store], True),
        ([HINT, store], False),
        ([TRY, HINT, store], True),
        ([HINT, TRY, store], True),
    ):
        assert bool(detector(2).run(made).verdict) == races, made
    flag = WORDS + 8
    release = Access(1, PointKind.POINT_STORE, flag, 8, RELEASE, False, True, True)
    for order in (RELAXED, ACQUIRE):
        failed = Access(0, PointKind.POINT_RMW, flag, 8, order, True, False, True)
        answer = detector(2).run([store, release, failed, plain(0, WORDS, 8, False)])
        assert bool(answer.verdict) == (order == RELAXED)


@pytest.mark.parametrize("tasks", [63, 124])
def test_many_tasks_are_told_apart(detector: Callable[..., Detector], tasks: int) -> None:
    """Each hands the word on to the next by a store of its own; the last one forgets to look."""
    last = tasks - 1
    made = []
    for task in range(tasks):
        if task:
            made.append(
                Access(
                    task,
                    PointKind.POINT_LOAD,
                    WORDS + 8 * task,
                    8,
                    ACQUIRE if task < last else RELAXED,
                    True,
                    False,
                    True,
                )
            )
        made.append(plain(task, WORDS, 8, True))
        made.append(
            Access(task, PointKind.POINT_STORE, WORDS + 8 * task + 8, 8, RELEASE, False, True, True)
        )
    here = detector(tasks)
    assert here.run(made[:-2]).verdict == 0
    answer = here.run(made)
    assert (answer.verdict, answer.pc) == (DATA_RACE, len(made) - 1)


def test_much_is_remembered(detector: Callable[..., Detector]) -> None:
    """More locations, readers and marks than fit any table that does not grow."""
    words = [PAGE + 8 * n for n in range(500)]
    made = [plain(task, word, 8, False) for word in words for task in range(3)]
    for word in words:
        made.append(Access(0, PointKind.POINT_STORE, word, 8, RELEASE, False, True, True))
    made += [Access(1, PointKind.POINT_LOAD, word, 8, ACQUIRE, True, False, True) for word in words]
    here = detector(4)
    here.run(made, races=False)
    assert len(here.promoted(len(made))) == len(made) - len(words), (
        "but those of task 0's own words"
    )


def test_only_mixed_use_runs_an_execution_again(detector: Callable[..., Detector]) -> None:
    lock = [
        Access(task, kind, LOCKS, 4, order, True, True, True)
        for task in (0, 1)
        for kind, order in ((PointKind.POINT_LOCK, ACQUIRE), (PointKind.POINT_UNLOCK, RELEASE))
    ]
    here = detector(2)
    assert here.run(lock).again == 0
    assert here.run(lock, races=False).again == 0
    again = here.run([*lock, plain(1, LOCKS, 4, True)])
    assert (again.again, again.verdict) == (3, 0), (
        "there are others than points; they touch what points touch; somebody waits for it"
    )
    raced = here.run([*lock[:2], plain(1, LOCKS, 4, True)])
    assert (raced.again, raced.verdict, raced.other_pc) == (0, DATA_RACE, 2)
