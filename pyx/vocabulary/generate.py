"""Writes what Cython and Python know of the vocabulary, from its C headers, as a build begins.

The headers of this directory are the one place of every enum, constant and structure that C,
Cython and Python share; those of the simulator, of the structures that its bindings read. From
them come, never committed:

- ``vocabulary.pxi``: the declarations for Cython, and the enums that the modules export;
- ``operations.pxi``: the interpreter's table of operations;
- ``sim.pxi``: the structures and the state of the simulator, for its bindings;
- ``_vocabulary.py``: the enums, constants and texts for Python.

Reads plain C only: enums, ``#define NAME number``, and structures of numbers, pointers, arrays and
pointers to functions. The comment after an enumerator that begins with a quoted text names it for
people: ``POINT_WORK,  /* "wait for work": until ... */``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

INTEGERS = {
    "uint8_t": ("u8", "B"),
    "uint16_t": ("u16", "H"),
    "uint32_t": ("u32", "I"),
    "uint64_t": ("u64", "Q"),
    "int8_t": ("i8", "b"),
    "int16_t": ("i16", "h"),
    "int32_t": ("i32", "i"),
    "int64_t": ("i64", "q"),
}
"""Of C: what Cython calls it here, and its letter in the struct module."""
PLAIN = {"bool": "bint", **{name: name for name in ("char", "double", "int", "void", "u8", "u16")}}
PLAIN.update({name: name for name in ("u32", "u64", "i64")})

SIM_OWNERS = ("config", "run", "schedule", "verdict", "memory")
"""What the simulator's state is divided among: the variable NAME of struct sim_NAME, in a header of
its own. Cython has it as sim_NAME."""
SIM_HEADERS = (
    *("sim/access.h", "sim/config.h", "sim/memory.h", "sim/verdict.h", "sim/run.h"),
    *("sim/schedule.h", "sim/benign.h", "sim/trace.h", "sim/lock_order.h", "sim/remote.h"),
    "sim/watch.h",
)
"""In an order in which each structure comes before those that have it as a member."""
ALSO_VARIABLES = ("sim_task", "sim_totals", "strategy", "benign", "remote_trouble")
ALSO_VARIABLES += tuple(f"sim_{name}" for name in SIM_OWNERS)
"""Structures whose tag is, or reads like, the name of a variable: Cython has them as NAME_t."""
TEXTS = {"verdict": ("V_", "numbered")}
"""Enums that Python has as enums of texts: the prefix of the enumerators, and the module of the
class (Numbered) that they are made of."""


class VocabularyError(Exception):
    """A header says what this cannot read."""


@dataclass
class Enum:
    tag: str
    """Empty: a list of constants."""
    members: dict[str, int] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    inline: set[str] = field(default_factory=set)
    """Those whose comment begins with (inline)."""

    @property
    def name(self) -> str:
        return "".join(part.capitalize() for part in self.tag.split("_"))


@dataclass
class Struct:
    tag: str
    fields: list[tuple[str, str]]
    """The type as Cython writes it, and the declarator."""
    format: str
    """Of the struct module; empty where it is not of numbers only."""


@dataclass
class Header:
    path: str
    enums: list[Enum]
    structs: list[Struct]
    defines: dict[str, int]


_ENUM = re.compile(r"^enum\s*(\w*)\s*\{([^{}]*)\}", re.M)
_STRUCT = re.compile(r"^(?:extern )?struct (\w+) \{([^{}]*)\}", re.M)
_DEFINE = re.compile(r"^#define (\w+) +(0x[0-9a-fA-F]+|\d+)u?l*\b", re.M)
_MEMBER = re.compile(r"(\w+)\s*(?:=\s*([^,/]+?)\s*)?(?:,|$)\s*((?:/\*.*?\*/\s*)*)", re.S)
_TEXT = re.compile(r'/\*\s*"(.*?)"', re.S)
_STRATEGY = re.compile(r"^STRATEGY\((\w+)\)", re.M)
_COMMENT = re.compile(r"/\*.*?\*/", re.S)
_FUNCTION = re.compile(r"^(.*?)\(\*(\w+)\)\((.*)\)$", re.S)
_DECLARATION = re.compile(r"^(const )?(?:struct )?(\w+) (.+)$", re.S)


def _number(text: str, known: dict[str, int]) -> int:
    """The value of a constant expression of numbers and earlier names."""
    if not re.fullmatch(r"[\w\s()<>|&~+*-]+", text):
        raise VocabularyError(f"{text!r} is no expression that this can read")
    return int(eval(text, {"__builtins__": {}}, dict(known)))


def _enums(text: str, known: dict[str, int]) -> list[Enum]:
    found = []
    for match in _ENUM.finditer(text):
        enum = Enum(match[1])
        body = re.sub(r"\A\s*(/\*.*?\*/\s*)*", "", match[2], flags=re.S)
        value = -1
        for name, expression, comments in _MEMBER.findall(body):
            value = _number(expression, known) if expression else value + 1
            known[name] = enum.members[name] = value
            if comments.startswith("/* (inline)"):
                enum.inline.add(name)
            if said := _TEXT.match(comments):
                enum.texts[name] = " ".join(said[1].split())
        found.append(enum)
    return found


def _struct(tag: str, body: str, structs: set[str]) -> Struct:
    """Fields of a type that nobody declared are left out: Cython need not know all."""
    fields: list[tuple[str, str]] = []
    letters: list[str] = []
    numbers = True
    for statement in _COMMENT.sub("", body).split(";"):
        statement = " ".join(statement.split())
        if not statement:
            continue
        if function := _FUNCTION.match(statement):
            numbers = False
            kind, name, arguments = (_cython_types(part, structs) for part in function.groups())
            if kind is not None and arguments is not None:
                arguments = "" if arguments == "void" else arguments
                fields.append((kind, f"(*{name})({arguments}) noexcept nogil"))
            continue
        declared = _DECLARATION.match(statement)
        if declared is None:
            raise VocabularyError(f"struct {tag}: {statement!r} is no field that this can read")
        kind = _cython_type(declared[2], structs)
        for name in declared[3].split(","):
            dimensions = name.count("[")
            plain = re.sub(r"\[[^]]*\]", "", name).strip()
            numbers = numbers and declared[2] in INTEGERS and not dimensions and "*" not in name
            if numbers:
                letters.append(INTEGERS[declared[2]][1])
            if kind is not None:
                fields.append(((declared[1] or "") + kind, "*" * dimensions + plain))
    return Struct(tag, fields, "=" + "".join(letters) if numbers else "")


def _cython_type(name: str, structs: set[str]) -> str | None:
    if name in INTEGERS:
        return INTEGERS[name][0]
    if name in structs:
        return _struct_name(name)
    return PLAIN.get(name)


def _cython_types(text: str, structs: set[str]) -> str | None:
    """Each type that is named in a declaration replaced by Cython's; None: one is unknown."""
    text = re.sub(r"\bstruct (\w+)", lambda m: _struct_name(m[1]), text)
    for name, (ours, _) in INTEGERS.items():
        text = re.sub(rf"\b{name}\b", ours, text)
    return re.sub(r"\bbool\b", "bint", text).strip()


