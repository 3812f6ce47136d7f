"""The file of a findings store: finds it, makes it, refuses what is none, and runs a piece of work
on it in one transaction.

SQLite in WAL mode, opened for each piece of work and closed after it, so that no connection lives
on in a forked process and a crash loses the transaction in flight, nothing else.  Never waits
inside SQLite for long: Ctrl-C must be heard.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from z3fold_stress.errors import SettingsError

__all__ = ["ENVIRONMENT", "StoreError", "default_path", "examine", "read", "write"]

ENVIRONMENT = "Z3FOLD_STRESS_STORE"
APPLICATION_ID = 0x7A337366
"""Of a findings store, in the header of an SQLite file."""
VERSION = 1
MAGIC = b"SQLite format 3\0"
HEADER = 100
PATIENCE = 30.0
"""Seconds to wait for other writers."""
BUSY = 0.2
"""Seconds of that spent inside SQLite at a time."""

SCHEMA = """
CREATE TABLE finding (
    signature TEXT PRIMARY KEY,
    verdict TEXT NOT NULL,
    text TEXT NOT NULL,
    design TEXT NOT NULL,
    scenario TEXT NOT NULL,
    replays INTEGER NOT NULL,
    switches INTEGER NOT NULL,
    operations INTEGER NOT NULL,
    build TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE TABLE sighting (
    signature TEXT NOT NULL REFERENCES finding,
    origin TEXT NOT NULL,
    design TEXT NOT NULL,
    scenario TEXT NOT NULL,
    first REAL NOT NULL,
    last REAL NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (signature, origin, design, scenario)
);
"""
Result = TypeVar("Result")


class StoreError(SettingsError):
    """A store that cannot be read or written; the message names it, why, and the remedy."""


def default_path() -> Path:
    """``Z3FOLD_STRESS_STORE``, else ``findings.db`` in the user's data directory.

    Raises StoreError where that cannot be known: a user without a home.
    """
    asked = os.environ.get(ENVIRONMENT)
    if asked:
        return Path(asked)
    data = os.environ.get("XDG_DATA_HOME", "")
    try:
        base = Path(data) if data.startswith("/") else Path("~/.local/share").expanduser()
    except RuntimeError:
        raise StoreError(
            f"no place for the findings store: this user has no home; set {ENVIRONMENT}"
        ) from None
    return base / "z3fold_stress" / "findings.db"


def examine(path: Path) -> bool:
    """Whether there is something to read.  Raises StoreError for a file that is no store; it is
    only looked at, not opened as a database."""
    try:
        about = path.stat()
        if stat.S_ISDIR(about.st_mode):
            raise StoreError(f"the store {path} is a directory: name a file")
        if not stat.S_ISREG(about.st_mode):
            raise StoreError(f"the store {path} is not a regular file")
        with path.open("rb") as file:
            header = file.read(HEADER)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreError(f"the store {path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise StoreError(f"no file can be named {str(path)!r}: {error}") from None
    if not header:
        return False  # one that nothing was written to yet, or whose writer died at once
    ours = len(header) == HEADER and header.startswith(MAGIC)
    if not ours or int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise StoreError(
            f"{path} is not a findings store: nothing in it was touched; name another file"
        )
    return True


def _told(path: Path, error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(
            f"the store {path} was busy for {PATIENCE:g} s: somebody else holds it; try again, or "
            "name another"
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return StoreError(
            f"the store {path} cannot be written: it, or its directory, is read-only or does not "
            "exist; name another"
        )
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL):
        return StoreError(f"the store {path} cannot be written: {error}")
    return StoreError(
        f"the store {path} is damaged ({error}): move it away, and a new one is made; "
        "'sqlite3 FILE .recover' may get findings back"
    )


def _is_busy(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    """Opened, or an sqlite3.Error; nothing was read of it yet."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=BUSY, isolation_level=None
    )


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StoreError(
            f"the store {path} is of version {version}, made by a newer z3fold-stress: this one "
            f"knows version {VERSION}; upgrade, or name another file"
        )
    if version != VERSION:
        raise StoreError(f"the store {path} is damaged: it has no version")


def _patiently(path: Path, once: Callable[[], Result]) -> Result:
    """Again and again while others hold the file."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return once()
        except sqlite3.Error as error:
            if not _is_busy(error) or time.monotonic() > deadline:
                raise _told(path, error) from None
        time.sleep(0.01)


def read(path: Path, work: Callable[[sqlite3.Connection], Result], absent: Result) -> Result:
    """What ``work`` finds in the store; ``absent`` where there is none yet (none is made).

    Works on one state of the store, whoever writes meanwhile.  Raises StoreError.
    """
    if not examine(path):
        return absent
    if os.access(path, os.W_OK) and os.access(path.absolute().parent, os.W_OK):
        return _patiently(path, lambda: _read_once(path, path, work))
    return _patiently(path, lambda: _read_copy(path, work))


def _read_once(path: Path, named: Path, work: Callable[[sqlite3.Connection], Result]) -> Result:
    with contextlib.closing(_connect(path, "rw")) as connection:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        _check_version(connection, named)
        return work(connection)


def _read_copy(path: Path, work: Callable[[sqlite3.Connection], Result]) -> Result:
    """Readers of a WAL file have to write beside it.  Where they may not, they read a copy."""
    beside = path.with_name(path.name + "-wal")

    def state() -> list[tuple[int, int] | None]:
        return [
            (about.st_size, about.st_mtime_ns) if (about := _stat(file)) else None
            for file in (path, beside)
        ]

    try:
        with tempfile.TemporaryDirectory(prefix="z3fold-stress-") as folder:
            copy = Path(folder) / "findings.db"
            before = None
            for _ in range(10):  # a writer that may write could be at it just now
                before = state()
                shutil.copyfile(path, copy)
                copied = copy.with_name(copy.name + "-wal")
                copied.unlink(missing_ok=True)
                if before[1] is not None:
                    shutil.copyfile(beside, copied)
                if state() == before:
                    break
            return _read_once(copy, path, work)
    except OSError as error:
        raise StoreError(f"the store {path} cannot be read: {error.strerror or error}") from None


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def write(path: Path, work: Callable[[sqlite3.Connection], Result]) -> Result:
    """``work`` in a transaction of its own, in a store that is made if there is none.

    ``work`` may be done more than once: what it did before did not happen.  Raises StoreError.
    """
    if not examine(path):
        _patiently(path, lambda: _make(path))
    return _patiently(path, lambda: _write_once(path, work))


def _write_once(path: Path, work: Callable[[sqlite3.Connection], Result]) -> Result:
    with contextlib.closing(_connect(path, "rw")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")  # a new one is not yet; else it stays so
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        _check_version(connection, path)
        with connection:  # commits, or takes all back
            return work(connection)


def _make(path: Path) -> None:
    """The tables and the mark of a store appear together, before WAL mode, and once: whoever
    comes second finds them."""
    try:
        path.absolute().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(
            f"the store {path} cannot be made: {error.strerror or error}; name another"
        ) from None
    with contextlib.closing(_connect(path, "rwc")) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            if connection.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
                for statement in filter(str.strip, SCHEMA.split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
