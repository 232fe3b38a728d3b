"""Records as the objects that AWS would write: a text object for each five minutes, under AWS's keys."""

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from exporter.fields import FIELDS, Field, field_named
from exporter.simulate.windows import SLOT

FORMATS: dict[str, tuple[str, ...]] = {
    f"v{version}": tuple(field.name for field in FIELDS if field.since <= version) for version in (2, 3, 4, 5)
}
"""All fields up to a version, in AWS's usual order: v2 is the format of a flow log made without one."""

LARGEST_OBJECT = 75_000_000
"""Bytes of a stored object at which AWS begins a further one."""

GZIP = 16 + zlib.MAX_WBITS
"""zlib's way to ask for a gzip frame; its header then has no time, so that the same records make the same bytes."""

_BLOCK_ROWS = 20_000

_LINE = 400
"""Bytes that a line of the longest format stays under, for the size of blocks."""


class Place(Protocol):
    """Where objects go."""

    def put(self, key: str, data: bytes) -> None:
        """Stores an object under its key, over one that is there."""
        ...  # pragma: no cover


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of this machine: keys become paths below it."""

    path: Path

    def put(self, key: str, data: bytes) -> None:
        """Writes the file and the folders above it; an OSError where that fails."""
        target = self.path / key
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of S3, through a boto3 client."""

    client: Any
    name: str

    def put(self, key: str, data: bytes) -> None:
        """One PutObject; botocore's errors pass through."""
        self.client.put_object(Bucket=self.name, Key=key, Body=data)


@dataclass(frozen=True, slots=True)
class Layout:
    """How AWS names objects: `prefix` without a slash at its end, `flow_log` is fl-… ."""

    account: str
    region: str
    flow_log: str
    prefix: str = ""
    hive: bool = False
    hourly: bool = False

    def key(self, slot: int, digest: str, suffix: str) -> str:
        """The key of an object of the five minutes from `slot`, seconds since 1970."""
        time = datetime.fromtimestamp(slot, UTC)
        name = f"{self.account}_vpcflowlogs_{self.region}_{self.flow_log}_{time:%Y%m%dT%H%MZ}_{digest}{suffix}"
        folders = self._hive(time) if self.hive else self._plain(time)
        return "/".join(filter(None, (self.prefix, "AWSLogs", *folders, name)))

    def _plain(self, time: datetime) -> tuple[str, ...]:
        hour = (f"{time:%H}",) if self.hourly else ()
        return (self.account, "vpcflowlogs", self.region, f"{time:%Y}", f"{time:%m}", f"{time:%d}", *hour)

    def _hive(self, time: datetime) -> tuple[str, ...]:
        who = (f"aws-account-id={self.account}", "aws-service=vpcflowlogs", f"aws-region={self.region}")
        hour = (f"hour={time:%H}",) if self.hourly else ()
        return (*who, f"year={time:%Y}", f"month={time:%m}", f"day={time:%d}", *hour)


@dataclass(frozen=True, slots=True)
class Format:
    """The fields of a flow log, in their order, and what the `version` field then says."""

    fields: tuple[Field, ...]

    @classmethod
    def of(cls, names: Sequence[str]) -> "Format":
        """The format of these names, in any spelling of the field table; a ValueError for one that is not there."""
        found = [field_named(name) for name in names]
        if unknown := [name for name, field in zip(names, found, strict=True) if field is None]:
            raise ValueError(f"not the name of a flow-log field: {', '.join(unknown)}")
        fields = tuple(field for field in found if field)
        if not fields or len(set(fields)) < len(fields):
            raise ValueError("a format needs at least one field, and each only once")
        return cls(fields)

    @property
    def header(self) -> bytes:
        """The first line of an object."""
        return " ".join(field.name for field in self.fields).encode() + b"\n"

    @property
    def flow_log(self) -> str:
        """A made-up flow-log id that stands for the format: a flow log's format never changes."""
        return f"fl-0{hashlib.sha256(self.header).hexdigest()[:16]}"

    def lines(self, records: pl.DataFrame) -> bytes:
        """The records as text lines; null, and a column that the records lack, is written as `-`."""
        version = max(field.since for field in self.fields)
        known = records.with_columns(version=pl.lit(version))
        missing = [pl.lit(None).alias(f.column) for f in self.fields if f.column not in known.columns]
        text = BytesIO()
        known.with_columns(missing).select(field.column for field in self.fields).write_csv(
            text, include_header=False, separator=" ", null_value="-", quote_style="never"
        )
        return text.getvalue()


@dataclass(slots=True)
class Written:
    """What was written: `bytes` as stored."""

    objects: int = 0
    records: int = 0
    bytes: int = 0


class Writer:
    """Takes frames of records in order of time, writes an object for each five minutes, and more of large ones.

    `level` is gzip's, None for plain text.  An object is stored when the next begins, the last by `finish`.
    """

    def __init__(
        self, place: Place, layout: Layout, fields: Format, level: int | None = 1, largest: int = LARGEST_OBJECT
    ) -> None:
        self.written = Written()
        self._place, self._layout, self._format = place, layout, fields
        self._level, self._largest = level, largest
        self._rows = max(1, min(_BLOCK_ROWS, largest // (8 * _LINE)))
        self._slot: int | None = None
        self._object = _Object(fields.header, level)

    def add(self, records: pl.DataFrame) -> None:
        """Takes records whose ends are in rising order, and none before the five minutes begun."""
        for slot, part in _by_slot(records):
            if slot != self._slot:
                self.finish()
                self._slot = slot
            for block in part.iter_slices(self._rows):
                self._append(self._format.lines(block), block.height)

    def finish(self) -> Written:
        """Stores what was begun, and says what was written in all."""
        if self._slot is not None and self._object.records:
            data, suffix = self._object.finish(), ".log" if self._level is None else ".log.gz"
            self._place.put(self._layout.key(self._slot, hashlib.sha256(data).hexdigest()[:8], suffix), data)
            self.written.objects += 1
            self.written.records += self._object.records
            self.written.bytes += len(data)
        self._object = _Object(self._format.header, self._level)
        return self.written

    def _append(self, lines: bytes, records: int) -> None:
        """Adds to the object begun, or to a new one where it might become too large."""
        if self._object.records and self._object.size + len(lines) > self._largest:
            self.finish()
        self._object.append(lines, records)


class _Object:
    """An object under way."""

    def __init__(self, header: bytes, level: int | None) -> None:
        self.size = self.records = 0
        self._parts: list[bytes] = []
        self._gzip = None if level is None else zlib.compressobj(level, zlib.DEFLATED, GZIP)
        self.append(header, 0)

    def append(self, lines: bytes, records: int) -> None:
        """Adds lines; they are flushed, so that `size` is right at once."""
        data = lines if self._gzip is None else self._gzip.compress(lines) + self._gzip.flush(zlib.Z_SYNC_FLUSH)
        self._parts.append(data)
        self.size += len(data)
        self.records += records

    def finish(self) -> bytes:
        """The whole object as stored."""
        return b"".join([*self._parts, b"" if self._gzip is None else self._gzip.flush()])


def _by_slot(records: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
    """The records of each five minutes by their end."""
    slots = records.select(slot=pl.col("end") // SLOT * SLOT)["slot"]
    first = 0
    for slot, count in slots.rle().struct.unnest().select("value", "len").iter_rows():
        yield slot, records.slice(first, count)
        first += count
