"""Lines of one format to columns, by polars in one go, with strict types: the fast way.

Nothing here looks at a single line.  It is only told whether anything about all of them is odd.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote

import numpy as np
import polars as pl

from exporter import fields
from exporter.fields import Kind
from exporter.flow import Addresses, Batch, S3Object
from exporter.read import lines
from exporter.read.dialects import MISSING_TEXTS, UNIT

_OVERFLOW = "\0overflow"
_ACCOUNT_DIGITS = 12
TYPES: dict[Kind, pl.DataType] = {
    Kind.KEYWORD: pl.String(),
    Kind.ACCOUNT: pl.String(),
    Kind.TAG: pl.String(),
    Kind.COUNT: pl.Int64(),
    Kind.PORT: pl.UInt16(),
    Kind.OCTET: pl.UInt8(),
    Kind.CODE: pl.UInt16(),
    Kind.TIME: pl.Int64(),
}
"""How each kind is read; an address is a category."""


@dataclass(frozen=True, slots=True)
class Normal:
    """Normal lines, what separates their fields, and, where that is wanted, the lines as they stood in the file."""

    text: bytes
    separator: bytes = b" "
    original: Sequence[bytes] | None = None


def batch_of(given: Normal, columns: tuple[str, ...], source: S3Object, *, examined: bool = False) -> Batch | None:
    """The lines as a batch without `row`; None where anything about them is odd.

    What only looks odd, such as a keyword `+5`, passes in lines that `lines.py` has examined.
    """
    text, separator = given.text, given.separator
    height = line_count(text)
    if not _even(text, height, len(columns), separator) or not (examined or _typed(text, columns)):
        return None
    frame = _split(text, height, columns, separator)
    if frame is None:
        return None
    addresses = addresses_of(frame)
    if addresses is None or not (examined or _in_range(frame, text, separator)):
        return None
    batch = finished(frame, addresses, source, plain=b'"' not in text and b"\\" not in text)
    if given.original is None:
        return batch
    whole = pl.Series("original", [line.decode().rstrip("\r") for line in given.original], dtype=pl.String)
    return replace(batch, frame=batch.frame.with_columns(whole))


def _split(text: bytes, height: int, columns: tuple[str, ...], separator: bytes) -> pl.DataFrame | None:
    """The fields in the types of their columns; None where one does not fit, or a line has more or fewer of them.

    Numbers that are `null` are tried in a second go: that costs the many files without nothing.
    """
    # Where blanks separate, no field is empty, and the overflow column tells each line that has more fields.
    if separator != b" " and not _whole(text, height, len(columns), separator):
        return None
    frame = _read_csv(text, columns, separator, dict.fromkeys(columns, "-"))
    if frame is None and _whole(text, height, len(columns), separator):
        frame = _read_csv(text, columns, separator, MISSING_TEXTS)
    if frame is None or frame.height != height or frame[_OVERFLOW].null_count() != height:
        return None
    return _without_nulls(frame.drop(_OVERFLOW))


def _without_nulls(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with null for texts that say so in words."""
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    if not texts:
        return frame
    odd = frame.select(((pl.col(texts) == "null") | (pl.col(texts) == "NULL")).any()).row(0)
    named = [name for name, is_odd in zip(texts, odd, strict=True) if is_odd]
    return frame.with_columns(pl.col(named).replace(MISSING_TEXTS, [None] * len(MISSING_TEXTS))) if named else frame


def _read_csv(
    text: bytes, columns: tuple[str, ...], separator: bytes, null_values: dict[str, str] | list[str]
) -> pl.DataFrame | None:
    """The columns, and one of what is left of each line; None where a value is not of its column's type."""
    address = pl.Categorical(pl.Categories.random())
    types = {column: TYPES.get(kind_of(column), address) for column in columns}
    # polars drops a byte order mark at the start, and inflates what starts like zlib's or zstd's data (`x^`).
    guard = not text[:1].isdigit()
    try:
        return pl.read_csv(
            b"\n" + text if guard else text,
            skip_rows=int(guard),
            raise_if_empty=False,
            schema=types | {_OVERFLOW: pl.String()},
            separator=separator.decode(),
            has_header=False,
            quote_char=None,
            null_values=null_values,
            truncate_ragged_lines=True,
            missing_columns="insert",
        )
    except pl.exceptions.PolarsError:
        return None


def finished(frame: pl.DataFrame, addresses: Addresses, source: S3Object, *, plain: bool) -> Batch:
    """The batch, with times as times, tags decoded and accounts with all their digits."""
    changes = [*_times(frame), *_accounts(frame)]
    tags = [name for name in frame.columns if kind_of(name) is Kind.TAG]
    encoded = [name for name in tags if frame[name].str.contains("%", literal=True).any()]
    changes += [pl.lit(_decoded(frame[name])) for name in encoded]
    return Batch(source, frame.with_columns(changes) if changes else frame, addresses, plain and not encoded)


