"""Where in a CSV list what stands: the delimiter, the header, and what the columns mean."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exporter.errors import FeedError
from exporter.lists.indicator_values import networks_of

DELIMITERS = (",", ";", "\t", "|")

ROLES: dict[str, tuple[str, ...]] = {
    "valid_from": ("valid_from",),
    "valid_until": ("valid_until", "valid_to", "expires", "expires_at", "expiry", "expiration", "expiration_date"),
    "first_seen": ("first_seen", "first_seen_utc", "firstseen", "date_added", "dateadded", "created", "created_at"),
    "last_seen": ("last_seen", "last_seen_utc", "lastseen", "last_online", "last_report"),
    "modified_at": ("modified", "modified_at", "updated", "updated_at", "last_modified", "last_updated"),
    "confidence": ("confidence", "confidence_level", "confidence_score"),
    "provider": ("provider", "source", "reporter"),
    "description": ("description", "comment", "notes"),
    "kind": ("threat", "threat_type", "malware", "malware_printable", "malware_family", "category", "type", "tags"),
    "tlp": ("tlp",),
    "reference": ("reference", "url", "link"),
    "port": ("port", "dst_port", "dest_port", "destination_port"),
    "id": ("id", "ioc_id", "uuid"),
}
"""Names of columns that lists use, in small letters with _ between words, for each thing that is told of indicators."""


@dataclass(frozen=True, slots=True)
class Table:
    """How a CSV list is written: `column` has the indicators; `header` is the line, no comment, that names columns."""

    delimiter: str
    column: int
    roles: Mapping[str, Sequence[int]]
    header: str | None = None

    def cells(self, line: str) -> list[str]:
        """The values of a line, without quotes and blanks around them."""
        return cells_of(line, self.delimiter)


def is_comment(line: str, delimiter: str = "") -> bool:
    """Whether a whole line is a comment."""
    return line.startswith("#" if delimiter == ";" else ("#", "//", ";"))


def cells_of(line: str, delimiter: str) -> list[str]:
    """The values of a line, without quotes and blanks around them; none of a line that cannot be read."""
    if '"' not in line:
        return [cell.strip() for cell in line.split(delimiter)]
    quoted = line[1:-1].split(f'"{delimiter}"')
    if line[0] == line[-1] == '"' and line.count('"') == 2 * len(quoted):
        return [cell.strip() for cell in quoted]  # what most lists look like, and quicker so
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])]
    except csv.Error:
        return []


def delimiter_of(lines: Sequence[str]) -> str | None:
    """What stands between the values of nearly all lines, as often in each; None where nothing does.

    A semicolon behind a blank begins a comment.
    """
    for delimiter in DELIMITERS:
        rows = [line for line in lines if not is_comment(line, delimiter)]
        counts = [len(cells_of(line, delimiter)) for line in rows if not (delimiter == ";" and re.search(r"\s;", line))]
        often = max(set(counts), key=counts.count, default=1)
        if often > 1 and counts.count(often) >= 0.9 * len(rows):
            return delimiter
    return None


def table_of(lines: Sequence[str], column: str | None) -> Table:
    """How the list is written that begins with these lines; FeedError where no column can have the indicators.

    The header is the first line, unless that has an address; or the last comment before it that has as many values.
    `column` is its name in the header, or its number, from 1; without one it is the first column where most values are
    addresses, else the one that has the most.
    """
    delimiter = delimiter_of(lines) or ","
    rows = [line for line in lines if not is_comment(line, delimiter)]
    if not rows:
        raise FeedError("expected CSV, and there are only comments")
    header, names = _header(lines, rows, delimiter)
    values = [cells_of(line, delimiter) for line in rows if line != header]
    roles = {role: [names.index(name) for name in known if name in names] for role, known in ROLES.items()}
    place = _column(values, names) if column is None else _named(column, names, values)
    return Table(delimiter, place, {role: places for role, places in roles.items() if places}, header)


def _header(lines: Sequence[str], rows: Sequence[str], delimiter: str) -> tuple[str | None, list[str]]:
    """The line that is no row though it is no comment, and the names of the columns, as far as these are told."""
    first = cells_of(rows[0], delimiter)
    if not any(map(networks_of, first)) and all(re.fullmatch(r"[^0-9\W][\w .:/()-]{0,63}", name) for name in first):
        return rows[0], [_plain_name(name) for name in first]
    comments = [line.lstrip("#/; ") for line in lines[: lines.index(rows[0])]]
    named = [names for line in comments if len(names := cells_of(line, delimiter)) == len(first) > 1]
    return None, [_plain_name(name) for name in named[-1]] if named else []


def _plain_name(name: str) -> str:
    return re.sub(r"\W+", "_", name.strip().lower()).strip("_")


def _named(column: str, names: list[str], values: list[list[str]]) -> int:
    if _plain_name(column) in names:
        return names.index(_plain_name(column))
    width = max(map(len, values), default=len(names))
    if column.isdecimal() and 0 < int(column) <= width:
        return int(column) - 1
    has = f"its columns are {', '.join(names)}" if names else "it names none"
    raise FeedError(f"has no column {column!r}: {has}; expected the name of one, or its number from 1 to {width}")


def _column(values: list[list[str]], names: list[str]) -> int:
    shares = []
    for place in range(max(map(len, values), default=0)):
        cells = [row[place] for row in values if len(row) > place and row[place]]
        shares.append(sum(1 for cell in cells if networks_of(cell)) / len(cells) if cells else 0)
    if not any(shares):
        has = f" ({', '.join(names)})" if names else ""
        raise FeedError(f"has no column of addresses or networks{has}; the option column can name one")
    return next((place for place, share in enumerate(shares) if share > 0.5), shares.index(max(shares)))  # noqa: PLR2004 - most
