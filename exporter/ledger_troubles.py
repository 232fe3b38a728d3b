"""Faults that last, as the ledger keeps them for people: where, what, since when and why."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from exporter.ledger_file import Connection

LIMIT = 100
"""Troubles of one scope that are kept one by one, the first by name; the rest is one more, which counts them."""

OTHERS = "others"
"""What that one is about."""

LONGEST = 500
"""Characters of a trouble's name and of its reason that are kept; AWS's answers can be long."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault that lasts: whose it is (a source's id, `inventory REGION`), what has it, since when, why."""

    scope: str
    what: str
    since: datetime
    reason: str


def report(database: Connection, scope: str, faults: Mapping[str, str], now: int) -> None:
    """`faults` are a scope's troubles from `now` on; a file that says so already is not written."""
    named = dict(sorted((_short(what), _short(reason)) for what, reason in faults.items())[:LIMIT])
    if len(faults) > LIMIT:
        named[OTHERS] = f"{len(faults) - LIMIT:,} more are like these, and only told in the log"
    rows = [(scope, what, now, reason) for what, reason in named.items()]
    database.execute("BEGIN IMMEDIATE")
    with database:
        database.execute(
            "DELETE FROM trouble WHERE scope = ? AND what NOT IN (SELECT value FROM json_each(?))",
            (scope, json.dumps(list(named))),
        )
        database.executemany(
            "INSERT INTO trouble (scope, what, since, reason) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE "
            "SET reason = excluded.reason WHERE reason <> excluded.reason",
            rows,
        )


def all_of(database: Connection) -> list[Trouble]:
    """Every trouble, by scope, the longest first."""
    rows = database.execute("SELECT scope, what, since, reason FROM trouble ORDER BY scope, since, what").fetchall()
    return [Trouble(scope, what, datetime.fromtimestamp(since, UTC), reason) for scope, what, since, reason in rows]


def _short(text: str) -> str:
    """At most LONGEST characters, all of them such that SQLite takes them: keys and answers come from others."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
