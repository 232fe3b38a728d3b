"""The values that travel between the stages; each stage knows these and nothing of the others."""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from exporter.identity import id_prefix


@dataclass(frozen=True)
class S3Object:
    """One stored flow-log file: where it lies, which version of it, and what its key tells.

    `etag` has no quotes; `size` is in bytes as stored; `account` and `region` come from the key's layout, as does
    `time` (UTC, the start of the file's five minutes), else from LastModified.  Local files use bucket "".
    """

    bucket: str
    key: str
    etag: str
    size: int
    time: datetime
    account: str | None = None
    region: str | None = None

    @cached_property
    def id_prefix(self) -> str:
        """The first 16 characters of the `_id` of each of its documents."""
        return id_prefix(self.bucket, self.key, self.etag)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}" if self.bucket else self.key


class ByteStream(Protocol):
    """An object's stored bytes, from the start, read once."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; empty at the end."""
        ...  # pragma: no cover


class Objects(Protocol):
    """Gives an object's bytes."""

    def open(self, source: S3Object) -> AbstractContextManager[ByteStream]:
        """The stored bytes, from the start."""
        ...  # pragma: no cover


@dataclass(frozen=True, slots=True)
class Addresses:
    """The distinct addresses of a batch; the physical code of an address column is a position in here.

    `text` as the record has it; `family` 4 or 6; `words` the address in network order as four 32-bit numbers
    (an IPv4 address stands in the first), shape (n, 4).
    """

    text: pl.Series
    family: npt.NDArray[np.uint8]
    words: npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no record: its row in the file, why, and its text.

    `exact` says that this is the line as it stood: not where it breaks off, nor where bytes of it are no UTF-8 and
    U+FFFD stands for them.
    """

    row: int
    reason: str
    text: str
    exact: bool = True

    @classmethod
    def of(cls, row: int, reason: str, line: bytes) -> Self:
        """A line of bytes, without its line end."""
        line = line.rstrip(b"\r")
        text = line.decode("utf-8", "replace")
        return cls(row, reason, text, exact=text.encode() == line)


Counts = dict[tuple[str, str], int]
"""Records by (rule of the filter, what became of them: dropped, sampled out, would drop)."""

INTERNAL, EXTERNAL = "internal", "external"
"""Localities."""

ENDS = ("source", "destination")

REPORTING = ("source", "destination", "only", "copy")
"""Whose view of a flow a record is: its source's or its destination's where both report it, the only one there is, or a
copy: of an interface on the packets' way, where one at their ends reports them too."""

CLIENT_RULES = ("tcp_flags", "pair", "port")
"""What told which end is the client."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some tens of thousands of records of one object, column by column.

    `frame` has the columns of the field table that the file has, and `row` (UInt32, the physical line).  `-` is null.
    KEYWORD and TAG are String; ADDRESS is Categorical with codes into `addresses`; COUNT is Int64, PORT, OCTET and
    CODE unsigned; TIME is Datetime("us") in UTC without a zone.  A field not in the table is a String column
    `extra.NAME`.  `original` (String) holds the line where event.original is wanted.
    `plain` says that no text of it needs escaping in JSON.

    Enrichment adds columns to `frame`, all null where nothing is known, each only where it is configured: `reporter`,
    `source_owner` and `destination_owner` (UInt32), rows of `owners`; `reporter_public` (Boolean), whether the
    reporting interface has, or had, a public address; `reporting` (UInt8), a place in REPORTING; `client` (UInt8), a
    place in ENDS, and `client_rule` (UInt8), one in CLIENT_RULES; `network_protocol` (String); `threats` and
    `threat_feeds` (String), JSON arrays; `cost_kind` (String) and `cost_usd` (Float64).  A filter adds `sample_rate`
    (Float64).  What follows from an address alone stands in `about`, one row for each of `addresses`: `locality`
    (String), `geo` and `as` (String), JSON objects, `aws_service` and `aws_region` (String).
    """

    source: S3Object
    frame: pl.DataFrame
    addresses: Addresses
    plain: bool
    owners: pl.DataFrame | None = None
    about: pl.DataFrame | None = None

    def with_about(self, *columns: pl.Series) -> "Batch":
        """The same, with more that is known of each address."""
        about = pl.DataFrame(columns) if self.about is None else self.about.with_columns(columns)
        return replace(self, about=about)

    def without(self, rows: Collection[int]) -> "Batch":
        """The same without the records of these rows."""
        return replace(self, frame=self.frame.filter(~pl.col("row").is_in(list(rows))))


