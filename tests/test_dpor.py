"""Partial order reduction sees what an exhaustive search without reduction sees, in fewer
executions: the same final states and the same verdicts, on programs drawn at random and on those
of the literature, whose number of classes is known.
"""

import hashlib
import math
import random
from dataclasses import dataclass, field

import pytest

from z3fold_stress._sim import Search, Simulator
from z3fold_stress.designs import resolve
from z3fold_stress.explore.world import World
from z3fold_stress.inspection.lists import offset_in
from z3fold_stress.scenario import Scenario, op
from z3fold_stress.scenario.value import Op
from z3fold_stress.verdicts import Verdict

SOUND = resolve("sound")
FOREVER = 10**15
MOST = 1000
"""Executions of a program without reduction, for it to be compared."""


@dataclass
class Seen:
    """What a search has seen; its counts are those since it began anew for the last time."""

    states: set[tuple[int, ...] | bytes] = field(default_factory=set)
    verdicts: set[Verdict] = field(default_factory=set)
    executions: int = 0
    pruned: int = 0

    @property
    def classes(self) -> int:
        return self.executions - self.pruned


def state_of(simulator: Simulator) -> bytes:
    """All of the arena that the subject writes in: what lies before the tasks."""
    memory = simulator.memory
    at = offset_in("arena", "tasks")
    return hashlib.sha1(memory[: int.from_bytes(memory[at : at + 8], "little")]).digest()


def search(
    scenario: Scenario,
    strategy: str,
    bound: int = -1,
    *,
    races: bool = False,
    every_access: bool = True,
    most: int | None = None,
    whole: bool = False,
) -> Seen | None:
    """All that a strategy sees; None if that takes more than so many executions."""
    with World(scenario, SOUND, races=races, every_access=every_access, max_steps=2000) as world:
        simulator = world.simulator
        simulator.begin(strategy, 0, 0, bound)
        seen = Seen()
        began_anew = 0
        while (stop := simulator.explore(1, FOREVER)) != "exhausted":
            assert stop != "lost"
            outcome = simulator.outcome()
            assert outcome["ending"] != "steps"
            totals = simulator.totals()
            if totals["restarted"] != began_anew:
                began_anew = totals["restarted"]
                seen.pruned = 0
            if most is not None and totals["execution"] - began_anew > most:
                return None
            if outcome["ending"] == "pruned":
                seen.pruned += 1
            elif outcome["verdict"] is not None:
                seen.verdicts.add(Verdict.numbered(outcome["verdict"]["kind"]))
            else:
                seen.states.add(state_of(simulator) if whole else tuple(simulator.scratch()))
        totals = simulator.totals()
        seen.executions = totals["execution"] - totals["restarted"]
        if strategy == "dpor":
            assert totals["share_done"] == 1.0
        return seen


def counted(actors: list[list[Op]], strategy: str = "dpor", bound: int = -1) -> Seen:
    scenario = Scenario(
        name="counted", actors={f"t{n}": ops for n, ops in enumerate(actors)}, finish=[]
    )
    seen = search(scenario, strategy, bound)
    assert seen is not None
    return seen


