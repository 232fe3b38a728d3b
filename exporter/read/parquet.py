"""Parquet to batches, by its schema: some rows of a row group at a time, whatever their number.

The columns are cast as a whole; a slice in which anything is odd goes row by row through `lines.py`, as text does.
"""

import csv
import io
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import polars as pl
from polars.exceptions import PanicException, PolarsError

from exporter.errors import Damaged, ReadError, Unrecognised
from exporter.fields import Kind
from exporter.flow import BadLine, Batch, Form, Piece, S3Object
from exporter.read import lines
from exporter.read.columns import TYPES, addresses_of, finished, kind_of, lowest_in_range
from exporter.read.dialects import MISSING
from exporter.read.examined import examined, numbered
from exporter.read.footer import MAGIC, Footer, read_footer

__all__ = ["MAGIC", "read"]

CONTAINER, SCHEMA = "parquet", "its schema"

_LARGEST = 1024**3
"""Bytes of a copy on disk; AWS's objects have 75 MB at most."""

_SLICE_ROWS = 32_768
_SLICE_BYTES = 16 * 1024 * 1024
_LONGEST_ROW = 8 * 1024 * 1024
_UNIT = b"\x1f"
_MICROSECOND = timedelta(microseconds=1)
_MISSING = [text.decode() for text in MISSING]
_LONGEST_MISSING = max(map(len, MISSING))


def read(chunks: Iterator[bytes], source: S3Object, spool: Path | None) -> Iterator[Piece]:
    """The file's records in pieces, in its order; `spool` is the folder for a copy of it, None the system's.

    Raises Unrecognised where its columns are not those of a flow log, or it cannot be read at all; Damaged at the first
    row group that cannot be read.
    """
    with _copied(chunks, spool) as (file, size):
        footer = read_footer(file, size)
        columns = lines.named_columns(footer.names)
        if columns is None:
            raise Unrecognised(f"the Parquet columns are not those of a flow log: {', '.join(footer.names)[:200]}")
        form = Form(CONTAINER, columns, SCHEMA)
        row = 0
        for frame in _frames(file, footer):
            for part in _light(frame):
                yield _piece(part, row, form, source)
                row += part.height


@contextmanager
def _copied(chunks: Iterator[bytes], spool: Path | None) -> Iterator[tuple[BinaryIO, int]]:
    """A file without a name, which the system removes whatever becomes of this process, and its size."""
    with tempfile.TemporaryFile(dir=spool) as file:
        size = 0
        for chunk in chunks:
            size += file.write(chunk)
            if size > _LARGEST:
                raise ReadError(f"the Parquet file is larger than {_LARGEST:,} bytes")
        file.flush()
        yield file, size


def _frames(file: BinaryIO, footer: Footer) -> Iterator[pl.DataFrame]:
    """The rows in slices, columns as they stand in the file."""
    start = 0
    for group in footer.groups(_SLICE_ROWS):
        end = start + group.rows
        while start < end:
            rows = min(group.slice_rows, end - start)
            frame = _slice(file, start, rows)
            if frame.height != rows:
                raise Damaged(f"the Parquet rows from {start:,} on are not all there", 0)
            yield frame
            start += rows


def _slice(file: BinaryIO, start: int, rows: int) -> pl.DataFrame:
    file.seek(0)
    try:
        scan = pl.scan_parquet(file, glob=False, hive_partitioning=False, use_statistics=False)
        return scan.slice(start, rows).collect()
    except (PolarsError, PanicException, OSError) as error:
        first = str(error).partition("\n")[0][:200]
        raise Damaged(f"the Parquet rows from {start:,} on cannot be read: {first}", 0) from error


