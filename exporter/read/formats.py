"""Which fields an object's lines have, and how these are written.

The header says so, else a format given from elsewhere that fits, else it is the version 2 default where the first line
is one of its records.  The number of fields alone never decides.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from exporter import fields
from exporter.errors import Unrecognised
from exporter.read import lines
from exporter.read.dialects import BLANKS, DIALECTS, LONGEST_HEADER, Dialect, fields_of

HEADER, DEFAULT, NOTHING = "its header", "the version 2 default", "nothing so far"

_DEFAULT_COLUMNS = fields.columns_of(fields.DEFAULT_FORMAT)

_RECORD = re.compile(rb"^[^\S\n]*(?!\{|\[\s*\{)\S", re.MULTILINE)
"""The first line that is neither blank nor JSON, of which nothing but log events comes here."""

_EVENTS = "expected objects with `message` or `logEvents`, as Firehose and CloudWatch Logs write them"

_SAMPLE = 20
"""Lines of which one at least must fit a format that was given: the first may be broken."""

_DEFAULT_SAYS = {"version": {b"2"}, "log_status": {b"OK", b"NODATA", b"SKIPDATA"}}
"""What tells a record of the default format from 14 words that happen to fit."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """How lines are written and what their fields are; the text's first `header_bytes` are a header line."""

    dialect: Dialect
    columns: tuple[str, ...]
    told_by: str
    header_bytes: int = 0


def recognised(text: bytes, formats: Callable[[], Iterable[tuple[str, tuple[str, ...]]]]) -> Recognised:
    """What the first lines of an object tell; `formats` is asked only where there is no header.

    Raises Unrecognised, with what does not fit in each format, where none does.
    """
    begin = _RECORD.search(text)
    if begin is None and (line := text.strip().partition(b"\n")[0]):
        raise Unrecognised(f"this is JSON without log events; {_EVENTS}: {line[:80]!r}")
    if begin is None:
        return Recognised(BLANKS, _DEFAULT_COLUMNS, NOTHING)
    first = text[begin.start() : text.index(b"\n", begin.start()) + 1]
    if len(first) > LONGEST_HEADER:
        raise Unrecognised(f"the first line is longer than {LONGEST_HEADER:,} bytes")
    for dialect in DIALECTS:
        if columns := lines.header_columns(first, dialect):
            return Recognised(dialect, columns, HEADER, 0 if begin.start() else len(first))
    return _fitting(text[begin.start() :], first, formats)


def _fitting(text: bytes, first: bytes, formats: Callable[[], Iterable[tuple[str, tuple[str, ...]]]]) -> Recognised:
    reasons = []
    sample = [line for line in text[: LONGEST_HEADER * 2].split(b"\n", 4 * _SAMPLE)[:-1] if line.strip()][:_SAMPLE]
    for told_by, names in formats():
        if not names:
            reasons.append(told_by)
            continue
        columns = lines.unique(fields.columns_of(names))
        for dialect in DIALECTS:
            if any(_fault(line, dialect, columns) is None for line in sample):
                return Recognised(dialect, columns, told_by)
        reasons.append(f"nor a record of the format by {told_by} ({_first_fault(first, columns)})")
    for dialect in DIALECTS:
        if _fault(first, dialect, _DEFAULT_COLUMNS) is None:
            if not (fault := _default_fault(first, dialect)):
                return Recognised(dialect, _DEFAULT_COLUMNS, DEFAULT)
            break
    else:
        fault = _first_fault(first, _DEFAULT_COLUMNS)
    reasons.append(f"nor a record of {DEFAULT} format ({fault})")
    raise Unrecognised(
        f"the first line is no header, {', '.join(reasons)}: {first[:80]!r}; `format` in the configuration, or "
        "--format, can name its fields"
    )


def _fault(line: bytes, dialect: Dialect, columns: tuple[str, ...]) -> str | None:
    tokens = fields_of(line, dialect)
    return lines.fault(tokens, columns) if tokens else "a blank line"


def _default_fault(line: bytes, dialect: Dialect) -> str | None:
    for column, token in zip(_DEFAULT_COLUMNS, fields_of(line, dialect), strict=True):
        if column in _DEFAULT_SAYS and token not in _DEFAULT_SAYS[column]:
            return f"{column}: {token[:60].decode('utf-8', 'replace')!r} is none of that format"
    return None


def _first_fault(line: bytes, columns: tuple[str, ...]) -> str | None:
    """What is wrong with a line in the dialect that comes nearest: the one that finds most fields."""
    dialect = max(DIALECTS, key=lambda each: len(each.split(line)))
    return _fault(line, dialect, columns)