class Writer:
    """Draws the program of one actor."""

    def __init__(self, draw: random.Random, number: int, words: list[str], plain: bool) -> None:
        self.draw = draw
        self.number = number
        self.words = words
        self.plain = plain
        self.registers: list[str] = []
        self.held: list[Op] = []
        """What gives back the locks that it has."""

    def register(self) -> str:
        self.registers.append(f"r{len(self.registers)}")
        return self.registers[-1]

    def access(self) -> Op:
        word = self.draw.choice(self.words)
        order = self.draw.choice(["plain", "relaxed", "ordered"] if self.plain else ["ordered"])
        value = self.draw.randint(1, 2)
        kind = self.draw.randrange(5)
        if kind == 0:
            return Op("store", (word, value, "release" if order == "ordered" else order))
        if kind == 1:
            return op.fetch_add(word, 1, self.register())
        if kind == 2:
            return op.cas(word, self.draw.randint(0, 1), value, self.register())
        return Op("load", (word, self.register(), "acquire" if order == "ordered" else order))

    def locking(self) -> list[Op]:
        taken = {unlock.args[0] for unlock in self.held}
        free = [word for word in ("l0", "l1", "rw") if word not in taken]
        kind = self.draw.random()
        if self.held and kind < 0.4:
            return [self.held.pop(-1 if self.draw.random() < 0.8 else 0)]
        if kind < 0.6 or not free:
            got = self.register()
            lock = self.draw.choice(("l0", "l1"))
            inside = [self.access()] if self.draw.random() < 0.3 else []
            return [op.trylock(lock, got), op.when(got, [*inside, op.unlock(lock)])]
        word = self.draw.choice(free)
        if word != "rw":
            self.held.append(op.unlock(word))
            return [op.lock(word)]
        if self.draw.random() < 0.6:
            self.held.append(op.read_unlock(word))
            return [op.read_lock(word)]
        self.held.append(op.write_unlock(word))
        return [op.write_lock(word)]

    def waiting(self) -> Op:
        """On flags that nobody takes back: who waits never spins."""
        flag, word = self.draw.choice(("f0", "f1")), self.words[0]
        return self.draw.choice(
            (
                op.wait_until(flag, 1),
                op.wait_while(flag, 0),
                op.store(flag, 1, "release"),
                op.store(flag, 1, "release"),
                op.sleep(word),
                op.wake(word),
            )
        )

    def program(self, length: int, waits: bool) -> list[Op]:
        ops: list[Op] = []
        while length > 0 and len(self.registers) < 6:
            kind = self.draw.random()
            if kind < 0.45:
                ops += self.locking()
            elif kind < 0.55 and waits:
                ops.append(self.waiting())
            elif kind < 0.6 and self.registers:
                register = self.draw.choice(self.registers)
                ops.append(op.expect(register, "<=", self.draw.randint(0, 1), "as drawn"))
            else:
                ops.append(self.access())
            length -= 1
        if self.draw.random() < 0.9:
            ops += reversed(self.held)
        if not self.registers:
            return ops
        told = [op.set("told", 1)]
        for register in self.registers:
            told += [op.multiply("told", 16), op.add("told", register)]
        cleared = [op.set(register, 0) for register in self.registers]
        return [*cleared, *ops, *told, op.store(f"told{self.number}", "told")]


def drawn(seed: int, *, waits: bool = False, plain: bool = True) -> Scenario:
    draw = random.Random(seed)
    tasks = draw.choice((2, 2, 3, 3, 4))
    words = [f"w{n}" for n in range(draw.randint(1, 3))]
    most = {2: 4, 3: 3, 4: 2}[tasks]
    actors = {
        f"t{n}": Writer(draw, n, words, plain).program(draw.randint(1, most), waits)
        for n in range(tasks)
    }
    faults = {"trylock": 1} if draw.random() < 0.2 else None
    deaths = {"actors": ["t0"], "budget": 1} if draw.random() < 0.1 else None
    return Scenario(name=f"drawn-{seed}", actors=actors, finish=[], faults=faults, deaths=deaths)


def compare(
    scenario: Scenario, bound: int, *, races: bool = False, every_access: bool = True
) -> Seen | None:
    """What the search without reduction saw; None if that was too much to look at."""
    plain = search(scenario, "dfs", bound, races=races, every_access=every_access, most=MOST)
    if plain is None:
        return None
    most = None if races and not every_access else plain.executions
    reduced = search(scenario, "dpor", bound, races=races, every_access=every_access, most=most)
    assert reduced is not None, f"{scenario.name}: more executions than without reduction"
    assert reduced.verdicts == plain.verdicts, scenario.name
    assert reduced.states == plain.states, scenario.name
    assert reduced.executions <= plain.executions, scenario.name
    plain.pruned = reduced.executions
    return plain


