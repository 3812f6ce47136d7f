"""The same thing done twice is the same thing: by the engine of the live world and by that of the
sim world, which are one source; by one schedule, before and after thousands of others; and by a
schedule in this process and in a new one, at any granularity.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import mmap
import random
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from z3fold_stress import _live, _sim
from z3fold_stress._live import Call
from z3fold_stress._live import Counter as Counted
from z3fold_stress.defects import DEFECTS
from z3fold_stress.designs import Design, resolve
from z3fold_stress.explore.world import World
from z3fold_stress.layout import Layout
from z3fold_stress.scenario import Op, Scenario, compile_scenario, load, op
from z3fold_stress.settings import LOCK_KINDS, ArenaSettings
from z3fold_stress.verdicts import Verdict

SOUND = resolve("sound")
FOREVER = 10**15
EIO, ISOLATED, EVICTS_BY_TABLE, EVICTS_IN_PYTHON = 5, 1, 1, 2
OVER = 2
"""The arena's ``stop`` when an operation, or one in its callback, was left with its locks held."""
HARMLESS = {"lock-misuse", "sleep-in-atomic", "eagain-contract", "leak", "lost-page"}
"""After any other verdict the arena is torn: lists may go in circles, and operations with them."""
FIELDS = _live.fields()
LOCKSTAT, HELD = (struct.calcsize("=" + _live.RECORDS[name]) for name in ("lockstat", "held"))

# Two engines, one arena each, one task.


class Twins:
    """Performs each operation with both engines; they must answer alike."""

    def __init__(self, settings: ArenaSettings) -> None:
        geometry = settings.geometry()
        size = _live.arena_size(geometry)
        assert _sim.arena_size(geometry) == size
        self.memories = [mmap.mmap(-1, size) for _ in range(2)]
        self.engines = [
            module.Engine(memory, 0)
            for module, memory in zip((_live, _sim), self.memories, strict=True)
        ]
        self.layout = Layout(self.memories[0])
        self.trail: list[Any] = []
        self.left = False
        self.each("format", geometry, settings.config())
        self.each("become", 1, 1, 0)

    def each(self, method: str, *arguments: Any) -> Any:
        """The answer of both; an operation that was left in the middle is one, too."""
        answers = []
        for engine in self.engines:
            try:
                answers.append(getattr(engine, method)(*arguments))
            except (_live.Abandoned, _sim.Abandoned):
                answers.append("left")
        assert answers[0] == answers[1], (method, arguments, self.trail)
        kinds = {str(Verdict.numbered(record["kind"])) for record in self.engines[0].verdicts()}
        self.left |= self.layout.arena("stop") == OVER or not kinds <= HARMLESS
        return answers[0]

    def call(self, what: Call, *arguments: int) -> tuple[int, int, int]:
        self.trail.append((what.name, *arguments))
        answer = self.each("call", int(what), *arguments)
        return (-1, 0, 0) if answer == "left" else answer

    def compare(self) -> list[dict[str, Any]]:
        """Verdicts and audits are alike, and so is every byte that is no clock."""
        told = [[{**record, "ticks": 0} for record in engine.verdicts()] for engine in self.engines]
        assert told[0] == told[1]
        self.each("audit", -1)
        images = [masked(memory) for memory in self.memories]
        if images[0] != images[1]:
            at = next(i for i, (x, y) in enumerate(zip(*images, strict=True)) if x != y)
            pytest.fail(f"the arenas differ at 0x{at:x} after {self.trail}")
        return told[0]

    def close(self) -> None:
        for engine, memory in zip(self.engines, self.memories, strict=True):
            engine.close()
            memory.close()


