"""How a dead letter is read again: just as it was read, or not at all.

A record that is read in another way than its line was written is a false record, and nobody would ever see that.
"""

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from exporter.fields import columns_of
from exporter.read import messages, parquet
from exporter.read.dialects import BLANKS, DIALECTS, Dialect
from exporter.read.lines import unique
from exporter.sink.kept_letters import KeptLetter

_BY_CONTAINER = {dialect.container: dialect for dialect in DIALECTS}

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:")

_UNSURE = "its text does not tell for certain how its fields come apart"


@dataclass(frozen=True, slots=True)
class Reading:
    """How lines come apart, and what their fields are; `as_text` where such a line stood in the file."""

    dialect: Dialect
    columns: tuple[str, ...]
    as_text: bool


def hindrance(letter: KeptLetter) -> str | None:
    """Why a letter cannot be tried at all, and what can be done; None where it can."""
    again = f"`objects retry {letter.place}` has the object read again"
    if letter.superseded:
        return "its object was read again since, whole, and this letter is no longer true"
    if letter.text_bytes is not None:
        return f"only the first part of its {letter.text_bytes:,} bytes was kept; {again}"
    if not letter.exact or not _is_text(letter.text):
        return f"this is not the line as it was written, for bytes of it are missing or are no text; {again}"
    if "\n" in letter.text:
        return f"a line end is part of a value; {again}"
    if letter.kind == "document":
        return _strange(letter, again)
    return None


def reading_of(letter: KeptLetter, names: tuple[str, ...]) -> Reading | str:
    """How a line is read, with `names`, if any, in place of its own; else why that cannot be told.

    The way in which its fields come apart is that of its file.  It is guessed only for `names`, and where an early
    release did not keep it.
    """
    known = names or letter.format
    if not known:
        return "its fields are not known; name them with --format"
    told = _dialect(letter, known)
    dialect = told or (_guessed(letter.text, known) if names or letter.container is None else None)
    if dialect is None:
        return f"{_UNSURE}; `objects retry {letter.place}` has the object read again, or name its fields with --format"
    if names and len(dialect.split(letter.text.encode())) != len(names):
        dialect = _guessed(letter.text, names)
    return Reading(dialect, _columns(known), letter.container != parquet.CONTAINER)


@lru_cache(maxsize=8)
def _columns(names: tuple[str, ...]) -> tuple[str, ...]:
    """Made once for the many letters that share their names."""
    return unique(columns_of(names))


def _strange(letter: KeptLetter, again: str) -> str | None:
    """Why a document is none of this letter's: an early release took any line that began with a brace for one."""
    try:
        document = json.loads(letter.text)
    except (ValueError, RecursionError):
        return f"its text is no JSON document; {again}"
    told = [_at(document, path) for path in ("log.offset", "aws.s3.bucket.name", "aws.s3.object.key", "log.file.path")]
    ours = [letter.row, letter.bucket, letter.key, None] if letter.bucket else [letter.row, None, None, letter.key]
    if told == ours and type(told[0]) is int:
        return None
    return f"it is no document of this program's: log.offset and its object are not those of this letter; {again}"


def _at(document: object, path: str) -> Any:  # noqa: ANN401 - any JSON
    """The value at a dotted path; None where there is none."""
    for name in path.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _is_text(text: str) -> bool:
    """Whether it can be written as UTF-8: not with half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _dialect(letter: KeptLetter, names: Sequence[str]) -> Dialect | None:
    """How the line was written, as its file tells; None where that is not known."""
    if letter.container == parquet.CONTAINER:
        return _of_row(letter.text, len(names))
    if letter.container == messages.CONTAINER:
        return _of_event(letter.text)
    return _BY_CONTAINER.get(letter.container or "")


def _of_event(text: str) -> Dialect | None:
    """Log events have blanks between fields; a comma, or a time in front, may tell of another way."""
    return None if "," in text or _STAMP.match(text) else BLANKS


def _of_row(text: str, width: int) -> Dialect | None:
    """A row was written with blanks between its values, or, where a value has one, with commas.

    None where the text can be either, and where the way would not give the very values back.
    """
    blanks = [] if any(character.isspace() for character in text.replace(" ", "")) else text.split(" ")
    try:
        commas = next(csv.reader([text], strict=True), [])
    except csv.Error:
        commas = []
    found = [
        dialect
        for dialect, values in ((BLANKS, blanks), (_BY_CONTAINER["csv"], commas))
        if len(values) == width and all(values)
    ]
    if len(found) != 1 and blanks != commas:
        return None
    values = [value.decode() for value in found[0].split(text.encode())] if found else []
    return found[0] if values and values in (blanks, commas) else None


def _guessed(text: str, names: Sequence[str]) -> Dialect:
    """The first way of writing lines in which this one has as many fields as the format; blanks where none has."""
    line = text.encode()
    return next((each for each in DIALECTS if len(each.split(line)) == len(names)), BLANKS)
