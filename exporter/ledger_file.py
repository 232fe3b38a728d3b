"""The ledger's file: who may use it, what happens when it is corrupt or of another version."""

from __future__ import annotations

import fcntl
import logging
import math
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TextIO

from exporter.errors import LedgerError
from exporter.ledger_schema import MIGRATIONS

log = logging.getLogger(__name__)

Row = tuple[Any, ...]
Connection = sqlite3.Connection

BUSY_SECONDS = 30
"""How long a statement waits for another process's: the owner's and a guest's take milliseconds on a sound disk."""

CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""SQLite's codes for a file that is malformed or no database."""

LOCK_TRIES, LOCK_PAUSE = 4, 0.05
"""A look at who has the ledger takes the lock for a moment: an owner asks again, some times, so many seconds apart."""

SORTED_KIB = 65_536
"""What is sorted at a time for an index in the making."""


_OLD_MARKS = "SELECT id, first_seen, floor FROM source"
_MARKS = (
    "SELECT id, first_seen, min(floor, coalesce((SELECT min(day) FROM behind WHERE source = id), floor)) FROM source"
)
"""Where to go on: for a source of which a folder is behind, from there."""


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """SQLite's and the system's errors as LedgerError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        if _tells_corrupt(error):
            raise LedgerError(
                f"the ledger {path} is corrupt ({error}): `run` or `once` sets it aside at its start and begins anew"
            ) from error
        raise LedgerError(
            f"the ledger {path} cannot be used: {error}; is there space, and may this user write?"
        ) from error


def _tells_corrupt(error: Exception) -> bool:
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF in CORRUPT


def own(path: Path) -> TextIO:
    """The lock beside the file, held as long as what is returned is open; the system frees it when a process dies."""
    owner = path.with_name(f"{path.name}.lock").open("a+")
    if not any(_locked(owner, fcntl.LOCK_EX, pause) for pause in (0, *[LOCK_PAUSE] * LOCK_TRIES)):
        owner.seek(0)
        process = owner.read().strip() or "another process"
        owner.close()
        raise LedgerError(
            f"the ledger {path} is in use by {process}: a state folder serves one daemon; stop that one, "
            "or give this one a folder of its own"
        )
    owner.truncate(0)
    owner.write(f"process {os.getpid()}\n")
    owner.flush()
    return owner


def _locked(file: TextIO, kind: int, pause: float = 0) -> bool:
    """Whether the lock could be had after so many seconds; it is not waited for."""
    sleep(pause)
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def in_use(path: Path) -> bool:
    """Whether a process owns the ledger at this moment."""
    lock = path.with_name(f"{path.name}.lock")
    if not lock.exists():
        return False
    with explained(path), lock.open() as file:
        return not _locked(file, fcntl.LOCK_SH)


def open_to_look(path: Path) -> sqlite3.Connection:
    """A connection that only looks; LedgerError where there is no file, or it is of another version."""
    if not path.exists():
        raise LedgerError(f"there is no ledger {path} yet: is state.folder the daemon's? `run` and `once` make one")
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", BUSY_SECONDS, uri=True, check_same_thread=False)
    try:
        database.execute("PRAGMA temp_store = MEMORY")  # there may be no folder for a sort's files
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
    """A connection to a sound file of the newest version; after a corrupt one, all from before `now` is in doubt."""
    fault = _fault(path)
    marks = _move_aside(path, fault, now) if fault else []
    database = sqlite3.connect(path, BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL").fetchall()
        database.execute("PRAGMA synchronous = FULL")
        _migrate(database, path, steps)
        if fault:
            _go_on(database, marks, now)
    except BaseException:
        database.close()
        raise
    return database


def _go_on(database: sqlite3.Connection, marks: Sequence[Row], now: datetime) -> None:
    database.execute("BEGIN")
    with database:
        database.executemany("INSERT INTO source (id, first_seen, floor) VALUES (?, ?, ?)", marks)
        database.execute("UPDATE doubt SET until = ?", (math.ceil(now.timestamp()),))


def _fault(path: Path) -> str | None:
    """What is corrupt about the file; None where it is sound or not there."""
    with closing(sqlite3.connect(path)) as database:
        try:
            ((verdict,),) = database.execute("PRAGMA quick_check(1)").fetchall()
        except sqlite3.DatabaseError as error:
            if _tells_corrupt(error):
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
        "the ledger %s is corrupt (%s); it is kept as %s and a new one begun. Objects inside the look-back are taken "
        "again, each after a look which of its documents are out. %s",
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
            return database.execute(_MARKS if _has_behind(database) else _OLD_MARKS).fetchall()
    except sqlite3.DatabaseError as error:
        log.info("the marks in %s cannot be read: %s", path, error)
        return []


def _has_behind(database: sqlite3.Connection) -> bool:
    return bool(database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'behind'").fetchall())


def _migrate(database: sqlite3.Connection, path: Path, steps: Sequence[str]) -> None:
    """Brings the file to the newest version, each step whole or not at all."""
    version = _check_version(database, path, range(len(steps) + 1))
    if rows := _rows(database) if 0 < version < len(steps) else 0:
        log.info("the ledger %s goes from version %d to %d: %d objects", path, version, len(steps), rows)
    begun = monotonic()
    with _sorts_beside(database, path):
        for step, statements in enumerate(steps[version:], version + 1):
            database.executescript(f"BEGIN; {statements}; PRAGMA user_version = {step}; COMMIT")
    if rows:
        log.info("the ledger %s has version %d after %.1f s", path, len(steps), monotonic() - begun)


@contextmanager
def _sorts_beside(database: sqlite3.Connection, path: Path) -> Iterator[None]:
    """What an index in the making sorts lies in the ledger's folder, for there may be no /tmp, and memory is short."""
    folder = str(path.absolute().parent).replace("'", "''")
    database.execute(f"PRAGMA temp_store_directory = '{folder}'")
    database.execute(f"PRAGMA cache_size = -{SORTED_KIB}")
    try:
        yield
    finally:
        database.execute("PRAGMA temp_store_directory = ''")
        database.execute("PRAGMA cache_size = -2000")  # SQLite's own


def _rows(database: sqlite3.Connection) -> int:
    ((rows,),) = database.execute("SELECT count(*) FROM object").fetchall()
    return int(rows)


def _check_version(database: sqlite3.Connection, path: Path, readable: range) -> int:
    ((version,),) = database.execute("PRAGMA user_version").fetchall()
    if version < readable[0]:
        who = "`backfill`" if path.name.startswith("backfill") else "`run` and `once`"
        raise LedgerError(
            f"the ledger {path} has version {version}, and {readable[0]} is needed: {who} of this release "
            "bring it up to date at their start"
        )
    if version not in readable:
        raise LedgerError(
            f"the ledger {path} has version {version}, this program knows {readable[-1]}: use the release that wrote it"
        )
    return int(version)
