"""The ways in which a line's fields are written, as data.

Every dialect turns its lines into *normal* lines, which alone are split into columns: all fields there, one separator
between them, `-` for one without a value.
"""

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LONGEST_HEADER = 64 * 1024
MOST_FIELDS = LONGEST_HEADER // 2
"""As many as a header can name; a line of 8 MiB may have millions, and each costs 40 bytes."""

MISSING = frozenset({b"", b"-", b"null", b"NULL"})
"""What stands for no value: `-` is AWS's own, the others come from databases."""

_UNIT = b"\x1f"
_BLANK_NULL = re.compile(rb"(?<![^ \n])(?:null|NULL)(?![^ \n])")
_UNIT_NULL = re.compile(rb"(?<![^\x1f\n])(?:null|NULL)(?![^\x1f\n])")
_STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z ")
_STAMP_MARKS = {4: b"-", 10: b"T", 13: b":", 19: b".", 23: b"Z", 24: b" "}
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


def _blanks(text: bytes) -> bytes:
    return _nulls(_unix(text), _BLANK_NULL)


def _split_blanks(line: bytes) -> list[bytes]:
    return line.split(None, MOST_FIELDS)


def _commas(text: bytes) -> bytes | None:
    """Either no field is quoted or each one with a value is, as Athena writes them; blanks only behind commas."""
    if _UNIT in text:
        return None
    text = _unix(text).replace(b", ", b",") if b" " in text else _unix(text)
    text = _unquoted(_filled(text, b",", b'""')) if b'"' in text else text.replace(b",", _UNIT)
    if b'"' in text or b" " in text:
        return None
    return _nulls(_filled(text, _UNIT, b"-"), _UNIT_NULL)


def _unquoted(text: bytes) -> bytes:
    """Lines of quoted fields without their quotes; as it is where not each field has its two and no more."""
    fields = text.count(b'","') + text.count(b"\n")
    if not text.startswith(b'"') or not text.endswith(b'"\n') or text.count(b'"') != 2 * fields:
        return text
    return text[1:-2].replace(b'","', _UNIT).replace(b'"\n"', b"\n") + b"\n"


def _filled(text: bytes, separator: bytes, filling: bytes) -> bytes:
    """Text whose empty fields have something in them; the second time finds what the first one overlaps."""
    for _ in range(2):
        text = text.replace(separator * 2, separator + filling + separator)
    text = text.replace(b"\n" + separator, b"\n" + filling + separator)
    text = text.replace(separator + b"\n", separator + filling + b"\n")
    return filling + text if text.startswith(separator) else text


def _split_commas(line: bytes) -> list[bytes]:
    """RFC 4180, one line a record; a line that is none is one field.  Latin-1 keeps any byte as it is."""
    if line.count(b",") > MOST_FIELDS:
        return line.split(b",", MOST_FIELDS)
    text = line.strip().decode("latin-1")
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
    kept = np.ones(len(codes), dtype=bool)
    kept[(starts[:, None] + np.arange(_STAMP_LENGTH)).ravel()] = False
    return _blanks(codes[kept].tobytes())


def _split_stamped(line: bytes) -> list[bytes]:
    stamp = _STAMP.match(line)
    return _split_blanks(line[stamp.end() :] if stamp else line)


def _unix(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n") if text.endswith(b"\r\n") else text


def _nulls(text: bytes, pattern: re.Pattern[bytes]) -> bytes:
    """Text with `-` for fields that are `null`; a pattern alone would take longer than to look for the word."""
    return pattern.sub(b"-", text) if b"null" in text or b"NULL" in text else text


BLANKS = Dialect("text", b" ", _blanks, _split_blanks)
COMMAS = Dialect("csv", _UNIT, _commas, _split_commas)
STAMPED = Dialect("stamped", b" ", _stamped, _split_stamped)

DIALECTS = (BLANKS, COMMAS, STAMPED)
"""Blanks are AWS's own; commas are Athena's; a time in front of each line is CloudWatch Logs' export."""
