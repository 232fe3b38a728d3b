"""Lines and documents that cannot go out, kept with their object, row and reason in one file of NDJSON.

The file is only ever added to: a letter is a line, and so is the word that letters went out after all (`replayed`),
and that an object was read again, whole, so that its letters from before are no longer true (`superseded`).  How lines
were read stands once in front of those letters that refer to it (`form`).  `kept_letters.py` reads all of that.
The daemon and a command may add to it at once, each holding the file's lock while it does.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from exporter.errors import Unavailable
from exporter.flow import DeadLetter, Form, S3Object
from exporter.metrics import Metrics
from exporter.sink.durable import sync_folder

NAME = "dead-letters.ndjson"

TEXT_LIMIT = 64 * 1024
"""Bytes of a letter's text that are kept; `text_bytes` then says how many there were."""

REASON_LIMIT = 1000
"""Characters of a reason that are kept: some name a field, whose name a file's header may make as long as it likes."""

LINE_LIMIT = 1024 * 1024
"""No line is longer: escaping makes at most 6 bytes of 1, a key has 1,024, and a longer form goes without its names."""

CHUNK_BYTES = 1024 * 1024
"""How much is written at a time."""

MARKED_AT_ONCE = 10_000
"""Ids in a line that says what went out; each takes 28 bytes."""

REPLAYED, SUPERSEDED, FORM = b'{"replayed":', b'{"superseded":', b'{"form":'
"""How the lines begin that are no letters, so that they are told from these without a look inside."""


class DeadLetterFile:
    """Implements flow.DeadLetters: appends to FOLDER/dead-letters.ndjson, from any thread and any process.

    The file may be moved away at any time (it is opened anew each time), and is readable by its owner alone.
    Every method is durable when it returns, and raises Unavailable where the file cannot be written.
    """

    def __init__(self, folder: Path, metrics: Metrics) -> None:
        self.path = folder / NAME
        self._metrics = metrics

    def keep(self, letters: list[DeadLetter]) -> None:
        """Adds letters; where that fails, the object stays undone, and comes with all of them again."""
        if not letters:
            return
        self._append(_lines(letters))
        self._metrics.add("dead_letters_total", len(letters))

    def mark_replayed(self, ids: Sequence[str]) -> None:
        """Notes that the letters with these ids went out."""
        rest = iter(ids)
        while some := list(islice(rest, MARKED_AT_ONCE)):
            self._append([_json({"replayed": some, "@timestamp": stamp(datetime.now(UTC))})])

    def supersede(self, source: S3Object, before: datetime) -> None:
        """Notes that this version of the object was read again, whole: its letters kept before then are not true."""
        self._append([_json({"superseded": source.id_prefix, "before": stamp(before)})])

    def _append(self, lines: Iterable[bytes]) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "ab+", CHUNK_BYTES) as file:
                fcntl.flock(handle, fcntl.LOCK_EX)
                new = os.fstat(handle).st_size == 0
                if not (new or _ends_a_line(handle)):
                    file.write(b"\n")
                file.writelines(lines)
                file.flush()
                os.fsync(handle)
            if new:
                sync_folder(self.path.parent)
        except OSError as error:
            raise Unavailable(f"{self.path}: dead letters cannot be written: {error.strerror or error}") from error


def stamp(time: datetime) -> str:
    """A time as the file has it, in whole milliseconds."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _lines(letters: Iterable[DeadLetter]) -> Iterator[bytes]:
    """The letters' lines, and in front of the first of each form that form's."""
    now, form, key = stamp(datetime.now(UTC)), None, ""
    for letter in letters:
        if letter.form is not None and letter.form != form:
            form = letter.form
            key, line = _form_line(form)
            yield line
        yield _line(letter, key, now)


def _form_line(form: Form) -> tuple[str, bytes]:
    """A form's line, and the short name by which letters refer to it."""
    told = {"container": form.container, "told_by": form.told_by, "names": form.names}
    key = hashlib.sha256(_json(told)).hexdigest()[:8]
    line = _json({"form": key, **told})
    return key, line if len(line) <= LINE_LIMIT else _json({"form": key, **told, "names": None})


def _line(letter: DeadLetter, form: str, now: str) -> bytes:
    """A letter's line."""
    return _json({**entry_of(letter, now), **({} if letter.form is None else {"form": form})})


def entry_of(letter: DeadLetter, now: str) -> dict[str, Any]:
    """A letter as it is kept, but for its form: reason and text are cut to their limits."""
    text = letter.text.encode("utf-8", "replace")
    cut = len(text) > TEXT_LIMIT
    reason = letter.reason
    return {
        "@timestamp": now,
        "object": {"bucket": letter.source.bucket, "key": letter.source.key, "etag": letter.source.etag},
        "row": letter.row,
        "id": f"{letter.source.id_prefix}{letter.row:08x}",
        "kind": "document" if letter.form is None else "line",
        "reason": reason if len(reason) <= REASON_LIMIT else reason[:REASON_LIMIT] + "…",
        "text": text[:TEXT_LIMIT].decode("utf-8", "ignore") if cut else letter.text,
        **({"text_bytes": len(text)} if cut else {}),
        **({} if letter.exact else {"exact": False}),
    }


def _json(entry: object) -> bytes:
    """A line; ASCII only, so that lone surrogates of odd keys pass."""
    return json.dumps(entry).encode("ascii") + b"\n"


def _ends_a_line(handle: int) -> bool:
    """Whether the file's last byte is a line end; a crash may have left half a line."""
    return os.pread(handle, 1, os.fstat(handle).st_size - 1) == b"\n"
