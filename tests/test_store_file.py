"""The file of a findings store: what is none is refused and left alone, who may not write can read,
and it is where it should be."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import stat
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lost_update import finding

from z3fold_stress.findings import database, store
from z3fold_stress.findings.store import Store, StoreError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "findings.db"


def everything(path: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in path.parent.iterdir() if file.is_file()}


# what is no store


def junk(path: Path) -> None:
    path.write_bytes(b"\x00\xff\xa5junk" * 700)


def text(path: Path) -> None:
    path.write_text("# a file of mine\n")


def foreign(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE mine (a)")
        connection.execute("PRAGMA journal_mode = WAL")


def half_a_header(path: Path) -> None:
    Store(path).record(finding(), origin="hunt")
    path.write_bytes(path.read_bytes()[:80])


def truncated(path: Path) -> None:
    Store(path).record(finding(), origin="hunt")
    path.write_bytes(path.read_bytes()[:4096])


def scribbled(path: Path) -> None:
    Store(path).record(finding(), origin="hunt")
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\xa5" * (len(whole) - 100))


def newer(path: Path) -> None:
    Store(path).record(finding(), origin="hunt")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {database.VERSION + 1}")


def without_version(path: Path) -> None:
    Store(path).record(finding(), origin="hunt")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 0")


def without_tables(path: Path) -> None:
    Store(path).record(finding(), origin="hunt")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE sighting")


def directory(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


REFUSED = [
    (junk, "is not a findings store"),
    (text, "is not a findings store"),
    (foreign, "is not a findings store"),
    (half_a_header, "is not a findings store"),
    (truncated, "is damaged"),
    (scribbled, "is damaged"),
    (newer, "made by a newer z3fold-stress"),
    (without_version, "it has no version"),
    (without_tables, "is damaged"),
    (directory, "is a directory"),
    (pipe, "is not a regular file"),
]


@pytest.mark.parametrize(("make", "says"), REFUSED, ids=lambda it: getattr(it, "__name__", ""))
def test_what_is_no_store_is_refused_and_left_alone(
    path: Path, make: Callable[[Path], None], says: str
) -> None:
    path.parent.mkdir()
    make(path)
    before = everything(path)
    for use in (
        lambda: Store(path).entries(),
        lambda: Store(path).record(finding(), origin="hunt"),
        lambda: Store(path).prune(keep=0),
        lambda: Store(path).lookup("a"),
    ):
        with pytest.raises(StoreError, match=says) as refused:
            use()
        assert str(path) in str(refused.value)
    assert everything(path) == before


def test_empty_file_is_a_store_yet_to_be_made(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    it = Store(path)
    assert it.entries() == []
    assert path.read_bytes() == b""
    it.record(finding(), origin="hunt")
    assert len(it.entries()) == 1


def test_reading_makes_nothing(path: Path) -> None:
    it = Store(path)
    assert it.entries() == []
    it.check()
    assert not path.parent.exists()


def test_name_that_no_file_can_have() -> None:
    with pytest.raises(StoreError, match="no file can be named"):
        Store(Path("a\0b")).entries()


def test_name_with_everything(tmp_path: Path) -> None:
    path = tmp_path / "what?mode=memory&a%20b#c ü.db"
    store.record(finding(), origin="hunt", path=path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert len(Store(path).entries()) == 1


def test_body_that_was_changed_is_refused(path: Path) -> None:
    it = Store(path)
    it.record(finding(), origin="hunt")
    for body, says in (
        ("{", "finding .* in "),
        ("[]", "is another"),
        ('{"signature": "other"}', "is another"),
        (f'{{"signature": "{finding().signature}"}}', "has no key 'finding'"),
    ):
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("UPDATE finding SET body = ?", (body,))
        with pytest.raises(StoreError, match=says):
            it.finding(it.entries()[0])


def test_pruned_meanwhile(path: Path) -> None:
    it = Store(path)
    it.record(finding(), origin="hunt")
    (kept,) = it.entries()
    it.prune(keep=0)
    with pytest.raises(StoreError, match="is no longer in"):
        it.body(kept)


# who may not write


def as_nobody(use: Callable[[], None]) -> None:
    """In a child without rights; it has loaded all it needs.  What it raises fails here."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
            use()
        except BaseException:
            os.write(into, traceback.format_exc().encode()[-4000:])
        os._exit(0)
    os.close(into)
    with open(out) as told:
        assert told.read() == ""
    os.waitpid(child, 0)