@dataclass(frozen=True, slots=True)
class Form:
    """How the records of a piece are written: in what, which columns in which order, and what told these."""

    container: str
    columns: tuple[str, ...]
    told_by: str

    @property
    def names(self) -> tuple[str, ...]:
        """Names from which `fields.columns_of` makes these columns again."""
        return tuple(column.removeprefix("extra.") for column in self.columns)


Formats = Callable[[S3Object], Iterable[tuple[str, tuple[str, ...]]]]
"""The formats that an object without a header may have, the best first, each with who says so; asked only then.

One without names is none: who says so is then why there is none.
"""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A line or a document that could not go out: `text` is what there is of it, `exact` as in BadLine.

    `form` tells how a line was read; None where `text` is a document.
    """

    source: S3Object
    row: int
    reason: str
    text: str
    form: Form | None = None
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Piece:
    """What a reader yields: good records, bad lines, and how many lines were neither (blank, a repeated header)."""

    batch: Batch
    form: Form
    bad: tuple[BadLine, ...] = ()
    skipped: int = 0

    def dead_letters(self) -> list[DeadLetter]:
        """One for each bad line."""
        source, form = self.batch.source, self.form
        return [DeadLetter(source, bad.row, bad.reason, bad.text, form, bad.exact) for bad in self.bad]


@dataclass(frozen=True, slots=True)
class Body:
    """One request's worth of documents as NDJSON: an action line and a document line for each of `count` records."""

    source: S3Object
    data: bytes
    count: int

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Each action line with its document line, without line ends; costs a split, so only where an item failed."""
        lines = iter(self.data.split(b"\n"))
        return zip(lines, lines, strict=False)


@dataclass(slots=True)
class Delivered:
    """What became of documents given to a sink, added up."""

    created: int = 0
    existing: int = 0
    refused: int = 0
    bytes: int = 0

    def add(self, other: "Delivered") -> None:
        """Adds another request's counts."""
        self.created += other.created
        self.existing += other.existing
        self.refused += other.refused
        self.bytes += other.bytes


class Delivery(Protocol):
    """An object's way into a sink: bodies go in, `finish` says what became of them."""

    def missing(self, batch: Batch) -> Batch:
        """The records of a batch without those whose documents are known to be there; these count as existing."""
        ...  # pragma: no cover

    def send(self, body: Body) -> None:
        """Takes a body; waits while too many bytes are in flight.  Raises what an earlier body met."""
        ...  # pragma: no cover

    def finish(self) -> Delivered:
        """Waits for all that was sent.  Every document is then out, there already or a dead letter; else it raises."""
        ...  # pragma: no cover

    def abandon(self) -> None:
        """Drops what is not out yet: the object will come again, or never."""
        ...  # pragma: no cover


class Sink(Protocol):
    """Where documents go."""

    def open(self, source: S3Object, *, again: bool = False, at_work: bool = False, unsure: bool = False) -> Delivery:
        """A new delivery for one object; `again` says that documents of it may be there already.

        Then it looks first which these are, for as long as that takes; `at_work` says that a request with some of them
        may even be travelling yet, which is waited for.  Where it is `unsure` for each document whether it is there,
        each body is looked for just before it is sent.  Raises SinkError and Stopped.
        """
        ...  # pragma: no cover

    def close(self) -> None:
        """Gives back threads, files and connections."""
        ...  # pragma: no cover


class DeadLetters(Protocol):
    """Where lines and documents go that cannot go out."""

    def keep(self, letters: list[DeadLetter]) -> None:
        """Durable when it returns."""
        ...  # pragma: no cover

    def supersede(self, source: S3Object, before: datetime) -> None:
        """The object was read again, whole: its letters kept before then are no longer true."""
        ...  # pragma: no cover


@dataclass(slots=True)
class Outcome:
    """What became of one object: records read, bad lines, documents delivered, and the damage if it broke off."""

    source: S3Object
    records: int = 0
    bad_lines: int = 0
    skipped_lines: int = 0
    delivered: Delivered = field(default_factory=Delivered)
    dropped: Counts = field(default_factory=dict)
    seconds: float = 0.0
    damage: str | None = None