def masked(memory: mmap.mmap) -> bytes:
    """The arena without what the cycle counter wrote: how long locks were waited for and held,
    since when a sampled one is held, and when events and verdicts happened. The process is the
    same, so pids stay."""
    image = bytearray(memory)
    layout = Layout(image)
    task_size, task = FIELDS["task"]
    ring, tasks = layout.arena("ring"), layout.arena("nr_tasks") + 1

    def clear(start: int, bytes_: int, stride: int, times: int) -> None:
        for at in range(start, start + stride * times, stride):
            image[at : at + bytes_] = bytes(bytes_)

    for number in range(tasks):
        here = layout.arena("tasks") + number * task_size
        locks, held = here + task["lockstat"][0], here + task["held"][0]
        clear(locks + 16, 16, LOCKSTAT, int(task["lockstat"][1][:-1]) // LOCKSTAT)  # wait
        clear(locks + 40, 16, LOCKSTAT, int(task["lockstat"][1][:-1]) // LOCKSTAT)  # held
        clear(held + 12, 4, HELD, _live.LIMITS["held"])  # since
    clear(layout.arena("rings"), 8, 32, tasks * ring)  # ticks of an event
    at = FIELDS["arena"][1]["nr_verdicts"][0] + 4
    clear(at + at % 8 + 40, 8, 272, 16)  # ticks of a verdict
    return bytes(image)


@contextmanager
def twins(
    design: Design = SOUND, whole: ArenaSettings | None = None, **settings: Any
) -> Iterator[Twins]:
    here = Twins(whole or ArenaSettings(design=design, keep_going=True, ring=16, **settings))
    try:
        yield here
    finally:
        here.close()


def test_the_layouts_agree() -> None:
    assert _live.fields() == _sim.fields()
    for same in ("LIMITS", "RECORDS", "DEFECT_BITS"):
        assert getattr(_live, same) == getattr(_sim, same)
    for enum in ("Call", "Code", "Flag", "Compare", "Fault", "Verdict", "Op", "Counter", "Refusal"):
        pair = [list(getattr(module, enum).__members__.items()) for module in (_live, _sim)]
        assert pair[0] == pair[1]
    for frames, cpus, chunks in ((1, 1, 1), (8, 1, 2), (333, 7, 3)):
        geometry = ArenaSettings(frames=frames, cpus=cpus, header_chunks=chunks, ring=8).geometry()
        assert _live.arena_size(geometry) == _sim.arena_size(geometry)


def test_a_difference_is_seen() -> None:
    """The comparison itself: a byte of a frame, and one of the task's counters."""
    size, task = FIELDS["task"]
    for region, offset in (("frames", 77), ("tasks", size + task["count"][0])):
        with twins(frames=4) as here:
            here.call(Call.CALL_CREATE_POOL, 0, EVICTS_IN_PYTHON)
            here.compare()
            here.memories[1][here.layout.arena(region) + offset] ^= 1
            with pytest.raises(pytest.fail.Exception, match="the arenas differ at"):
                here.compare()


# Random operations, through the calls of the Python API.


@dataclasses.dataclass(slots=True)
class Thing:
    """An allocated object."""

    pool: int
    handle: int
    maps: int = 0


class Driver:
    """Draws operations that a caller may do, from a seed and from what both engines answered."""

    def __init__(self, here: Twins, seed: int, offline: bool) -> None:
        self.here = here
        self.draw = random.Random(seed)
        self.offline = offline
        self.pools: list[int] = []
        self.things: dict[int, Thing] = {}
        self.serial = 0
        self.nr = here.layout.arena("nr_frames")
        self.refuse = False
        self.asked: tuple[list[tuple[int, int]], ...] = ([], [])
        self.gone: tuple[set[int], ...] = (set(), set())
        self.create_pool()

    def run(self, operations: int) -> None:
        often = (self.isolate, self.migrate, self.migrate_pages, self.drain, self.map, self.unmap)
        once = (self.putback, self.reclaim, self.compact_memory, self.set_cpu, self.probe)
        pools = (self.create_pool, self.destroy_pool)
        kinds = [*[self.alloc] * 6, *[self.free] * 4, *often * 2, *once, *pools]
        for _ in range(operations):
            self.draw.choice(kinds)()
            if self.here.left:
                return

    def alloc(self) -> None:
        size = self.draw.choice([0, 64, 640, 1280, 1984, 3000, 3904, 3905, 4096, 4097])
        size = self.draw.choice([size, self.draw.randint(8, 4000)])
        pool = self.draw.choice(self.pools)
        result, _, handle = self.here.call(Call.CALL_ALLOC, pool, size, self.draw.randrange(2))
        if result:
            return
        self.serial += 1
        self.things[self.serial] = Thing(pool, handle)
        at, _, _ = self.here.call(Call.CALL_MAP, pool, handle)
        if at > 0 and not self.here.left:
            for memory in self.here.memories:
                struct.pack_into("=Q", memory, at, self.serial)
            self.here.call(Call.CALL_UNMAP, pool, handle)

    def touch(self, what: Call, wanted: Callable[[Thing], bool], maps: int = 0) -> None:
        """Do this to an object, if there is one to do it to."""
        if serials := [serial for serial, thing in self.things.items() if wanted(thing)]:
            serial = self.draw.choice(serials)
            thing = self.things[serial] if maps else self.things.pop(serial)
            thing.maps += maps
            self.here.call(what, thing.pool, thing.handle)

    def free(self) -> None:
        self.touch(Call.CALL_FREE, lambda thing: not thing.maps)

    def map(self) -> None:
        if sum(thing.maps for thing in self.things.values()) < 20:
            self.touch(Call.CALL_MAP, lambda thing: thing.maps < 2, 1)

    def unmap(self) -> None:
        self.touch(Call.CALL_UNMAP, lambda thing: thing.maps > 0, -1)

    def frames(self, isolated: bool, tries: int = 10) -> list[int]:
        """The frames that this task has isolated, and tried to move so often at most; or all that
        it has not."""
        layout, (size, _) = self.here.layout, FIELDS["page"]
        pages = [layout.read("page", layout.arena("memmap") + n * size) for n in range(self.nr)]
        mine = [page["flags"] & ISOLATED and page["isolated_by"] == 1 for page in pages]
        return [
            n for n in range(self.nr) if bool(mine[n]) is isolated and pages[n]["tries"] <= tries
        ]

    def isolate(self) -> None:
        if frames := self.frames(False):
            self.here.call(Call.CALL_ISOLATE, 0, self.draw.choice(frames))

    def migrate(self) -> None:
        if frames := self.frames(True, 9):
            self.here.call(Call.CALL_MIGRATE, 0, self.draw.choice(frames))

    def putback(self) -> None:
        if frames := self.frames(True):
            self.here.call(Call.CALL_PUTBACK, 0, self.draw.choice(frames))

    def migrate_pages(self) -> None:
        if self.frames(True, 6) == self.frames(True):
            self.here.call(Call.CALL_MIGRATE_PAGES, 0, self.draw.choice([1, 0, 3, 5, 9]), 4)

    def compact_memory(self) -> None:
        if not self.frames(True):
            self.here.call(Call.CALL_COMPACT_MEMORY, 0, self.draw.randrange(self.nr), 3)
            if self.offline and not self.draw.randrange(3):
                self.here.call(Call.CALL_OFFLINE, 0, 0, 2, 3)

    def drain(self) -> None:
        self.here.call(Call.CALL_DRAIN, self.draw.choice(self.pools), 2**64 - 1)

    def set_cpu(self) -> None:
        self.here.each("set_cpu", self.draw.randrange(2))

    def probe(self) -> None:
        if not self.frames(True) and not any(thing.maps for thing in self.things.values()):
            self.here.call(Call.CALL_PROBE, self.draw.choice(self.pools), 2)
            self.settle()

    def create_pool(self) -> None:
        result, pool, _ = self.here.call(Call.CALL_CREATE_POOL, 0, EVICTS_IN_PYTHON)
        if result == 0:
            self.pools.append(pool)
            for number, engine in enumerate(self.here.engines):
                engine.set_evict(pool, self.evictor(number, pool))

    def destroy_pool(self) -> None:
        empty = set(self.pools) - {thing.pool for thing in self.things.values()}
        if empty and len(self.pools) > 1 and not self.frames(True):
            self.pools.remove(min(empty))
            self.here.call(Call.CALL_DESTROY_POOL, min(empty))

    def reclaim(self) -> None:
        self.refuse = not self.draw.randrange(3)
        self.here.call(Call.CALL_RECLAIM, self.draw.choice(self.pools), self.draw.randint(1, 4))
        self.settle()

    def settle(self) -> None:
        """Both engines have evicted the same."""
        assert self.asked[0] == self.asked[1]
        assert self.gone[0] == self.gone[1]
        errors = [str(engine.take_evict_error()) for engine in self.here.engines]
        assert errors[0] == errors[1]
        for serial in self.gone[0]:
            self.things.pop(serial, None)

    def evictor(self, number: int, pool: int) -> Callable[[int], int]:
        """As zswap's write-back: whose it is stands in the payload, and it is freed by its owner's
        handle, unless it is in use."""
        engine, memory = self.here.engines[number], self.here.memories[number]

        def evict(handle: int) -> int:
            at, _, _ = engine.call(Call.CALL_MAP, pool, handle)
            (serial,) = struct.unpack_from("=Q", memory, at)
            engine.call(Call.CALL_UNMAP, pool, handle)
            self.asked[number].append((handle, serial))
            thing = self.things.get(serial)
            if self.refuse or thing is None or thing.maps or serial in self.gone[number]:
                return -EIO
            engine.call(Call.CALL_FREE, pool, thing.handle)
            self.gone[number].add(serial)
            return 0

        return evict


def drive(design: str, seed: int, operations: int = 120, **settings: Any) -> set[str]:
    """Which operations were done, after both engines were compared."""
    wanted = resolve(design)
    with twins(wanted, frames=8, cpus=2, **settings) as here:
        driver = Driver(here, seed, offline="offline-endless-loop" not in wanted.defects)
        for part in range(3):
            driver.run(operations // 3)
            told = here.compare()
            assert design != "sound" or not told, (part, told, here.trail)
        return {name for name, *_ in here.trail} | ({"evicted"} if driver.gone[0] else set())


@pytest.mark.parametrize("lock", LOCK_KINDS)
@pytest.mark.parametrize("design", ["sound", "as-posted"])
def test_operations_have_one_outcome(design: str, lock: str) -> None:
    done: set[str] = set()
    for seed in range(120):
        chunks, odd = (2, 3, 5)[seed % 3], bool(seed & 1)
        done |= drive(design, seed, lock=lock, header_chunks=chunks, poison=not odd)
    assert len(done) == 16 or design != "sound", sorted(done)


ENDLESS = "migrate-without-work-cancel"
"""Its work item is on a list that goes in circles, and who drains the queue never comes back."""


@pytest.mark.parametrize("defect", [name for name in DEFECTS if name != ENDLESS])
def test_operations_of_a_defect_have_one_outcome(defect: str) -> None:
    for seed in range(12):
        drive(f"sound+{defect}", seed, operations=150)


# Programs.

NAMES = {"a": 640, "b": 1280, "c": 1000, "d": 640, "e": 4096, "f": 3000, "g": 3904, "h": 100}


def random_ops(draw: random.Random, most: int, nested: bool = False) -> list[Op]:
    """Operations that a lone task may do, in any order."""
    return [each for _ in range(most) for each in random_step(draw, nested)]


def random_step(draw: random.Random, nested: bool) -> list[Op]:
    name, n = draw.choice("abcdefgh"), draw.randrange(5)
    pool, page = int(name > "f"), op.page_of(name)
    picks: list[Callable[[], list[Op]]] = [
        *[lambda: [op.alloc(name, NAMES[name], n > 3, n > 0, pool)]] * 5,
        *[lambda: [op.free(name)]] * 3,
        *[lambda: [op.fill(name)], lambda: [op.write(name)]] * 2,
        lambda: [op.reclaim(n + 1, pool)],
        lambda: [op.compact_work(pool), op.release_work(pool)],
        lambda: [op.drain(pool)],
        lambda: [op.migrate_pages(page, sync=n > 0, keep_failed=n > 3)],
        lambda: [op.isolate(page), *[op.migrate(page)] * (n > 1), op.putback(page)],
        lambda: [op.compact_memory(0, n + 1), op.offline(0, 2)],
        lambda: [op.lock_page(page), op.might_sleep(), op.unlock_page(page)],
        lambda: [op.trylock("L", "t"), op.when("t", [op.unlock("L")])],
        lambda: [op.fetch_add("w", n, "n"), op.cas("w", n, 7, "t")],
        lambda: [op.exchange("v", n, "n"), op.add("n", n), op.store("w", "n")],
        lambda: [op.load("v", "t", "acquire"), op.when("t", "<", n, [op.free(name)])],
    ]
    if not nested:
        picks += [
            lambda: [op.alloc(x, NAMES[x], fill=True) for x in "abc"] + [op.free("a"), op.drain()],
            lambda: [op.repeat(n + 1, random_ops(draw, 3, True))],
            lambda: [op.map(name), *random_ops(draw, n, True), op.check(name), op.unmap(name)],
            lambda: [op.audit()],
            lambda: [op.create_pool(1, True)],
            lambda: [op.free("g"), op.free("h"), op.destroy_pool(1)],
        ]
    return draw.choice(picks)()


def random_scenario(seed: int) -> Scenario:
    everything = [op.when("t", [op.alloc(n, size, pool=int(n > "f"))]) for n, size in NAMES.items()]
    return Scenario(
        actors={"a": [op.set("t", 0), *everything, *random_ops(random.Random(seed), 40)]},
        setup=[op.create_pool(1, True)],
        finish=[],
        arena={"frames": 6, "cpus": 2},
    )


@pytest.mark.parametrize("design", ["sound", "as-posted~offline-endless-loop"])
def test_programs_have_one_outcome(design: str) -> None:
    for seed in range(120):
        with twins(resolve(design), frames=6, cpus=2, objects=8, swap=3) as here:
            for pool in range(2):
                here.call(Call.CALL_CREATE_POOL, pool, EVICTS_BY_TABLE)
            for part in (0, 1):
                compiled = compile_scenario(random_scenario(2 * seed + part)).actors[0].program
                here.trail.append(("seed", 2 * seed + part))
                here.each("run_program", compiled)
                told = here.compare()
                assert design != "sound" or not told, (told, here.trail)
                if here.left:
                    break


def test_a_lone_task_leaves_the_same_arena_in_both_worlds() -> None:
    """Whatever goes through the scheduler, the locks of the sim world and the undo log."""
    done: Counter[int] = Counter()
    for seed in range(120):
        scenario = random_scenario(1000 + seed)
        with World(scenario, SOUND) as world:
            outcome = world.simulator.replay([])
            assert outcome["ending"] == "done", outcome
            end = Layout(world.simulator.memory).arena("tasks")
            simulated = bytes(world.simulator.memory[:end])
            settings = dataclasses.replace(world.settings, tasks=3)
            compiled = world.compiled
        with twins(whole=settings) as here:
            here.call(Call.CALL_CREATE_POOL, 0, EVICTS_BY_TABLE)
            here.each("run_program", compiled.setup)
            here.each("run_program", compiled.actors[0].program)
            live = bytes(here.memories[0][:end])
            at = here.layout.task_offset(1) + FIELDS["task"][1]["count"][0]
            counts = struct.unpack_from(f"={int(Counted.NR_COUNTERS)}Q", here.memories[0], at)
            done.update(dict(enumerate(counts)))
        differ = [at for at, (x, y) in enumerate(zip(live, simulated, strict=True)) if x != y]
        assert not differ, (seed, [hex(at) for at in differ[:20]])
    for name in ("ALLOC", "FREE", "COMPACT_MOVED", "RELEASE", "EVICT", "MIGRATED", "PUTBACK"):
        assert done[Counted[f"N_{name}"]] > 20, name


# One schedule, one execution.

BUSY = Scenario(
    setup=[op.alloc("a", 1200, fill=True), op.alloc("b", 1200, fill=True), op.free("b")],
    actors={
        "user": [op.map("a"), op.check("a"), op.unmap("a"), op.free("a"), op.alloc("c", 4096)],
        "migrator": [op.migrate_pages(op.page_of("a")), op.fetch_add("w", 1)],
        "kswapd": [op.reclaim(1), op.lock("L"), op.store("x", 7), op.unlock("L")],
        "mortal": [op.alloc("b", 640, fill=True), op.write("b"), op.free("b")],
        "kworker": [op.kworker("compact")],
    },
    faults={"page": 1, "trylock": 1, "evict": 1},
    deaths=["mortal"],
    arena={"frames": 4},
    cpus={"migrator": 1},
)
FOUND: dict[str, tuple[str, Verdict]] = {
    "data race": ("isolate-unlinks-outside-pool-lock", Verdict.DATA_RACE),
    "deadlock": ("dining-philosophers-3", Verdict.DEADLOCK),
    "use after free": ("slot-read-before-page-lock", Verdict.USE_AFTER_FREE),
    "leak": ("headless-claim-not-cleared", Verdict.LEAK),
    "orphaned lock": ("orphaned-lock", Verdict.ORPHANED_LOCK),
    "corruption": ("reclaim-free-lost-length", Verdict.CORRUPTION),
}


def opened(scenario: Scenario, **settings: Any) -> World:
    return World(scenario, resolve("sound", scenario.shows), **settings)


def state(world: World) -> bytes:
    """What an execution may change and the next must find as it was: the arena, and of each task
    what comes before its stack of operations."""
    memory = world.simulator.memory
    first = Layout(memory).arena("tasks")
    size, fields = FIELDS["task"]
    tasks = range(first, first + size * (len(world.compiled.actors) + 3), size)
    return bytes(memory[:first]) + b"".join(bytes(memory[t : t + fields["ops"][0]]) for t in tasks)


def run(world: World, strategy: str, executions: int) -> int:
    """Explore whatever comes; how many executions ended with a verdict."""
    world.simulator.begin(strategy, 3)
    found = 0
    while (left := executions - world.simulator.totals()["executions"]) > 0:
        found += world.simulator.explore(left, FOREVER) == "found"
    return found


@pytest.mark.parametrize("races", [True, False])
@pytest.mark.parametrize("name", [None, "isolate-ignores-claim", "first-fit-ignores-header-chunks"])
def test_thousands_of_executions_leave_no_trace(name: str | None, races: bool) -> None:
    """Ended in the middle by a verdict or a death as well."""
    scenario = load([name])[0] if name else BUSY
    with opened(scenario, races=races) as world:
        before = state(world)
        world.simulator.replay([])
        assert state(world) != before, "an execution changes something"
        found = run(world, "random", 3000)
        assert found or not name
        world.simulator.configure({}, 0, races=False)
        world.simulator.begin("dfs", 0, delay_bound=0)
        while world.simulator.explore(1000, FOREVER) != "exhausted":
            pass  # a search that is over has put all back, and begun nothing
        assert state(world) == before


def whole(world: World, schedule: Sequence[Any]) -> tuple[Any, ...]:
    """Everything that can be seen of a replay."""
    world.simulator.forget_lock_order()
    outcome = world.simulator.replay(list(schedule), strict=True, record=2)
    if outcome["verdict"] and world.verdict(outcome) is not Verdict.DATA_RACE:
        outcome["verdict"] = {
            key: outcome["verdict"][key] for key in ("kind", "task", "pc", "text")
        }
    hashed = hashlib.sha256(state(world)).hexdigest()
    return outcome, world.simulator.events(), hashed, world.simulator.held()


def test_a_schedule_means_the_same_before_and_after_others() -> None:
    with opened(BUSY) as world:
        world.simulator.begin("random", 5)
        schedules = []
        for _ in range(80):
            world.simulator.explore(1, FOREVER)
            schedules.append(world.simulator.outcome()["schedule"])
        first = [whole(world, schedule) for schedule in schedules]
        run(world, "pos", 2000)
        assert [whole(world, schedule) for schedule in schedules] == first
    assert len({hashed for _, _, hashed, _ in first}) > 20
    assert {decision for s in schedules for _, _, decision, _ in s} >= {0, 1, 4, 5, 32}


def find(world: World, verdict: Verdict) -> dict[str, Any]:
    """An execution with this verdict."""
    for strategy in ("random", "pos", "pct"):
        world.simulator.begin(strategy, 2)
        for _ in range(2000):
            world.simulator.explore(1, FOREVER)
            outcome = world.simulator.outcome()
            order = outcome["order"] and outcome["order"]["sure"] and not outcome["verdict"]
            if verdict is (Verdict.LOCK_ORDER if order else world.verdict(outcome)):
                return outcome
    raise AssertionError(f"no {verdict}")


ELSEWHERE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from test_differential import Scenario, opened, whole
scenario, schedule = json.load(sys.stdin)
with opened(Scenario.from_json(scenario)) as world:
    json.dump(whole(world, [tuple(each) for each in schedule]), sys.stdout)
"""


@pytest.mark.parametrize("name", [*FOUND, "lock order"])
def test_a_replay_is_the_same_in_a_new_process(name: str) -> None:
    if name == "lock order":
        one = [op.lock("A"), op.lock("B"), op.unlock("B"), op.unlock("A")]
        two = [op.lock("B"), op.lock("A"), op.unlock("A"), op.unlock("B")]
        scenario, verdict = Scenario(actors={"one": one, "two": two}), Verdict.LOCK_ORDER
    else:
        which, verdict = FOUND[name]
        scenario = load([which])[0]
    with opened(scenario) as world:
        schedule = find(world, verdict)["schedule"]
        run(world, "pct", 500)
        here = json.loads(json.dumps(whole(world, schedule)))
    told = subprocess.run(
        [sys.executable, "-P", "-c", ELSEWHERE, str(Path(__file__).parent)],
        input=json.dumps([scenario.to_json(), schedule]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(told.stdout) == here
    assert (here[0]["order"] if verdict is Verdict.LOCK_ORDER else here[0]["verdict"]) is not None


@pytest.mark.parametrize(("which", "verdict"), FOUND.values(), ids=FOUND)
def test_granularity_does_not_change_what_a_schedule_means(which: str, verdict: Verdict) -> None:
    """Found where few accesses are points, and where each is one; a replay makes no difference."""
    scenario = load([which])[0]
    seen = []
    for every_access in (False, True):
        with opened(scenario, every_access=every_access) as world:
            seen.append((found := find(world, verdict), whole(world, found["schedule"])))
    for found, (again, *_) in seen:
        assert again["verdict"].items() <= found["verdict"].items()
        assert (again["clocks"], again["unused"]) == (found["clocks"], 0)
    with opened(scenario) as world:
        assert [whole(world, found["schedule"]) for found, _ in seen] == [each for _, each in seen]
