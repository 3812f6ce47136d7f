"""A saved arena: a magic line, a line of JSON that says what it is, and the image, compressed.

Data only: loading one from a stranger never runs code. The image is a private copy to look at.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import z3fold_stress
from z3fold_stress import _live
from z3fold_stress.arena import Arena
from z3fold_stress.designs import DESIGNS, resolve
from z3fold_stress.whole_file import whole_file

__all__ = ["DumpError", "design_name", "load", "save"]

MAGIC = b"Z3FOLD-STRESS-DUMP 1\n"
FAMILY = b"Z3FOLD-STRESS-DUMP "
LEVEL = 1
CHUNK = 1 << 20
LONGEST_HEADER = 64 << 20


class DumpError(ValueError):
    """This file cannot be used as a dump; the message says why, in one line."""


def design_name(bits: int) -> str:
    """The name of the design that an arena's word stands for: the nearest one, and how it
    differs."""
    chosen = {name for name, bit in _live.DEFECT_BITS.items() if bits & bit}
    base = min(DESIGNS.values(), key=lambda design: len(design.defects ^ chosen))
    return resolve(base.name, chosen - base.defects, base.defects - chosen).name


def _header(arena: Arena, report: dict[str, Any], size: int) -> dict[str, Any]:
    layout = arena.layout
    return {
        "version": z3fold_stress.__version__,
        "layout_version": layout.arena("version"),
        "image_bytes": size,
        "design": design_name(layout.arena("design")),
        "seed": layout.arena("seed"),
        "ticks_per_ns": _live.clock_rate(),
        "judgements": [asdict(judgement) for judgement in arena.judgements()],
        "report": report,
    }


def _image(fd: int, size: int) -> Iterator[bytes]:
    """The arena's bytes. Read through the file, not the mapping: its holes stay holes."""
    at = 0
    while at < size:
        chunk = os.pread(fd, min(CHUNK, size - at), at)
        if not chunk:
            raise OSError(f"the arena ends at {at} of {size} bytes")
        yield chunk
        at += len(chunk)


def save(arena: Arena, path: Path | str, report: dict[str, Any]) -> None:
    """Write the arena to a file, whole or not at all. ``report`` is what JSON can hold.

    Raises OSError, which names the path, when it cannot be written.
    """
    path = Path(path)
    size = os.fstat(arena.fd).st_size
    header = json.dumps(_header(arena, report, size), default=str).encode()
    try:
        with whole_file(path) as part, part.open("xb") as file:
            file.write(MAGIC + header + b"\n")
            packer = zlib.compressobj(LEVEL)
            for chunk in _image(arena.fd, size):
                file.write(packer.compress(chunk))
            file.write(packer.flush())
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def load(path: Path | str) -> tuple[Arena, dict[str, Any]]:
    """The arena of a dump, to look at, and what its header says (``report`` is in it).

    Raises DumpError for what is no dump, a truncated or damaged one, or one of another version.
    """
    try:
        with open(path, "rb") as file:
            header = _read_header(file, path)
            image = b"".join(_unpack(file, path, header["image_bytes"]))
    except OSError as error:
        raise DumpError(f"cannot read {path}: {error.strerror}") from error
    try:
        return Arena.from_bytes(image), header
    except _live.ArenaError as error:
        raise DumpError(f"{path}: the image in this dump cannot be used: {error}") from error


def _read_header(file: BinaryIO, path: Path | str) -> dict[str, Any]:
    magic = file.read(len(MAGIC))
    if magic != MAGIC:
        if magic.startswith(FAMILY):
            raise DumpError(
                f"{path} is a dump in another format; use the z3fold-stress that wrote it"
            )
        if magic and MAGIC.startswith(magic):
            raise DumpError(f"{path} is truncated: it ends in the first line; save it again")
        raise DumpError(
            f"{path} is no dump: it does not begin with {MAGIC.decode().strip()!r}; "
            "give a file that a soak has saved"
        )
    line = file.readline(LONGEST_HEADER)
    if not line.endswith(b"\n"):
        raise DumpError(f"{path} is truncated: it ends in its header; save it again")
    try:
        header = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DumpError(f"{path} is damaged: its header is not JSON") from error
    if not isinstance(header, dict):
        raise DumpError(f"{path} is damaged: its header is no JSON object")
    version, ours = header.get("layout_version"), _live.LIMITS["layout_version"]
    if version != ours:
        raise DumpError(
            f"{path} is a dump of layout version {version}, and this is version {ours}; "
            f"use z3fold-stress {header.get('version', 'of that time')}, which wrote it"
        )
    size = header.get("image_bytes")
    if not isinstance(size, int) or size < 0:
        raise DumpError(f"{path} is damaged: its header does not say how large the image is")
    return header


def _unpack(file: BinaryIO, path: Path | str, size: int) -> Iterator[bytes]:
    """The image, checked against the size that the header promised."""
    unpacker = zlib.decompressobj()
    left = size
    try:
        while not unpacker.eof:
            packed = unpacker.unconsumed_tail or file.read(CHUNK)
            if not packed:
                raise DumpError(
                    f"{path} is truncated: {size - left} of {size} bytes of the image are there; "
                    "save it again"
                )
            chunk = unpacker.decompress(packed, min(left, CHUNK) + 1)
            if len(chunk) > left:
                raise DumpError(f"{path} is damaged: its image is larger than the header says")
            left -= len(chunk)
            yield chunk
    except zlib.error as error:
        raise DumpError(f"{path} is damaged: its image does not unpack ({error})") from error
    if left:
        raise DumpError(f"{path} is damaged: its image is smaller than the header says")
    if unpacker.unused_data or file.read(1):
        raise DumpError(f"{path} is damaged: something follows its image")
