"""Traces: what is read, what is refused and where, and what playing one tells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from z3fold_stress import SettingsError, Verdict
from z3fold_stress.designs import resolve
from z3fold_stress.trace import Density, Row, TraceError, TraceResult, play, read

GOLDEN = Path(__file__).parent / "golden"
TRACES = sorted(GOLDEN.glob("v52*.csv"))
SOUND = resolve("sound")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.csv"


def played(
    path: Path, text: str, design: str = "sound", drain: bool = True, frames: int | None = None
) -> TraceResult:
    path.write_text(text)
    return play(read(path), resolve(design), drain, frames=frames)


# the recorded ones


@pytest.mark.parametrize("trace", TRACES, ids=lambda path: path.stem)
@pytest.mark.parametrize("design", ["as-posted", "sound"])
def test_golden_trace_plays_as_recorded(trace: Path, design: str) -> None:
    rows = read(trace)
    drain, search = "nodrain" not in trace.name, "nosearch" not in trace.name
    result = play(rows, resolve(design), drain, search)
    assert (result.first_difference, result.differing, result.stopped) == (None, 0, "")
    assert result.operations == result.compared == len(rows) == 2001
    assert result.status == 0
    assert result.pages == rows[-1].pages_nr
    assert result.peak_pages == max(row.pages_nr or 0 for row in rows)
    if design == "sound":
        assert (result.judgements, result.findings) == ([], [])


def test_the_other_mode_differs_and_the_first_row_is_told() -> None:
    rows = read(GOLDEN / "v52_uniform_4cpu_drain.csv")
    result = play(rows, SOUND, drain=False)
    first = result.first_difference
    assert first is not None
    assert result.status == 1
    assert result.differing > 1000
    assert (first.row.line, first.expected, first.got) == (22, (0, 4), (0, 5))
    assert str(first) == (
        "line 22, alloc of 253 bytes, object 12, on CPU 1: pages_nr recorded 4, got 5"
    )


def test_search_on_other_cpus_makes_a_difference() -> None:
    rows = read(GOLDEN / "v52nosearch_uniform_4cpu_drain.csv")
    assert play(rows, SOUND, drain=True, cross_cpu_search=False).status == 0
    assert play(rows, SOUND, drain=True, cross_cpu_search=True).status == 1


# reading


def test_columns_in_any_order_and_the_optional_ones(path: Path) -> None:
    path.write_bytes(
        b"\xef\xbb\xbfsize,op,id,pages_nr,cpu,ret\r\n"
        b"# the morning\r\n"
        b"100,A,7,1,3,0\r\n"
        b"\r\n"
        b' 5000 , "A" ,8,,,-28\r\n'
        b"0,A,9,,,22\r\n"
        b",F,7\r\n"
        b"-1,D,-1,0,2,0\r\n"
        b",D"
    )
    assert read(path) == [
        Row(3, "A", 7, 100, 3, 0, 1),
        Row(5, "A", 8, 5000, 0, -28, None),
        Row(6, "A", 9, 0, 0, -22, None),
        Row(7, "F", 7, 0, 0, None, None),
        Row(8, "D", 0, 0, 2, 0, 0),
        Row(9, "D", 0, 0, 0, None, None),
    ]


HEADER = "op,id,size,cpu,ret,pages_nr\n"
BAD = [
    ("", "is empty"),
    ("\n\n# only words\n", "is empty"),
    (HEADER, "has no operations"),
    ("A,0,100\n", "line 1: no column op, id, size"),
    ("op,size\n", "line 1: no column id: this is no trace; it begins with"),
    ("op;id;size\n", "line 1: no column op, id, size"),
    ("op,id,size,page_nr\n", "line 1: unknown column 'page_nr'; the columns are"),
    ("op,id,size,id\n", "line 1: two columns are named id"),
    (HEADER + "X,0,100\n", "line 2: unknown op 'X'; it is A (alloc), F (free) or D (drain)"),
    (HEADER + "a,0,100\n", "line 2: unknown op 'a'"),
    (HEADER + ",0,100\n", "line 2: unknown op ''"),
    (HEADER + "A,0\n", "line 2: size is ''; it must be a whole number"),
    (HEADER + "A,,100\n", "line 2: id is ''; it must be a whole number"),
    (HEADER + "A,zero,100\n", "line 2: id is 'zero'; it must be a whole number"),
    (HEADER + "A,0,1e3\n", "line 2: size is '1e3'; it must be a whole number"),
    (HEADER + "A,0,١\n", "line 2: size is"),
    (HEADER + "A,0,-100\n", "line 2: size is -100; it must be from 0"),
    (HEADER + "A,0,100,64\n", "line 2: cpu is 64; it must be from 0 to 63"),
    (HEADER + "A,0,100,-1\n", "line 2: cpu is -1; it must be from 0 to 63"),
    (HEADER + "A,0,100,0,maybe\n", "line 2: ret is 'maybe'"),
    (HEADER + "A,0,100,0,0,many\n", "line 2: pages_nr is 'many'"),
    (HEADER + "A,0,100,0,0,1,7\n", "line 2 has 7 fields, the header only 6"),
    (HEADER + "A,0," + "1" * 40 + "\n", "line 2: size is '111111111111111111111111'"),
    (HEADER + "A,0,100\n" * 2, "line 3: object 0 is allocated again; it lives since line 2"),
    (HEADER + "A,0,100\nF,1\n", "line 3: free of object 1: it was never allocated"),
    (HEADER + "A,0,9\nF,0\nD\nF,0\n", "line 5: free of object 0: it was freed before, on line 3"),
    (HEADER + "A,0,9999,0,-28\nF,0\n", "line 3: free of object 0: its allocation on line 2 is"),
    (HEADER + "A,0,100\n" + "x" * 5000, "line 3 is too long: this is no trace"),
]


@pytest.mark.parametrize(("text", "says"), BAD)
def test_bad_trace_is_refused(path: Path, text: str, says: str) -> None:
    path.write_text(text)
    with pytest.raises(TraceError) as caught:
        read(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_junk_missing_file_and_directory_are_refused(path: Path, tmp_path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 20)
    with pytest.raises(TraceError, match="this is no trace"):
        read(path)
    with pytest.raises(TraceError, match="No such file"):
        read(tmp_path / "none")
    with pytest.raises(TraceError, match="directory"):
        read(tmp_path)


def test_id_may_be_used_again_after_its_free(path: Path) -> None:
    result = played(path, "op,id,size\nA,0,100\nF,0,\nA,0,200\n")
    assert (result.status, result.objects, result.stored_bytes, result.pages) == (0, 1, 200, 1)


# playing


def test_density_by_hand(path: Path) -> None:
    """Two of 1900 share a page, the third opens one; then one of the first page is freed."""
    result = played(path, "op,id,size\nA,0,1900\nA,1,1900\nA,2,1900\nF,0,1900\n", drain=True)
    assert result.compared == 0
    assert (result.objects, result.stored_bytes, result.pages, result.peak_pages) == (2, 3800, 2, 2)
    assert result.final == Density(1.0, round(3800 / 8192, 4))
    assert result.mean == Density(round(8 / 6, 4), round(8 * 1900 / (6 * 4096), 4))
    assert result.worst == Density(1.0, round(1900 / 4096, 4))
    assert result.samples == [(1, 1, 1900, 1), (2, 2, 3800, 1), (3, 3, 5700, 2), (4, 2, 3800, 2)]


def test_worst_density_does_not_count_the_filling(path: Path) -> None:
    small = "".join(f"A,{i},64\n" for i in range(40))
    large = "".join(f"A,{i},4000\n" for i in range(40, 60))
    result = played(path, "op,id,size\n" + small + large)
    assert result.peak_pages == 34
    assert result.worst.objects_per_page == pytest.approx(60 / 34, abs=0.001)


def test_errors_of_the_original_are_compared(path: Path) -> None:
    good = "op,id,size,ret\nA,0,0,-22\nA,1,4096,0\nA,2,4097,-28\nF,1,4096,0\n"
    result = played(path, good)
    assert (result.status, result.failed) == (0, {"EINVAL": 1, "ENOSPC": 1})
    result = played(path, good.replace("4097,-28", "4097,0"))
    assert result.status == 1
    assert str(result.first_difference) == (
        "line 4, alloc of 4097 bytes, object 2, on CPU 0: ret recorded 0, got -28"
    )


def test_object_that_could_not_be_allocated_is_not_freed(path: Path) -> None:
    """Recorded with more memory than the arena has: the frees of what failed are left out."""
    text = "op,id,size,ret\nA,0,4000,0\nA,1,4000,0\nF,1,4000,0\nF,0,4000,0\n"
    result = played(path, text, frames=1)
    assert (result.status, result.differing, result.failed) == (1, 1, {"ENOMEM": 1})
    assert (result.objects, result.pages, result.findings) == (0, 0, [])


def test_failure_that_was_recorded_and_does_not_come_is_a_difference(path: Path) -> None:
    result = played(path, "op,id,size,ret\nA,0,4000,-12\nA,0,100,0\nF,0,100,0\n")
    assert result.first_difference is not None
    assert result.first_difference.expected == (-12, None)
    assert result.differing == 1


def test_arena_is_large_enough_for_what_leaks(path: Path) -> None:
    """Each headless object loses a slots object: with twice as many slots as allocations it is
    never an -ENOMEM."""
    rows = "".join(f"A,{i},4090\nF,{i},4090\n" for i in range(200))
    result = played(path, "op,id,size\n" + rows, design="sound+headless-slots-leak")
    assert result.failed == {}
    assert {finding.verdict for finding in result.findings} == {Verdict.LEAK}
    assert result.status == 1  # nothing was recorded to compare with: the leak counts


def test_verdicts_are_notes_where_there_is_something_to_compare(path: Path) -> None:
    text = "op,id,size,pages_nr\nA,0,100,1\nF,0,100,0\n"
    result = played(path, text, design="sound+movable-without-page-lock")
    assert [j.verdict for j in result.judgements] == [Verdict.LOCK_MISUSE]
    assert result.status == 0
    result = played(path, "op,id,size\nA,0,100\n", design="sound+movable-without-page-lock")
    assert result.status == 1


def test_operation_that_cannot_go_on_ends_the_trace(path: Path) -> None:
    text = "op,id,size,pages_nr\nA,0,100,1\nF,0,100,0\nA,1,100,1\n"
    result = played(path, text, design="sound+movable-trylock-inverted")
    assert result.status == 1
    assert result.stopped.startswith("line 3, free, object 0, on CPU 0: deadlock: task 1 waits for")
    assert (result.operations, result.first_difference) == (1, None)


@pytest.mark.parametrize("frames", [0, 2**30])
def test_impossible_arena_is_refused(path: Path, frames: int) -> None:
    with pytest.raises(SettingsError, match="frames is"):
        played(path, "op,id,size\nA,0,100\n", frames=frames)


def test_result_goes_to_json(path: Path) -> None:
    result = played(path, "op,id,size,ret\nA,0,100,-5\n", design="sound+movable-without-page-lock")
    told = json.loads(json.dumps(result.to_json()))
    assert told["status"] == 1
    assert told["first_difference"]["row"]["line"] == 2
    assert told["judgements"][0]["verdict"] == "lock-misuse"
    assert told["final"] == {"objects_per_page": 1.0, "used": round(100 / 4096, 4)}
