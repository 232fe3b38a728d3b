"""What AWS packs records into: text with a header line, or Parquet."""

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Protocol

import polars as pl

from exporter.fields import FIELDS, Field, Kind, field_named

FORMATS: dict[str, tuple[str, ...]] = {
    f"v{version}": tuple(known.name for known in FIELDS if known.since <= version) for version in (2, 3, 4, 5)
}
"""All fields up to a version, in AWS's usual order: v2 is the format of a flow log made without one."""

GZIP = 16 + zlib.MAX_WBITS
"""zlib's way to ask for a gzip frame; its header then has no time, so that the same records make the same bytes."""

GROUP_ROWS = 100_000
"""Records of a row group of a Parquet file: about 5 MB of it."""

_PARQUET_TYPES: dict[Kind, type[pl.DataType]] = {
    Kind.PORT: pl.Int32,
    Kind.OCTET: pl.Int32,
    Kind.CODE: pl.Int32,
    Kind.COUNT: pl.Int64,
    Kind.TIME: pl.Int64,
}
"""The types of the AWS guide's table of fields, INT32 and INT64; every other kind is a string."""


@dataclass(frozen=True, slots=True)
class Format:
    """The fields of a flow log, in their order, and what the `version` field then says."""

    fields: tuple[Field, ...]

    @classmethod
    def of(cls, names: Sequence[str]) -> "Format":
        """The format of these names, in any spelling of the field table; a ValueError for one that is not there."""
        found = [field_named(name) for name in names]
        if unknown := [name for name, known in zip(names, found, strict=True) if known is None]:
            raise ValueError(f"not the name of a flow-log field: {', '.join(unknown)}")
        fields = tuple(known for known in found if known)
        if not fields or len(set(fields)) < len(fields):
            raise ValueError("a format needs at least one field, and each only once")
        return cls(fields)

    @property
    def header(self) -> bytes:
        """The first line of a text object."""
        return " ".join(known.name for known in self.fields).encode() + b"\n"

    @property
    def flow_log(self) -> str:
        """A made-up flow-log id that stands for the format: a flow log's format never changes."""
        return f"fl-0{hashlib.sha256(self.header).hexdigest()[:16]}"

    def table(self, records: pl.DataFrame) -> pl.DataFrame:
        """The records in the columns and types of Parquet; one that the records lack is null."""
        version = max(known.since for known in self.fields)
        types = pl.Schema({known.column: _PARQUET_TYPES.get(known.kind, pl.String) for known in self.fields})
        missing = [pl.lit(None).alias(name) for name in types if name not in records.columns]
        return records.with_columns(missing).with_columns(version=pl.lit(version)).select(*types).cast(types)

    def lines(self, records: pl.DataFrame) -> bytes:
        """The records as text lines; null is written as `-`."""
        text = BytesIO()
        self.table(records).write_csv(text, include_header=False, separator=" ", null_value="-", quote_style="never")
        return text.getvalue()


class Begun(Protocol):
    """An object under way: `size` is about that of `finish`, in bytes, and hardly ever smaller."""

    size: int
    records: int

    def append(self, block: bytes, records: int) -> None:
        """Adds so many records, as the container's `block` made them."""
        ...  # pragma: no cover

    def finish(self) -> bytes:
        """The whole object as stored."""
        ...  # pragma: no cover


class Container(Protocol):
    """How the records of an object are packed."""

    @property
    def suffix(self) -> str:
        """The end of its key."""
        ...  # pragma: no cover

    def block(self, records: pl.DataFrame) -> bytes:
        """Some records, as an object under way takes them; about as large as they make it at most."""
        ...  # pragma: no cover

    def begin(self) -> Begun:
        """An object without records."""
        ...  # pragma: no cover


@dataclass(frozen=True, slots=True)
class Text:
    """A header line and a line a record; `level` is gzip's, None for plain text."""

    format: Format
    level: int | None = 1

    @property
    def suffix(self) -> str:
        """`.log.gz`, or `.log` where nothing is compressed."""
        return ".log" if self.level is None else ".log.gz"

    def block(self, records: pl.DataFrame) -> bytes:
        """The lines."""
        return self.format.lines(records)

    def begin(self) -> Begun:
        """An object with its header line."""
        return _TextObject(self.format.header, self.level)


@dataclass(frozen=True, slots=True)
class Parquet:
    """Row groups of at most `group_rows`, with gzip inside, as AWS has it; `level` is gzip's, None for none."""

    format: Format
    level: int | None = 1
    group_rows: int = GROUP_ROWS

    @property
    def suffix(self) -> str:
        """`.log.parquet`, whatever the compression."""
        return ".log.parquet"

    def block(self, records: pl.DataFrame) -> bytes:
        """A Parquet file of these records alone."""
        return self.packed(self.format.table(records).lazy())

    def begin(self) -> Begun:
        """An object without records."""
        return _ParquetObject(self)

    def packed(self, table: pl.LazyFrame) -> bytes:
        """The table as a Parquet file, never whole in memory; the same table always makes the same bytes."""
        data = BytesIO()
        if self.level is None:
            table.sink_parquet(data, compression="uncompressed", row_group_size=self.group_rows)
        else:
            table.sink_parquet(data, compression="gzip", compression_level=self.level, row_group_size=self.group_rows)
        return data.getvalue()


class _TextObject:
    def __init__(self, header: bytes, level: int | None) -> None:
        self.size = self.records = 0
        self._parts: list[bytes] = []
        self._gzip = None if level is None else zlib.compressobj(level, zlib.DEFLATED, GZIP)
        self.append(header, 0)

    def append(self, block: bytes, records: int) -> None:
        """Adds lines; they are flushed, so that `size` is right at once."""
        data = block if self._gzip is None else self._gzip.compress(block) + self._gzip.flush(zlib.Z_SYNC_FLUSH)
        self._parts.append(data)
        self.size += len(data)
        self.records += records

    def finish(self) -> bytes:
        """The whole text as stored."""
        return b"".join([*self._parts, b"" if self._gzip is None else self._gzip.flush()])


@dataclass(slots=True)
class _ParquetObject:
    """Blocks are kept packed, and put together to large row groups at the end: each has its own footer until then."""

    container: Parquet
    size: int = 0
    records: int = 0
    blocks: list[bytes] = field(default_factory=list)

    def append(self, block: bytes, records: int) -> None:
        """Adds a block."""
        self.blocks.append(block)
        self.size += len(block)
        self.records += records

    def finish(self) -> bytes:
        """One file of all blocks."""
        return self.container.packed(pl.scan_parquet(self.blocks))
