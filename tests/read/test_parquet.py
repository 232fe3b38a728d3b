"""Parquet: the same records as in text, whatever the types and encodings; and files that are not what they claim."""

import gzip
import io
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exporter.errors import Damaged, ReadError, Unrecognised
from exporter.read import footer, parquet
from exporter.read.reader import Reader

from .objects import Reading, read
from .records import ACCEPTED_VALUES, NODATA_VALUES, OUTPOST_VALUES, SERVICE_VALUES, at

AWS = {
    "version": pl.Int32, "srcaddr": pl.String, "dstaddr": pl.String, "srcport": pl.Int32, "dstport": pl.Int32,
    "protocol": pl.Int32, "start": pl.Int64, "end": pl.Int64, "type": pl.String, "packets": pl.Int64,
    "bytes": pl.Int64, "account_id": pl.String, "vpc_id": pl.String, "subnet_id": pl.String, "instance_id": pl.String,
    "interface_id": pl.String, "region": pl.String, "az_id": pl.String, "sublocation_type": pl.String,
    "sublocation_id": pl.String, "action": pl.String, "tcp_flags": pl.Int32, "pkt_srcaddr": pl.String,
    "pkt_dstaddr": pl.String, "pkt_src_aws_service": pl.String, "pkt_dst_aws_service": pl.String,
    "traffic_path": pl.Int32, "flow_direction": pl.String, "log_status": pl.String,
}  # fmt: skip
"""The version 5 fields with the types that AWS gives them in Parquet."""


def stored(values: dict[str, object], column: str) -> object:
    """A value as AWS stores it: times as seconds (milliseconds and microseconds, where they have them)."""
    value = values.get(column)
    if not isinstance(value, datetime):
        return value
    micros = (value - datetime(1970, 1, 1)) // timedelta(microseconds=1)  # noqa: DTZ001 - as frames have times
    return micros // 10**6 if micros % 10**6 == 0 else micros // 1000 if micros % 1000 == 0 else micros


RECORDS = [SERVICE_VALUES, OUTPOST_VALUES, NODATA_VALUES, ACCEPTED_VALUES]
FRAME = pl.DataFrame({name: [stored(values, name) for values in RECORDS] for name in AWS}, schema=AWS)
MEANT = [values | {"row": row} for row, values in enumerate(RECORDS)]


def written(frame: pl.DataFrame, **options: Any) -> bytes:  # noqa: ANN401 - polars' own
    file = io.BytesIO()
    frame.write_parquet(file, **options)
    return file.getvalue()


def by_arrow(frame: pl.DataFrame, **options: Any) -> bytes:  # noqa: ANN401 - pyarrow's own
    """The same by another writer, which knows other encodings."""
    file = io.BytesIO()
    pq.write_table(frame.to_arrow(), file, **options)
    return file.getvalue()


def texts(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.all().cast(pl.String))


def spelled(change: Callable[[str], str]) -> pl.DataFrame:
    return FRAME.rename(change)


UNSET = FRAME.with_columns(
    pl.when(pl.col(name).is_null()).then(pl.lit(mark)).otherwise(pl.col(name)).alias(name)
    for name, mark in {"pkt_src_aws_service": "-", "traffic_path": "null", "action": "", "instance_id": "NULL"}.items()
)

