"""Documents into files: one file of NDJSON an object, there whole or not at all."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from exporter.errors import Unavailable
from exporter.flow import Batch, Body, Delivered, S3Object
from exporter.metrics import Metrics
from exporter.sink.durable import sync_folder

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_NAME_LIMIT = 120
_ENDINGS = (".gz", ".parquet", ".txt", ".log")


class FilesSink:
    """Implements flow.Sink for a folder: ACCOUNT/REGION/YYYY/MM/DD/NAME_ID.ndjson below it, one file an object.

    ID stands for the object's bucket, key and ETag, so that a replay writes the same file again.  An object without
    documents has no file.  Each line is one document; its `_id` is not in it, but bucket, key and row are.
    """

    def __init__(self, folder: Path, metrics: Metrics) -> None:
        self._folder = folder
        self._metrics = metrics
        self._begun: dict[Path, _Delivery] = {}
        self._changed = threading.Lock()

    def open(
        self, source: S3Object, *, again: bool = False, at_work: bool = False, unsure: bool = False
    ) -> "_Delivery":
        """A delivery for one object; its file is made with its first body.

        Going `again` needs no look: the file is there whole or not at all, and is written anew.
        """
        del again, at_work, unsure
        delivery = _Delivery(self._folder / path_of(source), self)
        with self._changed:
            left_over = self._begun.pop(delivery.path, None)
            self._begun[delivery.path] = delivery
        if left_over is not None:
            left_over.abandon()
        return delivery

    def close(self) -> None:
        """Removes what was begun and not finished."""
        with self._changed:
            begun = list(self._begun.values())
            self._begun.clear()
        for delivery in begun:
            delivery.abandon()

    def forget(self, delivery: "_Delivery") -> None:
        """A delivery that was given up is not to be tidied up any more."""
        with self._changed:
            if self._begun.get(delivery.path) is delivery:
                del self._begun[delivery.path]

    def count(self, path: Path, delivered: Delivered) -> None:
        """Counts a file that has its name now."""
        with self._changed:
            self._begun.pop(path, None)
        self._metrics.add("documents_total", delivered.created, outcome="created")
        self._metrics.add("document_bytes_total", delivered.bytes)


@dataclass(slots=True)
class _Delivery:
    """One object's file while it is written, under a name that starts with a dot and ends in .part."""

    path: Path
    sink: FilesSink
    delivered: Delivered = field(default_factory=Delivered)
    file: BinaryIO | None = None
    error: Unavailable | None = None

    def missing(self, batch: Batch) -> Batch:
        """All of it: the file is written whole."""
        return batch

    def send(self, body: Body) -> None:
        with self._explained():
            if self.file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.file = self._part.open("wb")
            self.file.write(documents_of(body))
        self.delivered.add(Delivered(created=body.count, bytes=len(body.data)))

    def finish(self) -> Delivered:
        with self._explained():
            if self.file is not None:
                with self.file as file:
                    file.flush()
                    os.fsync(file.fileno())
                self._part.replace(self.path)
                sync_folder(self.path.parent)
        self.sink.count(self.path, self.delivered)
        return self.delivered

    def abandon(self) -> None:
        """Leaves nothing of an unfinished file."""
        self.sink.forget(self)
        if self.file is not None:
            # Closing writes what is still buffered, which a full disk refuses once more; it is thrown away anyway.
            with suppress(OSError):
                self.file.close()
            self._part.unlink(missing_ok=True)

    @property
    def _part(self) -> Path:
        return self.path.with_name(f".{self.path.name}.part")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """A full disk or a folder that takes no files is an output that is unavailable for now."""
        if self.error is not None:
            raise self.error
        try:
            yield
        except OSError as error:
            self.abandon()
            self.error = Unavailable(
                f"{self.path} cannot be written: {error.strerror or error}; it is tried again later"
            )
            raise self.error from error


def documents_of(body: Body) -> bytes:
    """The document lines alone, each with its line end."""
    documents = body.data.split(b"\n")[1::2]
    return b"\n".join(documents) + b"\n" if documents else b""


def path_of(source: S3Object) -> Path:
    """Where an object's documents go, below the sink's folder; a hostile key cannot lead out of it."""
    name = source.key.rpartition("/")[2]
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return Path(
        _safe(source.account or "no-account"),
        _safe(source.region or "no-region"),
        f"{source.time:%Y/%m/%d}",
        f"{_safe(name)}_{source.id_prefix}.ndjson",
    )


def _safe(name: str) -> str:
    """`name` without what has a meaning in a path (dots included), and no longer than a file's name may be."""
    return _UNSAFE.sub("_", name)[:_NAME_LIMIT] or "_"
