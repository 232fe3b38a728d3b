"""The file of dead letters, read back: what each is, what became of it since, and which of them still stand."""

import fcntl
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from exporter.identity import id_prefix
from exporter.sink.dead_letter import FORM, LINE_LIMIT, REPLAYED, SUPERSEDED

_MOST_ROWS = 2**32
_PREFIX, _ROW = r"[A-Za-z0-9_-]{16}", r"[0-9a-f]{8}"
_ID, _OF_OBJECT = re.compile(_PREFIX + _ROW), re.compile(_PREFIX)

_BROKEN = "the file breaks off in this line"
"""How the reason of a line begins in which a damaged file ended; early releases did not say `exact`."""

UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
"""What a line that is none of ours can raise."""

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class KeptLetter:
    """One dead letter as it stands in the file; `text_bytes` is set where `text` was cut to `TEXT_LIMIT`.

    `kind` is `line` or `document`.  Of a line, `container` and `format` tell how it was read and the names of its
    fields, where that is known; `exact` that `text` is the whole line as it stood.  `replayed` says that the letter
    went out since, `superseded` that its object was read again, whole, and the letter is no longer true.
    """

    time: datetime
    bucket: str
    key: str
    etag: str
    row: int
    id: str
    reason: str
    text: str
    kind: str
    text_bytes: int | None = None
    container: str | None = None
    format: tuple[str, ...] | None = None
    exact: bool = True
    replayed: bool = False
    superseded: bool = False

    @property
    def place(self) -> str:
        """The object as people write it; a local file has no bucket."""
        return f"s3://{self.bucket}/{self.key}" if self.bucket else self.key

    @property
    def waits(self) -> bool:
        """Whether it still stands: neither went out since, nor is untrue by now."""
        return not (self.replayed or self.superseded)


@dataclass(frozen=True, slots=True)
class KeptForm:
    """How the lines behind it were read; letters refer to it by `key`."""

    key: str
    container: str
    names: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class _Replayed:
    ids: list[str]


@dataclass(frozen=True, slots=True)
class _Superseded:
    """An object's letters above this line, kept before then, are no longer true."""

    prefix: str
    before: datetime


_Entry = KeptLetter | _Replayed | _Superseded


@dataclass(slots=True)
class _Ids:
    """How often each id stands there, in some 80 bytes an id: one table of rows an object."""

    _rows: dict[str, dict[int, int]] = field(default_factory=dict)

    def add(self, id_: str, count: int = 1) -> int:
        """How often it then stands there."""
        rows, row = self._rows.setdefault(id_[:-8], {}), int(id_[-8:], 16)
        rows[row] = rows.get(row, 0) + count
        return rows[row]

    def __contains__(self, id_: str) -> bool:
        return int(id_[-8:], 16) in self._rows.get(id_[:-8], ())


@dataclass(slots=True)
class _History:
    """What the whole file tells about its letters."""

    kept: _Ids = field(default_factory=_Ids)
    replayed: _Ids = field(default_factory=_Ids)
    superseded: dict[str, tuple[int, datetime]] = field(default_factory=dict)

    def note(self, number: int, entry: _Entry) -> None:
        """Takes up a line."""
        if isinstance(entry, KeptLetter):
            self.kept.add(entry.id)
        elif isinstance(entry, _Superseded):
            self.superseded[entry.prefix] = (number, entry.before)
        else:
            for id_ in entry.ids:
                self.replayed.add(id_)

    def told(self, number: int, letter: KeptLetter) -> KeptLetter | None:
        """The letter with what became of it; None where the same id stands there again, further down."""
        if self.kept.add(letter.id, -1):
            return None
        line, before = self.superseded.get(letter.id[:-8], (0, letter.time))
        superseded = number < line and letter.time < before
        return replace(letter, replayed=letter.id in self.replayed, superseded=superseded)


def read(path: Path) -> Iterator[KeptLetter]:
    """The letters of a file, each id once: as it was kept last, for an object that ran again wrote it again.

    In the order of the file, which is read twice and never held: first for what became of letters, which stands behind
    them.  What is added meanwhile is not seen.  A line that is no letter (a crash cut it short) is skipped and logged:
    its object was not done, so it comes again.  Raises OSError where the file cannot be read.
    """
    with path.open("rb") as file:
        end, history = _end(file), _History()
        for number, entry in _entries(file, end):
            if entry is None:
                _log.warning("%s: line %d is no dead letter and is skipped", path, number)
            else:
                history.note(number, entry)
        file.seek(0)
        for number, entry in _entries(file, end):
            if isinstance(entry, KeptLetter) and (letter := history.told(number, entry)):
                yield letter


