"""What the programs of a scenario must fulfil together; every refusal says where, and the remedy.

Refuses what cannot be meant: a name that is nowhere defined, an unmap of what is not mapped.
Never refuses an operation that may fail when it runs: to fail is what scenarios are about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from z3fold_stress import _live
from z3fold_stress._vocabulary import NR_REGISTERS
from z3fold_stress.errors import ScenarioError
from z3fold_stress.scenario.program import (
    hidden_registers,
    objects_of,
    reads_of,
    registers_of,
    writes_of,
)
from z3fold_stress.scenario.value import Op, Page, nearest, shown, walk

__all__ = ["MOST_ACTORS", "MOST_OBJECTS", "MOST_REGISTERS", "check_programs"]

MOST_ACTORS = 100
MOST_SHARERS = _live.LIMITS["tasks"] - 2
"""Actors of a scenario with objects: an object has a bit for each task, and set-up and finish are
tasks as well."""
MOST_OBJECTS = 256
MOST_MAPPED = _live.LIMITS["maps"] - 2
"""Objects that an actor has mapped at once: an eviction that it does maps two more."""
MOST_REGISTERS = NR_REGISTERS

_VERIFIED = ("fill", "check", "write", "read")
"""Operations that write or expect the pattern, which wants room."""

Programs = Mapping[str, Sequence[Op]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an operation is, for messages: nested ones are told by the block that holds them."""

    program: str
    number: int
    op: Op

    def __str__(self) -> str:
        return f"{self.program}, op {self.number} ({self.op.head})"


def check_programs(
    setup: Sequence[Op],
    actors: Programs,
    finish: Sequence[Op],
    words: Mapping[str, int],
    frames: int,
    mortal: Sequence[str],
) -> None:
    """Raises ScenarioError for the first thing that is wrong."""
    running = {f"actor {name!r}": ops for name, ops in actors.items()}
    programs: Programs = {"setup": setup, **running, "finish": finish}
    for program, ops in programs.items():
        _check_kworker(program, ops)
        _check_registers(program, ops)
    places = [place for program, ops in programs.items() for place in _everything(program, ops)]
    _check_died(places, mortal)
    _check_sharers(places, len(actors))
    _check_words(places, words)
    _check_allocated(places)
    _check_sizes(places)
    _check_pools(places)
    _check_frames(places, frames)
    for program, ops in programs.items():
        _follow([Place(program, number, op) for number, op in enumerate(ops, start=1)], _State())


def _everything(program: str, ops: Sequence[Op]) -> Iterator[Place]:
    """Every operation of a program, with its place."""
    for number, op in enumerate(ops, start=1):
        for inner in walk((op,)):
            yield Place(program, number, inner)


def _check_kworker(program: str, ops: Sequence[Op]) -> None:
    if not any(op.name == "kworker" for op in walk(ops)):
        return
    if program in ("setup", "finish"):
        raise ScenarioError(
            f"{program} has a kworker, which never ends: give it an actor of its own, or use "
            "op.drain()"
        )
    if len(ops) > 1 or ops[0].name != "kworker":
        raise ScenarioError(
            f"{program} has a kworker and other operations: a kworker never ends, so it is its "
            "actor's only operation; give it an actor of its own"
        )


def _check_registers(program: str, ops: Sequence[Op]) -> None:
    named, hidden = registers_of(ops), hidden_registers(ops)
    if len(named) + hidden > MOST_REGISTERS:
        raise ScenarioError(
            f"{program} needs {len(named) + hidden} registers ({', '.join(named) or 'none named'}, "
            f"and {hidden} for loops and dropped results): there are {MOST_REGISTERS}; use one "
            "for several things, or nest fewer loops"
        )
    written = {register for op in walk(ops) for register in writes_of(op)}
    for place in _everything(program, ops):
        for register in reads_of(place.op):
            if register not in written:
                raise ScenarioError(
                    f"{place}: register {register!r} is never set in this program"
                    f"{nearest(register, sorted(written))}: set it before, or correct the name"
                )


def _check_died(places: Sequence[Place], mortal: Sequence[str]) -> None:
    for place in places:
        if place.op.name != "died":
            continue
        if place.program != "finish":
            raise ScenarioError(
                f"{place}: who died is known when all is over: ask in the finish, or let actors "
                "tell each other by words"
            )
        if place.op.named["actor"] not in mortal:
            raise ScenarioError(
                f"{place}: {shown(place.op.named['actor'])} cannot die"
                f"{nearest(str(place.op.named['actor']), mortal)}: name it in deaths, or ask for "
                "one that can"
            )


def _check_words(places: Sequence[Place], initial: Mapping[str, int]) -> None:
    used: dict[str, None] = {}
    for place in places:
        word = place.op.named.get("word")
        if word is None:
            continue
        used[word] = None
        if len(used) > _live.LIMITS["scratch"]:
            raise ScenarioError(
                f"{place}: {word!r} is one word too many: there are {_live.LIMITS['scratch']}; "
                "use one for several things"
            )
    for word in initial:
        if word not in used:
            raise ScenarioError(
                f"words: {word!r} has an initial value, and no operation uses it"
                f"{nearest(word, used)}: remove it, or correct the name"
            )


