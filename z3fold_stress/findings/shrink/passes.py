"""Ways to make a scenario simpler, as a list of passes.

A pass is a function from a scenario to scenarios that are simpler by ``size.sort_key``, each in
one respect, the largest cut first.  It neither runs nor judges anything: what does not fail any
more is not taken, and what is no scenario (a register that nothing sets, a page that is not
isolated) may be proposed, for ``changed`` leaves it out.  A pass that was successful is begun again
with what was taken, so it need not propose combinations, except where one part cannot go without
another: then it takes both away at once, as ``without_pairs`` does.

To add one: write the function here, and put its name in PASSES, where what cuts most comes first.
tests/test_shrink.py has a table with a case for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from z3fold_stress import _live
from z3fold_stress.errors import ScenarioError
from z3fold_stress.scenario import Op, Scenario
from z3fold_stress.scenario.program import objects_of, reads_of, registers_of, writes_of
from z3fold_stress.scenario.scenario import ARENA
from z3fold_stress.scenario.value import walk

__all__ = ["PASSES", "Pass", "changed"]

Pass = Callable[[Scenario], Iterator[Scenario]]
Ops = tuple[Op, ...]

_BRACKETS = {
    "map": "unmap",
    "lock": "unlock",
    "trylock": "unlock",
    "isolate": "putback",
    "alloc": "free",
    "read_lock": "read_unlock",
    "write_lock": "write_unlock",
    "lock_page": "unlock_page",
    "lock_header": "unlock_header",
    "preempt_disable": "preempt_enable",
}
_AMOUNTS = {"size": _live.LIMITS["min_payload"]} | dict.fromkeys(
    ("rounds", "pages", "passes", "frames", "budget"), 1
)
"""Arguments that say how much, and the least that is sensible."""


# what a pass is made of


def changed(scenario: Scenario, **changes: Any) -> Iterator[Scenario]:
    """The scenario with these fields replaced; nothing where that is no scenario."""
    try:
        yield replace(scenario, **changes)
    except (ScenarioError, ValueError):
        return


def programs(scenario: Scenario) -> dict[str, Ops]:
    """All, by name; ``setup`` and ``finish`` are names that no actor has."""
    return {"setup": scenario.setup, **scenario.actors, "finish": scenario.finish}


def with_programs(scenario: Scenario, new: Mapping[str, Sequence[Op]]) -> Iterator[Scenario]:
    """With these programs instead; an actor whose program is empty is left out."""
    told = {**programs(scenario), **new}
    actors = {name: tuple(told[name]) for name in scenario.actors if told[name]}
    if not actors:
        return
    mortal = tuple(name for name in scenario.deaths["actors"] if name in actors)
    yield from changed(
        scenario,
        setup=tuple(told["setup"]),
        actors=actors,
        finish=tuple(told["finish"]),
        cpus={name: cpu for name, cpu in scenario.cpus.items() if name in actors},
        deaths={"actors": mortal, "budget": scenario.deaths["budget"]} if mortal else None,
        words=_used_words(scenario, told.values()),
    )


def _used_words(scenario: Scenario, ops: Any) -> dict[str, int]:
    used = {op.named.get("word") for program in ops for op in walk(program)}
    return {word: value for word, value in scenario.words.items() if word in used}


def edits(ops: Ops, edit: Callable[[Op], Sequence[Sequence[Op]]]) -> Iterator[Ops]:
    """The program with one operation, at any depth, replaced by what ``edit`` has for it."""
    for i, op in enumerate(ops):
        before, after = ops[:i], ops[i + 1 :]
        for instead in edit(op):
            yield (*before, *instead, *after)
        for body in edits(op.body, edit):
            inner = (_with_body(op, body),) if body else ()
            yield (*before, *inner, *after)


def _with_body(op: Op, body: Ops) -> Op:
    return Op(op.name, op.args, body)


def _with(op: Op, argument: str, value: int) -> Op:
    args = [value if name == argument else old for name, old in op.named.items()]
    return Op(op.name, tuple(args), op.body)


def everywhere(
    scenario: Scenario, edit: Callable[[Op], Sequence[Sequence[Op]]]
) -> Iterator[Scenario]:
    """One operation of one program edited."""
    for name, ops in programs(scenario).items():
        for fewer in edits(ops, edit):
            yield from with_programs(scenario, {name: fewer})


def pruned(ops: Ops, gone: Callable[[Op], bool]) -> Ops:
    """Without all operations that are ``gone``, and without blocks that are empty then."""
    kept = []
    for op in ops:
        body = pruned(op.body, gone)
        if gone(op) or (op.body and not body):
            continue
        kept.append(_with_body(op, body) if op.body else op)
    return tuple(kept)


def smaller(value: int, least: int) -> Iterator[int]:
    """Numbers between, from the least up: few, for each costs a search."""
    tried = {least, (least + value) // 2, value - (value - least) // 4, value - 1}
    yield from sorted(number for number in tried if least <= number < value)


# the passes


def without_an_actor(scenario: Scenario) -> Iterator[Scenario]:
    for name in scenario.actors:
        yield from with_programs(scenario, {name: ()})


def without_deaths(scenario: Scenario) -> Iterator[Scenario]:
    """No deaths, one mortal less, a smaller budget."""
    mortal, budget = scenario.deaths["actors"], scenario.deaths["budget"]
    if not mortal:
        return
    yield from changed(scenario, deaths=None)
    for name in mortal if len(mortal) > 1 else ():
        others = tuple(other for other in mortal if other != name)
        yield from changed(scenario, deaths={"actors": others, "budget": budget})
    for fewer in smaller(budget, 1):
        yield from changed(scenario, deaths={"actors": mortal, "budget": fewer})


def without_failures(scenario: Scenario) -> Iterator[Scenario]:
    """A kind less of injected failures, or fewer of them."""
    for name, budget in scenario.faults.items():
        for fewer in smaller(budget, 0):
            yield from changed(scenario, faults={**scenario.faults, name: fewer})


def without_a_program(scenario: Scenario) -> Iterator[Scenario]:
    """Neither set-up, or no finish."""
    for name in ("setup", "finish"):
        if programs(scenario)[name]:
            yield from with_programs(scenario, {name: ()})


def without_a_name(scenario: Scenario) -> Iterator[Scenario]:
    """Nothing of one object, of one word."""
    all_ops = [op for ops in programs(scenario).values() for op in walk(ops)]
    for name in dict.fromkeys(name for op in all_ops for name in objects_of(op)):
        yield from _all_pruned(scenario, partial(_is_of, name))
    for word in dict.fromkeys(op.named["word"] for op in all_ops if "word" in op.named):
        yield from _all_pruned(scenario, partial(_is_on, word))


def _is_of(name: str, op: Op) -> bool:
    return name in objects_of(op)


def _is_on(word: str, op: Op) -> bool:
    return bool(op.named.get("word") == word)


def _needs(register: str, op: Op) -> bool:
    return register in reads_of(op) or register in writes_of(op)


def _all_pruned(scenario: Scenario, gone: Callable[[Op], bool]) -> Iterator[Scenario]:
    told = {name: pruned(ops, gone) for name, ops in programs(scenario).items()}
    yield from with_programs(scenario, told)


def without_a_register(scenario: Scenario) -> Iterator[Scenario]:
    """A program without all that sets or uses one register."""
    for name, ops in programs(scenario).items():
        for register in registers_of(ops):
            yield from with_programs(scenario, {name: pruned(ops, partial(_needs, register))})


def without_halves(scenario: Scenario) -> Iterator[Scenario]:
    """A program without a run of its operations, the longest first."""
    for name, ops in programs(scenario).items():
        size = len(ops) // 2
        while size > 1:
            for start in range(0, len(ops), size):
                yield from with_programs(scenario, {name: ops[:start] + ops[start + size :]})
            size //= 2


def without_pairs(scenario: Scenario) -> Iterator[Scenario]:
    """Two operations that go together, as a map and its unmap."""
    for name, ops in programs(scenario).items():
        for fewer in _without_pairs(ops):
            yield from with_programs(scenario, {name: fewer})


def _without_pairs(ops: Ops) -> Iterator[Ops]:
    for i, opening in enumerate(ops):
        closing = _BRACKETS.get(opening.name)
        for j in range(i + 1, len(ops)):
            if ops[j].name == closing and ops[j].args[:1] == opening.args[:1]:
                yield ops[:i] + ops[i + 1 : j] + ops[j + 1 :]
        for body in _without_pairs(opening.body):
            inner = (_with_body(opening, body),) if body else ()
            yield (*ops[:i], *inner, *ops[i + 1 :])


def without_an_operation(scenario: Scenario) -> Iterator[Scenario]:
    """At any depth; a block goes with all that is in it."""
    yield from everywhere(scenario, lambda op: ((),))


def without_a_block(scenario: Scenario) -> Iterator[Scenario]:
    """The body of a loop or a condition in its place."""
    yield from everywhere(scenario, lambda op: (op.body,) if op.body else ())


def fewer_repeats(scenario: Scenario) -> Iterator[Scenario]:
    def edit(op: Op) -> list[Ops]:
        if op.name != "repeat":
            return []
        return [(_with(op, "times", fewer),) for fewer in smaller(op.named["times"], 1)]

    yield from everywhere(scenario, edit)


def smaller_amounts(scenario: Scenario) -> Iterator[Scenario]:
    """Sizes of objects, rounds, budgets."""

    def edit(op: Op) -> list[Ops]:
        return [
            (_with(op, name, less),)
            for name, least in _AMOUNTS.items()
            if isinstance(op.named.get(name), int)
            for less in smaller(op.named[name], least)
        ]

    yield from everywhere(scenario, edit)


def smaller_words(scenario: Scenario) -> Iterator[Scenario]:
    """Values that words have at first."""
    for word, value in scenario.words.items():
        for less in smaller(abs(value), 0):
            words = {**scenario.words, word: less if value > 0 else -less}
            yield from changed(scenario, words=words)


def one_cpu(scenario: Scenario) -> Iterator[Scenario]:
    """All actors on CPU 0; one of them there."""
    if not scenario.cpus:
        return
    arena = {**scenario.arena, "cpus": 1}
    yield from changed(scenario, cpus=None, arena=arena)
    for name in scenario.cpus:
        cpus = {other: cpu for other, cpu in scenario.cpus.items() if other != name}
        yield from changed(scenario, cpus=cpus)


def plain_arena(scenario: Scenario) -> Iterator[Scenario]:
    """One setting of the arena as it is where nothing is said."""
    for name, usual in ARENA.items():
        if name != "cpus" and scenario.arena[name] != usual:
            yield from changed(scenario, arena={**scenario.arena, name: usual})


PASSES: tuple[Pass, ...] = (
    without_deaths,
    without_failures,
    without_an_actor,
    without_a_program,
    without_a_name,
    without_halves,
    without_a_register,
    without_pairs,
    without_an_operation,
    without_a_block,
    fewer_repeats,
    smaller_amounts,
    smaller_words,
    one_cpu,
    plain_arena,
)
"""Tried in this order, round after round, until a round changes nothing.  Deaths and failures go
first: a failure that does not need them is not to lean on them later."""
