"""The identity of what an execution of the sim world showed (see identity.py).

Places are operations of the scenario where the actor's own program failed (a word, a raw lock, an
expectation), and functions of the subject where the subject did: not lines, which move with every
edit above them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from z3fold_stress.explore.names import Names
from z3fold_stress.explore.sites import Site, resolve, subject_site
from z3fold_stress.explore.world import World
from z3fold_stress.findings.identity import Identity, is_shared, of_check, of_cycle, words
from z3fold_stress.findings.waiting import Wait, cycles, stuck, waits_of
from z3fold_stress.scenario import Op
from z3fold_stress.scenario.program import reads_of, writes_of
from z3fold_stress.verdicts import Verdict

if TYPE_CHECKING:
    from z3fold_stress.findings.evidence import Event, Evidence

__all__ = ["identity_of", "lock_order_identity"]

_OWN = frozenset(
    (
        *("set", "move", "add", "multiply", "expect", "when"),
        *("might_sleep", "preempt_disable", "preempt_enable"),
    )
)
"""Operations that are the scenario's own, besides those on words."""
_ARITHMETIC = frozenset(("set", "move", "add", "multiply"))


def identity_of(
    world: World, names: Names, outcome: dict[str, Any], evidence: Evidence
) -> Identity:
    """``evidence``: with its events and sides."""
    return _Teller(world, names, outcome["verdict"], evidence).identity()


def lock_order_identity(world: World, names: Names, classes: Sequence[int]) -> Identity:
    """A cycle of lock classes; ``classes``: each once, in its order."""
    of_words = any(names.is_word_class(number) for number in classes)
    told = [names.lock_class(number) for number in classes]
    scenario = world.scenario.name if of_words else ""
    return of_cycle(Verdict.LOCK_ORDER, "lock-order", told, scenario)


def _instructions(ops: Sequence[Op]) -> Iterator[Op]:
    """The operation that each instruction comes from, as program.py lays them out."""
    for op in ops:
        yield op
        yield from _instructions(op.body)
        if op.name == "repeat":
            yield from (op, op)
        elif op.name == "kworker":
            yield op