def _check_sharers(places: Sequence[Place], actors: int) -> None:
    if actors <= MOST_SHARERS:
        return
    for place in places:
        for name in objects_of(place.op):
            raise ScenarioError(
                f"{place}: {actors} actors are too many for a scenario with objects ({name!r}): "
                f"it has at most {MOST_SHARERS}; let one do what several did"
            )


def _check_allocated(places: Sequence[Place]) -> None:
    """Each object that is used is allocated somewhere where it helps."""
    objects = dict.fromkeys(name for place in places for name in objects_of(place.op))
    if len(objects) > MOST_OBJECTS:
        raise ScenarioError(
            f"{len(objects)} objects are too many: a scenario has at most {MOST_OBJECTS}; "
            "free some, and use their names again"
        )
    late = {p.op.named["obj"] for p in places if p.op.name == "alloc"}
    early = {p.op.named["obj"] for p in places if p.op.name == "alloc" and p.program != "finish"}
    for place in places:
        allocated = late if place.program == "finish" else early
        for name in objects_of(place.op):
            if name not in allocated:
                raise ScenarioError(
                    f"{place}: nothing allocates {name!r}{nearest(name, sorted(allocated))}: "
                    f"add op.alloc({name!r}, ...) to setup or to an actor, or correct the name"
                )


def _check_sizes(places: Sequence[Place]) -> None:
    least, most = _live.LIMITS["min_payload"], _live.LIMITS["page_size"]
    verified = {p.op.named["obj"]: p for p in reversed(places) if p.op.name in _VERIFIED}
    for place in places:
        if place.op.name != "alloc":
            continue
        name, size = place.op.named["obj"], place.op.named["size"]
        wanting = place if place.op.named["fill"] else verified.get(name)
        if wanting is not None and not least <= size <= most:
            raise ScenarioError(
                f"{place}: {size} bytes do not hold a pattern, and {wanting} wants one: "
                f"give a size from {least} to {most}"
            )


def _check_pools(places: Sequence[Place]) -> None:
    creations = (p for p in places if p.op.name == "create_pool")
    created = {0, *(p.op.named["pool"] for p in creations)}
    home: dict[str, Place] = {}
    for place in places:
        pool = place.op.named.get("pool")
        if pool is not None and pool not in created:
            raise ScenarioError(
                f"{place}: nothing creates pool {pool}: op.create_pool({pool}) in setup, or use "
                f"pool {max(created)}"
            )
        if place.op.name == "alloc":
            first = home.setdefault(place.op.named["obj"], place)
            if first.op.named["pool"] != pool:
                raise ScenarioError(
                    f"{place}: an object lives in one pool, and {first} has it in pool "
                    f"{first.op.named['pool']}: use two names"
                )


def _check_frames(places: Sequence[Place], frames: int) -> None:
    for place in places:
        page = place.op.named.get("page")
        number = page.which if isinstance(page, Page) else place.op.named.get("first")
        if isinstance(number, int) and number >= frames:
            raise ScenarioError(
                f"{place}: there is no frame {number}: the arena has {frames}, from 0; "
                "give another, or a larger arena={'frames': ...}"
            )


@dataclass(frozen=True, slots=True)
class _State:
    """What an actor may have at a point of its program; never less than it has."""

    mapped: frozenset[str] = frozenset()
    isolated: frozenset[Page] = frozenset()

    def joined(self, other: _State) -> _State:
        return _State(self.mapped | other.mapped, self.isolated | other.isolated)


def _follow(places: Iterable[Place], state: _State) -> _State:
    """The state after some operations, one of which may be a block."""
    for place in places:
        inside = [replace(place, op=inner) for inner in place.op.body]
        if place.op.name == "when":
            state = state.joined(_follow(inside, state))
        elif place.op.name == "repeat":
            for _ in range(min(place.op.named["times"], 2)):  # a third changes nothing
                state = _follow(inside, state)
        else:
            state = _after(place, state)
    return state


def _after(place: Place, state: _State) -> _State:
    """The state after an operation; refuses one that cannot do anything in ``state``."""
    op = place.op
    if op.name == "map":
        if len(state.mapped | {op.named["obj"]}) > MOST_MAPPED:
            raise ScenarioError(
                f"{place}: {op.named['obj']!r} is one map too many: an actor has at most "
                f"{MOST_MAPPED} objects mapped at once; op.unmap one before"
            )
        return _State(state.mapped | {op.named["obj"]}, state.isolated)
    if op.name in ("check", "unmap"):
        name = op.named["obj"]
        if name not in state.mapped:
            raise ScenarioError(
                f"{place}: {name!r} is not mapped here: op.map({name!r}) must come before, in "
                "the same actor"
            )
        return state if op.name == "check" else _State(state.mapped - {name}, state.isolated)
    if op.name == "isolate" or (op.name == "migrate_pages" and not op.named["putback"]):
        return _State(state.mapped, state.isolated | {op.named["page"]})
    if op.name in ("migrate", "putback"):
        _check_isolated(place, op.named["page"], state)
    return state


def _check_isolated(place: Place, page: Page, state: _State) -> None:
    """Two objects may share a page, and a frame may be anyone's; two frames are not the same."""
    frames = {other.which for other in state.isolated if isinstance(other.which, int)}
    if not state.isolated or (
        isinstance(page.which, int)
        and len(frames) == len(state.isolated)
        and page.which not in frames
    ):
        raise ScenarioError(
            f"{place}: this actor cannot have isolated {shown(page)}: op.isolate({page}) must "
            "come before, in the same actor"
        )
