"""The findings store: each failure once and counted, the smallest replay kept, and nothing lost
with many writers or a killed one."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lost_update import finding, lost_update, schedule

from z3fold_stress.findings import database, store
from z3fold_stress.findings.entry import Entry, entry_of
from z3fold_stress.findings.size import Size, size_of
from z3fold_stress.findings.store import DAY, Store, StoreError
from z3fold_stress.verdicts import Verdict


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "findings.db"


# what is kept


def test_round_trip(path: Path) -> None:
    told = store.record(finding(), origin="explore", path=path)
    assert (told.store, told.new, told.kept) == (path, True, True)
    (kept,) = Store(path).entries()
    assert (kept.signature, kept.verdict, kept.count) == (told.signature, "data-race", 1)
    assert (kept.scenario, kept.design, kept.replays) == ("lost-update", "sound", True)
    assert kept.size == size_of(finding())
    assert Store(path).finding(kept) == finding()
    assert [file.name for file in path.parent.iterdir()] == ["findings.db"], "nothing beside it"


def test_one_failure_is_kept_once_and_counted(path: Path) -> None:
    dates = iter((100.0, 300.0, 200.0))
    it = Store(path, clock=lambda: next(dates))
    assert it.record(finding(), origin="explore").new
    assert not it.record(finding(), origin="pytest", times=4).new
    assert not it.record(finding(design="as-posted"), origin="pytest").new
    (kept,) = it.entries()
    assert (kept.count, kept.first, kept.last) == (6, 100.0, 300.0)
    assert kept.origins == {"explore": 1, "pytest": 5}
    assert {(s.origin, s.design, s.count) for s in kept.sightings} == {
        ("explore", "sound", 1),
        ("pytest", "sound", 4),
        ("pytest", "as-posted", 1),
    }


def test_smallest_replay_wins(path: Path) -> None:
    it = Store(path)
    middle = finding(schedule=schedule(5))
    fewer_operations = finding(
        schedule=schedule(5), scenario=replace(lost_update().scenario, finish=())
    )
    for told, kept in (
        (middle, middle),
        (finding(schedule=schedule(6)), middle),
        (fewer_operations, fewer_operations),
        (middle, fewer_operations),
        (finding(schedule=schedule(2)), finding(schedule=schedule(2))),
        (fewer_operations, finding(schedule=schedule(2))),
    ):
        assert it.record(told, origin="fuzz").kept == (told == kept)
        assert it.finding(it.lookup(told.signature)) == kept
    assert it.entries()[0].count == 6


def test_switches_of_all_executions_count() -> None:
    assert size_of(finding(schedule=((0xFFFF, 0, 255, 1), *schedule(2)))).switches == 2
    assert size_of(finding(schedule=schedule(2), lead=(schedule(3),))).switches == 5
    assert Size(1, 99) < Size(2, 1) < Size(2, 2)


def test_replay_of_this_build_is_preferred(path: Path) -> None:
    it = Store(path)
    old = finding(build="0123456789ab")
    assert it.record(old, origin="explore").kept
    assert it.record(finding(), origin="explore").kept
    assert not it.record(finding(), origin="explore").kept
    assert it.finding(it.entries()[0]).build != old.build


def test_replay_of_another_build_is_replaced_by_a_larger_one(path: Path) -> None:
    """It may not fit this engine any more, however small it is."""
    it = Store(path)
    it.record(finding(build="0123456789ab", schedule=schedule(1)), origin="explore")
    larger = finding(schedule=schedule(9))
    assert it.record(larger, origin="explore").kept
    assert it.finding(it.entries()[0]) == larger
    assert not it.record(finding(build="0123456789ab", schedule=schedule(1)), origin="hunt").kept
    assert it.finding(it.entries()[0]) == larger


def test_what_did_not_repeat_gives_way_to_a_replay(path: Path) -> None:
    it = Store(path)
    it.record(finding(repeated=False, schedule=schedule(1)), origin="fuzz")
    (kept,) = it.entries()
    assert not kept.replays
    with pytest.raises(StoreError, match="did not repeat"):
        it.finding(kept)
    assert it.record(finding(schedule=schedule(9)), origin="fuzz").kept
    assert it.entries()[0].replays


def test_no_times_tell_only_a_replay(path: Path) -> None:
    it = Store(path)
    it.record(finding(schedule=schedule(3)), origin="fuzz")
    assert it.record(finding(schedule=schedule(1)), origin="shrink", times=0).kept
    assert it.entries()[0].count == 1
    it.record(finding("new"), origin="shrink", times=0)
    assert it.lookup("new").count == 1


def test_origin_is_one_of_those_known(path: Path) -> None:
    with pytest.raises(ValueError, match="recorded by 'nobody'"):
        store.record(finding(), origin="nobody", path=path)
    with pytest.raises(ValueError, match="-1 times"):
        store.record(finding(), origin="fuzz", times=-1, path=path)
    assert not path.exists()


@pytest.mark.parametrize("signature", ["../../x", "a b", "a\0", "x" * 65])
def test_signature_that_is_none_is_not_stored(path: Path, signature: str) -> None:
    with pytest.raises(StoreError, match="is no signature"):
        store.record(finding(signature), origin="explore", path=path)


def test_last_seen_comes_first(path: Path) -> None:
    dates = iter((5.0, 9.0, 7.0))
    it = Store(path, clock=lambda: next(dates))
    for signature in ("aaa", "bbb", "ccc"):
        it.record(finding(signature), origin="hunt")
    assert [kept.signature for kept in it.entries()] == ["bbb", "ccc", "aaa"]


# soaks


def soak_entry(text: str) -> Entry:
    return Entry(
        signature="50a4",
        verdict="leak",
        text=text,
        design="sound",
        scenario="",
        replays=False,
        size=Size(0, 0),
        build="",
        body={"signature": "50a4", "command": f"soak: {text}"},
    )


def test_verdict_of_a_soak_is_kept_without_a_replay(path: Path) -> None:
    it = Store(path)
    it.record(soak_entry("1 page"), origin="soak")
    assert it.record(soak_entry("2 page"), origin="soak").kept, "the last is kept"
    (kept,) = it.entries()
    assert (kept.count, kept.replays, kept.text) == (2, False, "2 page")
    with pytest.raises(StoreError, match="run it again: soak: 2 page"):
        it.finding(kept)


def test_a_replay_is_better_than_none(path: Path) -> None:
    it = Store(path)
    it.record(soak_entry("1 page"), origin="soak")
    tamed = finding("50a4", schedule=schedule(50))
    assert it.record(tamed, origin="soak").kept
    assert not it.record(soak_entry("1 page"), origin="soak").kept
    assert it.finding(it.entries()[0]) == tamed


# looking up, pruning


def test_prefix_is_enough_where_it_is_unique(path: Path) -> None:
    it = Store(path)
    for signature in ("abc1", "abd2", "ab"):
        it.record(finding(signature), origin="hunt")
    assert it.lookup("abc").signature == "abc1"
    assert it.lookup("ab").signature == "ab", "a whole one is no prefix"
    with pytest.raises(StoreError, match=r"3 findings .* begin with 'a': ab, abc1, abd2; give"):
        it.lookup("a")
    with pytest.raises(StoreError, match=r"no finding of .* begins with 'abe2'; the nearest: abd2"):
        it.lookup("abe2")
    with pytest.raises(StoreError, match=r"no finding of .* begins with ''"):
        it.lookup("")
    with pytest.raises(StoreError, match="there is none in it"):
        Store(path.with_name("none.db")).lookup("abc")


def filled(path: Path) -> Store:
    """Four findings, last seen 0, 1, 2 and 3 days ago; the last two of another verdict."""
    now = 1000 * DAY
    dates = iter([now - days * DAY for days in range(4)])
    it = Store(path, clock=lambda: next(dates, now))
    for signature, verdict in (
        *(("aa", Verdict.DATA_RACE), ("bb", Verdict.DATA_RACE)),
        *(("cc", Verdict.LEAK), ("dd", Verdict.LEAK)),
    ):
        it.record(finding(signature, verdict=verdict), origin="hunt")
    return it


@pytest.mark.parametrize(
    ("conditions", "gone"),
    [
        ({"older_than": 1.5}, ["cc", "dd"]),
        ({"older_than": 100.0}, []),
        ({"verdict": "data-race"}, ["aa", "bb"]),
        ({"keep": 3}, ["dd"]),
        ({"keep": 0}, ["aa", "bb", "cc", "dd"]),
        ({"verdict": "data-race", "keep": 1}, ["bb"]),
        ({"verdict": "leak", "older_than": 2.5}, ["dd"]),
    ],
)
def test_prune(path: Path, conditions: dict[str, Any], gone: list[str]) -> None:
    it = filled(path)
    before = [kept.signature for kept in it.entries()]
    for dry in (True, False):
        pruned = it.prune(**conditions, dry_run=dry)
        assert [kept.signature for kept in pruned] == gone
        left = [kept.signature for kept in it.entries()]
        assert left == [name for name in before if dry or name not in gone]


def test_prune_of_what_does_not_exist_makes_nothing(path: Path) -> None:
    assert Store(path).prune(keep=0) == []
    assert not path.parent.exists()


# many at once, and deaths

WRITER = """
import sys
from pathlib import Path
from z3fold_stress.findings import load_finding, store
from dataclasses import replace
path, file, own, n = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
it = load_finding(file)
print("ready", flush=True)
sys.stdin.readline()
for i in range(n):
    for signature in ("shared", f"{own}-{i}"):
        store.record(replace(it, signature=signature), origin="pytest", path=path)
        print(signature, flush=True)