FILES = {
    "as AWS writes it": written(FRAME, compression="gzip"),
    **{f"in {how}": written(FRAME, compression=how) for how in ("snappy", "zstd", "lz4", "uncompressed", "brotli")},
    "a row group each record": written(FRAME, row_group_size=1),
    "in gzip": gzip.compress(written(FRAME)),
    "hyphens": written(spelled(lambda name: name.replace("_", "-"))),
    "camel case": written(spelled(lambda name: name[0] + name.title().replace("_", "")[1:])),
    "upper case": written(spelled(str.upper)),
    "the AWS CLI's": written(spelled(lambda name: "${" + name.replace("_", "-") + "}")),
    "all text": written(texts(FRAME)),
    "wide numbers": written(FRAME.with_columns(pl.col(pl.Int32).cast(pl.Int64))),
    "unsigned numbers": written(FRAME.with_columns(pl.col(pl.Int32, pl.Int64).cast(pl.UInt64))),
    "floating numbers": written(FRAME.with_columns(pl.col(pl.Int32).cast(pl.Float64))),
    "categories": written(FRAME.with_columns(pl.col("action", "region", "srcaddr").cast(pl.Categorical))),
    "text without its type": written(FRAME.with_columns(pl.col(pl.String).cast(pl.Binary))),
    "what stands for no value": written(UNSET),
    "dictionaries": by_arrow(FRAME, use_dictionary=True, compression="gzip"),
    "no dictionaries": by_arrow(FRAME, use_dictionary=False, compression="snappy"),
    "pages of the second kind": by_arrow(FRAME, data_page_version="2.0", version="2.6", compression="zstd"),
    "deltas": by_arrow(
        FRAME,
        use_dictionary=False,
        column_encoding={name: "DELTA_BYTE_ARRAY" for name in AWS if AWS[name] == pl.String}
        | {name: "DELTA_BINARY_PACKED" for name in AWS if AWS[name] != pl.String},
    ),
    "without statistics": by_arrow(FRAME, write_statistics=False, use_dictionary=False, data_page_size=1),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("most", [1000, 2**30])
def test_every_value_of_every_record(name: str, most: int) -> None:
    reading = read(FILES[name], most=most)
    assert reading.records == MEANT
    assert (reading.bad, reading.skipped, reading.error) == ([], 0, None)


def test_the_types_are_those_of_text() -> None:
    (batch,) = read(FILES["as AWS writes it"]).batches
    schema = batch.frame.schema
    address = schema["srcaddr"]
    assert isinstance(address, pl.Categorical)
    expected: dict[str, object] = {
        "srcport": pl.UInt16,
        "protocol": pl.UInt8,
        "bytes": pl.Int64,
        "version": pl.UInt16,
        "row": pl.UInt32,
    }
    expected |= {"start": pl.Datetime("us"), "account_id": pl.String, "dstaddr": address}
    assert {name: schema[name] for name in expected} == expected
    assert batch.plain
    codes = batch.frame["dstaddr"].to_physical()
    assert batch.addresses.text.gather(codes.drop_nulls()).to_list() == ["10.0.0.71", "10.0.0.71", "172.31.16.21"]


def one(**columns: object) -> Reading:
    return read(written(pl.DataFrame({name: [value] for name, value in columns.items()})))


CET = timezone(timedelta(hours=1))
NOON = datetime(2026, 11, 3, 12, 0, 0, 123456, tzinfo=UTC)
VALUES: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "an account as a number": ({"account_id": 12, "bytes": 1}, {"account_id": "000000000012", "bytes": 1}),
    "an account as a floating number": ({"account_id": 12.0, "bytes": 1}, {"account_id": "000000000012", "bytes": 1}),
    "an unknown account": ({"account_id": "unknown", "bytes": 1}, {"bytes": 1}),
    "a time": ({"start": NOON.replace(tzinfo=None)}, {"start": at("2026-11-03T12:00:00.123456")}),
    "a time with a zone": ({"start": NOON.astimezone(CET)}, {"start": at("2026-11-03T12:00:00.123456")}),
    "an amount": ({"bytes": Decimal("5.00"), "srcport": Decimal(443)}, {"bytes": 5, "srcport": 443}),
    "a date of a field that is not known": (
        {"bytes": 1, "srcport": 2, "day": date(2026, 11, 3)},
        {"bytes": 1, "srcport": 2, "extra.day": "2026-11-03"},
    ),
    "a time of a field that is not known": (
        {"bytes": 1, "srcport": 2, "seen": NOON.replace(tzinfo=None)},
        {"bytes": 1, "srcport": 2, "extra.seen": "2026-11-03 12:00:00.123456"},
    ),
    "milliseconds": ({"start": 1793707200123}, {"start": at("2026-11-03T12:00:00.123")}),
    "a truth": ({"action": True}, {"action": "true"}),
    "a number as text": ({"action": 5}, {"action": "5"}),
    "a tag": ({"instance_tag": "a%20%22b"}, {"instance_tag": 'a "b'}),
    "a blank within": ({"instance_tag": "a b"}, {"instance_tag": "a b"}),
    "quotes": ({"action": '"\\'}, {"action": '"\\'}),
    "nothing": ({"action": None, "bytes": None, "srcaddr": None, "start": None}, {}),
    "unknown fields": (
        {"bytes": 1, "srcport": 2, "colour": "red", "Colour": 1.5, "srcPort": 3, "dstport": 4},
        {"bytes": 1, "srcport": 2, "dstport": 4, "extra.colour": "red", "extra.Colour": "1.5", "extra.srcport.2": "3"},
    ),
}


