"""What a command may change in the ledger beside the daemon that owns it: objects are to be tried again."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

from exporter.errors import LedgerError
from exporter.flow import S3Object
from exporter.ledger import State
from exporter.ledger_file import Connection, as_guest, explained, open_to_look
from exporter.ledger_rows import numbers_of, place_of

FAILED = (State.FAILED, State.DAMAGED, State.SET_ASIDE)
"""What is not tried again by itself."""

RETRIED = (*FAILED, State.UNDONE)
"""What can be tried again now; what is undone may be waiting for its time."""

_ANEW = (
    "state = 'undone', records = 0, failures = 0, failing = NULL, crashes = 0, retry_at = NULL, ended = NULL, "
    "reason = NULL"
)
"""Attempts stay: above 1, documents of the object may be out already."""

_RETRY = f"UPDATE object SET {_ANEW} WHERE state <> 'done' AND state IN (SELECT value FROM json_each(?))"  # noqa: S608 - our own text

_OF_BUCKETS = "(? IS NULL OR bucket IN (SELECT number FROM bucket WHERE name IN (SELECT value FROM json_each(?))))"

_ELSEWHERE = (
    "SELECT name, count(*) FROM object JOIN bucket ON bucket.number = object.bucket "  # noqa: S608 - our own text
    f"WHERE state <> 'done' AND state IN (SELECT value FROM json_each(?)) AND NOT {_OF_BUCKETS}"
)

_KEY = "substr(place, 1, length(?)) = ? AND ? IN ('', (SELECT name FROM bucket WHERE number = object.bucket))"

_AGAIN = (
    "INSERT INTO object (id, bucket, origin, state, time, attempts, place) "  # noqa: S608 - our own text
    "VALUES (?, ?, ?, 'undone', ?, 1, ?) "
    f"ON CONFLICT DO UPDATE SET {_ANEW}, place = excluded.place WHERE state = 'done'"
)


def retry(path: Path, states: Sequence[State], buckets: Iterable[str] | None = None) -> int:
    """Makes all objects in `states` undone, as if they had never failed, for the next pass; how many those are.

    Only those of `buckets`, where these are given.  Raises LedgerError where the ledger cannot be used.
    """
    with explained(path), as_guest(path) as database:
        return database.execute(f"{_RETRY} AND {_OF_BUCKETS}", (_json(states), *_among(buckets))).rowcount


def elsewhere(path: Path, states: Sequence[State], buckets: Iterable[str] | None, key: str = "") -> dict[str, int]:
    """Buckets that are none of `buckets` (None: all), with how many objects in `states` each has.

    Of `key` alone, where it is given.  Raises LedgerError where the ledger cannot be used.
    """
    narrowed, values = (f" AND {_KEY}", _values(key)) if key else ("", ())
    with explained(path), as_guest(path) as database:
        query = f"{_ELSEWHERE}{narrowed} GROUP BY name ORDER BY name"
        return dict(database.execute(query, (_json(states), *_among(buckets), *values)).fetchall())


def doubt(path: Path, until: datetime) -> None:
    """Objects whose time is before `until` may be out although the daemon's ledger does not know of them.

    Nothing where there is no ledger.  Raises LedgerError where it cannot be used.
    """
    if path.exists():
        with explained(path), as_guest(path) as database:
            database.execute("UPDATE doubt SET until = max(until, ?)", (math.ceil(until.timestamp()),))


def retry_keys(path: Path, keys: Mapping[str, Sequence[S3Object]], buckets: Iterable[str] | None = None) -> int:
    """The same for the objects of these keys (s3://BUCKET/KEY, or a key in any bucket), the waiting ones included.

    Every version of an object that the ledger knows is meant.  Where it knows none to try again, it is the key's
    objects here, which the ledger knows as done or has forgotten.  All or nothing: LedgerError names the keys that are
    none of all this.
    """
    with explained(path), as_guest(path) as database:
        changed = {
            key: database.execute(
                f"{_RETRY} AND {_OF_BUCKETS} AND {_KEY}", (_json(RETRIED), *_among(buckets), *_values(key))
            ).rowcount
            or sum(_again(database, source) for source in done)
            for key, done in keys.items()
        }
        if unknown := [key for key, count in changed.items() if not count]:
            raise LedgerError(
                f"nothing was changed, for there is nothing to try again under {', '.join(unknown)}: such an object is "
                "under way, or done without dead letters, or was never seen; `objects list` shows what there is"
            )
    return sum(changed.values())


def _again(database: Connection, source: S3Object) -> int:
    """An object that was done is undone; 1, or 0 where it is under way."""
    values = (source.id_prefix, *numbers_of(database, source), int(source.time.timestamp()), place_of(source))
    return database.execute(_AGAIN, values).rowcount


def _values(key: str) -> tuple[str, str, str]:
    """Values for `_KEY`: how the ledger's text for an object of this key begins, twice, and the bucket's name."""
    bucket, _, below = key.removeprefix("s3://").partition("/") if key.startswith("s3://") else ("", "", key)
    begins = json.dumps([below])[:-1] + ", "
    return begins, begins, bucket


def _among(buckets: Iterable[str] | None) -> tuple[str | None, str | None]:
    """Values for `_OF_BUCKETS`."""
    names = None if buckets is None else _json(buckets)
    return names, names


def _json(texts: Iterable[str]) -> str:
    return json.dumps(list(texts))


def reporters(path: Path) -> list[tuple[str, int, int]]:
    """What Ledger.reporters says, of a ledger that another program may have open; nothing where there is none.

    Raises LedgerError where it cannot be used.
    """
    if not path.exists():
        return []
    with explained(path), closing(open_to_look(path)) as database:
        rows = database.execute("SELECT interface, first, last FROM reporter").fetchall()
    return [(str(name), int(first), int(last)) for name, first, last in rows]
