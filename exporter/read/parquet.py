"""Parquet to batches, by its schema: some rows of a row group at a time, whatever their number.

The columns are cast as a whole; a slice in which anything is odd goes row by row through `lines.py`, as text does.
"""

import csv
import io
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import polars as pl
from polars.exceptions import PanicException, PolarsError

from exporter.errors import ReadError, Unrecognised
from exporter.fields import Kind, field_named
from exporter.flow import BadLine, Batch, Form, Piece, S3Object
from exporter.read import lines
from exporter.read.columns import TYPES, addresses_of, finished, kind_of, lowest_in_range
from exporter.read.dialects import LONGEST_LINE, MISSING, MISSING_TEXTS, UNIT
from exporter.read.examined import examined, numbered
from exporter.read.footer import MAGIC, Footer, read_footer

__all__ = ["MAGIC", "read"]

CONTAINER, SCHEMA = "parquet", "its schema"

_LARGEST = 1024**3
"""Bytes of a copy on disk; AWS's objects have 75 MB at most."""

_SLICE_ROWS = 32_768
_SLICE_VALUES = 2_000_000
_LONGEST_MISSING = max(map(len, MISSING))


def read(chunks: Iterator[bytes], source: S3Object, spool: Path | None) -> Iterator[Piece]:
    """The file's records in pieces, in its order; `spool` is the folder for a copy of it, None the system's.

    Raises Unrecognised where its columns are not those of a flow log, or it cannot be read at all; ReadError at the
    first rows that cannot be read.
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
        if not row:
            yield examined(lines.Segment(columns), form, UNIT, source)


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
    """The rows in slices: columns named as in the file; text, numbers, or what is left of odd bytes."""
    start = 0
    for rows in footer.rows(min(_SLICE_ROWS, _SLICE_VALUES // len(footer.names))):
        end = start + rows.count
        while start < end:
            count = min(rows.slice_rows, end - start)
            frame = _slice(file, start, count)
            if frame.height != count:
                raise ReadError(f"the Parquet rows from {start:,} on are not all there")
            yield frame
            start += count


def _slice(file: BinaryIO, start: int, count: int) -> pl.DataFrame:
    file.seek(0)
    try:
        scan = pl.scan_parquet(file, glob=False, hive_partitioning=False, use_statistics=False)
        return pl.DataFrame([_plain(column) for column in scan.slice(start, count).collect()])
    except (PolarsError, PanicException, OSError) as error:
        first = str(error).partition("\n")[0][:200]
        raise ReadError(f"the Parquet rows from {start:,} on cannot be read: {first}") from error


def _plain(column: pl.Series) -> pl.Series:
    """The column as text or numbers; bytes that are no text stay bytes."""
    kind, dtype = _kind(column.name), column.dtype
    if isinstance(dtype, pl.Datetime) and kind is Kind.TIME:
        return _micros(column, dtype)
    if dtype == pl.Binary or dtype.is_float():
        return _narrowed(column, kind)
    if dtype.is_decimal():
        return column.cast(pl.String).str.replace(r"\.0+$", "")
    kept = dtype in (pl.String, pl.Null) or dtype.is_integer() or _is_dictionary(column)
    return column if kept else _texts(column)


def _narrowed(column: pl.Series, kind: Kind) -> pl.Series:
    """Bytes as text and floating-point numbers as whole ones, where they are that."""
    try:
        if column.dtype == pl.Binary:
            return column.cast(pl.String)
        if not column.is_nan().any() and (column == column.floor()).all():
            return column.cast(pl.Int64)
    except PolarsError:
        pass
    return column.cast(pl.String) if kind in lines.TEXTS and column.dtype.is_float() else column


def _kind(name: str) -> Kind:
    """By a column's name in the file."""
    known = field_named(name)
    return known.kind if known else Kind.KEYWORD


