"""An operation as a value: its name, its arguments, and what it holds inside.

Goes to JSON and back, and is checked as far as it can be by itself, against the signature of its
function in op.py. Never runs anything, and knows nothing of what an operation compiles to.
"""

import difflib
import inspect
import json
import re
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin

from z3fold_stress import _live
from z3fold_stress.errors import ScenarioError

DEEPEST = 8
"""Blocks (repeat, when) that may be inside each other."""
LARGEST_COUNT = 2**31 - 1
LARGEST_VALUE = 2**63 - 1

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_NAMED = {"obj": "object", "word": "word", "reg": "register", "into": "register"}
_NAMED |= {"from_": "register"}
_AT_LEAST = {"size": 0, "rounds": 1, "pages": 1, "passes": 1, "first": 0, "frames": 1}
_AT_LEAST |= {"budget": 1, "times": 1}

BLOCKS = ("when", "repeat")
"""Operations that have a body."""
PARAMETERS: dict[str, tuple[inspect.Parameter, ...]] = {}
"""What each operation takes besides a body: names, types, defaults. Filled by op.py."""

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 64
shown = _repr.repr
"""A value from a stranger, for a message: as Python writes it, cut when it is long."""


def nearest(name: object, known: Iterable[str]) -> str:
    """``; the nearest is 'x'``, to go on with in a message, or nothing where nothing is known."""
    found = difflib.get_close_matches(str(name)[:64], list(known), n=1, cutoff=0.0)
    return f"; the nearest is {found[0]!r}" if found else ""