def _end(file: BinaryIO) -> int:
    """The file's size while nobody is writing."""
    fcntl.flock(file, fcntl.LOCK_SH)
    try:
        return os.fstat(file.fileno()).st_size
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _entries(file: BinaryIO, left: int) -> Iterator[tuple[int, _Entry | None]]:
    """What the lines of the next `left` bytes say, each with its number; None for one that says nothing.

    Of the forms only the last one is held: letters stand behind theirs.
    """
    number, form = 0, None
    while left > 0 and (line := file.readline(min(left, LINE_LIMIT))):
        number, left = number + 1, left - len(line)
        found = _parsed(line, form)
        if isinstance(found, KeptForm):
            form = form if found == form else found
        else:
            yield number, found


def _parsed(line: bytes, form: KeptForm | None) -> _Entry | KeptForm | None:
    sort = next((parse for begin, parse in _SORTS.items() if line.startswith(begin)), None)
    try:
        entry = json.loads(line)
        return sort(entry) if sort else letter_of(entry, form)
    except UNREADABLE:
        return None


def _form(entry: dict[str, Any]) -> KeptForm:
    names = None if entry["names"] is None else _strings(entry["names"])
    return KeptForm(_typed(entry, "form", str), _typed(entry, "container", str), names)


def _replayed(entry: dict[str, Any]) -> _Replayed:
    ids = entry["replayed"]
    if type(ids) is not list or not all(_ID.fullmatch(each) for each in ids):
        raise ValueError("ids are 24 characters each")
    return _Replayed(ids)


def _superseded(entry: dict[str, Any]) -> _Superseded:
    prefix = entry["superseded"]
    if not _OF_OBJECT.fullmatch(prefix):
        raise ValueError("what is the same of an object's ids are 16 characters")
    return _Superseded(prefix, _time(entry["before"]))


_SORTS: dict[bytes, Callable[[dict[str, Any]], KeptForm | _Replayed | _Superseded]] = {
    FORM: _form,
    REPLAYED: _replayed,
    SUPERSEDED: _superseded,
}
"""Lines that are no letters, by how they begin."""


def letter_of(entry: dict[str, Any], form: KeptForm | None) -> KeptLetter:
    """A letter by its entry and the form that this refers to; raises one of UNREADABLE for what is none."""
    source, row, text = entry["object"], _typed(entry, "row", int), _typed(entry, "text", str)
    bucket, key, etag = (_typed(source, name, str) for name in ("bucket", "key", "etag"))
    id_ = _typed(entry, "id", str)
    if not 0 <= row < _MOST_ROWS or id_ != f"{id_prefix(bucket, key, etag)}{row:08x}":
        raise ValueError("the id is not this row's of this object")
    reason, kind = _typed(entry, "reason", str), _kind(entry, text)
    container, names = _how(entry, form)
    return KeptLetter(
        time=_time(entry["@timestamp"]),
        bucket=bucket,
        key=key,
        etag=etag,
        row=row,
        id=id_,
        reason=reason,
        text=text,
        kind=kind,
        text_bytes=_typed(entry, "text_bytes", int) if "text_bytes" in entry else None,
        container=container,
        format=names,
        exact=_is_exact(entry, kind, reason, text),
    )


def _kind(entry: dict[str, Any], text: str) -> str:
    """What the file says; early releases did not: there it is a line where it has names, else what it looks like."""
    kind = entry.get("kind")
    if kind is None:
        return "document" if "format" not in entry and text.startswith("{") else "line"
    if kind not in ("line", "document"):
        raise ValueError("neither a line nor a document")
    return str(kind)


def _how(entry: dict[str, Any], form: KeptForm | None) -> tuple[str | None, tuple[str, ...] | None]:
    """Container and names; an early release had the names in each letter."""
    if "format" in entry:
        return None, _strings(entry["format"])
    if form is None or entry.get("form") != form.key:
        return None, None
    return form.container, form.names


def _is_exact(entry: dict[str, Any], kind: str, reason: str, text: str) -> bool:
    """What the file says; an early release's line is not where it shows that bytes of it are missing."""
    if "exact" in entry:
        return _typed(entry, "exact", bool)
    return kind == "document" or "kind" in entry or not (reason.startswith(_BROKEN) or "\ufffd" in text)


def _typed(entry: dict[str, Any], name: str, kind: type[_T]) -> _T:
    value = entry[name]
    if type(value) is not kind:
        raise TypeError(name)
    return value


def _strings(values: object) -> tuple[str, ...]:
    if type(values) is not list or not all(type(each) is str for each in values):
        raise TypeError("names are texts")
    return tuple(values)


def _time(text: str) -> datetime:
    """A time with its zone, as UTC."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time without a zone")
    return time.astimezone(UTC)
