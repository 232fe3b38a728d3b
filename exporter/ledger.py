"""Which objects are done, and from which day on there may be undone ones: one SQLite file that survives any crash.

An object is known by its `id_prefix`, which stands for bucket, key and etag and begins each of its documents' ids.

    never seen ──begin──> under way ──finish────> done, or damaged where it broke off
                            │   ^   ──set_aside─> set aside: gone, or nothing of it could be read
               fail, release│   │begin
                            v   │
                           undone ──────────────> failed: ATTEMPTS tries, or CRASHES of the program, and PATIENCE over
                              ^
                              └──ledger_guest────  damaged, failed or set aside: somebody wants it tried again

What was under way when the program died is undone at the next start.  Only `unknown` and `waiting` decide what is
taken, and only `raise_floor` what is no longer looked for.

How many objects are in which state, and where from, is counted along by the file itself (ledger_schema.py):
`summary`, and ledger_view.py for `status`, cost the same whatever the ledger holds, and `prune` what it deletes.

The file is written ahead (WAL) with synchronous=FULL: with NORMAL a power cut may take back the last commits.  A
`finish` taken back would do no harm, as ids make a replay harmless; a `begin` taken back would hide that some of the
object's documents may be out already, which matters after a roll-over.  It costs two fsyncs an object: some hundred
objects a second instead of some thousand, still more than an output takes.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import Self, TextIO

from exporter import ledger_filtered, ledger_ownership, ledger_troubles
from exporter.errors import LedgerError
from exporter.flow import Outcome, S3Object
from exporter.ledger_file import Connection, Row, explained, open_to_look, open_to_write, own
from exporter.ledger_rows import numbers_of, object_of, place_of
from exporter.ledger_troubles import Trouble

log = logging.getLogger(__name__)

NAME = "ledger.sqlite3"
"""The file's name in the state folder."""

BACKFILL = "backfill.sqlite3"
"""The same for a ledger of `backfill`'s own, beside the daemon's."""

ATTEMPTS = 5
"""How often an object is tried at least before it is set aside as failed …"""

PATIENCE = timedelta(days=3)
"""… and for how long: a key policy broken on a Friday evening is mended on Monday, and nothing is lost."""

CRASHES = 5
"""How often the program may die while an object is under way before the object is left alone for a while."""

FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=1)
"""After a failure an object is left alone: the first time shorter than a usual pass, twice as long each time."""

KEPT = timedelta(days=90)
"""How long an object that is not simply done stays visible."""

REPORTERS_KEPT = timedelta(days=90)
"""How long an interface is remembered that reports no more."""

WAITING = 1000
"""Undone objects that are read at a time."""

REMEMBERED = 10_000
"""Buckets with account and region whose numbers are held; beyond, they are looked up anew."""


class State(StrEnum):
    """What became of an object."""

    UNDER_WAY = "under way"
    UNDONE = "undone"
    DONE = "done"
    DAMAGED = "damaged"
    FAILED = "failed"
    SET_ASIDE = "set aside"


KEPT_STATES = (State.UNDONE, State.DAMAGED, State.FAILED, State.SET_ASIDE)
"""What is not simply done, and not under way either."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An object that is not simply done, as `status` shows it."""

    source: S3Object
    state: State
    attempts: int
    reason: str


@dataclass(frozen=True, slots=True)
class Summary:
    """Objects by state, records of all that are done or damaged, and the time of the newest of these.

    `bytes` is the stored size of what is done or damaged, as far as it is known (version 2 did not keep it).
    """

    objects: dict[State, int]
    records: int
    newest: datetime | None
    bytes: int = 0


_SUMMARY = (
    "SELECT tally.state, sum(objects), sum(records), sum(bytes), max(CASE tally.state WHEN 'done' THEN "
    "(SELECT max(time) FROM object WHERE state = 'done' AND bucket = tally.bucket AND origin = tally.origin) "
    "WHEN 'damaged' THEN (SELECT max(time) FROM object WHERE state <> 'done' AND state = 'damaged' "
    "AND bucket = tally.bucket) END) FROM tally JOIN bucket ON number = tally.bucket WHERE objects > 0 "
    "AND (?1 IS NULL OR name IN (SELECT value FROM json_each(?1))) GROUP BY tally.state"
)