def check_name(what: str, name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ScenarioError(
            f"{what} cannot be {shown(name)}: a name is a letter, then up to 63 letters, digits, "
            "'_', '.' or '-'"
        )


def register(functions: Iterable[Callable[..., "Op"]]) -> None:
    """Let operations be known by the names and the signatures of their functions."""
    for function in functions:
        PARAMETERS[function.__name__.lstrip("_")] = tuple(
            parameter
            for parameter in inspect.signature(function).parameters.values()
            if parameter.name != "body"
        )


def parameters_of(name: str) -> tuple[inspect.Parameter, ...]:
    if name not in PARAMETERS:
        raise ScenarioError(f"no operation is named {shown(name)}{nearest(name, PARAMETERS)}")
    return PARAMETERS[name]


@dataclass(frozen=True, slots=True, repr=False)
class Page:
    """The page that an operation is about: a frame by its number, or wherever an object is
    when the operation runs."""

    which: int | str

    def __post_init__(self) -> None:
        if isinstance(self.which, str):
            check_name("the object of page_of", self.which)
        elif isinstance(self.which, bool) or not isinstance(self.which, int):
            raise ScenarioError(
                f'no page is named {shown(self.which)}: give op.page_of("a") or op.frame(3)'
            )
        elif not 0 <= self.which <= LARGEST_COUNT:
            raise ScenarioError(f"frame {self.which} cannot be: frames are counted from 0")

    def __str__(self) -> str:
        return f"page_of({self.which})" if isinstance(self.which, str) else f"frame({self.which})"

    __repr__ = __str__


Arg = int | str | Page | None


@dataclass(frozen=True, slots=True, repr=False)
class Op:
    """One operation: its name, all its arguments in the order of its function, and what a
    block repeats or guards."""

    name: str
    args: tuple[Arg, ...] = ()
    body: tuple["Op", ...] = ()
    named: Mapping[str, Any] = field(init=False, compare=False)
    """The arguments by name."""

    def __post_init__(self) -> None:
        parameters = parameters_of(self.name)
        if len(self.args) != len(parameters):
            raise ScenarioError(
                f"{self.name} has {len(self.args)} arguments: it takes "
                f"{', '.join(p.name for p in parameters) or 'none'}"
            )
        for parameter, value in zip(parameters, self.args, strict=True):
            _check_argument(self.name, parameter, value)
        named = {p.name: value for p, value in zip(parameters, self.args, strict=True)}
        object.__setattr__(self, "named", named)
        self._check_body()

    def _check_body(self) -> None:
        if self.name in BLOCKS and not self.body:
            raise ScenarioError(f"{self.head} has an empty body: give it operations, or leave it")
        if self.body and self.name not in BLOCKS:
            raise ScenarioError(f"{self.name} takes no body: only {', '.join(BLOCKS)} do")
        for inner in self.body:
            if not isinstance(inner, Op):
                raise ScenarioError(
                    f"{self.head}: {shown(inner)} is no operation: a body is a list of op.…()"
                )
        if loops_inside((self,), blocks=BLOCKS) > DEEPEST:
            raise ScenarioError(f"{self.head} holds more than {DEEPEST} blocks inside each other")

    @property
    def head(self) -> str:
        """The text without the body: ``repeat 3``, ``alloc a 1200 atomic``, ``load X -> r``."""
        words, last = [self.name], ""
        for parameter, value in zip(parameters_of(self.name), self.args, strict=True):
            name, default = parameter.name, parameter.default
            if name == "into":
                last = f" -> {value}" if value is not None else ""
            elif name == "message":
                words.append(json.dumps(value))
            elif default is parameter.empty or (name == "order" and value != default):
                words.append(str(value))
            elif value != default:
                words.append(name if value is True else f"{name}={value}")
        return " ".join(words) + last

    def __str__(self) -> str:
        body = "; ".join(str(inner) for inner in self.body)
        return f"{self.head} {{{body}}}" if body else self.head

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """``{"op": "alloc", "obj": "a", "size": 1200}``: what has its default is left out."""
        data: dict[str, Any] = {"op": self.name}
        for parameter, value in zip(parameters_of(self.name), self.args, strict=True):
            if parameter.default is parameter.empty or value != parameter.default:
                data[_key(parameter)] = value.which if isinstance(value, Page) else value
        if self.body:
            data["body"] = [inner.to_json() for inner in self.body]
        return data

    @staticmethod
    def from_json(data: object, depth: int = 0) -> "Op":
        """The operation that ``to_json`` wrote; refuses, by name, whatever it would not write."""
        if not isinstance(data, dict) or not isinstance(data.get("op"), str):
            raise ScenarioError(f'{shown(data)} is no operation: it is an object with a key "op"')
        name = data["op"]
        parameters = parameters_of(name)
        if depth > DEEPEST:
            raise ScenarioError(f"{name} is inside more than {DEEPEST} blocks")
        known = {"op", *(_key(parameter) for parameter in parameters)}
        known |= {"body"} if name in BLOCKS else frozenset()
        for key in data:
            if key not in known:
                raise ScenarioError(f"{name} has no {shown(key)}{nearest(key, sorted(known))}")
        body = data.get("body", [])
        if not isinstance(body, list):
            raise ScenarioError(f"{name}: the body is {shown(body)}: it is a list of operations")
        return Op(
            name,
            tuple(_argument_of_json(name, parameter, data) for parameter in parameters),
            tuple(Op.from_json(inner, depth + 1) for inner in body),
        )


def _key(parameter: inspect.Parameter) -> str:
    return parameter.name.rstrip("_")


def _argument_of_json(name: str, parameter: inspect.Parameter, data: dict[str, Any]) -> Arg:
    value = data.get(_key(parameter), parameter.default)
    if value is parameter.empty:
        raise ScenarioError(f"{name} lacks {_key(parameter)!r}: give it")
    if parameter.annotation is Page:
        return Page(value)
    return value  # type: ignore[no-any-return]  # Op checks it


_REMEDIES: dict[Any, str] = {
    bool: "give True or False",
    Page: 'give op.page_of("a") or op.frame(3)',
    int | str: "give a number, or the name of a register",
}


def _check_argument(op: str, parameter: inspect.Parameter, value: object) -> None:
    name, kind = parameter.name, parameter.annotation
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            choices = [str(choice) for choice in get_args(kind)]
            raise ScenarioError(
                f"{op}: {name} cannot be {shown(value)}: it is one of "
                f"{', '.join(choices)}{nearest(value, choices)}"
            )
    elif not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
        remedy = _REMEDIES.get(kind, f"give {'a name' if name in _NAMED else 'a number'}")
        raise ScenarioError(f"{op}: {name} cannot be {shown(value)}: {remedy}")
    elif name in _NAMED and value is not None:
        check_name(f"{op}: the {_NAMED[name]}", value)
    elif name != "message" and isinstance(value, str):
        check_name(f"{op}: the register of {name}", value)
    elif isinstance(value, int):
        _check_number(op, name, value)


def _check_number(op: str, name: str, value: int) -> None:
    if name == "pool" and not 0 <= value < _live.LIMITS["pools"]:
        last = _live.LIMITS["pools"] - 1
        raise ScenarioError(f"{op}: there is no pool {value}: pools are numbered 0 to {last}")
    least = _AT_LEAST.get(name)
    if least is not None and not least <= value <= LARGEST_COUNT:
        raise ScenarioError(
            f"{op}: {name} is {shown(value)}: it must be from {least} to {LARGEST_COUNT}"
        )
    if not -LARGEST_VALUE - 1 <= value <= LARGEST_VALUE:
        raise ScenarioError(f"{op}: {name} is {shown(value)}: it must fit in 64 bits, signed")


def walk(ops: Iterable[Op]) -> Iterator[Op]:
    """Every operation, those inside blocks right after the block's own."""
    for each in ops:
        yield each
        yield from walk(each.body)


def loops_inside(ops: Sequence[Op], blocks: tuple[str, ...] = ("repeat",)) -> int:
    """How many loops (or other blocks) are inside each other, at most."""
    return max(((o.name in blocks) + loops_inside(o.body, blocks) for o in ops), default=0)
