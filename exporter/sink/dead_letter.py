"""Lines and documents that cannot go out, kept with their object, row and reason in one file of NDJSON.

The file is only ever added to: a letter is a line, and so is the word that letters went out after all (`replayed`).
The daemon and a command may add to it at once, each holding the file's lock while it does.
"""

import fcntl
import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from exporter.errors import Unavailable
from exporter.flow import DeadLetter
from exporter.metrics import Metrics
from exporter.sink.durable import sync_folder

NAME = "dead-letters.ndjson"

TEXT_LIMIT = 64 * 1024
"""Bytes of a letter's text that are kept; `text_bytes` then says how many there were."""

_LINE_LIMIT = 1024 * 1024
"""Longer than any line that is written: escaping makes at most 6 bytes of 1, and a key has 1,024."""

_MARKED_AT_ONCE = 10_000
"""Ids in a line that says what went out; each takes 28 bytes."""

_MARK = b'{"replayed":'
"""How such a line begins, so that it is told from a letter without a look inside."""

_log = logging.getLogger(__name__)


class DeadLetterFile:
    """Implements flow.DeadLetters: appends to FOLDER/dead-letters.ndjson, from any thread and any process.

    The file may be moved away at any time (it is opened anew each time), and is readable by its owner alone.
    """

    def __init__(self, folder: Path, metrics: Metrics) -> None:
        self.path = folder / NAME
        self._metrics = metrics

    def keep(self, letters: list[DeadLetter]) -> None:
        """Durable when it returns.  Raises Unavailable where the file cannot be written: the object stays undone."""
        if not letters:
            return
        self._append(b"".join(_line(letter) for letter in letters))
        self._metrics.add("dead_letters_total", len(letters))

    def mark_replayed(self, ids: Sequence[str]) -> None:
        """Notes, durably, that the letters with these ids went out; Unavailable where the file cannot be written."""
        rest = iter(ids)
        while some := list(islice(rest, _MARKED_AT_ONCE)):
            self._append(_MARK + json.dumps(some).encode("ascii") + b',"@timestamp":"%b"}\n' % _now().encode("ascii"))

    def _append(self, lines: bytes) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "ab+") as file:
                fcntl.flock(handle, fcntl.LOCK_EX)
                new = os.fstat(handle).st_size == 0
                file.write(lines if new or _ends_a_line(handle) else b"\n" + lines)
                file.flush()
                os.fsync(handle)
            if new:
                sync_folder(self.path.parent)
        except OSError as error:
            raise Unavailable(f"{self.path}: dead letters cannot be written: {error.strerror or error}") from error


@dataclass(frozen=True, slots=True)
class KeptLetter:
    """One dead letter as it stands in the file; `text_bytes` is set where `text` was cut to `TEXT_LIMIT`.

    `format` has the names of a line's fields, where they are known; `replayed` says that it went out since.
    """

    time: datetime
    bucket: str
    key: str
    etag: str
    row: int
    id: str
    reason: str
    text: str
    text_bytes: int | None
    format: tuple[str, ...] | None = None
    replayed: bool = False

    @property
    def kind(self) -> str:
        """`document`, or `line`: a letter of an early release has no format, but no flow-log line is an object."""
        return "line" if self.format is not None or not self.text.startswith("{") else "document"

    @property
    def place(self) -> str:
        """The object as people write it; a local file has no bucket."""
        return f"s3://{self.bucket}/{self.key}" if self.bucket else self.key


@dataclass(slots=True)
class Ids:
    """A set of documents' ids, of some 60 bytes each: one set of rows an object."""

    _rows: dict[str, set[int]] = field(default_factory=dict)

    def add(self, id_: str) -> bool:
        """Whether it was not there yet.  ValueError for what is no id."""
        rows, row = self._rows.setdefault(id_[:-8], set()), int(id_[-8:], 16)
        new = row not in rows
        rows.add(row)
        return new

    def __contains__(self, id_: str) -> bool:
        return int(id_[-8:], 16) in self._rows.get(id_[:-8], ())


def read(path: Path) -> Iterator[KeptLetter]:
    """The letters of a file, each id once (an object that ran again wrote it again), the oldest first.

    The file is read twice and never held: first for what went out since, which stands behind its letter.  A line that
    a crash cut short is skipped and logged: its object was not done, so it comes again.
    """
    out, seen = _replayed(path), Ids()
    for number, line in enumerate(_lines(path), 1):
        if line.startswith(_MARK):
            continue
        letter = _letter(line, out)
        if letter is None:
            _log.warning("%s: line %d is no dead letter and is skipped", path, number)
        elif seen.add(letter.id):
            yield letter


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while line := file.readline(_LINE_LIMIT):
            yield line


def _replayed(path: Path) -> Ids:
    """The ids that the file says went out; a torn line says nothing, and its letters go out again, which is no harm."""
    out = Ids()
    for line in _lines(path):
        if line.startswith(_MARK):
            try:
                for id_ in json.loads(line)["replayed"]:
                    out.add(id_)
            except (ValueError, TypeError):
                _log.warning("%s: a line that tells what was replayed is not whole and is skipped", path)
    return out


def _line(letter: DeadLetter) -> bytes:
    """A letter's line; ASCII only, so that lone surrogates of odd keys pass."""
    text = letter.text.encode("utf-8", "replace")
    cut = len(text) > TEXT_LIMIT
    entry = {
        "@timestamp": _now(),
        "object": {"bucket": letter.source.bucket, "key": letter.source.key, "etag": letter.source.etag},
        "row": letter.row,
        "id": f"{letter.source.id_prefix}{letter.row:08x}",
        "reason": letter.reason,
        **({} if letter.format is None else {"format": letter.format}),
        "text": text[:TEXT_LIMIT].decode("utf-8", "ignore") if cut else letter.text,
        **({"text_bytes": len(text)} if cut else {}),
    }
    return json.dumps(entry).encode("ascii") + b"\n"


def _letter(line: bytes, out: Ids) -> KeptLetter | None:
    try:
        entry = json.loads(line)
        names = entry.get("format")
        return KeptLetter(
            time=datetime.fromisoformat(entry["@timestamp"]),
            **entry["object"],
            **{name: entry[name] for name in ("row", "id", "reason", "text")},
            text_bytes=entry.get("text_bytes"),
            format=None if names is None else tuple(names),
            replayed=entry["id"] in out,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _ends_a_line(handle: int) -> bool:
    """Whether the file's last byte is a line end; a crash may have left half a line."""
    return os.pread(handle, 1, os.fstat(handle).st_size - 1) == b"\n"
