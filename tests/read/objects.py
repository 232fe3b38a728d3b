"""Objects to read: streams that give their bytes in small reads, and a reading with all that it yields added up."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import polars as pl

from exporter.errors import ReadError
from exporter.flow import BadLine, Batch, Form, S3Object
from exporter.read.reader import Reader

SOURCE = S3Object("logs", "AWSLogs/1/a.log.gz", "e", 1, datetime(2026, 1, 1, tzinfo=UTC))


@dataclass(slots=True)
class Stream:
    """Bytes that arrive at most `most` a read, as from a socket."""

    data: bytes
    most: int = 2**30
    at: int = 0

    def read(self, size: int, /) -> bytes:
        self.at += (taken := len(self.data[self.at : self.at + min(size, self.most)]))
        return self.data[self.at - taken : self.at]


@dataclass(slots=True)
class Reading:
    """All that reading an object yielded, and the error it ended in."""

    batches: list[Batch] = field(default_factory=list)
    forms: list[Form] = field(default_factory=list)
    bad: list[BadLine] = field(default_factory=list)
    skipped: int = 0
    error: ReadError | None = None

    @property
    def records(self) -> list[dict[str, object]]:
        """Every record as a dict, values that are null left out."""
        rows = [row for batch in self.batches for row in batch.frame.to_dicts()]
        return [{name: value for name, value in row.items() if value is not None} for row in rows]

    @property
    def rows(self) -> list[int]:
        """The physical lines of the records."""
        return [row for batch in self.batches for row in batch.frame["row"].to_list()]

    @property
    def frame(self) -> pl.DataFrame:
        """The only batch's frame."""
        (batch,) = self.batches
        return batch.frame


def read(data: bytes, reader: Reader | None = None, most: int = 2**30, names: tuple[str, ...] | None = None) -> Reading:
    """What the reader makes of an object; only a ReadError may end it."""
    reading = Reading()
    if names:
        reader = replace(reader or Reader(), formats=lambda _: [("the test", names)])
    try:
        for piece in (reader or Reader()).read(Stream(data, most), SOURCE):
            reading.batches += [piece.batch] if piece.batch.frame.height else []
            reading.forms += [piece.form] if piece.form not in reading.forms else []
            reading.bad += piece.bad
            reading.skipped += piece.skipped
    except ReadError as error:
        reading.error = error
    return reading
