"""Scenarios: a set-up, actors and what is expected of them, as one checked value.

A scenario is data. It goes to JSON and back without loss, and reading one never runs code.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from z3fold_stress import _live
from z3fold_stress.defects import UnknownDefect, by_name
from z3fold_stress.designs import Design, UnknownDesign, resolve
from z3fold_stress.errors import ScenarioError, SettingsError
from z3fold_stress.scenario import op
from z3fold_stress.scenario.checks import MOST_ACTORS, check_programs
from z3fold_stress.scenario.value import (
    LARGEST_COUNT,
    LARGEST_VALUE,
    Op,
    check_name,
    nearest,
    shown,
)
from z3fold_stress.settings import FAULTS, ArenaSettings
from z3fold_stress.verdicts import Verdict

__all__ = ["ARENA", "VERSION", "Scenario"]

VERSION = 1
"""Of the JSON form."""

ARENA: dict[str, int] = {
    "frames": 8,
    "slots": 0,
    "swap": 4,
    "cpus": 1,
    "header_chunks": 2,
    "poison": True,
    "cross_cpu_search": True,
}
"""What may be said of a scenario's arena (see ArenaSettings), and what it is if not said."""

MOST_BUDGET = 255
"""Failures of a kind, or deaths, in one execution: a byte of the engine."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")
_RESERVED = ("setup", "finish")


@dataclass(frozen=True, slots=True, init=False)
class Scenario:
    """A story to explore: what is there, who does what, and what may come of it.

    Made with keywords only; each is checked, and kept in one normal form: what the fields say.
    """

    name: str
    """Given by the loader, from the name of the file, where it is empty."""
    story: str
    """Given by the loader, from the docstring of the file, where it is empty."""
    setup: tuple[Op, ...]
    """Run before everything, by a task of its own. Pool 0 exists, and evicts."""
    actors: dict[str, tuple[Op, ...]]
    finish: tuple[Op, ...]
    """Run when all actors are done."""
    cpus: dict[str, int]
    """The CPU of each actor that does not run on CPU 0."""
    shows: tuple[str, ...]
    """The defects that it is about; none for a story without the allocator."""
    expect: frozenset[Verdict]
    """The verdicts that are the right answer when one of these is set."""
    design: str
    """The design where none is asked for."""
    arena: dict[str, int]
    """All of ARENA."""
    faults: dict[str, int]
    """How many failures of each kind (settings.FAULTS) may be injected in an execution."""
    deaths: dict[str, Any]
    """``actors``, a tuple: who may die, anywhere; ``budget``: how many of them."""
    words: dict[str, int]
    """Words that are not 0 at first."""
    tags: tuple[str, ...]
    deadlock_ok: bool
    """Whether an execution may end with everybody waiting."""

    def __init__(
        self,
        *,
        actors: Mapping[str, Sequence[Op]],
        setup: Sequence[Op] = (),
        finish: Sequence[Op] | None = None,
        name: str = "",
        story: str = "",
        cpus: Mapping[str, int] | None = None,
        shows: str | Iterable[str] | None = None,
        expect: Iterable[str] = (),
        design: str = "sound",
        arena: Mapping[str, int] | None = None,
        faults: Mapping[str, int] | None = None,
        deaths: Mapping[str, Any] | Iterable[str] | None = None,
        words: Mapping[str, int] | None = None,
        tags: Iterable[str] = (),
        deadlock_ok: bool = False,
    ) -> None:
        def keep(field: str, value: object) -> None:
            object.__setattr__(self, field, value)

        keep("name", _scenario_name(name))
        keep("story", inspect.cleandoc(_text("story", story)))
        keep("setup", _ops("setup", setup))
        keep("actors", _actors(actors))
        keep("finish", (op.drain(),) if finish is None else _ops("finish", finish))
        keep("cpus", _cpus(cpus, self.actors))
        keep("shows", _shows(shows))
        keep("expect", _expect(expect, self.shows))
        keep("design", _design(design))
        keep("arena", _arena(arena, self.cpus))
        keep("faults", _faults(faults))
        keep("deaths", _deaths(deaths, self.actors))
        keep("words", _numbers("words", words, -LARGEST_VALUE - 1, LARGEST_VALUE))
        keep("tags", _strings("tags", tags))
        keep("deadlock_ok", _bool("deadlock_ok", deadlock_ok))
        check_programs(
            self.setup,
            self.actors,
            self.finish,
            self.words,
            self.arena["frames"],
            self.deaths["actors"],
        )

    def expected(self, design: Design | str) -> frozenset[Verdict]:
        """The verdicts that are the right answer for a design; none: it must be clean."""
        defects = (resolve(design) if isinstance(design, str) else design).defects
        if self.shows and defects.isdisjoint(self.shows):
            return frozenset()
        return self.expect

    def to_json(self) -> dict[str, Any]:
        """All of it, as what ``json`` can write; actors are a list, for their order counts."""
        return {
            "scenario": VERSION,
            "name": self.name,
            "story": self.story,
            **self._executed(),
            "shows": list(self.shows),
            "expect": [str(verdict) for verdict in Verdict if verdict in self.expect],
            "tags": list(self.tags),
        }

    def _executed(self) -> dict[str, Any]:
        """The parts that influence an execution."""
        return {
            "design": self.design,
            "setup": [each.to_json() for each in self.setup],
            "actors": [
                {"name": name, "cpu": self.cpus.get(name, 0), "ops": [o.to_json() for o in ops]}
                for name, ops in self.actors.items()
            ],
            "finish": [each.to_json() for each in self.finish],
            "arena": dict(self.arena),
            "faults": dict(self.faults),
            "deaths": {"actors": list(self.deaths["actors"]), "budget": self.deaths["budget"]},
            "words": dict(self.words),
            "deadlock_ok": self.deadlock_ok,
        }

    def content_hash(self) -> str:
        """16 hexadecimal digits: the same where an execution is the same, whatever its name,
        story, tags and expectations."""
        parts = {"scenario": VERSION, **self._executed()}
        text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @staticmethod
    def from_json(data: object) -> Scenario:
        """The scenario that ``to_json`` wrote. Raises ScenarioError for anything else."""
        if not isinstance(data, dict) or "scenario" not in data:
            raise ScenarioError(
                f'{shown(data)} is no scenario: it is an object with a key "scenario", '
                f"the version ({VERSION})"
            )
        if data["scenario"] != VERSION or isinstance(data["scenario"], bool):
            raise ScenarioError(
                f"the scenario is of version {shown(data['scenario'])}, and this is version "
                f"{VERSION}; use the z3fold-stress that wrote it"
            )
        fields = {key: value for key, value in data.items() if key != "scenario"}
        for key in fields:
            if key not in _KEYS:
                raise ScenarioError(f"a scenario has no {shown(key)}{nearest(key, _KEYS)}")
        if "actors" not in fields:
            raise ScenarioError('the scenario lacks "actors": give it a list of them')
        for key in ("setup", "finish"):
            if key in fields:
                fields[key] = _ops_of_json(key, fields[key])
        fields["actors"], fields["cpus"] = _actors_of_json(fields["actors"])
        return Scenario(**fields)


_KEYS = (
    *("name", "story", "design", "setup", "actors", "finish", "arena", "faults", "deaths"),
    *("words", "deadlock_ok", "shows", "expect", "tags"),
)
_ACTOR_KEYS = ("name", "cpu", "ops")


# From JSON to what the constructor takes.


def _ops_of_json(where: str, data: object) -> list[Op]:
    if not isinstance(data, list):
        raise ScenarioError(f"{where} is {shown(data)}: it is a list of operations")
    ops = []
    for number, each in enumerate(data, start=1):
        try:
            ops.append(Op.from_json(each))
        except ScenarioError as error:
            raise ScenarioError(f"{where}, op {number}: {error}") from None
    return ops


def _actors_of_json(data: object) -> tuple[dict[str, list[Op]], dict[str, int]]:
    if not isinstance(data, list):
        raise ScenarioError(f"actors is {shown(data)}: it is a list of them")
    actors: dict[str, list[Op]] = {}
    cpus: dict[str, int] = {}
    for each in data:
        if not isinstance(each, dict) or "name" not in each or "ops" not in each:
            raise ScenarioError(f'{shown(each)} is no actor: it is an object with "name" and "ops"')
        for key in each:
            if key not in _ACTOR_KEYS:
                raise ScenarioError(f"an actor has no {shown(key)}{nearest(key, _ACTOR_KEYS)}")
        name = each["name"]
        check_name("an actor", name)
        if name in actors:
            raise ScenarioError(f"two actors are named {name!r}: give each its own name")
        actors[name] = _ops_of_json(f"actor {name!r}", each["ops"])
        cpus[name] = each.get("cpu", 0)
    return actors, cpus


# Each field in its normal form.


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise ScenarioError(f"{field} is {shown(value)}: it is a string")
    return value


def _bool(field: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ScenarioError(f"{field} is {shown(value)}: it is True or False")
    return value


def _scenario_name(value: object) -> str:
    name = _text("name", value)
    if name and not _NAME.fullmatch(name):
        raise ScenarioError(
            f"a scenario cannot be named {shown(name)}: use letters, digits and '-'"
        )
    return name


def _strings(field: str, value: object) -> tuple[str, ...]:
    """Names without a repetition."""
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise ScenarioError(f"{field} is {shown(value)}: it is a list of names")
    names = tuple(value)
    for name in names:
        if not isinstance(name, str):
            raise ScenarioError(f"{field} has {shown(name)}: it is a list of names")
        if names.count(name) > 1:
            raise ScenarioError(f"{field} has {shown(name)} twice: once is enough")
    return names


def _mapping(field: str, value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ScenarioError(f"{field} is {shown(value)}: it maps names to values")
    return dict(value)


def _number(field: str, value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ScenarioError(f"{field} is {shown(value)}: it is a number")
    if not low <= value <= high:
        raise ScenarioError(f"{field} is {shown(value)}: it must be from {low} to {high}")
    return value


def _numbers(field: str, value: object, low: int, high: int) -> dict[str, int]:
    """Numbers by name; those that are 0 are left out."""
    made = {}
    for name, number in _mapping(field, value).items():
        check_name(f"a name in {field}", name)
        if _number(f"{field}: {name}", number, low, high):
            made[name] = number
    return made


def _known(field: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = tuple(known)
    for name in names:
        if name not in known:
            raise ScenarioError(f"{field}: there is no {shown(name)}{nearest(name, known)}")


def _ops(where: str, value: object) -> tuple[Op, ...]:
    if not isinstance(value, list | tuple):
        raise ScenarioError(f"{where} is {shown(value)}: it is a list of op.…()")
    for number, each in enumerate(value, start=1):
        if not isinstance(each, Op):
            raise ScenarioError(
                f"{where}, op {number}: {getattr(each, '__name__', shown(each))} is no "
                "operation: give op.…(), with its parentheses"
            )
    return tuple(value)


def _actors(value: object) -> dict[str, tuple[Op, ...]]:
    actors = _mapping("actors", value)
    if not actors:
        raise ScenarioError("the scenario has no actors: give at least one")
    if len(actors) > MOST_ACTORS:
        raise ScenarioError(f"{len(actors)} actors are too many: at most {MOST_ACTORS}")
    made = {}
    for name, ops in actors.items():
        check_name("an actor", name)
        if name in _RESERVED:
            raise ScenarioError(f"no actor can be named {name!r}: that is a program of its own")
        made[name] = _ops(f"actor {name!r}", ops)
        if not made[name]:
            raise ScenarioError(f"actor {name!r} does nothing: give it operations, or remove it")
    return made


def _cpus(value: object, actors: Iterable[str]) -> dict[str, int]:
    _known("cpus", _mapping("cpus", value), actors)
    return _numbers("cpus", value, 0, _live.LIMITS["cpus"] - 1)


def _shows(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    names = _strings("shows", (value,) if isinstance(value, str) else value)
    for name in names:
        try:
            by_name(name)
        except UnknownDefect as error:
            raise ScenarioError(f"shows: {error}") from None
    return names


def _expect(value: object, shows: Sequence[str]) -> frozenset[Verdict]:
    names = _strings("expect", value)
    _known("expect", names, [str(verdict) for verdict in Verdict])
    if shows and not names:
        raise ScenarioError(
            f"the scenario shows {', '.join(shows)} and expects no verdict: name in expect "
            "those that are right"
        )
    return frozenset(Verdict(name) for name in names)


def _design(value: object) -> str:
    try:
        return resolve(_text("design", value)).name
    except (UnknownDesign, UnknownDefect) as error:
        raise ScenarioError(f"design: {error}") from None


def _arena(value: object, cpus: Mapping[str, int]) -> dict[str, int]:
    asked = _mapping("arena", value)
    _known("arena", asked, ARENA)
    used = max(cpus.values(), default=0) + 1
    arena: dict[str, int] = {**ARENA, "cpus": used, **asked}
    for name, number in arena.items():
        if isinstance(ARENA[name], bool):
            _bool(f"arena: {name}", number)
        else:
            _number(f"arena: {name}", number, 0, LARGEST_COUNT)
    try:
        ArenaSettings(**arena)  # type: ignore[arg-type]
    except SettingsError as error:
        raise ScenarioError(f"arena: {error}") from None
    if arena["cpus"] < used:
        raise ScenarioError(
            f"arena: cpus is {arena['cpus']}, and an actor is on CPU {used - 1}: leave it out, "
            f"or give {used}"
        )
    return arena


def _faults(value: object) -> dict[str, int]:
    _known("faults", _mapping("faults", value), FAULTS)
    return _numbers("faults", value, 0, MOST_BUDGET)


def _deaths(value: object, actors: Iterable[str]) -> dict[str, Any]:
    asked = value if isinstance(value, Mapping) else {"actors": () if value is None else value}
    _known("deaths", asked, ("actors", "budget"))
    names = _strings("deaths", asked.get("actors", ()))
    _known("deaths", names, actors)
    budget = _number("deaths: budget", asked.get("budget", 1), 0, MOST_BUDGET)
    return {"actors": names, "budget": budget} if names and budget else {"actors": (), "budget": 0}
