"""How the work stands, by account and region, read beside the daemon at one moment: what `status` shows.

It costs what is waiting, failed or set aside and the number of accounts and regions, whatever is done.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from exporter import ledger_filtered, ledger_troubles
from exporter.ledger import State
from exporter.ledger_file import Connection, explained, in_use, open_to_look
from exporter.ledger_filtered import Filtered
from exporter.ledger_troubles import Trouble

SPANS = (5, 60)
"""Whole minutes over which rates are told, up to the last full one."""

TO_DO = (State.UNDER_WAY, State.UNDONE)


@dataclass(frozen=True, slots=True)
class Work:
    """Objects done or damaged in a time, and the records of these."""

    objects: int = 0
    records: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """What there is of an account and region (None: the keys tell none, or the ledger was older), or in all.

    `newest` is the time of the newest object that is done or damaged, `oldest` that of the oldest that is under way or
    undone.  `bytes` (as stored) and `records` are those of what is done or damaged.  `recent` has a Work for each span.
    """

    account: str | None
    region: str | None
    objects: Mapping[State, int]
    records: int
    bytes: int
    newest: datetime | None
    oldest: datetime | None
    recent: Mapping[int, Work]


@dataclass(frozen=True, slots=True)
class Standing:
    """The ledger at the moment `now`; `ended` is when an object last became done or damaged.

    `running` says that a process has the ledger open to write.  `ended` is None also where that was before version 3.
    """

    now: datetime
    running: bool
    ended: datetime | None
    total: Part
    parts: list[Part]
    troubles: list[Trouble]
    filtered: list[Filtered] = field(default_factory=list)


@dataclass(slots=True)
class _Sum:
    """A Part in the making; times in seconds since 1970."""

    objects: dict[State, int] = field(default_factory=dict)
    records: int = 0
    bytes: int = 0
    newest: list[int] = field(default_factory=list)
    oldest: list[int] = field(default_factory=list)
    recent: dict[int, Work] = field(default_factory=lambda: dict.fromkeys(SPANS, Work()))

    def add(self, state: State, objects: int, records: int, size: int) -> None:
        self.objects[state] = self.objects.get(state, 0) + objects
        if state in {State.DONE, State.DAMAGED}:
            self.records += records
            self.bytes += size

    def done_in(self, span: int, objects: int, records: int) -> None:
        before = self.recent[span]
        self.recent[span] = Work(before.objects + objects, before.records + records)

    def part(self, account: str | None = None, region: str | None = None) -> Part:
        newest, oldest = max(self.newest, default=None), min(self.oldest, default=None)
        ordered = {state: self.objects[state] for state in State if self.objects.get(state)}
        times = (_moment(newest), _moment(oldest))
        return Part(account, region, ordered, self.records, self.bytes, *times, self.recent)


_TALLY = (
    "SELECT origin, state, sum(objects), sum(records), sum(bytes), max(CASE state WHEN 'done' THEN (SELECT max(time) "
    "FROM object WHERE state = 'done' AND bucket = tally.bucket AND origin = tally.origin) END) "
    "FROM tally WHERE objects > 0 GROUP BY origin, state"
)
_KEPT = (
    "SELECT origin, max(time) FILTER (WHERE state = 'damaged'), "
    "min(time) FILTER (WHERE state IN ('under way', 'undone')) "
    "FROM object INDEXED BY kept WHERE state <> 'done' GROUP BY origin"
)
_RECENT = "SELECT origin, sum(objects), sum(records) FROM minute WHERE minute >= ? AND minute < ? GROUP BY origin"


def look(path: Path, now: datetime) -> Standing:
    """The ledger in the file `path`; LedgerError where there is none, or it cannot be read."""
    with explained(path), closing(open_to_look(path)) as database:
        database.execute("BEGIN")  # one moment for all that is read
        sums = _sums(database, now)
        ((ended,),) = database.execute("SELECT max(last) FROM minute").fetchall()
        names = {number: rest for number, *rest in database.execute("SELECT number, account, region FROM origin")}
        troubles, filtered = ledger_troubles.all_of(database), ledger_filtered.all_of(database)
    total = sums.pop(None)
    named = sorted(((account or None, region or None, number) for number, (account, region) in names.items()), key=str)
    parts = [sums[number].part(account, region) for account, region, number in named if number in sums]
    return Standing(now, in_use(path), _moment(ended), total.part(), parts, troubles, filtered)


def _sums(database: Connection, now: datetime) -> dict[int | None, _Sum]:
    """By the number of the account and region; None stands for all of them."""
    sums: dict[int | None, _Sum] = {None: _Sum()}
    for origin, state, objects, records, size, newest in database.execute(_TALLY):
        for each in _both(sums, origin):
            each.add(State(state), objects, records, size)
            each.newest += _there(newest)
    for origin, newest, oldest in database.execute(_KEPT):
        for each in _both(sums, origin):
            each.newest += _there(newest)
            each.oldest += _there(oldest)
    minute = int(now.timestamp()) // 60
    for span in SPANS:
        for origin, objects, records in database.execute(_RECENT, (minute - span, minute)):
            for each in _both(sums, origin):
                each.done_in(span, objects, records)
    return sums


def _both(sums: dict[int | None, _Sum], origin: int) -> Iterator[_Sum]:
    yield sums[None]
    yield sums.setdefault(origin, _Sum())


def _there(value: int | None) -> Iterable[int]:
    return () if value is None else (value,)


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def since(moment: datetime | None, now: datetime) -> timedelta | None:
    """How long ago; nothing below zero, for clocks differ."""
    return None if moment is None else max(now - moment, timedelta())
