"""The vocabulary stands once: what is generated from its headers, and that nobody repeats them."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from z3fold_stress import _vocabulary
from z3fold_stress.explore.portfolio import STRATEGIES

TOP = Path(__file__).parent.parent
GENERATOR = runpy.run_path(str(TOP / "pyx/vocabulary/generate.py"))

NAMES = {
    name
    for found in vars(_vocabulary).values()
    if isinstance(found, type) and found.__module__ == _vocabulary.__name__
    for name in getattr(found, "__members__", ())
} | {name for name, value in vars(_vocabulary).items() if name.isupper() and isinstance(value, int)}
OURS = [
    path
    for folder, kinds in (("pyx", ("*.c", "*.h", "*.pxi")), ("z3fold_stress", ("*.py",)))
    for kind in kinds
    for path in (TOP / folder).rglob(kind)
    if "vocabulary" not in str(path.relative_to(TOP))
]
VALUES = re.compile(r"\b0x(6b6b6b6b\w*|5b5b5b5b\w*|3ff)\b", re.I)


def test_nobody_gives_a_number_to_a_name_of_the_vocabulary() -> None:
    given = re.compile(r"\b([A-Z][A-Z0-9_]+)\s*=\s*(?:0x)?\d+\b(?!\.|\s*<<)")
    again = [
        f"{path.relative_to(TOP)}: {match[0]}"
        for path in OURS
        for match in given.finditer(path.read_text())
        if match[1] in NAMES
    ]
    assert len(OURS) > 150
    assert again == []


def test_values_that_have_a_name_are_written_by_it() -> None:
    again = [
        f"{path.relative_to(TOP)}: {match[0]}"
        for path in OURS
        for match in VALUES.finditer(path.read_text())
    ]
    assert again == []


def test_every_strategy_is_a_file_and_a_line() -> None:
    files = {path.stem.removeprefix("strategy_") for path in TOP.glob("pyx/sim/strategy_*.c")}
    assert files == set(_vocabulary.STRATEGIES)
    assert set(STRATEGIES) - {"portfolio", "delay"} == files - {"replay"}


def headers(text: str, folder: Path) -> Any:
    (folder / "one.h").write_text(text)
    return GENERATOR["read_header"](folder, "one.h", {}, {"other"})


def test_enums_are_read_with_their_values_and_texts(tmp_path: Path) -> None:
    read = headers(
        "enum kind {\n"
        "    /* a section */\n"
        '    KIND_A, /* "first": of all */\n'
        "    KIND_B = 1 << 3,\n"
        '    KIND_C,\n    /* "said over\n       two lines" */\n'
        "    KIND_D = KIND_B | 1, /* (inline) done at once */\n"
        "};\n"
        "#define LARGE 0x6b6bull\n",
        tmp_path,
    )
    (enum,) = read.enums
    assert enum.name == "Kind"
    assert enum.members == {"KIND_A": 0, "KIND_B": 8, "KIND_C": 9, "KIND_D": 9}
    assert enum.texts == {"KIND_A": "first", "KIND_C": "said over two lines"}
    assert enum.inline == {"KIND_D"}
    assert read.defines == {"LARGE": 0x6B6B}


def test_structures_are_read_as_cython_and_the_struct_module_want_them(tmp_path: Path) -> None:
    read = headers(
        "struct one {\n    uint16_t a; /* comment */\n    int64_t b;\n};\n"
        "struct two {\n    u32 n, m[4];\n    const struct other *next;\n    struct unknown *left;\n"
        "    int (*call)(u32 index, bool yes);\n};\n",
        tmp_path,
    )
    one, two = read.structs
    assert one.format == "=Hq"
    assert two.format == ""
    assert two.fields == [
        ("u32", "n"),
        ("u32", "*m"),
        ("const other", "*next"),
        ("int", "(*call)(u32 index, bint yes) noexcept nogil"),
    ]


@pytest.mark.parametrize(
    "text", ["enum kind {\n    A = sizeof(int[3]),\n};\n", "struct one {\n    nonsense;\n};\n"]
)
def test_what_cannot_be_read_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(GENERATOR["VocabularyError"], match="can read"):
        headers(text, tmp_path)