"""


@contextlib.contextmanager
def writers(path: Path, many: int, each: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that have loaded all they need, and wait for a line."""
    path.parent.mkdir(exist_ok=True)
    file = path.with_suffix(".json")
    file.write_text(finding().dumps())
    begun = [
        subprocess.Popen(
            [sys.executable, "-P", "-c", WRITER, str(path), str(file), f"w{number}", str(each)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(many)
    ]
    try:
        for process in begun:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield begun
    finally:
        for process in begun:
            process.kill()
            process.communicate()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_eight_writers_at_once_lose_nothing(path: Path) -> None:
    """They make the store together, too."""
    with writers(path, 8, 12) as begun:
        for process in begun:
            go(process)
        for process in begun:
            assert process.wait(timeout=120) == 0
    kept = {one.signature: one.count for one in Store(path).entries()}
    assert kept == {"shared": 96} | {f"w{w}-{i}": 1 for w in range(8) for i in range(12)}


def test_writers_killed_at_random_leave_all_that_was_told(path: Path) -> None:
    told: list[str] = []
    with writers(path, 3, 10_000) as begun:
        for process in begun:
            go(process)
        for number, process in enumerate(begun):
            assert process.stdout is not None
            told += [process.stdout.readline().strip() for _ in range(6 + 5 * number)]
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().split("\n")
            told += [line for line in rest[:-1] if line]
            process.wait()
    it = Store(path)
    kept = {one.signature: one.count for one in it.entries()}
    assert set(told) <= set(kept)
    assert told.count("shared") <= kept["shared"] <= told.count("shared") + 3, "one in flight each"
    assert it.record(finding("later"), origin="hunt").new


def test_writer_killed_in_a_transaction_loses_only_that(path: Path) -> None:
    it = Store(path)
    it.record(finding("before"), origin="hunt")
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            database.write(path, _dies)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert [kept.signature for kept in it.entries()] == ["before"]
    assert it.record(finding("after"), origin="hunt").new
    assert {kept.signature for kept in it.entries()} == {"before", "after"}


def _dies(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE finding SET signature = 'torn', text = ?", ("x" * 10**6,))
    connection.execute("DELETE FROM sighting")
    os.kill(os.getpid(), signal.SIGKILL)


def test_who_finds_it_busy_waits_and_then_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = Store(path)
    it.record(finding("one"), origin="hunt")
    monkeypatch.setattr(database, "PATIENCE", 0.1)
    monkeypatch.setattr(database, "BUSY", 0.02)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="was busy for"):
            it.record(finding("two"), origin="hunt")
        assert len(it.entries()) == 1, "a reader waits for nobody"
        other.execute("COMMIT")
    assert it.record(finding("two"), origin="hunt").new


def test_entry_is_what_the_finding_says() -> None:
    entry = entry_of(finding())
    assert entry.body == finding().to_json()
    assert (entry.signature, entry.size) == (finding().signature, size_of(finding()))
