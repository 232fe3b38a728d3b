"""Parquet files of odd columns: any names, any types, any values, made from an input's bytes one after the other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from typing import Literal, TypeVar

import polars as pl

from exporter.fields import FIELDS

T = TypeVar("T")

COMPRESSIONS: tuple[Literal["uncompressed", "gzip", "snappy", "zstd", "lz4", "brotli"], ...] = (
    *("uncompressed", "gzip", "snappy", "zstd"),
    *("lz4", "brotli"),
)

NAMES = (
    *(field.column for field in FIELDS),
    *("account-id", "srcAddr", "DSTADDR", "windowstart", "${bytes}", "log_status", "dstPort", "flow-log-status"),
    *("flavour", "extra.flavour", "row", "original", "", "a b", "a,b", "\0overflow", "ünï", "x" * 300, "date", "hour"),
)

WORDS = (
    *("-", "", "null", "NULL", "unknown", "eni-0123456789abcdef0", "ACCEPT", "OK", "NODATA", "a b", '"', "\\", "\n"),
    *("10.0.0.1", "::1", "fe80::1%eth0", "10.0.0.256", "1.2.3", "2600:1f18:4000:a00::5", "::ffff:1.2.3.4", "\0"),
    *("0", "6", "443", "65536", "-1", "+5", "1e3", "0x10", "1760000100", "1760000100000", "1760000100000000", "٣"),
    *("9223372036854775808", "123456789012", "1234", "%C3%A4", "%", "%ff", "ä", "a" * 5_000),
)

NUMBERS = (0, 1, 2, 5, 6, 255, 256, 443, 65_535, 65_536, -1, 1_760_000_100, 1_760_000_100_000, 1_760_000_100_000_000)
LARGE = (*NUMBERS, 2**31, -(2**31), 2**63 - 1, -(2**63), 253_402_300_800_000_000)
FLOATS = (0.0, 6.0, -0.0, 1.5, float("nan"), float("inf"), 1e300, 1_760_000_100.0, 2.0**53 + 2)
MOMENT = datetime(2025, 10, 9, 8, 55, tzinfo=UTC)
TIMES = (MOMENT, datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))


@dataclass(slots=True)
class Choices:
    """Bytes as choices; zeros when they are used up."""

    data: bytes
    at: int = 0

    def number(self, below: int) -> int:
        """A number from 0."""
        self.at += 1
        return self.data[self.at - 1] % below if self.at <= len(self.data) else 0

    def one(self, of: Sequence[T]) -> T:
        """One of these."""
        return of[self.number(len(of))]


def _fitting(numbers: Sequence[int], bits: int, *, signed: bool = True) -> tuple[int, ...]:
    lowest, highest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return tuple(number for number in numbers if lowest <= number <= highest)


TYPES: tuple[tuple[pl.DataType, Sequence[object]], ...] = (
    (pl.String(), WORDS),
    (pl.Int32(), _fitting(LARGE, 32)),
    (pl.Int64(), LARGE),
    (pl.String(), WORDS[13:20]),
    (pl.Int64(), NUMBERS[:6]),
    (pl.Int8(), _fitting(NUMBERS, 8)),
    (pl.UInt16(), _fitting(NUMBERS, 16, signed=False)),
    (pl.UInt32(), _fitting(NUMBERS, 32, signed=False)),
    (pl.UInt64(), (*_fitting(LARGE, 64, signed=False), 2**64 - 1)),
    (pl.Float32(), FLOATS[:6]),
    (pl.Float64(), FLOATS),
    (pl.Boolean(), (True, False)),
    (pl.Binary(), (b"", b"10.0.0.1", b"\xff\xfe", b"6")),
    (pl.Categorical(), WORDS),
    (pl.Date(), (date(2025, 10, 9), date(1, 1, 1))),
    (pl.Datetime("ms", "UTC"), TIMES),
    (pl.Datetime("us"), tuple(time.replace(tzinfo=None) for time in TIMES)),
    (pl.Datetime("ns", "UTC"), TIMES[:1]),
    (pl.Time(), (MOMENT.time(),)),
    (pl.Duration("ms"), (timedelta(seconds=1), timedelta(0))),
    (pl.Decimal(38, 2), (Decimal("1.50"), Decimal(6), Decimal(-1))),
    (pl.List(pl.Int64()), ([], [1, 2])),
    (pl.Struct({"a": pl.Int64()}), ({"a": 1}, {"a": None})),
    (pl.Null(), (None,)),
)
"""Types of a column, and the values that one may have."""


def odd_parquet(content: bytes) -> tuple[bytes, int]:
    """A file of the columns that the bytes choose, and its rows."""
    choices = Choices(content)
    height, width = choices.number(24), 1 + choices.number(12)
    columns = {choices.one(NAMES): _column(choices, height) for _ in range(width)}
    frame = pl.DataFrame(columns)
    data = BytesIO()
    frame.write_parquet(
        data,
        compression=choices.one(COMPRESSIONS),
        row_group_size=24 - choices.number(22),
        statistics=choices.number(2) == 0,
    )
    return data.getvalue(), frame.height


def _column(choices: Choices, height: int) -> pl.Series:
    """A column with some nulls."""
    dtype, values = choices.one(TYPES)
    value: Callable[[], object] = lambda: None if choices.number(8) == 7 else choices.one(values)  # noqa: E731, PLR2004
    return pl.Series([value() for _ in range(height)], dtype=dtype)
