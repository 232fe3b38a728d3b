"""`python -m bench ledger`: what the ledger costs the daemon, by the number of rows that it holds.

The rows are made by SQL, as a look-back's done objects would have left them; then the ledger's own methods are timed.
Milliseconds by the clock, for the disk's syncs are most of it.
"""

import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from exporter.flow import Outcome, S3Object
from exporter.ledger import Ledger
from exporter.ledger_view import look

ROWS = (10_000, 1_000_000, 10_000_000)
ORIGINS = 100
"""Accounts and regions."""

OBJECTS = 200
DAYS = 2

_FILL = """
WITH RECURSIVE numbers(value) AS (SELECT 0 UNION ALL SELECT value + 1 FROM numbers WHERE value < ? - 1)
INSERT INTO object (id, bucket, origin, state, time, records, bytes, attempts, ended)
SELECT printf('%08x', value * 400) || '12345678', 1, 1 + value % ?, 'done', ? + value % ?, 5000, 200000, 1, ?
FROM numbers
"""
_COUNT = """
DELETE FROM tally;
INSERT INTO tally SELECT bucket, origin, state, count(*), sum(records), sum(bytes) FROM object
GROUP BY bucket, origin, state;
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds each, and the file's bytes."""

    rows: int
    bytes: int
    opening: float
    one: float
    page: float
    forgetting: float
    looking: float


def main(console: Console) -> None:
    """Measures and shows all sizes."""
    with tempfile.TemporaryDirectory() as folder:
        figures = [_measured(Path(folder), rows) for rows in ROWS]
    table = Table("ledger rows", box=None, pad_edge=False, padding=(0, 2))
    heads = ("MB", "open, ms", "begin and finish one, ms", "1,000 keys known?, ms", "forget nothing, ms", "status, ms")
    for head in heads:
        table.add_column(head, justify="right")
    for each in figures:
        times = (each.opening, each.one, each.page, each.forgetting, each.looking)
        table.add_row(f"{each.rows:,}", f"{each.bytes / 1e6:,.0f}", *(f"{value:,.1f}" for value in times))
    console.print(table)


def _measured(folder: Path, rows: int) -> Figures:
    path = folder / f"{rows}.sqlite3"
    now = datetime.now(UTC)
    with Ledger(path) as ledger:
        ledger.begin(_object(0, now))
    _fill(path, rows, int((now - timedelta(days=DAYS)).timestamp()))
    size = path.stat().st_size
    begun = time.perf_counter()
    with Ledger(path) as ledger:
        opening = 1e3 * (time.perf_counter() - begun)
        objects = [_object(number, now) for number in range(1, OBJECTS + 1)]
        one = min(_timed(lambda each=each: _done(ledger, each)) for each in objects)  # type: ignore[misc]
        page = [_object(number, now) for number in range(500, 1500)]
        figures = Figures(
            rows=rows,
            bytes=size,
            opening=opening,
            one=one,
            page=min(_timed(lambda: ledger.unknown(page)) for _ in range(5)),
            forgetting=min(
                _timed(lambda: ledger.prune("logs", (now - timedelta(days=DAYS + 1)).date())) for _ in range(5)
            ),
            looking=min(_timed(lambda: look(path, now)) for _ in range(5)),
        )
    path.unlink()
    return figures


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - begun)


def _done(ledger: Ledger, source: S3Object) -> None:
    ledger.begin(source)
    ledger.finish(Outcome(source, records=5000))


def _object(number: int, when: datetime) -> S3Object:
    return S3Object("logs", f"AWSLogs/{number}.log.gz", "e", 200_000, when, "123456789012", "eu-west-1")


def _fill(path: Path, rows: int, first: int) -> None:
    """So many done objects; their counts are made afterwards, at once instead of row by row."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA synchronous = OFF")
        database.executemany("INSERT OR IGNORE INTO origin VALUES (?, ?, ?)", _origins())
        triggers = database.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            database.execute(f"DROP TRIGGER {name}")
        database.execute(_FILL, (rows, ORIGINS, first, DAYS * 86_400, first))
        database.executescript(_COUNT)
        for _, text in triggers:
            database.execute(text)


def _origins() -> Iterator[tuple[int, str, str]]:
    for number in range(1, ORIGINS + 1):
        yield number, f"{number:012}", "eu-west-1"