class TestAgainstSearchWithoutReduction:
    def many(
        self,
        wanted: int,
        bounds: tuple[int, ...],
        *,
        first: int,
        waits: bool = False,
        races: bool = False,
        every_access: bool = True,
    ) -> set[Verdict]:
        verdicts: set[Verdict] = set()
        compared, seed = 0, first
        while compared < wanted:
            scenario = drawn(seed, waits=waits, plain=not races)
            seed += 1
            assert seed < first + 4 * wanted
            for bound in bounds:
                seen = compare(scenario, bound, races=races, every_access=every_access)
                if seen is None:
                    break
                verdicts |= seen.verdicts
            else:
                compared += 1
        return verdicts

    def test_without_bound(self) -> None:
        verdicts = self.many(200, (-1,), first=0)
        assert {Verdict.DEADLOCK, Verdict.INVARIANT, Verdict.LOCK_MISUSE} <= verdicts

    def test_where_tasks_wait_for_words(self) -> None:
        assert Verdict.DEADLOCK in self.many(60, (-1, 0, 1), first=10_000, waits=True)

    @pytest.mark.parametrize("bound", [0, 1, 2])
    def test_with_a_bound_on_preemptions(self, bound: int) -> None:
        verdicts = self.many(200, (bound,), first=0)
        assert {Verdict.DEADLOCK, Verdict.INVARIANT} <= verdicts

    def test_where_the_bound_kept_a_task_from_going_on(self) -> None:
        """When the verdict comes, the other could take the lock again, by the bound it may not:
        its lock races with the try all the same."""
        told = [do for r in "rstuvxy" for do in (op.multiply("sum", 16), op.add("sum", r))]
        scenario = Scenario(
            name="kept",
            actors={
                "locker": [
                    *[op.cas("w", 0, 2, "r"), op.lock("l"), op.load("w", "s")],
                    *[op.store("w", 1), op.unlock("l")],
                    *[op.multiply("r", 16), op.add("r", "s"), op.store("locker", "r")],
                ],
                "trier": [
                    *[op.set("s", 0), op.set("y", 0), op.load("w", "r"), op.trylock("l", "t")],
                    op.when("t", [op.load("w", "s"), op.unlock("l")]),
                    *[op.store("w", 1), op.load("w", "u"), op.load("w", "v")],
                    op.expect("s", "<=", 1, "as drawn"),
                    op.trylock("l", "x"),
                    op.when("x", [op.load("w", "y"), op.unlock("l")]),
                    *[op.set("sum", 1), *told],
                    op.store("trier", "sum"),
                ],
            },
            finish=[],
        )
        assert compare(scenario, 1) is not None

    def test_where_accesses_become_points_when_they_conflict(self) -> None:
        verdicts = self.many(100, (-1, 1), first=30_000, waits=True, races=True, every_access=False)
        assert Verdict.DATA_RACE not in verdicts
        assert Verdict.INVARIANT in verdicts

    def test_without_race_detection_everything_is_dependent(self) -> None:
        """Accesses are hidden then, and so nothing may be left out."""
        for seed in range(40_000, 40_030):
            compare(drawn(seed), -1, races=False, every_access=False)

    def test_finds_a_race_where_there_is_one(self) -> None:
        for seed in range(50_000, 50_060):
            scenario = drawn(seed)
            plain = search(scenario, "dfs", races=True, every_access=False, most=MOST)
            reduced = search(scenario, "dpor", races=True, every_access=False)
            assert reduced is not None
            if plain is not None:
                assert (Verdict.DATA_RACE in plain.verdicts) == (
                    Verdict.DATA_RACE in reduced.verdicts
                ), scenario.name


COMPACTION = [op.kworker("compact")]
MIGRATION = [op.migrate_pages(op.page_of("a"))]
ONE_OBJECT = [op.alloc("a", 1200), op.fill("a")]
MAPPED = Scenario(
    name="mapped",
    setup=ONE_OBJECT,
    actors={
        "mapper": [op.map("a"), op.check("a"), op.unmap("a")],
        "migrator": MIGRATION,
        "kworker": COMPACTION,
    },
)
FREED = Scenario(
    name="freed",
    setup=[*ONE_OBJECT, op.alloc("b", 600), op.fill("b")],
    actors={"freer": [op.free("b")], "migrator": MIGRATION, "kworker": COMPACTION},
)
DYING = Scenario(
    name="dying",
    setup=ONE_OBJECT,
    actors={"mapper": [op.map("a"), op.unmap("a")], "migrator": MIGRATION},
    faults={"target": 1},
    deaths={"actors": ["mapper"], "budget": 1},
)


class TestOnTheAllocator:
    """Migration, a kworker that waits for work, a failure and a death: the same arenas."""

    @pytest.mark.parametrize("scenario", [MAPPED, FREED, DYING], ids=lambda scenario: scenario.name)
    @pytest.mark.parametrize("bound", [0, 1])
    def test_same_final_arenas(self, scenario: Scenario, bound: int) -> None:
        how = {"races": True, "every_access": False, "whole": True}
        plain = search(scenario, "dfs", bound, **how)
        reduced = search(scenario, "dpor", bound, **how)
        assert plain is not None
        assert reduced is not None
        assert reduced.states == plain.states
        assert reduced.verdicts == plain.verdicts
        assert reduced.executions <= plain.executions

    def test_completes_without_a_bound(self) -> None:
        """And so sees the arenas of any bound, in fewer executions than a bound of 2 takes."""
        how = {"races": True, "every_access": False, "whole": True}
        plain, reduced = search(MAPPED, "dfs", 2, **how), search(MAPPED, "dpor", **how)
        assert plain is not None
        assert reduced is not None
        assert reduced.states > plain.states
        assert reduced.verdicts == set()
        assert reduced.executions < plain.executions