@pytest.fixture
def closed(path: Path, tmp_path: Path) -> Iterator[Path]:
    """A store in a folder, neither of which may be written."""
    Store(path).record(finding(), origin="hunt")
    parent = tmp_path
    while parent != parent.parent and parent.stat().st_uid == os.geteuid():
        parent.chmod(parent.stat().st_mode | stat.S_IXOTH | stat.S_IXGRP)
        parent = parent.parent
    path.chmod(0o444)
    path.parent.chmod(0o555)
    yield path
    path.parent.chmod(0o755)
    path.chmod(0o644)


def test_read_only_store_is_listed_and_not_written(closed: Path) -> None:
    def use() -> None:
        it = Store(closed)
        assert it.finding(it.lookup(it.entries()[0].signature)) == finding()
        assert len(it.prune(keep=0, dry_run=True)) == 1
        for write in (
            lambda: it.record(finding(), origin="hunt"),
            lambda: it.prune(keep=0),
            lambda: Store(closed.with_name("other.db")).record(finding(), origin="hunt"),
            lambda: Store(closed.parent / "a" / "b.db").record(finding(), origin="hunt"),
        ):
            with pytest.raises(StoreError, match=r"cannot be (written|made)"):
                write()

    before = everything(closed)
    as_nobody(use)
    assert everything(closed) == before


def test_read_only_file_in_a_folder_that_is_not(closed: Path) -> None:
    closed.parent.chmod(0o777)

    def use() -> None:
        assert len(Store(closed).entries()) == 1
        with pytest.raises(StoreError, match="cannot be written"):
            Store(closed).record(finding(), origin="hunt")

    as_nobody(use)
    assert len(Store(closed).entries()) == 1


def test_read_only_store_with_what_a_killed_writer_left(closed: Path) -> None:
    """What is in the log beside it is read too."""
    closed.parent.chmod(0o755)
    closed.chmod(0o644)
    child = os.fork()
    if child == 0:
        database.write(closed, lambda connection: None)
        connection = sqlite3.connect(closed, isolation_level=None)
        connection.execute("UPDATE finding SET text = 'in the log'")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    log = closed.with_name(closed.name + "-wal")
    assert log.stat().st_size > 0
    log.chmod(0o444)
    closed.with_name(closed.name + "-shm").unlink()
    closed.parent.chmod(0o555)

    def use() -> None:
        assert Store(closed).entries()[0].text == "in the log"

    as_nobody(use)


def test_unreadable_store(closed: Path) -> None:
    closed.chmod(0)

    def use() -> None:
        with pytest.raises(StoreError, match="cannot be read: Permission denied"):
            Store(closed).entries()

    as_nobody(use)


# where it is


def test_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", "/home/someone")
    assert Store().path == Path(os.environ[database.ENVIRONMENT]), "the tests' own"
    monkeypatch.delenv(database.ENVIRONMENT)
    assert Store().path == tmp_path / "z3fold_stress" / "findings.db"
    for value in ("relative", ""):
        monkeypatch.setenv("XDG_DATA_HOME", value)
        assert Store().path == Path("/home/someone/.local/share/z3fold_stress/findings.db")
    monkeypatch.setenv(database.ENVIRONMENT, "mine.db")
    assert Store().path == Path("mine.db")


def test_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (database.ENVIRONMENT, "XDG_DATA_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(StoreError, match="no place for the findings store"):
        Store()


def test_copied_store_is_a_store(path: Path) -> None:
    Store(path).record(finding(), origin="hunt")
    copy = path.with_name("copy.db")
    shutil.copyfile(path, copy)
    assert Store(copy).finding(Store(copy).entries()[0]) == finding()