def kind_of(column: str) -> Kind:
    """What a column's values mean; text where the field is not known."""
    field = fields.BY_COLUMN.get(column)
    return field.kind if field else Kind.KEYWORD


def line_count(text: bytes) -> int:
    """How many newlines there are, several times faster than bytes.count finds one after the other."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord("\n")))


_OTHERS = {separator: bytes(range(separator[0] + 1, 256)) for separator in (b" ", UNIT)}
"""Bytes that neither separate fields or lines nor are control characters."""


def _even(text: bytes, height: int, width: int, separator: bytes) -> bool:
    """Whether there are `width` separators or newlines a line, each with a field before it, and no control character.

    Where no blanks separate, a field may be empty.
    """
    codes = np.frombuffer(text, np.uint8)
    blank = codes <= separator[0]
    if np.count_nonzero(blank) != height * width or np.count_nonzero(codes < separator[0]) != height:
        return False
    return (separator != b" " and width > 1) or not ((blank[1:] & blank[:-1]).any() or blank[:1].any())


def _whole(text: bytes, height: int, width: int, separator: bytes) -> bool:
    """Whether each single line has `width` fields."""
    return text.translate(None, _OTHERS[separator]) == (separator * (width - 1) + b"\n") * height


def _typed(text: bytes, columns: tuple[str, ...]) -> bool:
    """Whether the types tell a record from a header, and no number has a plus."""
    return any(kind_of(column) not in lines.TEXTS for column in columns) and not (
        b"+" in text and lines.PLUS.search(text)
    )


def addresses_of(frame: pl.DataFrame) -> Addresses | None:
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


def lowest_in_range(frame: pl.DataFrame) -> int | None:
    """The lowest of all counts and times; None where one is negative, or a time is after the year 9999."""
    numbers = [frame[name] for name in frame.columns if kind_of(name) in (Kind.COUNT, Kind.TIME)]
    numbers = [column.to_physical() if column.dtype.is_temporal() else column for column in numbers]
    lows = [low for column in numbers if isinstance(low := column.min(), int)]
    times = [column for column in numbers if kind_of(column.name) is Kind.TIME]
    highs = [high for column in times if isinstance(high := column.max(), int)]
    lowest = min(lows, default=1)
    return None if lowest < 0 or max(highs, default=0) > lines.LATEST else lowest


def _in_range(frame: pl.DataFrame, text: bytes, separator: bytes) -> bool:
    """Whether all numbers are in range, and none is a -0, which polars reads as 0."""
    lowest = lowest_in_range(frame)
    if lowest is None:
        return False
    return lowest > 0 or not (text.startswith(b"-0") or separator + b"-0" in text or b"\n-0" in text)


def _times(frame: pl.DataFrame) -> Iterator[pl.Expr]:
    """Epoch numbers as times; the magnitude tells seconds, milliseconds and microseconds apart (seconds reach 5138)."""
    for name in frame.columns:
        if kind_of(name) is Kind.TIME and frame[name].dtype == pl.Int64:
            time = pl.col(name)
            micros = (
                pl.when(time < lines.MILLISECONDS_FROM)
                .then(time * 1_000_000)
                .when(time < lines.MICROSECONDS_FROM)
                .then(time * 1_000)
                .otherwise(time)
            )
            yield micros.cast(pl.Datetime("us"))


def _accounts(frame: pl.DataFrame) -> Iterator[pl.Expr]:
    """Ids with the zeros that a number loses in front; `unknown` is missing."""
    accounts = [name for name in frame.columns if kind_of(name) is Kind.ACCOUNT]
    if not accounts:
        return
    odd = frame.select((pl.col(accounts).str.len_bytes() != _ACCOUNT_DIGITS).any()).row(0)
    for name in (name for name, is_odd in zip(accounts, odd, strict=True) if is_odd):
        account = pl.col(name)
        short = account.str.contains(r"^[0-9]{1,11}$")
        whole = pl.when(short).then(account.str.zfill(_ACCOUNT_DIGITS)).otherwise(account)
        yield pl.when(account != "unknown").then(whole)


def _decoded(column: pl.Series) -> pl.Series:
    """Percent-encoded UTF-8 as text, decoded once per distinct value."""
    distinct = column.drop_nulls().unique()
    decoded = pl.Series([unquote(value) for value in distinct.to_list()], dtype=pl.String)
    return column.replace_strict(distinct, decoded, default=None, return_dtype=pl.String)
