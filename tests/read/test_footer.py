"""Footers and pages that claim what is not so: refused before anything is decoded, in little time and memory."""

import time

import pytest

from exporter.errors import Damaged, ReadError, Unrecognised
from exporter.read.footer import MOST_BYTES
from exporter.read.thrift import Compact

from . import hostile
from .hostile import Column, delta, file, i32, page, text
from .objects import read

TEN = b"".join(number.to_bytes(8, "little") for number in range(10))


def test_a_file_put_together_by_hand_is_read() -> None:
    assert [each["bytes"] for each in read(file(page(10, TEN), 10, Column(values=10))).records] == list(range(10))
    packed = file(page(50, delta(50), hostile.DELTA_BINARY_PACKED), 50, Column(values=50))
    assert [each["bytes"] for each in read(packed).records] == [7] * 50
    twice = file(page(10, TEN), 10, Column(values=10), groups=2)
    assert [each["bytes"] for each in read(twice).records] == [*range(10), *range(10)]


MANY = 20_000_000
ODD_PAGES = "the pages of the Parquet column 'bytes' are not what they should be at byte"
TOO_LARGE = f"a Parquet row group takes more than {MOST_BYTES:,} bytes to decode at byte 4"
REFUSED: dict[str, tuple[bytes, type[ReadError], str]] = {
    "numbers out of nothing": (
        file(page(MANY, delta(MANY), hostile.DELTA_BINARY_PACKED), MANY, Column(values=MANY)),
        Damaged,
        TOO_LARGE,
    ),
    "texts out of nothing": (
        file(
            page(MANY, delta(MANY), hostile.DELTA_LENGTH_BYTE_ARRAY),
            MANY,
            Column(b"action", hostile.BYTE_ARRAY, values=MANY),
        ),
        Damaged,
        TOO_LARGE,
    ),
    "columns that share a page": (
        file(
            page(MANY // 8, delta(MANY // 8), hostile.DELTA_BINARY_PACKED),
            MANY // 8,
            *(Column(name, values=MANY // 8) for name in (b"bytes", b"packets", b"start", b"end", b"srcport")),
        ),
        Damaged,
        TOO_LARGE,
    ),
    "fewer values than rows": (file(page(9, TEN), 10, Column(values=10)), Damaged, ODD_PAGES),
    "more values than rows": (
        file(page(11, TEN), 10, Column(values=10)),
        Damaged,
        "the Parquet column 'bytes' has not one value for each row",
    ),
    "a column that claims more": (
        file(page(10, TEN), 10, Column(values=11)),
        Damaged,
        "the Parquet column 'bytes' has not one value for each row",
    ),
    "an empty page": (file(page(0, b""), 10, Column(values=10)), Damaged, "a page of the Parquet column 'bytes' is"),
    **{
        f"pages at 2^{power}": (file(page(10, TEN), 10, Column(values=10, offset=2**power)), Damaged, ODD_PAGES)
        for power in (20, 61, 62)
    },
    "a codec that is a list": (
        file(page(10, TEN), 10, Column(values=10, codec=hostile.entries(4, []))),
        Unrecognised,
        "the Parquet metadata lacks a number, or has a negative one",
    ),
    "an unknown codec": (
        file(page(10, TEN), 10, Column(values=10, codec=i32(4, 9))),
        Unrecognised,
        "the Parquet file is compressed in an unknown way",
    ),
    "a list of numbers": (
        file(page(10, TEN), 10, Column(values=10, repetition=2)),
        Unrecognised,
        "the Parquet column 'bytes' has columns or lists of its own; expected plain values",
    ),
    "a name twice": (
        file(page(10, TEN), 10, Column(values=10), Column(values=10)),
        Unrecognised,
        "the Parquet file has the column 'bytes' twice; expected each name once",
    ),
    "too many row groups": (
        file(page(10, TEN), 10, Column(values=10), groups=6000),
        Unrecognised,
        "the Parquet file has 6,000 row groups; expected at most 5,000",
    ),
    "negative rows": (file(page(10, TEN), -10, Column(values=10)), Unrecognised, "the Parquet metadata lacks a number"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    data, kind, reason = REFUSED[name]
    started = time.monotonic()
    reading = read(data)
    assert type(reading.error) is kind
    assert str(reading.error).startswith(reason)
    assert reading.records == []
    assert time.monotonic() - started < 2


def test_headers_without_end_are_not_read_to_it() -> None:
    long = page(1, TEN[:8], extra=(hostile.entries(9, [hostile.struct()] * 30_000),))
    reading = read(file(long * 400, 400, Column(values=400)))
    assert str(reading.error).startswith(ODD_PAGES)


def test_small_row_groups_go_together() -> None:
    """One after the other they would take minutes: each has the whole footer read again."""
    started = time.monotonic()
    reading = read(file(page(10, TEN), 10, Column(values=10), groups=5000))
    assert [each["bytes"] for each in reading.records] == list(range(10)) * 5000
    assert len(reading.batches) == 2
    assert time.monotonic() - started < 10


NO_STRUCTS = {
    "nothing": b"",
    "no end": hostile.struct(i32(1, 5))[:-1],
    "a text longer than all": hostile.struct((1, 8, hostile.number(2**40))),
    "a list longer than all": hostile.struct((1, 9, b"\xf5" + hostile.number(2**40))),
    "a number without end": b"\x15" + b"\xff" * 30,
    "lists in lists": hostile.struct((1, 9, b"\x19" * 1000)),
    "structs in structs": b"\x1c" * 1000,
    "an unknown type": b"\x1f\0\0",
}


@pytest.mark.parametrize("name", NO_STRUCTS)
def test_what_is_no_struct(name: str) -> None:
    with pytest.raises(Unrecognised):
        Compact(NO_STRUCTS[name]).struct()


def test_a_struct_of_all_types() -> None:
    data = hostile.struct(
        (1, 1, b""), (2, 2, b""), (3, 3, b"\x05"), (4, 4, hostile.signed(-300)), i32(5, 2**31 - 1),
        hostile.i64(6, -(2**63)), (7, 7, b"12345678"), text(8, b"ab"), (9, 9, b"\x25\x02\x04"), (10, 10, b"\x13\x07"),
        (11, 11, b"\x01\x55\x02\x04"), hostile.inner(12, hostile.struct(i32(1, 1))),
    )  # fmt: skip
    assert Compact(data).struct() == {
        1: True, 2: False, 3: 5, 4: -300, 5: 2**31 - 1, 6: -(2**63), 7: b"12345678", 8: b"ab", 9: [1, 2], 10: [7],
        11: [1, 2], 12: {1: 1},
    }  # fmt: skip