class _Teller:
    def __init__(
        self, world: World, names: Names, found: dict[str, Any], evidence: Evidence
    ) -> None:
        self.world = world
        self.names = names
        self.found = found
        self.evidence = evidence
        self.verdict = Verdict.numbered(found["kind"])
        scenario = world.scenario
        programs = (*scenario.actors.values(), scenario.setup, scenario.finish)
        self.programs = [tuple(_instructions(ops)) for ops in programs]
        self.scenario = ""
        """Its name, once something of it was named."""

    def identity(self) -> Identity:
        match self.found["where"]:
            case "race":
                return self._race()
            case "deadlock" | "wait":
                return self._deadlock()
            case "livelock":
                return self._whole("livelock", self._loop())
            case "expect":
                return self._whole("expect", self._expectation())
            case "access":
                return self._access()
            case "end":
                return self._end()
            case "audit":
                return Identity(self.verdict, "audit", (words(self.found["text"]),))
        return self._check()

    def _whole(self, check: str, parts: Sequence[str]) -> Identity:
        return Identity(self.verdict, check, tuple(parts), self.scenario)

    # names

    def _place(self, offset: int) -> str:
        if self.names.is_word(offset):
            self.scenario = self.world.scenario.name
        return self.names.kind(offset)

    def _op(self, task: int, at: int) -> Op | None:
        program = self.programs[task] if task < len(self.programs) else ()
        return program[at] if at < len(program) else None

    def _site(self, sites: Sequence[Site], op: Op | None) -> str:
        """``load x -> r``, or ``z3fold_map@z3fold/map.pxi``."""
        site = subject_site(tuple(sites))
        if op is not None and site.file.startswith("run/"):
            if "word" in op.named or op.name in _OWN:
                self.scenario = self.world.scenario.name
                return op.head
            if "page" in op.named:
                return op.name
        return f"{site.function}@{site.file}"

    def _site_of(self, event: Event) -> str:
        return self._site(event.sites, self._op(event.task, event.at))

    def _last(self) -> Event | None:
        """What the task that failed did last."""
        mine = (e for e in reversed(self.evidence.events) if e.task == self.found["task"])
        return next(mine, None)

    def _failing_site(self) -> str:
        sites = resolve([self.found["pc"]]).get(self.found["pc"], ())
        last = self._last()
        op = None if last is None else self._op(last.task, last.at)
        if last is not None:
            sites = tuple(dict.fromkeys((*sites, *last.sites)))
        return self._site(sites, op)

    # each detector

    def _race(self) -> Identity:
        """What it is about, and both places; which of several accesses of a function to the same
        field it was is chance."""
        found, sides = self.found, []
        pcs = (found["other_pc"], found["pc"])
        for side, pc in zip(self.evidence.sides, pcs, strict=True):
            if side.event >= 0:
                sides.append(self._site_of(self.evidence.events[side.event]))
            else:
                sides.append(self._site(resolve([pc]).get(pc, ()), None))
        return self._whole("race", (self._place(found["object"]), *sorted(sides)))

    def _access(self) -> Identity:
        what = "freed" if self.found["text"].endswith("was freed") else "outside"
        return self._whole("access", (what, self._failing_site()))

    def _end(self) -> Identity:
        if not self.found["lock"]:
            return self._check()
        sites = resolve([self.found["pc"]]).get(self.found["pc"], ())
        return self._whole("end", (self._place(self.found["lock"]), self._site(sites, None)))

    def _check(self) -> Identity:
        found = self.found
        lock = self._place(found["lock"]) if found["lock"] else ""
        site = self._failing_site()
        shared = is_shared(found["where"])
        return of_check(
            self.verdict,
            found["where"],
            found["text"],
            lock=lock,
            caller=site if shared or self.scenario else "",
            scenario=self.scenario,
        )

    def _expectation(self) -> tuple[str, ...]:
        """What was expected, in the words of the scenario, and where its value came from."""
        number = int(self.found["text"].split()[1])
        messages = self.world.compiled.messages
        said = messages[number] if number < len(messages) else ""
        self.scenario = self.world.scenario.name
        last = self._last()
        op = None if last is None else self._op(last.task, last.at)
        if last is None or op is None or op.name != "expect":
            return (said,)
        return (said, op.head, self._source(last.task, last.at, op.named["reg"]))

    def _source(self, task: int, at: int, register: str) -> str:
        """The operation that a register has its value from."""
        for op in reversed(self.programs[task][:at]):
            if register not in writes_of(op):
                continue
            if op.name not in _ARITHMETIC:
                return op.head
            if op.name == "move":
                register = reads_of(op)[0]
        return ""

    # waits

    def _deadlock(self) -> Identity:
        if self.verdict is Verdict.ORPHANED_LOCK:
            return self._whole("dead", (self._place(self.found["lock"]),))
        if self.found["task"] >= len(self.world.compiled.actors):
            return self._whole("deadlock", (self._failing_site(), self._place(self.found["lock"])))
        waits = waits_of(self.world)
        rings = cycles(waits)
        if not rings:
            parts = {f"{self._site_at(wait)}: {self._place(wait.place)}" for wait in stuck(waits)}
            return self._whole("deadlock", sorted(parts))
        told = [[self._member(wait) for wait in ring] for ring in rings]
        cycles_told = (
            of_cycle(self.verdict, "deadlock", ring, self.scenario).parts for ring in told
        )
        return self._whole("deadlock", min(cycles_told))

    def _site_at(self, wait: Wait) -> str:
        sites = resolve([wait.pc]).get(wait.pc, ())
        return self._site(sites, self._op(wait.task, wait.at))

    def _member(self, wait: Wait) -> str:
        """Of a cycle: the lock's class alone in the subject, as a soak sees it; the operation in
        a scenario's own program."""
        place = self._place(wait.place)
        return self._site_at(wait) if self.names.is_word(wait.place) else place

    def _loop(self) -> tuple[str, ...]:
        """What the tasks do again and again: the steps that are in the third quarter of the
        execution and in the last, told once.  Where a limit struck does not matter then."""
        named = self.scenario
        known: dict[tuple[int, int, int], str] = {}  # events of one call share their sites
        last = max((event.step for event in self.evidence.events), default=0)
        quarters: tuple[set[str], set[str]] = (set(), set())
        for event in self.evidence.events:
            if event.step < last // 2 or event.task >= len(self.world.compiled.actors):
                continue
            op = self._op(event.task, event.at)
            if op is None or op.name in ("repeat", "kworker") or not event.sites:
                continue
            key = (event.task, event.at, id(event.sites))
            if key not in known:
                known[key] = self._site_of(event)
            quarters[event.step >= last - last // 4].add(known[key])
        looping = quarters[0] & quarters[1] or quarters[1]
        own = any("@" not in step for step in looping)
        self.scenario = self.world.scenario.name if own else named
        return tuple(sorted(looping))
