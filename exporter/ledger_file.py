"""The ledger's file: who may use it, what happens when it is corrupt or of another version."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from exporter.errors import LedgerError

log = logging.getLogger(__name__)

Row = tuple[Any, ...]
Connection = sqlite3.Connection

BUSY_SECONDS = 30
"""How long a statement waits for another process's: the owner's and a guest's take milliseconds on a sound disk."""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE source (
        id TEXT PRIMARY KEY,            -- s3://BUCKET/PREFIX
        first_seen REAL NOT NULL,       -- all times: seconds since 1970
        floor TEXT                      -- a day, YYYY-MM-DD
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE bucket (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE object (
        id TEXT PRIMARY KEY,            -- S3Object.id_prefix
        bucket INTEGER NOT NULL,
        state TEXT NOT NULL,
        time INTEGER NOT NULL,          -- the object's own
        records INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0,
        crashes INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0,
        failing INTEGER,                -- since the first of them
        ended INTEGER,
        retry_at INTEGER,
        reason TEXT,
        place TEXT                      -- key, etag, size, account, region as JSON; nothing once it is done
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX open ON object (time) WHERE state IN ('under way', 'undone');
    """,
    "ALTER TABLE source ADD COLUMN marker TEXT",  # a key
)
"""The file's versions: the first text makes version 1 out of nothing, the next version 2 out of 1, and so on."""


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """SQLite's and the system's errors as LedgerError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise LedgerError(
            f"the ledger {path} cannot be used: {error}; is there space, and may this user write?"
        ) from error


def own(path: Path) -> TextIO:
    """The lock beside the file, held as long as what is returned is open; the system frees it when a process dies."""
    owner = path.with_name(f"{path.name}.lock").open("a+")
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner.seek(0)
        process = owner.read().strip() or "another process"
        owner.close()
        raise LedgerError(
            f"the ledger {path} is in use by {process}: a state folder serves one daemon; stop that one, "
            "or give this one a folder of its own"
        ) from None
    owner.truncate(0)
    owner.write(f"process {os.getpid()}\n")
    owner.flush()
    return owner


def open_to_look(path: Path) -> sqlite3.Connection:
    """A connection that only looks."""
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", BUSY_SECONDS, uri=True, check_same_thread=False)
    try:
        _check_version(database, path, range(len(MIGRATIONS), len(MIGRATIONS) + 1))
    except BaseException:
        database.close()
        raise
    return database


@contextmanager
def as_guest(path: Path) -> Iterator[sqlite3.Connection]:
    """One transaction beside the owner, if there is one: committed at the end of the block, else taken back.

    Raises LedgerError where the file is not there or is not of this program's version.
    """
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", BUSY_SECONDS, uri=True)) as database:
        _check_version(database, path, range(len(MIGRATIONS), len(MIGRATIONS) + 1))
        database.execute("PRAGMA synchronous = FULL")
        database.isolation_level = None
        database.execute("BEGIN IMMEDIATE")
        with database:
            yield database


def open_to_write(path: Path, now: datetime, steps: Sequence[str] = MIGRATIONS) -> sqlite3.Connection:
    """A connection to a sound file of the newest version."""
    fault = _fault(path)
    marks = _move_aside(path, fault, now) if fault else []
    database = sqlite3.connect(path, BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL").fetchall()
        database.execute("PRAGMA synchronous = FULL")
        _migrate(database, path, steps)
        database.executemany("INSERT INTO source (id, first_seen, floor) VALUES (?, ?, ?)", marks)
    except BaseException:
        database.close()
        raise
    return database


def _fault(path: Path) -> str | None:
    """What is corrupt about the file; None where it is sound or not there."""
    with closing(sqlite3.connect(path)) as database:
        try:
            ((verdict,),) = database.execute("PRAGMA quick_check(1)").fetchall()
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
                return str(error)
            raise
    return None if verdict == "ok" else str(verdict)


def _move_aside(path: Path, fault: str, now: datetime) -> list[Row]:
    """Keeps the corrupt file under another name; the sources' marks, where they can still be read."""
    marks = _marks(path)
    aside = path.with_name(f"{path.name}.corrupt-{now:%Y%m%dT%H%M%SZ}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    log.warning(
        "the ledger %s is corrupt (%s); it is kept as %s and a new one begun. Objects inside the look-back are sent "
        "again, which their ids make harmless. %s",
        path,
        fault,
        aside.name,
        f"Where to go on was read for {len(marks)} sources"
        if marks
        else "Where to go on could not be read: every source starts as at its first pass, see `start`",
    )
    return marks


def _marks(path: Path) -> list[Row]:
    """The source table of a corrupt file, as far as that can be had."""
    try:
        with closing(sqlite3.connect(path)) as database:
            return database.execute("SELECT id, first_seen, floor FROM source").fetchall()
    except sqlite3.DatabaseError as error:
        log.info("the marks in %s cannot be read: %s", path, error)
        return []


def _migrate(database: sqlite3.Connection, path: Path, steps: Sequence[str]) -> None:
    """Brings the file to the newest version, each step whole or not at all."""
    version = _check_version(database, path, range(len(steps) + 1))
    for step, statements in enumerate(steps[version:], version + 1):
        database.executescript(f"BEGIN; {statements}; PRAGMA user_version = {step}; COMMIT")


def _check_version(database: sqlite3.Connection, path: Path, readable: range) -> int:
    ((version,),) = database.execute("PRAGMA user_version").fetchall()
    if version < readable[0]:
        raise LedgerError(
            f"the ledger {path} has version {version}, and {readable[0]} is needed: `run` and `once` of this release "
            "bring it up to date at their start"
        )
    if version not in readable:
        raise LedgerError(
            f"the ledger {path} has version {version}, this program knows {readable[-1]}: use the release that wrote it"
        )
    return int(version)
