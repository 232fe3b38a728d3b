"""Lines of one format to columns, by polars in one go, with strict types: the fast way.

Nothing here looks at a single line.  It is only told whether anything about all of them is odd.
"""

from dataclasses import replace
from urllib.parse import unquote

import numpy as np
import polars as pl

from exporter import fields
from exporter.fields import Kind
from exporter.flow import Addresses, Batch, S3Object
from exporter.read import lines

_OVERFLOW = "\0overflow"
_TYPES: dict[Kind, pl.DataType] = {
    Kind.KEYWORD: pl.String(),
    Kind.TAG: pl.String(),
    Kind.COUNT: pl.Int64(),
    Kind.PORT: pl.UInt16(),
    Kind.OCTET: pl.UInt8(),
    Kind.CODE: pl.UInt16(),
    Kind.TIME: pl.Int64(),
}


def batch_of(
    text: bytes, columns: tuple[str, ...], source: S3Object, *, examined: bool = False, original: bool = False
) -> Batch | None:
    """The lines of `text` as a batch without `row`; None where anything about them is odd.

    What only looks odd, such as a keyword `+5`, passes in lines that `lines.py` has examined.
    """
    height = line_count(text)
    if not _even(text, height, len(columns)) or not (examined or _typed(text, columns)):
        return None
    address = pl.Categorical(pl.Categories.random())
    # polars drops a byte order mark at the start, and inflates what starts like zlib's or zstd's data (`x^`).
    guard = not text[:1].isdigit()
    try:
        frame = pl.read_csv(
            b"\n" + text if guard else text,
            skip_rows=int(guard),
            raise_if_empty=False,
            schema=_schema(columns, address),
            separator=" ",
            has_header=False,
            quote_char=None,
            null_values=dict.fromkeys(columns, "-"),
            truncate_ragged_lines=True,
            missing_columns="insert",
        )
    except pl.exceptions.PolarsError:
        return None
    if frame.height != height or frame[_OVERFLOW].null_count() != frame.height:
        return None
    frame = frame.drop(_OVERFLOW)
    addresses = _addresses(frame)
    if addresses is None or not (examined or _in_range(frame, text)):
        return None
    batch = _finished(frame, addresses, text, source)
    if original:
        whole = pl.Series("original", text.decode().split("\n")[:-1], dtype=pl.String)
        return replace(batch, frame=batch.frame.with_columns(whole))
    return batch


def _finished(frame: pl.DataFrame, addresses: Addresses, text: bytes, source: S3Object) -> Batch:
    """The batch, with times as times, tags decoded and an unknown account missing."""
    plain = b'"' not in text and b"\\" not in text
    frame = _with_times(frame)
    if "account_id" in frame.columns and (frame["account_id"] == "unknown").any():
        frame = frame.with_columns(pl.col("account_id").replace({"unknown": None}))
    tags = [name for name in frame.columns if _kind(name) is Kind.TAG]
    if tags and b"%" in text:
        plain = False
        frame = frame.with_columns(_decoded(frame[name]) for name in tags)
    return Batch(source, frame, addresses, plain)


def _kind(column: str) -> Kind:
    field = fields.BY_COLUMN.get(column)
    return field.kind if field else Kind.KEYWORD


def _schema(columns: tuple[str, ...], address: pl.Categorical) -> dict[str, pl.DataType]:
    types = {column: _TYPES.get(_kind(column), address) for column in columns}
    return types | {_OVERFLOW: pl.String()}


def line_count(text: bytes) -> int:
    """How many newlines there are, several times faster than bytes.count finds one after the other."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord("\n")))


def _even(text: bytes, height: int, width: int) -> bool:
    """Whether each blank or newline stands alone, there are `width` of them a line, and no other control character.

    So no field is empty, no blank doubled and no line blank.  Whether each single line has `width` fields, and not one
    more where another has one less, tells the overflow column.
    """
    codes = np.frombuffer(text, np.uint8)
    blank = codes <= ord(" ")
    return not (
        (blank[1:] & blank[:-1]).any()
        or blank[:1].any()
        or np.count_nonzero(blank) != height * width
        or np.count_nonzero(codes < ord(" ")) != height
    )


def _typed(text: bytes, columns: tuple[str, ...]) -> bool:
    """Whether the types tell a record from a header, and no number has a plus."""
    return any(_kind(column) not in (Kind.KEYWORD, Kind.TAG) for column in columns) and not (
        b"+" in text and lines.PLUS.search(text)
    )


def _addresses(frame: pl.DataFrame) -> Addresses | None:
    """The distinct addresses of all address columns, in the order of their codes; None where one is no address."""
    columns = [frame[name] for name in frame.columns if isinstance(frame[name].dtype, pl.Categorical)]
    highest = [code for column in columns if isinstance(code := column.to_physical().max(), int)]
    if not highest:
        return Addresses(pl.Series([], dtype=pl.String), np.empty(0, np.uint8), np.empty((0, 4), np.uint32))
    codes = pl.Series(range(max(highest) + 1), dtype=pl.UInt32)
    text = codes.cat.to(columns[0].dtype).cast(pl.String)
    try:
        packed = [lines.packed(address) for address in text.to_list()]
    except (OSError, ValueError):
        return None
    family = np.fromiter((4 if len(address) == lines.IPV4_BYTES else 6 for address in packed), np.uint8, len(packed))
    words = np.frombuffer(b"".join(address.ljust(16, b"\0") for address in packed), ">u4")
    return Addresses(text, family, words.reshape(-1, 4).astype(np.uint32))


def _in_range(frame: pl.DataFrame, text: bytes) -> bool:
    """Counts and times are not negative (nor -0, which polars reads as 0), and times are before the year 10000."""
    numbers = frame.select(name for name in frame.columns if _kind(name) in (Kind.COUNT, Kind.TIME))
    lows = [low for column in numbers if isinstance(low := column.min(), int)]
    highs = [high for column in numbers if _kind(column.name) is Kind.TIME and isinstance(high := column.max(), int)]
    lowest = min(lows, default=1)
    if lowest < 0 or max(highs, default=0) > lines.LATEST:
        return False
    return lowest > 0 or not (text.startswith(b"-0") or b" -0" in text or b"\n-0" in text)


def _with_times(frame: pl.DataFrame) -> pl.DataFrame:
    """Epoch numbers as times; the magnitude tells seconds, milliseconds and microseconds apart (seconds reach 5138)."""
    times = [pl.col(name) for name in frame.columns if _kind(name) is Kind.TIME]
    micros = [
        pl.when(time < lines.MILLISECONDS_FROM)
        .then(time * 1_000_000)
        .when(time < lines.MICROSECONDS_FROM)
        .then(time * 1_000)
        .otherwise(time)
        for time in times
    ]
    return frame.with_columns(micro.cast(pl.Datetime("us")) for micro in micros)


def _decoded(column: pl.Series) -> pl.Series:
    """Percent-encoded UTF-8 as text, decoded once per distinct value."""
    distinct = column.drop_nulls().unique()
    decoded = pl.Series([unquote(value) for value in distinct.to_list()], dtype=pl.String)
    return column.replace_strict(distinct, decoded, default=None, return_dtype=pl.String)
