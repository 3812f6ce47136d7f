"""Program counters of the instrumented engine as lines of the subject's source.

The engine is compiled with line numbers of its ``.pxi`` files; binutils' addr2line, which comes
with the compiler, reads them.  Where it is missing a site is shown as an offset, and nothing else
changes: replay never needs a site.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from z3fold_stress import _sim

__all__ = ["Site", "known_lines", "resolve", "subject_site"]

_MANGLED = re.compile(r"^__pyx_f_\d+z3fold_stress_\d+_sim_")
_LAYERS_BELOW = ("base/", "sync/", "sim/")
"""What a reader wants to see is the caller of these."""


@dataclass(frozen=True, slots=True)
class Site:
    """One line of source, in a function."""

    function: str
    file: str
    """Below pyx/, as ``z3fold/map.pxi``; empty when unknown."""
    line: int

    def __str__(self) -> str:
        if not self.file:
            return self.function
        return f"{self.file}:{self.line} {self.function}"


_known: dict[int, tuple[Site, ...]] = {}


def _site(function: str, place: str) -> Site:
    path, _, line = place.rpartition(":")
    number = re.match(r"\d+", line)
    _, found, file = path.rpartition("pyx/")
    return Site(
        _MANGLED.sub("", function),
        file if found else path.rpartition("/")[2],
        int(number.group()) if number else 0,
    )


def resolve(pcs: Iterable[int]) -> dict[int, tuple[Site, ...]]:
    """The source of each program counter, innermost inlined function first."""
    wanted = sorted({pc for pc in pcs if pc and pc not in _known})
    if wanted:
        _known.update(_ask(wanted))
    return _known


def _ask(pcs: list[int]) -> dict[int, tuple[Site, ...]]:
    tool = shutil.which("addr2line")
    if tool is None:
        return {pc: (Site(f"_sim+0x{pc:x}", "", 0),) for pc in pcs}
    # A counter is a return address: the call is just before it.
    addresses = "".join(f"0x{pc - 1:x}\n" for pc in pcs)
    told = subprocess.run(
        [tool, "-a", "-i", "-f", "-e", _sim.__file__],
        input=addresses,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    sites: dict[int, tuple[Site, ...]] = {}
    chain: list[Site] = []
    at = 0
    for pc in pcs:
        at += 1  # the address itself
        chain = []
        while at + 1 < len(told) + 1 and at < len(told) and not told[at].startswith("0x"):
            chain.append(_site(told[at], told[at + 1]))
            at += 2
        sites[pc] = tuple(chain)
    return sites


def subject_site(chain: tuple[Site, ...]) -> Site:
    """The innermost line that is not of the layers below (lists, locks, atomics)."""
    for site in chain:
        if "/" in site.file and not site.file.startswith(_LAYERS_BELOW):
            return site
    return chain[0] if chain else Site("?", "", 0)


@functools.cache
def known_lines() -> bool:
    """Whether sites have lines on this machine."""
    return shutil.which("addr2line") is not None
