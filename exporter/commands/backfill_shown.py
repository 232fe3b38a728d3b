"""How far a back-fill is, for people: a bar on a terminal, else a line of the log every ten seconds."""

import logging
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from exporter.backfill import RECORDS_A_BYTE, RECORDS_A_SECOND, Progress
from exporter.commands.listing import counted
from exporter.ledger import BACKFILL, NAME
from exporter.ledger_view import SPANS, look

log = logging.getLogger("exporter")

LINE_SECONDS, BAR_SECONDS = 10.0, 0.5

RATE_SECONDS = 60.0
"""Rates are those of the last minute."""


@dataclass(slots=True)
class Pace:
    """Bytes and records a second of the last minute, from what is told now and then; nothing before two tellings."""

    records: Callable[[], float]
    clock: Callable[[], float] = monotonic
    _told: deque[tuple[float, int, float]] = field(default_factory=deque)

    def tell(self, done_bytes: int) -> tuple[float, float]:
        """The rates now, of bytes and of records."""
        now = (self.clock(), done_bytes, self.records())
        self._told.append(now)
        while len(self._told) > 2 and now[0] - self._told[0][0] > RATE_SECONDS:  # noqa: PLR2004 - a rate needs two
            self._told.popleft()
        then = self._told[0]
        seconds = max(now[0] - then[0], 1e-9)
        return (now[1] - then[1]) / seconds, (now[2] - then[2]) / seconds


def line(progress: Progress, pace: Pace) -> str:
    """Objects, bytes, records, rate and the time left, as far as they can be told."""
    objects, size = (getattr(progress.earlier, name) + getattr(progress.ended, name) for name in ("objects", "bytes"))
    bytes_a_second, records_a_second = pace.tell(progress.ended.bytes)
    so_far = "" if progress.counted else "+"
    left = max(progress.found.bytes - size, 0)
    return (
        f"{objects:,} of {progress.found.objects:,}{so_far} objects, "
        f"{decimal(size)} of {decimal(progress.found.bytes)}{so_far}, {pace.records():,.0f} records, "
        f"{records_a_second:,.0f} records/s, "
        + (f"about {duration(left / bytes_a_second)} left" if progress.counted and bytes_a_second else "time left: …")
        + (f", {progress.undone:,} left undone" if progress.undone else "")
        + ("" if progress.counted else f"; listing … {counted(progress.found.objects, 'object')} so far")
    )


def duration(seconds: float) -> str:
    """`3 d 4 h`, `4 h 7 min`, `12 min`, `40 s`."""
    minutes = round(seconds / 60)
    if seconds < 100:  # noqa: PLR2004 - then minutes say too little
        return f"{seconds:.0f} s"
    if minutes < 60:  # noqa: PLR2004 - an hour
        return f"{minutes} min"
    hours, days = divmod(minutes, 60), divmod(round(minutes / 60), 24)
    return f"{days[0]:,} d {days[1]} h" if days[0] else f"{hours[0]} h {hours[1]} min"


def estimated(size: int, folder: Path, now: datetime) -> str:
    """About how many records so many bytes hold, and how long they take, by the ledgers in the state folder.

    They know bytes and records of what they have done; the back-fills' own tells the rate of the last full minutes,
    where one was at work then.  Else it is what is usual, and said so.
    """
    standings = [look(path, now) for name in (NAME, BACKFILL) if (path := folder / name).exists()]
    known = sum(each.total.bytes for each in standings if each.total.records)
    density, told = RECORDS_A_BYTE, "assumed"
    if known:
        density, told = sum(each.total.records for each in standings) / known, "as in what is done"
    rate, at = RECORDS_A_SECOND, "assumed"
    if (folder / BACKFILL).exists() and (recent := standings[-1].total.recent[SPANS[0]].records):
        rate, at = max(1, round(recent / (60 * SPANS[0]))), f"as in the last {SPANS[0]} minutes"
    records = round(size * density)
    return (
        f"to send: about {records:,} records ({1 / density:,.0f} bytes each: {told}), about "
        f"{duration(records / rate)} ({rate:,} records a second: {at})"
    )


@contextmanager
def shown(progress: Progress, records: Callable[[], float]) -> Iterator[tuple[Callable[[], None], float]]:
    """What is to be called every so many seconds meanwhile; the last state is told at the end."""
    pace = Pace(records)
    pace.tell(0)
    if not sys.stderr.isatty():
        yield lambda: log.info("%s", line(progress, pace)), LINE_SECONDS
        log.info("%s", line(progress, pace))
        return
    bar = Bar(BarColumn(30), TextColumn("{task.description}"), console=Console(stderr=True), auto_refresh=False)
    task = bar.add_task("listing …", total=None)

    def draw() -> None:
        total = progress.found.bytes if progress.counted else None
        completed = progress.earlier.bytes + progress.ended.bytes
        bar.update(task, total=total, completed=completed, description=line(progress, pace), refresh=True)

    with bar, _logging_above():
        yield draw, BAR_SECONDS
        draw()


@contextmanager
def _logging_above() -> Iterator[None]:
    """Lines of the log go through what a running bar has put in place of standard error, and so stand above it."""
    handlers = [each for each in logging.getLogger().handlers if isinstance(each, logging.StreamHandler)]
    before = [each.setStream(sys.stderr) for each in handlers]
    try:
        yield
    finally:
        for handler, stream in zip(handlers, before, strict=True):
            if stream is not None:
                handler.setStream(stream)
