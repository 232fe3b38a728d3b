"""Lines and documents that cannot go out, kept with their object, row and reason in one file of NDJSON."""

import json
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
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

_log = logging.getLogger(__name__)


class DeadLetterFile:
    """Implements flow.DeadLetters: appends to FOLDER/dead-letters.ndjson, from any thread.

    The file may be moved away at any time (it is opened anew each time), and is readable by its owner alone.
    """

    def __init__(self, folder: Path, metrics: Metrics) -> None:
        self.path = folder / NAME
        self._metrics = metrics
        self._writing = threading.Lock()

    def keep(self, letters: list[DeadLetter]) -> None:
        """Durable when it returns.  Raises Unavailable where the file cannot be written: the object stays undone."""
        if not letters:
            return
        lines = b"".join(_line(letter) for letter in letters)
        try:
            with self._writing:
                self._append(lines)
        except OSError as error:
            raise Unavailable(f"{self.path}: dead letters cannot be written: {error.strerror or error}") from error
        self._metrics.add("dead_letters_total", len(letters))

    def _append(self, lines: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "ab+") as file:
            new = file.tell() == 0
            file.write(lines if new or _ends_a_line(handle) else b"\n" + lines)
            file.flush()
            os.fsync(handle)
        if new:
            sync_folder(self.path.parent)


@dataclass(frozen=True, slots=True)
class KeptLetter:
    """One dead letter as it stands in the file; `text_bytes` is set where `text` was cut to `TEXT_LIMIT`."""

    time: datetime
    bucket: str
    key: str
    etag: str
    row: int
    id: str
    reason: str
    text: str
    text_bytes: int | None


def read(path: Path) -> Iterator[KeptLetter]:
    """The letters of a file, each id once (an object that ran again wrote it again).

    A line that a crash cut short is skipped and logged: its object was not done, so it comes again.
    """
    seen: set[str] = set()
    with path.open("rb") as file:
        number = 0
        while line := file.readline(_LINE_LIMIT):
            number += 1
            letter = _letter(line)
            if letter is None:
                _log.warning("%s: line %d is no dead letter and is skipped", path, number)
            elif letter.id not in seen:
                seen.add(letter.id)
                yield letter


def _line(letter: DeadLetter) -> bytes:
    """A letter's line; ASCII only, so that lone surrogates of odd keys pass."""
    text = letter.text.encode("utf-8", "replace")
    cut = len(text) > TEXT_LIMIT
    entry = {
        "@timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "object": {"bucket": letter.source.bucket, "key": letter.source.key, "etag": letter.source.etag},
        "row": letter.row,
        "id": f"{letter.source.id_prefix}{letter.row:08x}",
        "reason": letter.reason,
        "text": text[:TEXT_LIMIT].decode("utf-8", "ignore") if cut else letter.text,
        **({"text_bytes": len(text)} if cut else {}),
    }
    return json.dumps(entry).encode("ascii") + b"\n"


def _letter(line: bytes) -> KeptLetter | None:
    try:
        entry = json.loads(line)
        return KeptLetter(
            time=datetime.fromisoformat(entry["@timestamp"]),
            **entry["object"],
            **{name: entry[name] for name in ("row", "id", "reason", "text")},
            text_bytes=entry.get("text_bytes"),
        )
    except (ValueError, KeyError, TypeError):
        return None


def _ends_a_line(handle: int) -> bool:
    """Whether the file's last byte is a line end; a crash may have left half a line."""
    return os.pread(handle, 1, os.fstat(handle).st_size - 1) == b"\n"