_FORGET = (
    "DELETE FROM object WHERE state = 'done' AND bucket = (SELECT number FROM bucket WHERE name = ?) "
    "AND origin IN (SELECT number FROM origin) AND time < ? AND ended < ?"
)
_FORGET_KEPT = (
    "DELETE FROM object WHERE state <> 'done' AND state IN ('damaged', 'failed', 'set aside') "
    "AND bucket = (SELECT number FROM bucket WHERE name = ?) AND time < ? AND ended < ?"
)

_ENTRIES = (
    "SELECT name, place, time, state, attempts, coalesce(reason, '') FROM object JOIN bucket ON number = bucket WHERE "
)


def _now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """The ledger in the file `path`; usable between `open` and `close`, by any number of threads.

    One process at a time may write: LedgerError where another has it open.  With `read_only` it can be looked at
    meanwhile.  Every method raises LedgerError where the file cannot be read or written.
    """

    def __init__(self, path: Path, *, read_only: bool = False, clock: Callable[[], datetime] = _now) -> None:
        self._path = path
        self._read_only = read_only
        self._clock = clock
        self._lock = Lock()
        self._owner: TextIO | None = None
        self._database: Connection | None = None
        self._numbers: dict[tuple[str, str | None, str | None], tuple[int, int]] = {}

    def open(self) -> Self:
        """Makes the file where there is none; sets a corrupt one aside and begins anew; takes up after a crash."""
        self._numbers.clear()
        with explained(self._path):
            if self._read_only:
                self._database = open_to_look(self._path)
                return self
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._owner = own(self._path)
            try:
                self._database = open_to_write(self._path, self._clock())
                self._take_up()
            except BaseException:
                self.close()
                raise
        return self

    def close(self) -> None:
        """Gives back the file; may be called again."""
        with self._lock:
            if self._database is not None:
                self._database.close()
            if self._owner is not None:
                self._owner.close()
            self._database = self._owner = None

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    # Where to look ----------------------------------------------------------------------------------------------------

    def first_seen(self, source_id: str, now: datetime) -> datetime:
        """The moment of the first ever pass over a source: `now` the first time, the same ever after."""
        self._run(
            "INSERT INTO source (id, first_seen) VALUES (?, ?) ON CONFLICT DO NOTHING", source_id, now.timestamp()
        )
        ((seconds,),) = self._run("SELECT first_seen FROM source WHERE id = ?", source_id)
        return datetime.fromtimestamp(seconds, UTC)

    def knows(self, source_id: str) -> bool:
        """Whether there was a pass over a source ever before."""
        return bool(self._run("SELECT 1 FROM source WHERE id = ?", source_id))

    def knows_any(self) -> bool:
        """Whether there was a pass over any source ever before."""
        return bool(self._run("SELECT 1 FROM source LIMIT 1"))

    def floor(self, source_id: str) -> date | None:
        """The earliest day that may still hold undone objects of a source; None before the first whole pass."""
        rows = self._run("SELECT floor FROM source WHERE id = ? AND floor IS NOT NULL", source_id)
        return date.fromisoformat(rows[0][0]) if rows else None

    def raise_floor(self, source_id: str, day: date) -> bool:
        """After a pass whose objects were all begun: nothing before `day` is listed any more.

        Never back; whether it moved.  What is undone is `waiting`, whatever its day.
        """
        moved = self._change(
            "INSERT INTO source (id, first_seen, floor) VALUES (?, ?, ?) ON CONFLICT DO UPDATE "
            "SET floor = excluded.floor WHERE coalesce(floor, '') < excluded.floor",
            *(source_id, self._clock().timestamp(), day.isoformat()),
        )
        return moved > 0

    def behind(self, source_id: str) -> dict[str, date]:
        """Folders that could not be looked at when the floor was raised, each with the first day to look at there."""
        rows = self._run("SELECT folder, day FROM behind WHERE source = ?", source_id)
        return {folder: date.fromisoformat(day) for folder, day in rows}

    def leave_behind(self, source_id: str, folders: Mapping[str, date]) -> None:
        """These are the folders behind now, and no others."""
        rows = [(source_id, folder, day.isoformat()) for folder, day in folders.items()]
        with self._lock, explained(self._path):
            database = self._opened()
            database.execute("BEGIN IMMEDIATE")
            with database:
                database.execute("DELETE FROM behind WHERE source = ?", (source_id,))
                database.executemany("INSERT INTO behind (source, folder, day) VALUES (?, ?, ?)", rows)

    def marker(self, source_id: str) -> str | None:
        """The key behind which a source whose keys rise with time is listed; None where that is from its first key."""
        rows = self._run("SELECT marker FROM source WHERE id = ? AND marker IS NOT NULL", source_id)
        return str(rows[0][0]) if rows else None

    def move_marker(self, source_id: str, key: str) -> bool:
        """Nothing up to `key` is looked for any more.  Never back, by the order of keys' bytes; whether it moved."""
        moved = self._change(
            "INSERT INTO source (id, first_seen, marker) VALUES (?, ?, ?) ON CONFLICT DO UPDATE "
            "SET marker = excluded.marker WHERE coalesce(marker, '') < excluded.marker",
            *(source_id, self._clock().timestamp(), key),
        )
        return moved > 0

    # What is to be done -----------------------------------------------------------------------------------------------

    def unknown(self, objects: Sequence[S3Object]) -> list[S3Object]:
        """Those still to be done, in the order given: never seen, or undone and not to be left alone at present."""
        rows = self._run(
            "SELECT value FROM json_each(?) WHERE EXISTS "
            "(SELECT 1 FROM object WHERE id = value AND NOT (state = 'undone' AND coalesce(retry_at, 0) <= ?))",
            json.dumps([item.id_prefix for item in objects]),
            self._seconds(),
        )
        known = {key for (key,) in rows}
        return [item for item in objects if item.id_prefix not in known]

    def interrupted(self) -> list[S3Object]:
        """What was under way when the program last died and has not ended since, oldest first."""
        return [
            entry.source
            for entry in self._entries("state <> 'done' AND state = 'undone' AND crashes > 0 ORDER BY object.time")
        ]

    def waiting(self, bucket: str) -> Iterator[S3Object]:
        """What is undone in a bucket and not to be left alone at present, the oldest first, each once.

        A pass takes these from here, for a listing need not find them again: they may lie before its floor.
        What becomes undone meanwhile is not given again.  `WAITING` of them are held.
        """
        time, last = -1 << 62, ""
        while entries := self._entries(
            "state <> 'done' AND state = 'undone' "  # the first is what the index `kept` is known by
            "AND object.bucket = (SELECT number FROM bucket WHERE name = ?) AND coalesce(retry_at, 0) <= ? "
            "AND (time, id) > (?, ?) ORDER BY time, id LIMIT ?",
            *(bucket, self._seconds(), time, last, WAITING),
        ):
            yield from (entry.source for entry in entries)
            newest = entries[-1].source
            time, last = int(newest.time.timestamp()), newest.id_prefix

    def kept(self, limit: int = 100, states: Collection[State] = KEPT_STATES) -> list[Entry]:
        """What is in one of `states` with its reason, the newest first; what is done has no place to tell any more."""
        return self._entries(
            "state <> 'done' AND state IN (SELECT value FROM json_each(?)) ORDER BY object.time DESC, id LIMIT ?",
            *(json.dumps(list(states)), limit),
        )

    def summary(self, buckets: Sequence[str] | None = None) -> Summary:
        """Counts over all that the ledger still remembers, or what it does of these buckets."""
        rows = self._run(_SUMMARY, None if buckets is None else json.dumps(buckets))
        ended = [row for row in rows if row[0] in {State.DONE, State.DAMAGED}]
        newest = max((row[4] for row in ended), default=None)
        return Summary(
            objects={State(row[0]): row[1] for row in rows},
            records=sum(row[2] for row in ended),
            newest=None if newest is None else datetime.fromtimestamp(newest, UTC),
            bytes=sum(row[3] for row in ended),
        )

    def expect(self, source: S3Object) -> None:
        """An object that no listing may come by is undone, where it is not known yet."""
        self._run(
            "INSERT INTO object (id, bucket, origin, state, time, bytes, place) VALUES (?, ?, ?, 'undone', ?, ?, ?) "
            "ON CONFLICT DO NOTHING",
            *(source.id_prefix, *self._numbered(source), int(source.time.timestamp()), source.size, place_of(source)),
        )

    def state(self, source: S3Object) -> State | None:
        """What became of an object; None where it was never seen, or is forgotten."""
        rows = self._run("SELECT state FROM object WHERE id = ?", source.id_prefix)
        return State(rows[0][0]) if rows else None

    def doubt(self, until: datetime) -> None:
        """Objects whose time is before `until` may be out already, although the ledger does not know of them.

        After a ledger was lost: `begin` returns 2 at least for each of these, now and after a restart.  Never back.
        """
        self._run("UPDATE doubt SET until = max(until, ?)", math.ceil(until.timestamp()))

    # What becomes of an object ----------------------------------------------------------------------------------------

    def begin(self, source: S3Object) -> int:
        """It is under way.  Which attempt this is: above 1, documents of it may be out already; see `doubt` too."""
        time = int(source.time.timestamp())
        ((attempt,),) = self._run(
            "INSERT INTO object (id, bucket, origin, state, time, attempts, bytes, place) "
            "VALUES (?, ?, ?, 'under way', ?, 1, ?, ?) ON CONFLICT DO UPDATE SET state = 'under way', "
            "attempts = attempts + 1, origin = excluded.origin, bytes = max(bytes, excluded.bytes), "
            "place = excluded.place, ended = NULL, retry_at = NULL, reason = NULL "
            "RETURNING max(attempts, 1 + (time < (SELECT until FROM doubt)))",
            *(source.id_prefix, *self._numbered(source), time, source.size, place_of(source)),
        )
        return int(attempt)

    def finish(self, outcome: Outcome) -> None:
        """Every record of it is out, there already or a dead letter: done, or damaged where it broke off."""
        state = State.DAMAGED if outcome.damage else State.DONE
        with self._lock, explained(self._path):
            filtered = ledger_filtered.text_of(self._opened(), outcome.dropped)
        self._end(outcome.source, state, outcome.damage, outcome.records, filtered=filtered)

    def fail(self, source: S3Object, reason: str) -> State:
        """It could not be done this time: undone, and failed for good once it was tried often and long enough."""
        now = self._clock()
        failures, failing = self._failed(source)
        if failures >= ATTEMPTS and now.timestamp() - failing >= PATIENCE.total_seconds():
            self._end(source, State.FAILED, f"{reason} (attempt {failures})")
            return State.FAILED
        wait = min(FIRST_WAIT * 2 ** min(failures - 1, 20), LONGEST_WAIT)
        self._end(source, State.UNDONE, reason, retry_at=int((now + wait).timestamp()))
        return State.UNDONE

    def release(self, source: S3Object, reason: str = "") -> None:
        """It was left undone for a cause that is not its own (a stop, an output that refuses); no failure counts."""
        self._end(source, State.UNDONE, reason or None)

    def set_aside(self, source: S3Object, reason: str, instead: S3Object | None = None) -> None:
        """It will not be tried again by itself; what lies there instead will, whether or not a listing comes by it."""
        if instead:
            self.expect(instead)
        self._end(source, State.SET_ASIDE, reason)

    def buckets(self) -> frozenset[str]:
        """The buckets of which it knows, or knew, objects."""
        return frozenset(name for (name,) in self._run("SELECT name FROM bucket"))

    def prune(self, bucket: str, floor: date, told: timedelta = timedelta()) -> int:
        """Forgets what is done and older than `floor`, the lowest floor of the bucket's sources; how many those were.

        What a message may still name stays for `told` after its end, what is damaged, failed or set aside KEPT longer.
        """
        before, ended = datetime.combine(floor, time(), UTC), self._clock() - told
        if told:  # what ended before that is older still by its own time, and the index goes by that
            before = min(before, ended)
        return self._forget(bucket, int(before.timestamp()), math.ceil(ended.timestamp()) + 1)

    def prune_ended(self, bucket: str, before: datetime) -> int:
        """The same by when objects ended, for what is found by messages and has no floor: done before `before`.

        It costs what is deleted, and a look at those whose own time is before `before` and that ended since.
        """
        return self._forget(bucket, int(before.timestamp()), int(before.timestamp()))

    # What lasts -------------------------------------------------------------------------------------------------------

    def report(self, scope: str, faults: Mapping[str, str]) -> None:
        """The troubles that a scope (a source's id, `inventory REGION`) has now: what, and the reason; none clears it.

        Those that go on keep their `since`.  What is kept has its limits: see ledger_troubles.py.
        """
        with self._lock, explained(self._path):
            ledger_troubles.report(self._opened(), scope, faults, self._seconds())

    def troubles(self) -> list[Trouble]:
        """All that last, by scope, the longest first."""
        with self._lock, explained(self._path):
            return ledger_troubles.all_of(self._opened())

    def keep_troubles(self, scopes: Collection[str]) -> None:
        """Forgets the troubles of any other scope: of sources that the configuration no longer has."""
        self._run("DELETE FROM trouble WHERE scope NOT IN (SELECT value FROM json_each(?))", json.dumps(list(scopes)))

    # Who owned what ---------------------------------------------------------------------------------------------------

    def still(self) -> AbstractContextManager[object]:
        """Within it the rows are those of one moment: nobody but their one reader writes them."""
        return nullcontext()

    def rows(self, table: str) -> Iterator[Row]:
        """All rows of a table of ledger_ownership.COLUMNS, in the order of their numbers."""
        after = -1
        while chunk := self._owned(table, after):
            yield from chunk
            after = chunk[-1][0]

    def remember(self, rows: Mapping[str, Iterable[Row]], gone: Mapping[str, Iterable[int]]) -> None:
        """Puts rows of such tables in the place of those of their number and deletes others: all of it or nothing."""
        with self._lock, explained(self._path):
            ledger_ownership.write(self._opened(), rows, gone)

    def _owned(self, table: str, after: int) -> list[Row]:
        with self._lock, explained(self._path):
            return ledger_ownership.read(self._opened(), table, after)

    def reporters(self) -> list[tuple[str, int, int]]:
        """Interfaces that report their flows: the seconds since 1970 of the first record of each, and of the last."""
        return [(str(name), int(first), int(last)) for name, first, last in self._run("SELECT * FROM reporter")]

    def keep_reporters(self, times: Mapping[str, tuple[int, int]]) -> None:
        """Puts these in the place of what was known of them; who was silent long before the last one is forgotten."""
        known = json.dumps([[name, first, last] for name, (first, last) in times.items()])
        values = "value ->> 0, value ->> 1, value ->> 2"
        self._run(f"REPLACE INTO reporter SELECT {values} FROM json_each(?)", known)  # noqa: S608 - our own text
        kept = int(REPORTERS_KEPT.total_seconds())
        self._run("DELETE FROM reporter WHERE last < (SELECT max(last) FROM reporter) - ?", kept)

    # Inside -----------------------------------------------------------------------------------------------------------

    def _failed(self, source: S3Object) -> tuple[int, int]:
        """Counts one more failure of its own: how many that makes, and since when."""
        rows = self._run(
            "UPDATE object SET failures = failures + 1, failing = coalesce(failing, ?) WHERE id = ? "
            "RETURNING failures, failing",
            self._seconds(),
            source.id_prefix,
        )
        if not rows:
            raise LedgerError(f"{self._path}: {source} ended without having begun")
        return rows[0][0], rows[0][1]

    def _end(  # noqa: PLR0913  one column each
        self,
        source: S3Object,
        state: State,
        reason: str | None,
        records: int = 0,
        *,
        retry_at: int | None = None,
        filtered: str | None = None,
    ) -> None:
        """One row's new state; only what is done needs no place any more, as nobody will ask for it."""
        done = state is State.DONE
        ended = self._change(
            "UPDATE object SET state = ?, reason = ?, records = ?, retry_at = ?, ended = ?, "
            "place = CASE WHEN ? THEN NULL ELSE place END, "
            "filtered = CASE WHEN ? THEN ? ELSE filtered END WHERE id = ?",
            *(state, reason, records, retry_at, self._seconds()),
            *(done, done or state is State.DAMAGED, filtered, source.id_prefix),
        )
        if not ended:
            raise LedgerError(f"{self._path}: {source} ended without having begun")

    def _entries(self, condition: str, *values: object) -> list[Entry]:
        rows = self._run(_ENTRIES + condition, *values)
        return [Entry(object_of(row), State(row[3]), row[4], row[5]) for row in rows]

    def _take_up(self) -> None:
        """What an earlier process left under way is undone.

        After CRASHES of these it is left alone for a while, so that others get on: it may be the cause, or only have
        been there.  Failed, once that goes on for PATIENCE.
        """
        now = self._seconds()
        failed = self._change(
            "UPDATE object SET state = 'failed', crashes = crashes + 1, ended = ?1, reason = 'the program died ' || "
            "(crashes + 1) || ' times while this was under way' "
            "WHERE state = 'under way' AND crashes + 1 >= ?2 AND failing <= ?3",
            *(now, CRASHES, now - int(PATIENCE.total_seconds())),
        )
        if failed:
            log.error("%d objects are set aside: the program died time and again while they were under way", failed)
        self._run(
            "UPDATE object SET state = 'undone', crashes = crashes + 1, failing = coalesce(failing, ?1), "
            "retry_at = CASE WHEN crashes + 1 >= ?2 THEN ?1 + min(?3 << min(crashes + 1 - ?2, 20), ?4) END "
            "WHERE state = 'under way'",
            *(now, CRASHES, int(FIRST_WAIT.total_seconds()), int(LONGEST_WAIT.total_seconds())),
        )

    def _numbered(self, source: S3Object) -> tuple[int, int]:
        """`numbers_of` an object, looked up once."""
        key = (source.bucket, source.account, source.region)
        with self._lock, explained(self._path):
            if key not in self._numbers:
                if len(self._numbers) >= REMEMBERED:
                    self._numbers.clear()
                self._numbers[key] = numbers_of(self._opened(), source)
            return self._numbers[key]

    def _forget(self, bucket: str, before: int, ended: int) -> int:
        """What is older than `before` by its own time and ended before `ended`, in seconds; how many those were."""
        kept = min(ended, int((self._clock() - KEPT).timestamp()))
        return self._change(_FORGET, bucket, before, ended) + self._change(_FORGET_KEPT, bucket, before, kept)

    def _seconds(self) -> int:
        return int(self._clock().timestamp())

    def _run(self, statement: str, *values: object) -> list[Row]:
        """All rows of one statement, which is a transaction of its own."""
        with self._lock, explained(self._path):
            return self._opened().execute(statement, values).fetchall()

    def _change(self, statement: str, *values: object) -> int:
        """How many rows one statement, a transaction of its own, changed."""
        with self._lock, explained(self._path):
            return self._opened().execute(statement, values).rowcount

    def _opened(self) -> Connection:
        if self._database is None:
            raise LedgerError(f"the ledger {self._path} is not open")
        return self._database