def _struct_name(tag: str) -> str:
    return tag + "_t" if tag in ALSO_VARIABLES else tag


def read_header(root: Path, path: str, known: dict[str, int], structs: set[str]) -> Header:
    """known: the names of headers read before this one, added to; structs: all there are."""
    text = (root / path).read_text()
    defines = {name: int(value, 0) for name, value in _DEFINE.findall(text)}
    enums = _enums(text, known)
    found = [_struct(tag, body, structs) for tag, body in _STRUCT.findall(text)]
    return Header(path, enums, found, defines)


def _extern(header: Header, *, export: bool) -> list[str]:
    """The block of declarations of a header."""
    lines = []
    for enum in header.enums if export else ():
        lines.append(f'    cpdef enum {enum.name} "{enum.tag}":' if enum.tag else "    cdef enum:")
        lines += [f"        {name} = {value}" for name, value in enum.members.items()]
    if export:
        lines += [f"    const u64 {name}" for name in header.defines]
    for struct in header.structs:
        lines.append(f"    {_declared(struct)}:")
        for kind, declarator in struct.fields:
            keyword = declarator in KEYWORDS
            lines.append(f"        {kind} {declarator}" + (f'_ "{declarator}"' if keyword else ""))
        if not struct.fields:
            lines.append("        pass")
    name = header.path.removeprefix("sim/").removesuffix(".h")
    if name in SIM_OWNERS:
        lines.append(f'    sim_{name}_t sim_{name} "{name}"')
    return [f'cdef extern from "{header.path}":', *lines, ""] if lines else []


def _declared(struct: Struct) -> str:
    name = _struct_name(struct.tag)
    return f"cdef struct {name}" + (f' "{struct.tag}"' if name != struct.tag else "")


KEYWORDS = ("from", "in", "is", "class", "def", "pass", "lambda")


