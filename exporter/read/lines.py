"""One line at a time: headers, and what is wrong with a line.  Only for pieces that the fast way refused."""

import re
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from exporter import fields
from exporter.fields import Kind
from exporter.flow import BadLine
from exporter.read.dialects import BLANKS, LONGEST_HEADER, MOST_FIELDS, Dialect, fields_of

BOM = b"\xef\xbb\xbf"
IPV4_BYTES = 4
MILLISECONDS_FROM = 10**11
MICROSECONDS_FROM = 10**14
LATEST = 253_402_300_799 * 10**6
"""The last microsecond number that is a time Elasticsearch takes: the end of the year 9999."""

PLUS = re.compile(rb"(?:^|[\s\x1f])\+\d")
"""A plus before digits: polars reads +5 as 5, but no flow log writes it."""

_NAME = re.compile(rb"\$?\{?[A-Za-z][A-Za-z0-9_-]*\}?")
_DIGITS = re.compile(rb"[0-9]+")
_MOST_DIGITS = len(str(2**63 - 1))
_MISSING = b"-"

MOST_HEADER_NAMES = 1000
"""In a header: AWS knows fewer than a hundred fields, and each of an object's dead letters tells them."""
TEXTS = frozenset({Kind.KEYWORD, Kind.ACCOUNT, Kind.TAG})
"""Kinds that may be any text."""

_LARGEST: dict[Kind, int] = {
    Kind.COUNT: 2**63 - 1,
    Kind.PORT: 65_535,
    Kind.OCTET: 255,
    Kind.CODE: 65_535,
    Kind.TIME: LATEST,
}


@dataclass(slots=True)
class Segment:
    """Lines of one format: the good ones as normal lines, their rows, what is not good, and the good as they stand."""

    columns: tuple[str, ...]
    text: bytes = b""
    rows: list[int] = field(default_factory=list)
    bad: list[BadLine] = field(default_factory=list)
    skipped: int = 0
    lines: list[bytes] = field(default_factory=list, compare=False)


def header_columns(line: bytes, dialect: Dialect = BLANKS) -> tuple[str, ...] | None:
    """The columns a header line names; None where the line is no header.

    A header has only names, more than half of them known: an interface id or `-` makes a line a record.
    """
    if len(line) > LONGEST_HEADER:
        return None
    names = dialect.split(line.removeprefix(BOM))
    if not 0 < len(names) <= MOST_HEADER_NAMES or not all(_NAME.fullmatch(name) for name in names):
        return None
    return named_columns([name.decode("ascii") for name in names])


def named_columns(names: Sequence[str]) -> tuple[str, ...] | None:
    """The columns that a header or a schema names; None where not even more than half of the names are known."""
    known = sum(fields.field_named(name) is not None for name in names)
    return unique(fields.columns_of(names)) if 2 * known > len(names) else None


def unique(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Columns with each name once: a field named a second time becomes `extra.NAME.2`, so that nothing is lost."""
    seen: Counter[str] = Counter()
    result = dict[str, None]()
    for column in columns:
        once = column
        while once in result:
            seen[column] += 1
            once = f"extra.{column.removeprefix('extra.')}.{seen[column] + 1}"
        result[once] = None
    return tuple(result)


def examine(text: bytes, row: int, columns: tuple[str, ...], dialect: Dialect = BLANKS) -> Iterator[Segment]:
    """The lines of `text` (ending in a newline), the first being `row`, sorted into segments of one format each.

    The last segment tells the columns in force after it, even where it is empty.
    """
    segment, good = Segment(columns), list[bytes]()
    if text.isspace():
        segment.skipped = text.count(b"\n")
        yield segment
        return
    for number, line in enumerate(text[:-1].split(b"\n"), row):
        tokens = fields_of(line, dialect)
        header = header_columns(line, dialect)
        if header and header != segment.columns and (segment.rows or segment.bad):
            segment.text, good = b"".join(good), []
            yield segment
            segment = Segment(header)
        if header or not tokens:
            segment.columns = header or segment.columns
            segment.skipped += 1
        elif reason := fault(tokens, segment.columns):
            segment.bad.append(BadLine.of(number, reason, line))
        else:
            segment.rows.append(number)
            segment.lines.append(line)
            good.append(dialect.separator.join(tokens) + b"\n")
    segment.text = b"".join(good)
    yield segment


def fault(tokens: list[bytes], columns: tuple[str, ...]) -> str | None:
    """What is wrong with a line's fields, in plain words; None where it is a record."""
    count = len(tokens)
    if count != len(columns):
        if tokens[0].startswith(b"{"):
            return "JSON without a `message`, which is where a log event has its record"
        number = f"more than {MOST_FIELDS:,}" if count > MOST_FIELDS else count
        return f"{number} field{'s' * (count != 1)} where the format has {len(columns)}"
    for token, column in zip(tokens, columns, strict=True):
        reason = None if token == _MISSING else _value_fault(token, fields.BY_COLUMN.get(column))
        if reason:
            return f"{column}: {reason}"
    return None


def _value_fault(token: bytes, known: fields.Field | None) -> str | None:
    try:
        text = token.decode()
    except UnicodeDecodeError as error:
        return f"invalid UTF-8 at byte {error.start} of the field"
    if any(character < " " for character in text):
        return "a control character"
    if known is None or known.kind in TEXTS:
        return None
    if known.kind is Kind.ADDRESS:
        return None if _is_address(text) else f"{text[:60]!r} is not an IPv4 or IPv6 address"
    if not _DIGITS.fullmatch(token):
        return f"{text[:60]!r} is not a number"
    largest, digits = _LARGEST[known.kind], token.lstrip(b"0") or b"0"
    fits = len(digits) <= _MOST_DIGITS and int(digits) <= largest
    return None if fits else f"{text[:60]} is larger than {largest}"


def packed(address: str) -> bytes:
    """An address's 4 or 16 bytes in network order; OSError or ValueError for a text that is none."""
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def _is_address(text: str) -> bool:
    try:
        packed(text)
    except (OSError, ValueError):
        return False
    return True