def _texts(column: pl.Series) -> pl.Series:
    """Truths, dates and the like as text; where one is a time that no calendar has, their numbers."""
    try:
        texts = column.cast(pl.String)
    except (PolarsError, PanicException):
        texts = None
    if texts is None or texts.null_count() > column.null_count():
        return column.to_physical().cast(pl.String)
    return texts


def _micros(column: pl.Series, dtype: pl.Datetime) -> pl.Series:
    """Timestamps as the microseconds that a record in text may have; those that it may not have, as what they are not.

    Before 1973 a number of microseconds would be taken for milliseconds.
    """
    unit = {"ms": 1_000, "us": 1, "ns": -1_000}[dtype.time_unit]
    raw = column.to_physical()
    low, high = lines.MICROSECONDS_FROM, lines.LATEST
    micros = pl.col("raw") * unit if unit > 0 else pl.col("raw") // -unit
    bounds = (low // unit, high // unit) if unit > 0 else (low * -unit, high * -unit)
    known = pl.when(pl.col("raw").is_between(*bounds)).then(micros.cast(pl.String))
    other = pl.format("timestamp:{}", pl.col("raw"))
    return raw.alias("raw").to_frame().select(known.otherwise(other).alias(column.name)).to_series()


def _light(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The same rows in parts whose text is bounded: a dictionary's text stands there once and for any row.

    ReadError at a row that is longer than a line may be.
    """
    size = sum(map(_text_bytes, frame))
    if size <= LONGEST_LINE:
        yield frame.with_columns(pl.col(column.name).cast(pl.String) for column in frame if _is_dictionary(column))
    elif frame.height > 1:
        half = frame.height // 2
        yield from _light(frame.head(half))
        yield from _light(frame.slice(half))
    else:
        raise ReadError(f"a row is longer than {LONGEST_LINE:,} bytes: the rest was not read")


def _text_bytes(column: pl.Series) -> int:
    if column.dtype == pl.String:
        return int(column.str.len_bytes().sum())
    if column.dtype == pl.Binary:
        return int(column.bin.size().sum())
    return int(column.cat.len_bytes().sum()) if _is_dictionary(column) else 0


def _is_dictionary(column: pl.Series) -> bool:
    return isinstance(column.dtype, pl.Categorical | pl.Enum)


def _piece(frame: pl.DataFrame, row: int, form: Form, source: S3Object) -> Piece:
    frame = frame.rename(dict(zip(frame.columns, form.columns, strict=True)))
    batch = _batch(frame, source)
    if batch is not None:
        return Piece(numbered(batch, pl.int_range(row, row + frame.height, dtype=pl.UInt32, eager=True)), form)
    return examined(_segment(frame, row), form, UNIT, source)


def _batch(frame: pl.DataFrame, source: S3Object) -> Batch | None:
    """All rows at once; None where any value is odd."""
    address = pl.Categorical(pl.Categories.random())
    plain, columns = True, []
    try:
        for column in map(_known, frame):
            kind = kind_of(column.name)
            if column.dtype == pl.String and kind in lines.TEXTS:
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
    """The column with null for what stands for no value."""
    shortest = column.str.len_bytes().min() if column.dtype == pl.String else None
    if isinstance(shortest, int) and shortest <= _LONGEST_MISSING:
        column = column.replace(MISSING_TEXTS, [None] * len(MISSING_TEXTS))
    return column


def _cast(column: pl.Series, kind: Kind, address: pl.Categorical) -> pl.Series:
    """The column in the type of its kind; a polars error where a value does not fit."""
    text = column.dtype == pl.String
    if not (text or column.dtype.is_integer() or column.dtype == pl.Null):
        raise pl.exceptions.InvalidOperationError(f"{column.name} is {column.dtype}")
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
            exact = all(token.decode("utf-8", "replace").encode() == token for token in tokens)
            segment.bad.append(BadLine(number, reason, _line(tokens), exact))
        else:
            segment.rows.append(number)
            good.append(UNIT.join(tokens) + b"\n")
    segment.text = b"".join(good)
    segment.lines = good
    return segment


def _token(value: object) -> bytes:
    """A value as a record in text has it."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
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
