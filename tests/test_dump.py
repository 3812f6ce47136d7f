"""Dumps: what is saved is what is loaded, and whatever is no good dump is refused in one line."""

from __future__ import annotations

import json
import os
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from z3fold_stress import Arena, Pool, Verdict, _live, dump
from z3fold_stress.designs import resolve
from z3fold_stress.dump import DumpError, design_name, load, save
from z3fold_stress.settings import design_bits

REPORT = {"verdict": "corruption", "seconds": 1.5, "command": "z3fold-stress soak"}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A dump of a small arena with objects, a verdict and recorded events."""
    path = tmp_path / "arena.dump"
    with Arena("as-posted", frames=16, seed=42, ring=16, keep_going=True) as arena:
        pool = Pool(arena)
        for size in (100, 1500, 4090):
            pool.alloc(size)
        save(arena, path, REPORT)
    return path


def parts(path: Path) -> tuple[bytes, dict[str, object], bytes]:
    """The magic line, the header, and the packed image."""
    magic, header, image = path.read_bytes().split(b"\n", 2)
    return magic + b"\n", json.loads(header), image


def rewrite(path: Path, **changes: object) -> None:
    """The same dump with another header; None removes a key."""
    magic, header, image = parts(path)
    header = {k: v for k, v in {**header, **changes}.items() if v is not None}
    path.write_bytes(magic + json.dumps(header).encode() + b"\n" + image)


# what is saved is what is loaded


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "arena.dump"
    with Arena("as-posted", frames=16, seed=42, ring=16, keep_going=True) as arena:
        pool = Pool(arena)
        handles = [pool.alloc(size) for size in (100, 1500, 4090)]
        with pool.map(handles[1]) as view:
            view[:] = b"x" * 1500
        before = bytes(arena.memory)
        save(arena, str(path), REPORT)
        loaded, header = load(path)
        with loaded:
            assert bytes(loaded.memory) == before
            assert loaded.judgements() == arena.judgements() != []
            assert loaded.layout.all_events() == arena.layout.all_events() != []
            assert loaded.audit() == arena.audit()
    assert header["report"] == REPORT
    assert header["seed"] == 42
    assert header["design"] == "as-posted"
    assert header["version"]
    assert header["judgements"][0]["verdict"] == Verdict.LOCK_MISUSE


def test_loaded_arena_is_a_private_copy(saved: Path) -> None:
    content = saved.read_bytes()
    (first, _), (second, _) = load(saved), load(saved)
    with first, second:
        first.memory[first.layout.frame_offset(3)] = 0xFF
        assert second.memory[second.layout.frame_offset(3)] == 0
    assert saved.read_bytes() == content


def test_what_json_cannot_hold_is_told_in_words(tmp_path: Path) -> None:
    with Arena(frames=1) as arena:
        save(arena, tmp_path / "a", {"path": Path("/x"), "verdict": Verdict.LEAK})
    arena, header = load(tmp_path / "a")
    arena.close()
    assert header["report"] == {"path": "/x", "verdict": "leak"}


def test_sparse_arena_is_saved_fast_small_and_stays_sparse(tmp_path: Path) -> None:
    with Arena(frames=24_000) as arena:
        Pool(arena).alloc(100)
        assert os.fstat(arena.fd).st_size > 95 * 2**20
        used = os.fstat(arena.fd).st_blocks
        began = time.process_time()
        save(arena, tmp_path / "a", {})
        assert time.process_time() - began < 1.0
        assert os.fstat(arena.fd).st_blocks == used
    assert (tmp_path / "a").stat().st_size < 2 * 2**20


@pytest.mark.parametrize(
    "name", ["sound", "as-posted", "sound+headless-slots-leak", "as-posted~headless-slots-leak"]
)
def test_design_is_named_from_its_bits(name: str) -> None:
    assert design_name(design_bits(resolve(name))) == name


# whole or not at all


def test_failure_leaves_the_old_dump_and_nothing_else(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = saved.read_bytes()

    def interrupted(fd: int, size: int, at: int) -> bytes:
        if at > 0:
            raise KeyboardInterrupt
        return b"x" * size

    with Arena(frames=600) as arena:
        monkeypatch.setattr(dump.os, "pread", interrupted)
        with pytest.raises(KeyboardInterrupt):
            save(arena, saved, {})
    assert saved.read_bytes() == old
    assert list(saved.parent.iterdir()) == [saved]


def test_new_dump_replaces_the_old_one(saved: Path) -> None:
    with Arena(frames=1, seed=7) as arena:
        save(arena, saved, {})
    arena, header = load(saved)
    arena.close()
    assert header["seed"] == 7
    assert list(saved.parent.iterdir()) == [saved]


def test_unwritable_place_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none" / "a.dump"
    with Arena(frames=1) as arena, pytest.raises(FileNotFoundError) as caught:
        save(arena, path, {})
    assert caught.value.filename == str(path)


# what is refused


def test_truncated_anywhere_is_refused(saved: Path) -> None:
    content = saved.read_bytes()
    cut = saved.with_name("cut")
    length = len(content)
    for at in {1, 10, 20, 21, 22, 100, *range(0, length, length // 40), length - 4, length - 1}:
        cut.write_bytes(content[:at])
        with pytest.raises(DumpError, match="truncated" if at else "no dump") as caught:
            load(cut)
        assert "\n" not in str(caught.value)


def test_a_flipped_bit_of_the_image_never_goes_unnoticed(saved: Path) -> None:
    """It is refused; or, as in a run of zeros that is copied from another, nothing changed."""
    magic, header, image = parts(saved)
    head = magic + json.dumps(header).encode() + b"\n"
    content, refused = zlib.decompress(image), 0
    for at in range(0, len(image), max(1, len(image) // 60)):
        flipped = bytearray(image)
        flipped[at] ^= 0x10
        saved.write_bytes(head + flipped)
        try:
            arena, _ = load(saved)
        except DumpError:
            refused += 1
            continue
        with arena:
            assert bytes(arena.memory) == content
    assert refused > 30


BREAKS: list[tuple[str, Callable[[Path], object], str]] = [
    ("empty", lambda p: p.write_bytes(b""), "no dump"),
    ("junk", lambda p: p.write_bytes(b"\x80junk" * 999), "no dump"),
    ("other format", lambda p: p.write_bytes(b"Z3FOLD-STRESS-DUMP 2\nx"), "another format"),
    ("other version", lambda p: rewrite(p, layout_version=99, version="9.9"), "z3fold-stress 9.9"),
    ("no version", lambda p: rewrite(p, layout_version=None), "layout version None"),
    ("header no JSON", lambda p: p.write_bytes(dump.MAGIC + b"{oops\nxx"), "not JSON"),
    ("header too deep", lambda p: p.write_bytes(dump.MAGIC + b"[" * 10**5 + b"\n"), "not JSON"),
    ("header a list", lambda p: p.write_bytes(dump.MAGIC + b"[1]\nxx"), "no JSON object"),
    ("no size", lambda p: rewrite(p, image_bytes=None), "how large"),
    ("size in words", lambda p: rewrite(p, image_bytes="many"), "how large"),
    ("size too small", lambda p: rewrite(p, image_bytes=8192), "larger than the header says"),
    ("size too large", lambda p: rewrite(p, image_bytes=2**60), "smaller than the header says"),
    ("something behind", lambda p: p.write_bytes(p.read_bytes() + b"x"), "follows its image"),
]


@pytest.mark.parametrize(("damage", "match"), [b[1:] for b in BREAKS], ids=[b[0] for b in BREAKS])
def test_bad_dump_is_refused(saved: Path, damage: Callable[[Path], object], match: str) -> None:
    damage(saved)
    with pytest.raises(DumpError, match=match) as caught:
        load(saved)
    assert str(saved) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_image_of_another_build_is_refused(saved: Path) -> None:
    magic, header, packed = parts(saved)
    image = bytearray(zlib.decompress(packed))
    struct.pack_into("=I", image, _live.fields()["arena"][1]["version"][0], 77)
    body = json.dumps(header).encode() + b"\n" + zlib.compress(image)
    saved.write_bytes(magic + body)
    with pytest.raises(DumpError, match="another version or build"):
        load(saved)


def test_missing_file_and_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DumpError, match="No such file"):
        load(tmp_path / "none")
    with pytest.raises(DumpError, match="directory"):
        load(tmp_path)
