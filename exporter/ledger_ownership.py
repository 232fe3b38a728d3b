"""The ledger's rows on who owned what: kept and given back as they are; enrich/history.py knows what they mean."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from exporter.errors import LedgerError
from exporter.ledger_file import Connection, Row, as_guest, explained, in_use, open_to_look, own

COLUMNS: dict[str, int] = {"scope": 6, "interface": 5, "workload": 6, "holding": 9}
"""The tables, each with the number of its columns; the first of these is the row's number."""

CHUNK = 50_000
"""Rows that are read at a time."""


def read(database: Connection, table: str, after: int) -> list[Row]:
    """Rows of a table whose numbers are above `after`, in their order: at most CHUNK."""
    statement = f"SELECT * FROM {_named(table)} WHERE number > ? ORDER BY number LIMIT ?"  # noqa: S608 - of COLUMNS
    return database.execute(statement, (after, CHUNK)).fetchall()


def write(database: Connection, rows: Mapping[str, Iterable[Row]], gone: Mapping[str, Iterable[int]]) -> None:
    """Puts rows in the place of those of their number and deletes others, in one transaction."""
    database.execute("BEGIN IMMEDIATE")
    with database:
        _put(database, rows, gone)


def _put(database: Connection, rows: Mapping[str, Iterable[Row]], gone: Mapping[str, Iterable[int]]) -> None:
    """The same within a transaction that has begun."""
    for table, numbers in gone.items():
        database.executemany(f"DELETE FROM {_named(table)} WHERE number = ?", ((each,) for each in numbers))  # noqa: S608 - of COLUMNS
    for table, each in rows.items():
        places = ", ".join("?" * COLUMNS[table])
        database.executemany(f"REPLACE INTO {_named(table)} VALUES ({places})", each)  # noqa: S608 - as above


def last_answers(path: Path) -> list[tuple[str, datetime]]:
    """Every scope with when it was last asked, by its name; LedgerError where there is no ledger."""
    with explained(path), closing(open_to_look(path)) as database:
        rows = database.execute("SELECT name, taken FROM scope ORDER BY name").fetchall()
    return [(name, datetime.fromtimestamp(taken, UTC)) for name, taken in rows]


def _named(table: str) -> str:
    if table not in COLUMNS:
        raise KeyError(table)
    return table


def _all(database: Connection, table: str) -> Iterator[Row]:
    after = -1
    while chunk := read(database, table, after):
        yield from chunk
        after = chunk[-1][0]


class Ownership:
    """The rows of a ledger that somebody else may own, read at one moment each chunk; nothing is written.

    As a context manager it reads all of them at one moment, and there has to be a ledger: LedgerError where not.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: Connection | None = None

    def __enter__(self) -> Self:
        with explained(self._path):
            self._database = open_to_look(self._path)
            self._database.execute("BEGIN")
        return self

    def __exit__(self, *_: object) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def still(self) -> AbstractContextManager[object]:
        """Within it all rows are those of one moment; there may be no ledger."""
        return self if self._database is None and self._path.exists() else nullcontext()

    def rows(self, table: str) -> Iterator[Row]:
        """All rows of a table, none where there is no ledger; LedgerError where it is of another version."""
        with explained(self._path):
            if self._database is not None:
                yield from _all(self._database, table)
            elif self._path.exists():
                with closing(open_to_look(self._path)) as database:
                    yield from _all(database, table)

    def remember(self, rows: Mapping[str, Iterable[Row]], gone: Mapping[str, Iterable[int]]) -> None:
        """Forgets it: the ledger is its owner's."""


class Additions(Ownership):
    """The same, and what is given to remember is written: for who has the ledger to himself, see `alone`."""

    def remember(self, rows: Mapping[str, Iterable[Row]], gone: Mapping[str, Iterable[int]]) -> None:
        """Puts rows in the place of those of their number and deletes others: all of it or nothing."""
        with explained(self._path), as_guest(self._path) as database:
            _put(database, rows, gone)


@contextmanager
def alone(path: Path) -> Iterator[Additions]:
    """The rows of a ledger that nobody else owns meanwhile; LedgerError where a daemon does, or there is no ledger.

    A daemon holds the history in memory and would write over what is added.
    """
    with Ownership(path):
        pass
    if in_use(path):
        raise LedgerError(
            f"the ledger {path} is in use, and a daemon would not see what is added: stop it (and any `once`), import, "
            "and start it again"
        )
    with explained(path), own(path):
        yield Additions(path)
