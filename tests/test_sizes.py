"""Sizes: the same on every machine, distributed as they should be, and bad files are refused."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import golden_trace
import pytest

from z3fold_stress import SettingsError
from z3fold_stress.sizes import DISTRIBUTIONS, sizes

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sizes"


# distributions


@pytest.mark.parametrize(
    ("spec", "first"),
    [
        ("uniform", [1585, 1053, 2214, 3768, 2451, 1414]),
        ("zswap", [935, 1645, 710, 528, 1183, 836]),
        ("bimodal", [381, 2803, 2463, 2440, 371, 2781]),
    ],
)
def test_draws_are_the_same_on_every_machine(spec: str, first: list[int]) -> None:
    assert list(sizes(spec, 6, 20190417)) == first


@pytest.mark.parametrize(
    ("spec", "recipe"), [("uniform", "uniform"), ("zswap", "lognormal"), ("bimodal", "bimodal")]
)
def test_draws_follow_the_recipe_of_the_golden_traces(spec: str, recipe: str) -> None:
    random = golden_trace.SplitMix64(99)
    expected = [golden_trace.SIZES[recipe](random) for _ in range(2000)]
    assert list(sizes(spec, 2000, 99)) == expected


@pytest.mark.parametrize("spec", DISTRIBUTIONS)
def test_seed_and_count_decide_everything(spec: str) -> None:
    assert sizes(spec, 500, 3) == sizes(spec, 500, 3) == sizes(spec, 900, 3)[:500]
    assert sizes(spec, 500, 3) != sizes(spec, 500, 4)
    assert sizes(spec, 0, 3).tolist() == []
    assert all(1 <= size <= 4096 for size in sizes(spec, 5000, 5))


def test_shapes() -> None:
    uniform, zswap, bimodal = (sizes(spec, 20_000, 1) for spec in ("uniform", "zswap", "bimodal"))
    assert sum(uniform) / 20_000 == pytest.approx(2048, rel=0.02)
    assert sorted(zswap)[10_000] == pytest.approx(1300 * 0.8825, rel=0.02)
    assert {size // 100 for size in bimodal} == {1, 2, 3, 4, *range(24, 33)}
    assert sum(size <= 400 for size in bimodal) / 20_000 == pytest.approx(0.5, abs=0.02)


# files


def test_recorded_sizes_are_drawn_equally_often() -> None:
    path = GOLDEN / "real_zlib1_sizes.csv"
    recorded = Counter(map(int, path.read_text().split()[1:]))
    n = recorded.total()
    assert Counter(sizes(str(path), n, 1)) == recorded
    assert Counter(sizes(str(path), 3 * n, 1)) == Counter({k: 3 * v for k, v in recorded.items()})
    assert sizes(str(path), 100, 1) != sizes(str(path), 100, 2)


@pytest.mark.parametrize(
    "content",
    [
        b"size\n10\n20\n4096\n",
        b"10\n20\n4096",
        b"\xef\xbb\xbfSize\r\n10\r\n20\r\n4096\r\n",
        b"# of a morning\n\nsize # in bytes\n  10\n20 # twenty\n\n4096\n#\n",
    ],
)
def test_forms_of_a_file(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert sorted(sizes(str(path), 3, 0)) == [10, 20, 4096]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "holds no size; write one"),
        (b"size\n# nothing\n", "holds no size; write one"),
        (b"10\nten\n", "line 2: 'ten' is no size; write one"),
        (b"10\nsize\n", "line 2: 'size' is no size"),
        (b"10,20\n", "line 1: '10,20' is no size"),
        (b"12.5\n", "line 1: '12.5' is no size"),
        (b"-5\n", "line 1: '-5' is no size"),
        (b"10\n\xff\x00\x80\n", "line 2: '\\xff\\x00\\x80' is no size"),
        (b"\xd9\xa3\n", "is no size"),
        (b"10\n\n0\n", "line 3: size 0 is out of range; sizes are from 1 to 4096"),
        (b"4097\n", "line 1: size 4097 is out of range"),
        (b"9" * 5000, "line 1: size 999999999999999999999999 is out of range"),
        (b"x" * 5000, "line 1: 'xxxxxxxxxxxxxxxxxxxxxxxx' is no size"),
    ],
)
def test_bad_file_is_refused(path: Path, content: bytes, says: str) -> None:
    path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        sizes(str(path), 10, 0)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_junk_is_refused(path: Path) -> None:
    path.write_bytes(os.urandom(5000))
    with pytest.raises(SettingsError, match=r"no size|out of range"):
        sizes(str(path), 10, 0)


def test_what_cannot_be_read_is_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is a directory; give a file"):
        sizes(str(tmp_path), 10, 0)
    with pytest.raises(SettingsError, match="No such file or directory; give a readable file"):
        sizes(str(path), 10, 0)
    with pytest.raises(SettingsError, match="larger than 64 MiB"):
        sizes("/dev/zero", 10, 0)
    with pytest.raises(SettingsError, match="no file has this name"):
        sizes("a\0b", 10, 0)


def test_misspelt_distribution_is_named() -> None:
    with pytest.raises(SettingsError, match="did you mean 'bimodal'"):
        sizes("bimodel", 10, 0)
    with pytest.raises(SettingsError, match=r"distributions are uniform, zswap, bimodal$"):
        sizes("", 10, 0)