@pytest.mark.parametrize("name", VALUES)
def test_values(name: str) -> None:
    columns, expected = VALUES[name]
    reading = one(**columns)
    assert (reading.records, reading.bad, reading.error) == ([expected | {"row": 0}], [], None)


FAULTS: dict[str, tuple[dict[str, object], str, str]] = {
    "negative": ({"bytes": -1, "action": "A"}, "bytes: '-1' is not a number", "-1 A"),
    "too large": ({"srcport": 65536}, "srcport: 65536 is larger than 65535", "65536"),
    "a fraction": ({"srcport": 1.5}, "srcport: '1.5' is not a number", "1.5"),
    "no number": ({"srcport": "+5"}, "srcport: '+5' is not a number", "+5"),
    "no address": ({"srcaddr": "x y", "bytes": 1}, "srcaddr: 'x y' is not an IPv4 or IPv6 address", "x y,1"),
    "late": ({"start": 2**62}, "start: 4611686018427387904 is larger than 253402300799000000", str(2**62)),
    "a control character": ({"action": "a\nb", "bytes": 1}, "action: a control character", '"a\nb",1'),
    "no text": ({"action": b"a\xff"}, "action: invalid UTF-8 at byte 1 of the field", "a\ufffd"),
    "before 1970": (
        {"start": datetime(1969, 1, 1)},  # noqa: DTZ001
        "start: 'timestamp:-31536000000000' is not a number",
        "timestamp:-31536000000000",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_bad_rows(name: str) -> None:
    columns, reason, text = FAULTS[name]
    (bad,) = one(**columns).bad
    assert (bad.row, bad.reason, bad.text) == (0, reason, text)


TIMES = {
    "us": (1_616_729_292_000_001, "2021-03-26T03:28:12.000001"),
    "ms": (1_616_729_292_001, "2021-03-26T03:28:12.001"),
    "ns": (1_616_729_292_000_001_999, "2021-03-26T03:28:12.000001"),
}


@pytest.mark.parametrize("unit", TIMES)
@pytest.mark.parametrize("odd", [0, 900_000_000_000_000_000, 2**63 - 1, -(2**63) + 1])
@pytest.mark.parametrize("rest", [1, -1])
def test_a_timestamp_that_is_no_time_of_a_flow(unit: Literal["ms", "us", "ns"], odd: int, rest: int) -> None:
    """Before 1973 its number of microseconds would be taken for milliseconds; Python and polars know no such years."""
    number, meant = TIMES[unit]
    odd = -odd if unit == "ns" and odd > 0 else odd
    frame = pl.DataFrame({"start": [number, odd], "bytes": [1, rest]}).with_columns(
        pl.col("start").cast(pl.Datetime(unit))
    )
    reading = read(written(frame))
    assert reading.records == [{"start": at(meant), "bytes": 1, "row": 0}]
    assert [(bad.row, bad.reason) for bad in reading.bad] == [(1, f"start: 'timestamp:{odd}' is not a number")]


def test_dates_that_no_calendar_has_are_carried() -> None:
    frame = pl.DataFrame({"bytes": [1, -1], "srcport": [1, 1], "day": [2**31 - 1, 0]})
    reading = read(written(frame.with_columns(pl.col("day").cast(pl.Int32).cast(pl.Date))))
    assert reading.records == [{"bytes": 1, "srcport": 1, "extra.day": "2147483647", "row": 0}]
    assert [bad.text for bad in reading.bad] == ["-1 1 0"]


def test_no_rows() -> None:
    reading = read(written(FRAME.head(0)))
    assert (reading.records, reading.bad, reading.error) == ([], [], None)
    (form,) = reading.forms
    assert (form.container, form.columns, form.told_by) == ("parquet", tuple(AWS), "its schema")


def test_a_bad_row_between_good_ones() -> None:
    reading = read(written(pl.DataFrame({"srcport": [1, -2, 3], "action": ["A", "B", "-"]}), row_group_size=2))
    assert reading.records == [{"srcport": 1, "action": "A", "row": 0}, {"srcport": 3, "row": 2}]
    assert [(bad.row, bad.text) for bad in reading.bad] == [(1, "-2 B")]


def test_slices_and_row_groups_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.DataFrame({"srcport": range(1000), "action": ["A", "B"] * 500})
    meant = read(written(frame)).records
    assert [record["srcport"] for record in meant] == list(range(1000))
    for slice_rows, slice_bytes in ((7, 2**20), (64, 20), (2000, 300)):
        monkeypatch.setattr(parquet, "_SLICE_ROWS", slice_rows)
        monkeypatch.setattr(parquet, "LONGEST_LINE", slice_bytes)
        reading = read(written(frame, row_group_size=300))
        assert reading.records == meant
        assert max(batch.frame.height for batch in reading.batches) <= min(slice_rows, slice_bytes)


def changed(data: bytes, old: bytes, new: bytes) -> bytes:
    assert data.count(old) >= 1
    return data.replace(old, new)


SMALL = written(pl.DataFrame({"srcport": [1, 2], "action": ["A", "B"]}), compression="uncompressed")
NO_FLOW_LOG = written(pl.DataFrame({"a": [1], "b": [2], "action": ["x"]}))
REFUSED = {
    "nothing but the magic": (b"PAR1", "the Parquet file has no footer: it breaks off, or is encrypted"),
    "cut": (SMALL[:-1], "the Parquet file has no footer: it breaks off, or is encrypted"),
    "an encrypted footer": (SMALL[:-4] + b"PARE", "the Parquet file has no footer: it breaks off, or is encrypted"),
    "a footer longer than the file": (SMALL[:-8] + b"\xff\xff\0\0PAR1", "the Parquet file has no footer"),
    "a footer of zeros": (b"PAR1" + bytes(90) + b"\x40\0\0\0PAR1", "the Parquet metadata lacks"),
    "other columns": (NO_FLOW_LOG, "the Parquet columns are not those of a flow log: a, b, action"),
    "a list": (
        written(pl.DataFrame({"bytes": [1], "srcport": [[1, 2]]})),
        "the Parquet column 'srcport' has columns or lists of its own; expected plain values",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_whole(name: str) -> None:
    data, reason = REFUSED[name]
    reading = read(data)
    assert isinstance(reading.error, Unrecognised)
    assert str(reading.error).startswith(reason)
    assert (reading.records, reading.bad) == ([], [])


def test_a_row_group_that_is_corrupt_damages_the_rest() -> None:
    frame = pl.DataFrame({"srcport": range(100), "action": ["ACCEPT"] * 100})
    data = bytearray(written(frame, row_group_size=10, compression="zstd"))
    metadata = pq.ParquetFile(io.BytesIO(bytes(data))).metadata
    broken = metadata.row_group(3).column(0)
    start = broken.dictionary_page_offset or broken.data_page_offset
    data[start : start + broken.total_compressed_size] = bytes(broken.total_compressed_size)
    reading = read(bytes(data))
    assert [record["srcport"] for record in reading.records] == list(range(30))
    assert isinstance(reading.error, ReadError)


def claims(monkeypatch: pytest.MonkeyPatch, data: bytes, **limits: int) -> Reading:
    for name, limit in limits.items():
        monkeypatch.setattr(footer, name, limit)
    return read(data)


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.DataFrame({"srcport": range(1000), "action": [f"A{n}" for n in range(1000)]})
    data = written(frame, row_group_size=100)
    assert len(claims(monkeypatch, data).records) == 1000
    for limit, reason in (
        ({"MOST_ROWS": 999}, "the Parquet file claims more than 999 rows"),
        ({"MOST_BYTES": 500}, "a Parquet row group takes more than 500 bytes to decode at byte"),
        ({"_LARGEST_FOOTER": 100}, "the Parquet file's footer is larger than 100 bytes"),
        ({"_MOST_COLUMNS": 1}, "the Parquet file has 2 columns; expected 1 to 1"),
    ):
        with monkeypatch.context() as context:
            reading = claims(context, data, **limit)
            assert str(reading.error).startswith(reason)
            assert reading.records == []
    with monkeypatch.context() as context:
        reading = claims(context, data, _MOST_PAGES=30)
        assert isinstance(reading.error, Damaged)
        assert 0 < len(reading.records) < 1000
    monkeypatch.setattr(parquet, "_LARGEST", 1000)
    assert str(read(data).error) == "the Parquet file is larger than 1,000 bytes"


def test_a_row_longer_than_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "LONGEST_LINE", 100)
    reading = read(written(pl.DataFrame({"action": ["A", "B" * 90, "C" * 101, "D"]})))
    assert [record["action"] for record in reading.records] == ["A", "B" * 90]
    assert str(reading.error) == "a row is longer than 100 bytes: the rest was not read"


def test_the_copy_lies_where_it_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    reading = read(FILES["as AWS writes it"], Reader(spool=tmp_path))
    assert len(reading.records) == 4
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        read(FILES["as AWS writes it"], Reader(spool=tmp_path / "missing"))


BOMBS: dict[str, tuple[str, dict[str, Any]]] = {
    "a long text of a dictionary in each row": (
        "30000|None",
        {"text": 200_000, "rows": 30_000, "use_dictionary": True},
    ),
    "a long text that each row repeats": (
        "2000|None",
        {"text": 400_000, "rows": 2_000, "use_dictionary": False, "column_encoding": {"action": "DELTA_BYTE_ARRAY"}},
    ),
    "a long category of each row, and one bad row": (
        "999|None",
        {"text": 500_000, "rows": 1_000, "category": True, "bad": True},
    ),
    "many numbers, and one bad row": ("32767|None", {"text": 1, "rows": 32_768, "numbers": 300, "bad": True}),
    "a page of zeros": (
        "0|a Parquet row group takes more than 268,435,456 bytes to decode at byte 4",
        {"text": 2**29, "rows": 1, "use_dictionary": False},
    ),
    "ten million equal rows": (
        "3014656|None",
        {"text": 2, "rows": 10_000_000, "use_dictionary": True},
    ),
}
"""What is read of each, and the error; of the last one 92 slices of 32,768 rows, which is enough."""

_MEASURE = """
import re, sys
from exporter.errors import ReadError
from exporter.read.reader import Reader
from tests.read.objects import SOURCE
rows, error = 0, None
try:
    for piece in Reader().read(open(sys.argv[1], "rb"), SOURCE):
        rows += piece.batch.frame.height
        if rows >= 3_000_000:
            break
except ReadError as caught:
    error = caught
peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]
print(peak, rows, error, sep="|")
"""


def write_bomb(path: Path, options: dict[str, Any]) -> None:
    """The same text in each row, and the same number in each of `numbers` columns; the last row's may be a bad one."""
    text, rows = options.pop("text"), options.pop("rows")
    category, numbers, bad = (options.pop(name, 0) for name in ("category", "numbers", "bad"))
    known = ["bytes", "packets", "srcport", "dstport", "protocol"]
    spellings = [name[:at] + "_" * many + name[at:] for name in known for many in range(1, 20) for at in range(1, 5)]
    once, step = pa.array(["x" * text]), max(1, min(rows, 10**9 // text, 10**7))
    kind = pa.dictionary(pa.int32(), pa.string()) if category else pa.string()
    names = ["version", *spellings[:numbers]] if bad else spellings[:numbers]
    schema = pa.schema([("action", kind), *((name, pa.int64()) for name in names)])
    with pq.ParquetWriter(path, schema, compression="zstd", write_statistics=False, **options) as writer:
        for start in range(0, rows, step):
            count = min(step, rows - start)
            texts = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), once)
            last = pa.array([7] * (count - 1) + [-1 if start + count == rows else 7])
            columns = {name: last if name == "version" else pa.array([7] * count) for name in names}
            writer.write_table(pa.table({"action": texts if category else texts.cast(pa.string()), **columns}, schema))


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_stays_in_bounds(name: str, tmp_path: Path) -> None:
    expected, options = BOMBS[name]
    write_bomb(tmp_path / "bomb", dict(options))
    assert (tmp_path / "bomb").stat().st_size < 2_000_000
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _MEASURE, str(tmp_path / "bomb")],
        capture_output=True, text=True, check=True, timeout=200,
    )  # fmt: skip
    kib, _, outcome = done.stdout.strip().partition("|")
    assert outcome == expected
    assert int(kib) < 500 * 1024