def _name_tables(headers: list[Header]) -> list[str]:
    """Of each enum whose enumerators are named for people: {value: name}."""
    return [
        f"{enum.tag.upper()}_NAMES = "
        + repr({enum.members[name]: text for name, text in enum.texts.items()})
        for header in headers
        for enum in header.enums
        if enum.tag and enum.texts and enum.tag not in TEXTS
    ]


def _operations(headers: list[Header]) -> list[str]:
    """The table of the interpreter: what does each code."""
    (codes,) = (enum for header in headers for enum in header.enums if enum.tag == "code")
    return [
        "cdef void fill_operations():",
        *(
            f"    operations[<int>{name}] = "
            + ("run_inlined" if name in codes.inline else name.replace("CODE_", "run_", 1).lower())
            for name in codes.members
            if name != "NR_CODES"
        ),
        "",
    ]


def _python(headers: list[Header], strategies: list[str]) -> str:
    classes: list[str] = []
    exported: list[str] = []
    rest: list[str] = []
    modules = sorted({module for _, module in TEXTS.values()})
    for header in headers:
        for enum in header.enums:
            if enum.tag in TEXTS:
                prefix = TEXTS[enum.tag][0]
                classes.append(f"class {enum.name}(Numbered):")
                for name, value in enum.members.items():
                    if name in enum.texts:
                        short = name.removeprefix(prefix)
                        text = short.lower().replace("_", "-")
                        classes.append(f"    {short} = ({text!r}, {value}, {enum.texts[name]!r})")
            elif enum.tag:
                exported.append(enum.name)
                classes.append(f"class {enum.name}(IntEnum):")
                classes += [f"    {name} = {value}" for name, value in enum.members.items()]
            else:
                rest += [f"{name} = {value}" for name, value in enum.members.items()]
                continue
            classes.append("")
        rest += [f"{name} = 0x{value:x}" for name, value in header.defines.items()]
        rest += [
            f"{struct.tag.upper()}_FORMAT = {struct.format!r}"
            for struct in header.structs
            if struct.format
        ]
    return "\n".join(
        [
            '"""Generated from pyx/vocabulary as the engine is built: change the headers there."""',
            "",
            "from enum import IntEnum",
            "",
            *(f"from z3fold_stress.{module} import Numbered" for module in modules),
            "",
            f"__all__ = {exported}",
            "",
            *classes,
            *rest,
            f"STRATEGIES = {tuple(strategies)}",
            *(re.sub(r"^(\w+) =", r"\1: dict[int, str] =", t) for t in _name_tables(headers)),
            "",
        ]
    )


def _write(path: Path, text: str) -> Path:
    """Untouched where it says so already: what depends on it need not be built again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return path


def generate(pyx: Path, build: Path, package: Path) -> list[Path]:
    """Writes all; returns the files that the engine depends on."""
    known: dict[str, int] = {}
    own = [f"vocabulary/{path.name}" for path in sorted((pyx / "vocabulary").glob("*.h"))]
    texts = [(pyx / path).read_text() for path in (*own, *SIM_HEADERS)]
    structs = {tag for text in texts for tag, _ in _STRUCT.findall(text)}
    headers = [read_header(pyx, path, known, structs) for path in own]
    sim = [read_header(pyx, path, known, structs) for path in SIM_HEADERS]
    note = "# Generated from the headers named here by pyx/vocabulary/generate.py.\n\n"
    constants = [name for h in headers for e in h.enums if not e.tag for name in e.members]
    constants += [name for header in headers for name in header.defines]
    by_name = "".join(f'    "{name}": {name},\n' for name in constants)
    tables = f"CONSTANTS = {{\n{by_name}}}\n" + "\n".join(_name_tables(headers)) + "\n"
    declared = [line for header in headers for line in _extern(header, export=True)]
    ahead = [f"    {_declared(struct)}" for header in sim for struct in header.structs]
    mirrored = ["cdef extern from *:", *ahead, ""]
    mirrored += [line for header in sim for line in _extern(header, export=False)]
    sim_tables = "\n".join(_name_tables(sim)) + "\n"
    strategies = _STRATEGY.findall((pyx / "vocabulary" / "strategies.h").read_text())
    _write(package / "_vocabulary.py", _python(headers, strategies))
    return [
        _write(
            build / "vocabulary.pxi",
            note + "\n".join(declared) + tables,
        ),
        _write(build / "operations.pxi", note + "\n".join(_operations(headers))),
        _write(build / "sim.pxi", note + "\n".join(mirrored) + sim_tables),
    ]
