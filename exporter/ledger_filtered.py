"""What filters dropped, as the ledger counts it: each object once, with what it was when it was last done.

Each object's row has its own counts, and a trigger of the file keeps the sums (see ledger_schema.py): in the statement
that says that the object is done, which takes back what an earlier time had counted of the same object.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from exporter.flow import Counts
from exporter.ledger_file import Connection


@dataclass(frozen=True, slots=True)
class Filtered:
    """Records by a rule and what it did with them; when an object with such first ended, and when one last did."""

    rule: str
    outcome: str
    records: int
    since: datetime
    last: datetime


def text_of(database: Connection, counts: Counts) -> str | None:
    """Counts as an object's row has them, by the numbers of `filtered`, which are made where there are none."""
    if not counts:
        return None
    numbers = _numbers(database)
    if fresh := [key for key in counts if key not in numbers]:
        database.executemany("INSERT INTO filtered (rule, outcome) VALUES (?, ?) ON CONFLICT DO NOTHING", fresh)
        numbers = _numbers(database)
    return json.dumps({numbers[key]: count for key, count in counts.items()}, separators=(",", ":"))


def all_of(database: Connection) -> list[Filtered]:
    """All that was ever counted, rule by rule as they first were."""
    rows = database.execute(
        "SELECT rule, outcome, records, since, last FROM filtered AS each WHERE since IS NOT NULL "
        "ORDER BY (SELECT min(number) FROM filtered WHERE rule = each.rule), number"
    ).fetchall()
    return [
        Filtered(rule, outcome, records, datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(last, UTC))
        for rule, outcome, records, since, last in rows
    ]


def _numbers(database: Connection) -> dict[tuple[str, str], int]:
    rows = database.execute("SELECT rule, outcome, number FROM filtered").fetchall()
    return {(rule, outcome): number for rule, outcome, number in rows}