def _light(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The same rows in parts whose text is bounded: a dictionary's text stands there once and for any row."""
    texts = [name for name in frame.columns if frame[name].dtype in (pl.String, pl.Binary)]
    size = sum(int(_lengths(frame[name]).sum()) for name in texts)
    if size <= _SLICE_BYTES:
        yield frame
    elif frame.height > 1:
        half = frame.height // 2
        yield from _light(frame.head(half))
        yield from _light(frame.slice(half))
    elif size > _LONGEST_ROW:
        raise ReadError(f"a row is longer than {_LONGEST_ROW:,} bytes: the rest was not read")
    else:
        yield frame


def _lengths(column: pl.Series) -> pl.Series:
    return column.str.len_bytes() if column.dtype == pl.String else column.bin.size()


def _piece(frame: pl.DataFrame, row: int, form: Form, source: S3Object) -> Piece:
    frame = frame.rename(dict(zip(frame.columns, form.columns, strict=True)))
    batch = _batch(frame, source)
    if batch is not None:
        return Piece(numbered(batch, pl.int_range(row, row + frame.height, dtype=pl.UInt32, eager=True)), form)
    return examined(_segment(frame, row), form, _UNIT, source)


def _batch(frame: pl.DataFrame, source: S3Object) -> Batch | None:
    """All rows at once; None where any value is odd."""
    address = pl.Categorical(pl.Categories.random())
    plain, columns = True, []
    try:
        for column in map(_known, frame):
            kind = kind_of(column.name)
            if column.dtype == pl.String and kind is not Kind.ADDRESS:
                distinct = column.unique()
                if distinct.str.contains(r"[\x00-\x1f]").any():
                    return None
                plain = plain and not distinct.str.contains(r'["\\]').any()
            columns.append(_cast(column, kind, address))
    except PolarsError:
        return None
    typed = pl.DataFrame(columns)
    addresses = addresses_of(typed)
    if addresses is None or lowest_in_range(typed) is None:
        return None
    return finished(typed, addresses, source, plain=plain)


def _known(column: pl.Series) -> pl.Series:
    """The column as text, numbers or times, with null for what stands for no value."""
    if column.dtype in (pl.Binary, pl.Boolean) or isinstance(column.dtype, pl.Categorical | pl.Enum):
        column = column.cast(pl.String)
    if column.dtype.is_float() and not column.is_nan().any() and (column == column.floor()).all():
        column = column.cast(pl.Int64)
    shortest = column.str.len_bytes().min() if column.dtype == pl.String else None
    if isinstance(shortest, int) and shortest <= _LONGEST_MISSING:
        column = column.replace(_MISSING, [None] * len(_MISSING))
    return column


def _cast(column: pl.Series, kind: Kind, address: pl.Categorical) -> pl.Series:
    """The column in the type of its kind; a polars error where a value does not fit."""
    text, dtype = column.dtype == pl.String, column.dtype
    if kind is Kind.TIME and isinstance(dtype, pl.Datetime):
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if dtype.time_zone else column
        return column.cast(pl.Datetime("us"))
    if not (text or dtype.is_integer() or dtype == pl.Null):
        raise pl.exceptions.InvalidOperationError(f"{column.name} is {dtype}")
    if text and kind not in {*lines.TEXTS, Kind.ADDRESS} and not column.str.contains("^[0-9]+$").all():
        raise pl.exceptions.InvalidOperationError(f"{column.name} has a value that is no number")
    return column.cast(TYPES.get(kind, address))


def _segment(frame: pl.DataFrame, row: int) -> lines.Segment:
    """The rows as lines, sorted into good and bad ones."""
    columns = tuple(frame.columns)
    segment, good = lines.Segment(columns), list[bytes]()
    for number, values in enumerate(frame.iter_rows(), row):
        tokens = [_token(value) for value in values]
        if reason := lines.fault(tokens, columns):
            segment.bad.append(BadLine(number, reason, _line(tokens)))
        else:
            segment.rows.append(number)
            good.append(_UNIT.join(tokens) + b"\n")
    segment.text = b"".join(good)
    segment.lines = good
    return segment


def _token(value: object) -> bytes:
    """A value as a record in text has it."""
    if isinstance(value, datetime):
        since = value.replace(tzinfo=value.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        value = since // _MICROSECOND
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    elif isinstance(value, bool):
        value = str(value).lower()
    token = value if isinstance(value, bytes) else b"" if value is None else str(value).encode()
    return b"-" if token in MISSING else token


def _line(tokens: Sequence[bytes]) -> str:
    """A row as a line that can be read again: with blanks, or with commas where a value has blanks."""
    texts = [token.decode("utf-8", "replace") for token in tokens]
    if not any(character.isspace() for text in texts for character in text):
        return " ".join(texts)
    line = io.StringIO()
    csv.writer(line).writerow(texts)
    return line.getvalue().rstrip("\r\n")
