"""The ways in which a line's fields are written, as data.

Every dialect turns its lines into *normal* lines, which alone are split into columns: all fields there, one separator
between them, one of MISSING for one without a value (nothing only where the separator is no blank).
"""

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LONGEST_LINE = 8 * 1024 * 1024
"""Bytes of a line, and of a row's text."""

LONGEST_HEADER = 64 * 1024
MOST_FIELDS = LONGEST_HEADER // 2
"""More than a header can name; a line may have millions, and each costs 40 bytes."""

MISSING = frozenset({b"", b"-", b"null", b"NULL"})
"""What stands for no value: `-` is AWS's own, the others come from databases."""

MISSING_TEXTS = [text.decode() for text in MISSING]

UNIT = b"\x1f"
"""Separates the fields of normal lines in which a value may have blanks."""
_STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z ")
_STAMP_MARKS = {4: b"-", 7: b"-", 10: b"T", 13: b":", 16: b":", 19: b".", 23: b"Z", 24: b" "}
_STAMP_DIGITS = [place for place in range(23) if place not in (4, 7, 10, 13, 16, 19)]
_STAMP_LENGTH = len("2026-01-01T00:00:00.000Z ")


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way of writing a line: its container's name, and how its fields come apart.

    `normal` turns whole lines, each ended by a newline, into as many normal ones, or says None where it is not sure;
    `split` gives one line's fields as they stand, none for a blank line.
    """

    container: str
    separator: bytes
    normal: Callable[[bytes], bytes | None]
    split: Callable[[bytes], list[bytes]]


def fields_of(line: bytes, dialect: Dialect) -> list[bytes]:
    """One line's fields, `-` for each without a value; none for a blank line."""
    return [b"-" if field in MISSING else field for field in dialect.split(line)]


def _split_blanks(line: bytes) -> list[bytes]:
    return line.split(None, MOST_FIELDS)


def _commas(text: bytes) -> bytes | None:
    """Either no field is quoted or each one with a value is, as Athena writes them; blanks only behind commas."""
    if UNIT in text:
        return None
    text = _unix(text)
    if b" " in text:
        text = text.replace(b", ", b",")
    if b'"' in text:
        if not _quoted_throughout(text):
            return None
        text = text.translate(None, b'"')
    return None if b" " in text else text.replace(b",", UNIT)


def _quoted_throughout(text: bytes) -> bool:
    """Whether each field is empty or begins and ends with a quote, and no other quote, comma or newline is there."""
    codes = np.frombuffer(b"\n" + text, np.uint8)
    quote, border = codes == ord('"'), (codes == ord(",")) | (codes == ord("\n"))
    opening, closing = quote[1:] & border[:-1], quote[:-1] & border[1:]
    value = ~(quote | border)
    beside = (border[:-1] & value[1:]) | (value[:-1] & border[1:])
    single = opening[:-1] & closing[1:]
    return (
        not beside.any()
        and not single.any()
        and (np.count_nonzero(opening) + np.count_nonzero(closing) == np.count_nonzero(quote))
    )


def _split_commas(line: bytes) -> list[bytes]:
    """RFC 4180, one line a record; a line that is none is one field.  Latin-1 keeps any byte as it is."""
    if line.count(b",") > MOST_FIELDS:
        return line.split(b",", MOST_FIELDS)
    text = line.strip().decode("latin-1")
    if text.count('"') % 2:
        return [text.encode("latin-1")]
    csv.field_size_limit(LONGEST_LINE)
    try:
        fields = next(csv.reader([text], strict=True, skipinitialspace=True), [])
    except csv.Error:
        fields = [text]
    return [field.encode("latin-1").strip() for field in fields]


def _stamped(text: bytes) -> bytes | None:
    """Lines without the time in front of each, where all of these have milliseconds."""
    codes = np.frombuffer(text, np.uint8)
    starts = np.concatenate([[0], np.flatnonzero(codes[:-1] == ord("\n")) + 1])
    if starts[-1] + _STAMP_LENGTH > len(text) or (np.diff(starts) <= _STAMP_LENGTH).any():
        return None
    if any((codes[starts + place] != ord(mark)).any() for place, mark in _STAMP_MARKS.items()):
        return None
    digits = codes[starts[:, None] + np.array(_STAMP_DIGITS)]
    if ((digits < ord("0")) | (digits > ord("9"))).any():
        return None
    kept = np.ones(len(codes), dtype=bool)
    kept[(starts[:, None] + np.arange(_STAMP_LENGTH)).ravel()] = False
    return _unix(codes[kept].tobytes())


def _split_stamped(line: bytes) -> list[bytes]:
    stamp = _STAMP.match(line)
    return _split_blanks(line[stamp.end() :] if stamp else line)


def _unix(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n") if text.endswith(b"\r\n") else text


BLANKS = Dialect("text", b" ", _unix, _split_blanks)
COMMAS = Dialect("csv", UNIT, _commas, _split_commas)
STAMPED = Dialect("stamped", b" ", _stamped, _split_stamped)

DIALECTS = (BLANKS, COMMAS, STAMPED)
"""Blanks are AWS's own; commas are Athena's; a time in front of each line is CloudWatch Logs' export."""
