"""Programs made up from a seed: a few actors with a few accesses each, on a few words.

Owns the mix. Same seed and number, same program, on any machine; how large they get is bounded by
construction, so that all interleavings can be looked at.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

from z3fold_stress.errors import ScenarioError
from z3fold_stress.scenario import Scenario, op
from z3fold_stress.scenario.value import Op

FEATURES = frozenset(
    (
        *("atomics", "plain", "locks", "tries", "rwlocks", "waits", "sleep", "blocks", "setup"),
        *("raw", "misuse", "handover", "deaths", "faults", "fences"),
    )
)
"""What programs are made of. raw: accesses of lock words that are no lock operations; misuse:
locks left held, given back by strangers, taken twice; handover: what a flag makes visible."""
MOST_ACCESSES = 12
VALUES = (0, 1, 1, 2)


def generate(seed: int, number: int, features: Iterable[str] = FEATURES) -> Scenario:
    """The program with this number of this seed."""
    draw = random.Random(f"judge {seed} {number}")
    while True:
        try:
            return _Draft(draw, frozenset(features)).scenario(f"word-{seed}-{number}")
        except ScenarioError:
            continue  # a register that nobody sets, and the like: the next draw


class _Draft:
    """One program being made up."""

    def __init__(self, draw: random.Random, features: frozenset[str]) -> None:
        self.draw, self.features = draw, features
        self.words = ("x", "y", "z")[: draw.choice((1, 2, 2, 3))]
        self.plain = draw.choice((0.0, 0.15, 0.5)) if "plain" in features else 0.0
        self.guarded = draw.random() < 0.3 and "plain" in features
        self.wild = draw.random() < 0.25
        """Whether locks are used as they should not be."""
        self.checks = 0
        self.left = draw.choice((6, 8, 10, MOST_ACCESSES))
        self.registers: list[str] = []

    def scenario(self, name: str) -> Scenario:
        draw = self.draw
        count = draw.choice((2, 2, 2, 3, 3, 4))
        share = max(1, self.left // count)
        actors = {actor: self._actor(share) for actor in "abcd"[:count]}
        self.left = 3
        setup = self._actor(2) if "setup" in self.features and draw.random() < 0.1 else []
        used = [one for ops in (setup, *actors.values()) for one in _words(ops)]
        initial = {
            word: draw.choice(VALUES) for word in self.words if word in used and draw.random() < 0.3
        }
        return Scenario(
            name=name,
            setup=setup,
            actors=actors,
            finish=self._finish(dict.fromkeys(used)),
            words={word: value for word, value in initial.items() if value},
            deaths=[draw.choice(list(actors))] if self._sometimes("deaths") else [],
            faults={"trylock": 1} if self._sometimes("faults") else {},
        )

    def _sometimes(self, feature: str) -> bool:
        return feature in self.features and self.draw.random() < 0.12

    def _finish(self, used: Iterable[str]) -> list[Op]:
        words = [word for word in used if word in self.words]
        if not words or self.draw.random() < 0.4:
            return []
        word = self.draw.choice(words)
        return [op.load(word, "r"), self._expect("r")]

    def _actor(self, most: int) -> list[Op]:
        self.registers = []
        ops: list[Op] = []
        while (spent := _accesses(ops)) < most:
            phrase = self._phrase(most - spent)
            if _accesses(phrase) <= most - spent + 1:
                ops += phrase
        return ops

    # Phrases: a few operations that belong together.

    def _phrase(self, most: int, inside: bool = False) -> list[Op]:
        f = self.features
        ways: list[tuple[int, Callable[[], list[Op]]]] = [(6, self._access)]
        if "waits" in f:
            ways.append((1, self._wait))
        if "sleep" in f:
            ways.append((1, lambda: [self.draw.choice((op.sleep, op.wake, op.wake))("s")]))
        if "blocks" in f and not inside:
            ways.append((2, lambda: self._block(most)))
        if "handover" in f and most > 1 and not inside:
            ways.append((2, self._handover))
        if "fences" in f:
            ways.append((1, lambda: [self._fence("acquire", "release")]))
        if most > 1:
            if "locks" in f:
                ways.append((3, lambda: self._locked(op.lock, op.unlock, "L", most)))
            if "tries" in f:
                ways.append((2, lambda: self._tried(most)))
            if "rwlocks" in f:
                ways.append((1, lambda: self._locked(op.read_lock, op.read_unlock, "R", most)))
                ways.append((1, lambda: self._locked(op.write_lock, op.write_unlock, "R", most)))
        if self.wild and "raw" in f:
            ways.append((2, self._raw))
        if self.wild and "misuse" in f:
            ways.append((1, self._misuse))
        (make,) = self.draw.choices([way for _, way in ways], [weight for weight, _ in ways])
        return make()

    def _order(self, atomic: str) -> Any:
        if self.draw.random() < self.plain:
            return "plain"
        return self.draw.choice(("relaxed", atomic))

    def _fence(self, *orders: str) -> Op:
        order: Any = self.draw.choice((*orders, "acq_rel", "seq_cst"))
        return op.fence(order)

    def _register(self) -> str:
        name = self.draw.choice(("r", "s"))
        if name not in self.registers:
            self.registers.append(name)
        return name

    def _expect(self, register: str) -> Op:
        self.checks += 1
        compare: Any = self.draw.choice(("==", "!=", "!=", "<", ">="))
        return op.expect(register, compare, self.draw.choice(VALUES), f"check {self.checks}")

    def _access(self) -> list[Op]:
        draw, word = self.draw, self.draw.choice(self.words)
        way = draw.random()
        if way < 0.35:
            register = self._register()
            ops = [op.load(word, register, self._order("acquire"))]
            if draw.random() < 0.2:
                ops.append(op.add(register, 1))
                ops.append(op.store(word, register, self._order("release")))
            elif draw.random() < 0.4 and self.checks < 3:
                ops.append(self._expect(register))
            return ops
        if way < 0.7 or "atomics" not in self.features:
            value: int | str = draw.choice(VALUES)
            if self.registers and draw.random() < 0.2:
                value = draw.choice(self.registers)
            return [op.store(word, value, self._order("release"))]
        if way < 0.8:
            return [
                op.fetch_add(word, draw.choice((1, 1, -1)), draw.choice((None, self._register())))
            ]
        if way < 0.9:
            return [op.exchange(word, draw.choice(VALUES), self._register())]
        return [op.cas(word, draw.choice(VALUES), draw.choice(VALUES), self._register())]

    def _wait(self) -> list[Op]:
        word, value = self.draw.choice(self.words), self.draw.choice(VALUES)
        return [self.draw.choice((op.wait_until, op.wait_until, op.wait_while))(word, value)]

    def _handover(self) -> list[Op]:
        """One half of it: what is handed over is written before the flag, or read after it."""
        word = self.draw.choice(self.words)
        order: Any = self.draw.choice(("release", "release", "release", "relaxed"))
        way = self.draw.random()
        fenced = "fences" in self.features and self.draw.random() < 0.5
        if way < 0.5:
            fence = [self._fence("release", "release")] if fenced else []
            return [op.store("data", 1), *fence, op.store(word, 1, order)]
        if way < 0.75 and "waits" in self.features:
            return [op.wait_until(word, 1), op.load("data", self._register())]
        register = self._register()
        acquire: Any = self.draw.choice(("acquire", "acquire", "relaxed"))
        after = [self.draw.choice((op.load("data", "d"), op.store("data", 2)))]
        if fenced:
            after.insert(0, self._fence("acquire", "acquire"))
        return [op.load(word, register, acquire), op.when(register, "==", 1, after)]

    def _block(self, most: int) -> list[Op]:
        body = self._phrase(max(1, most - 1), inside=True)
        if self.draw.random() < 0.25 and _accesses(body) * 2 <= most:
            return [op.repeat(2, body)]
        if not self.registers:
            return self._access()
        register = self.draw.choice(self.registers)
        compare: Any = self.draw.choice(("==", "!=", "<"))
        return [op.when(register, compare, self.draw.choice(VALUES), body)]

    def _lock(self, name: str) -> str:
        return name + self.draw.choice(("", "", "2"))

    def _inside(self, most: int) -> list[Op]:
        if self.guarded and self.draw.random() < 0.6:
            return [self.draw.choice((op.load("data", self._register()), op.store("data", 1)))]
        if most <= 2 or self.draw.random() < 0.3:
            return [] if most <= 2 else self._phrase(most - 2, inside=True)
        return self._access()

    def _locked(
        self, lock: Callable[[str], Op], unlock: Callable[[str], Op], name: str, most: int
    ) -> list[Op]:
        word = self._lock(name)
        ops = [lock(word), *self._inside(most), unlock(word)]
        if self.wild and "misuse" in self.features and self.draw.random() < 0.15:
            del ops[self.draw.choice((0, -1))]
        return ops

    def _tried(self, most: int) -> list[Op]:
        word = self._lock("L")
        return [op.trylock(word, "t"), op.when("t", [*self._inside(most), op.unlock(word)])]

    def _raw(self) -> list[Op]:
        draw = self.draw
        word = self._lock("L")
        if draw.random() < 0.5:
            register = self._register()
            order: Any = draw.choice(("plain", "relaxed", "acquire"))
            return [op.load(word, register, order)]
        order = draw.choice(("plain", "relaxed", "release"))
        return [op.store(word, 0, order)]

    def _misuse(self) -> list[Op]:
        name = self.draw.choice("LR") if "rwlocks" in self.features else "L"
        word = self._lock(name)
        if name == "R":
            return [self.draw.choice((op.read_unlock, op.write_unlock, op.write_lock))(word)]
        return [self.draw.choice((op.unlock, op.lock))(word)]


def _accesses(ops: Iterable[Op]) -> int:
    """How many accesses these may make at most."""
    count = 0
    for one in ops:
        if one.name == "repeat":
            count += one.named["times"] * _accesses(one.body)
        elif one.name == "when":
            count += _accesses(one.body)
        elif one.name == "sleep":
            count += 2
        else:
            count += "word" in one.named
    return count


def _words(ops: Iterable[Op]) -> Iterable[str]:
    for one in ops:
        yield from [one.named["word"]] if "word" in one.named else _words(one.body)