class TestKnownCounts:
    @pytest.mark.parametrize("tasks", [1, 2, 3, 5])
    def test_independent_tasks_need_one_execution(self, tasks: int) -> None:
        seen = counted([[op.store(f"w{n}", 1), op.load(f"w{n}", "r")] for n in range(tasks)])
        assert (seen.executions, seen.pruned) == (1, 0)

    @pytest.mark.parametrize("n", [1, 2, 3, 4])
    def test_writes_to_one_word_need_every_order(self, n: int) -> None:
        seen = counted([[op.store("w", 10 * task + k) for k in range(n)] for task in range(2)])
        assert (seen.executions, seen.pruned) == (math.comb(2 * n, n), 0)

    @pytest.mark.parametrize("n", [1, 2, 4, 8])
    def test_readers(self, n: int) -> None:
        """One writes, n read: 2^n classes, and source sets see each once (Abdulla et al.)."""
        seen = counted([[op.store("w", 1)], *([op.load("w", "r")] for _ in range(n))])
        assert (seen.executions, seen.pruned) == (2**n, 0)

    @pytest.mark.parametrize(("n", "classes"), [(2, 5), (3, 12), (5, 64), (6, 144)])
    def test_lastzero(self, n: int, classes: int) -> None:
        """Abdulla et al.: 64 classes for n = 5, 3,328 for 10, 147,456 for 15: (n + 3) 2^(n - 2)."""
        looks: list[Op] = [op.load("a0", "r")]
        for k in range(1, n + 1):
            looks = [op.load(f"a{k}", "r"), op.when("r", looks)]
        counts = [
            [op.load(f"a{k - 1}", "r"), op.add("r", 1), op.store(f"a{k}", "r")]
            for k in range(1, n + 1)
        ]
        assert classes == (n + 3) * 2**n // 4
        assert counted([looks, *counts]).classes == classes

    @pytest.mark.parametrize("n", [2, 3, 4])
    def test_critical_sections_need_every_order(self, n: int) -> None:
        section = [op.lock("l"), op.fetch_add("w", 1), op.unlock("l")]
        seen = counted([section] * n)
        assert (seen.executions, seen.pruned) == (math.factorial(n), 0)

    def test_failed_tries_do_not_depend_on_each_other(self) -> None:
        """The holder's unlock is before or after each of two tries that give nothing back."""
        holder = [op.lock("l"), op.store("go", 1), op.unlock("l")]
        tries = [op.wait_until("go", 1), op.trylock("l", "r"), op.when("r", [op.unlock("l")])]
        seen, plain = counted([holder, tries, tries]), counted([holder, tries, tries], "dfs")
        assert seen.states == plain.states
        assert seen.executions < plain.executions / 4

    def test_philosophers(self) -> None:
        """Each a left and a right fork: all take the left one, or none is stuck."""
        pairs = [("f0", "f1"), ("f1", "f2"), ("f2", "f0")]
        seen = counted(
            [
                [op.lock(left), op.lock(right), op.unlock(right), op.unlock(left)]
                for left, right in pairs
            ]
        )
        assert seen.verdicts == {Verdict.DEADLOCK}

    def test_tells_what_it_gave_up(self) -> None:
        """Source sets are not optimal: executions that turn out to be seen already are ended."""
        pruned = 0
        for seed in range(60_000, 60_080):
            seen = search(drawn(seed), "dpor")
            assert seen is not None
            pruned += seen.pruned
        assert pruned


class TestSearch:
    scenario = Scenario(
        name="turns",
        actors={f"t{n}": [op.store("w", n), op.store("w", n + 10)] for n in range(3)},
        finish=[],
    )

    def test_several_searches_in_turns(self) -> None:
        """Each owns its tree, and goes on where it was."""
        with World(self.scenario, SOUND, races=False, every_access=True) as world:
            simulator = world.simulator
            done = {0: 0, 1: 0}
            left = dict.fromkeys(done, True)
            searches = {slot: Search() for slot in done}
            while any(left.values()):
                for slot, bound in ((0, -1), (1, 1)):
                    if left[slot]:
                        simulator.begin("dpor", 0, 0, bound, search=searches[slot])
                        left[slot] = simulator.explore(7, FOREVER) != "exhausted"
                        done[slot] = simulator.totals()["execution"]
        assert done[0] == math.factorial(6) // 8
        bounded = search(self.scenario, "dpor", 1)
        assert bounded is not None
        assert done[1] == bounded.executions

    def test_share_done_grows_to_one(self) -> None:
        with World(self.scenario, SOUND, races=False, every_access=True) as world:
            simulator = world.simulator
            simulator.begin("dpor", 0, 0, -1)
            while simulator.explore(1, FOREVER) != "exhausted":
                assert 0 <= simulator.totals()["share_done"] <= 1
            assert simulator.totals()["share_done"] == 1.0
