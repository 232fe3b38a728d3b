"""Whole objects: every value of every record, every row, every line that is none."""

import gzip

import polars as pl
import pytest

from exporter.errors import Damaged, ReadError, Unrecognised
from exporter.flow import BadLine
from exporter.read import lines, reader
from exporter.read import text as text_reader
from exporter.read.reader import Reader

from .objects import SOURCE, Stream, read
from .records import ACCEPTED, ACCEPTED_VALUES, IPV6, IPV6_VALUES, NODATA, NODATA_VALUES, RECORDS, V2, at


@pytest.mark.parametrize("name", RECORDS)
def test_records(name: str) -> None:
    data, expected = RECORDS[name]
    reading = read(data)
    first = 0 if name.endswith("without a header") else 1
    assert reading.records == [record | {"row": row} for row, record in enumerate(expected, first)]
    assert (reading.bad, reading.skipped, reading.error) == ([], 0, None)
    if name != "two members":
        assert read(gzip.compress(data)).records == reading.records
    assert read(data, most=1).records == reading.records


def test_types_and_addresses() -> None:
    (batch,) = read(V2 + ACCEPTED + IPV6 + ACCEPTED).batches
    numbers = [pl.UInt16, pl.UInt16, pl.UInt8, pl.Int64, pl.Int64]
    times = [pl.Datetime("us")] * 2
    schema = batch.frame.schema
    address = schema["srcaddr"]
    assert isinstance(address, pl.Categorical)
    assert list(schema.values()) == [
        pl.UInt16, pl.String, pl.String, address, address, *numbers, *times, pl.String, pl.String, pl.UInt32,
    ]  # fmt: skip
    assert schema["dstaddr"] == address
    known = batch.addresses
    table = {
        text: (family, words)
        for text, family, words in zip(known.text, known.family.tolist(), known.words.tolist(), strict=True)
    }
    assert table == {
        "172.31.16.139": (4, [0xAC1F108B, 0, 0, 0]),
        "172.31.16.21": (4, [0xAC1F1015, 0, 0, 0]),
        "2001:db8:1234:a100:8d6e:3477:df66:f105": (6, [0x20010DB8, 0x1234A100, 0x8D6E3477, 0xDF66F105]),
        "2001:db8:1234:a102:3304:8879:34cf:4071": (6, [0x20010DB8, 0x1234A102, 0x33048879, 0x34CF4071]),
    }
    for column in ("srcaddr", "dstaddr"):
        codes = batch.frame[column].to_physical()
        assert known.text.gather(codes).to_list() == batch.frame[column].cast(pl.String).to_list()


def test_no_addresses() -> None:
    (batch,) = read(V2 + NODATA).batches
    assert (len(batch.addresses.text), batch.addresses.family.size, batch.addresses.words.shape) == (0, 0, (0, 4))


@pytest.mark.parametrize(("value", "plain"), [(b"ACCEPT", True), (b'"', False), (b"\\", False), ("ü".encode(), True)])
def test_plain(value: bytes, plain: bool) -> None:  # noqa: FBT001
    (batch,) = read(V2 + ACCEPTED.replace(b"ACCEPT", value)).batches
    assert batch.plain is plain


def test_decoded_tags_are_not_plain() -> None:
    (batch,) = read(b"srcport instance-tag\n1 a%22\n").batches
    assert (batch.plain, batch.frame["instance_tag"].to_list()) == (False, ['a"'])


def test_the_original_line() -> None:
    frame = read("action dstport\n\u2028\x85 1\nb 2\n".encode(), Reader(original=True)).frame
    assert frame["original"].to_list() == ["\u2028\x85 1", "b 2"]
    frame = read(V2 + ACCEPTED + b"x\n" + NODATA, Reader(original=True)).frame
    assert frame["original"].to_list() == [ACCEPTED.decode()[:-1], NODATA.decode()[:-1]]
    assert "original" not in read(V2 + ACCEPTED).frame.columns


NOTHING = {
    "empty": (b"", 0),
    "empty gzip": (gzip.compress(b""), 0),
    "header only": (V2, 0),
    "header only, without a newline": (V2[:-1], 0),
    "blank lines": (b"\n \n\r\n", 3),
    "blank lines and a header": (b"\n\n" + V2, 3),
    "many blank lines": (V2 + b"\n" * 5_000_000, 5_000_000),
}


@pytest.mark.parametrize("name", NOTHING)
def test_nothing_to_read(name: str) -> None:
    data, skipped = NOTHING[name]
    reading = read(data)
    assert (reading.records, reading.bad, reading.skipped, reading.error) == ([], [], skipped, None)


def test_a_header_after_blank_lines() -> None:
    reading = read(b"\n \nlog-status end\nOK 1418530070\n")
    assert reading.records == [{"log_status": "OK", "end": at("2014-12-14T04:07:50"), "row": 3}]
    assert (reading.bad, reading.skipped) == ([], 3)


def test_names_for_a_file_without_a_header() -> None:
    reading = read(b"443 ACCEPT x\nx y\n22 REJECT -\n", names=("dstPort", "action", "mine"))
    assert reading.records == [
        {"dstport": 443, "action": "ACCEPT", "extra.mine": "x", "row": 0},
        {"dstport": 22, "action": "REJECT", "row": 2},
    ]
    assert reading.bad == [BadLine(1, "2 fields where the format has 3", "x y")]


def test_a_header_beats_the_names_given() -> None:
    assert read(b"dstport\n1\n", names=("srcport",)).records == [{"dstport": 1, "row": 1}]


UNRECOGNISED = {
    b"PAR1\x15\x04\x15": "the Parquet file has no footer: it breaks off, or is encrypted",
    b'{"Records": []}\n': "this is JSON without log events; expected objects with `message` or `logEvents`, as "
    "Firehose and CloudWatch Logs write them: b'{\"Records\": []}'",
    b'[{"message": "2"}]': "this is JSON without log events; expected objects with `message` or `logEvents`, as "
    'Firehose and CloudWatch Logs write them: b\'[{"message": "2"}]\'',
    b"PK\x03\x04rest": "this is a ZIP archive; expected text, log events in JSON, or Parquet, as such or in gzip",
    b"x" * 70_000: "the first line is longer than 65,536 bytes",
    b"x" * 10 * 2**20: "a line is longer than 8,388,608 bytes",
    b"\x1f": "the first line is no header, nor a record of the version 2 default format "
    "(1 field where the format has 14): b'\\x1f\\n'; `format` in the configuration, or --format, can name its fields",
    ACCEPTED.replace(b" 22 ", b" ssh "): "the first line is no header, nor a record of the version 2 default format "
    "(dstport: 'ssh' is not a number): b'2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 ssh 6 "
    "20 4'; `format` in the configuration, or --format, can name its fields",
}


@pytest.mark.parametrize("data", UNRECOGNISED, ids=range(len(UNRECOGNISED)))
def test_unrecognised(data: bytes) -> None:
    for stored in (data, gzip.compress(data)):
        reading = read(stored)
        assert type(reading.error) is Unrecognised
        assert str(reading.error) == UNRECOGNISED[data]
        assert (reading.records, reading.bad) == ([], [])


@pytest.mark.parametrize("piece_bytes", [100, 2**22])
def test_a_line_without_end_after_records(piece_bytes: int) -> None:
    reading = read(V2 + ACCEPTED * 3 + b"x" * 10 * 2**20, Reader(piece_bytes=piece_bytes), most=300)
    assert reading.rows == [1, 2, 3]
    assert str(reading.error) == "a line is longer than 8,388,608 bytes"


BAD = {
    ACCEPTED[:-4] + b"\n": "13 fields where the format has 14",
    ACCEPTED[:-1] + b" -\n": "15 fields where the format has 14",
    ACCEPTED[:-1] + b" a b\n": "16 fields where the format has 14",
    ACCEPTED.replace(b" 22 ", b" x "): "dstport: 'x' is not a number",
    ACCEPTED.replace(b" 22 ", b" +5 "): "dstport: '+5' is not a number",
    ACCEPTED.replace(b" 22 ", b" -0 "): "dstport: '-0' is not a number",
    ACCEPTED.replace(b" 22 ", b" 65536 "): "dstport: 65536 is larger than 65535",
    ACCEPTED.replace(b" 6 ", b" 256 "): "protocol: 256 is larger than 255",
    ACCEPTED.replace(b" 4249 ", b" +5 "): "bytes: '+5' is not a number",
    ACCEPTED.replace(b" 4249 ", b" -5 "): "bytes: '-5' is not a number",
    ACCEPTED.replace(b" 4249 ", b" -0 "): "bytes: '-0' is not a number",
    ACCEPTED.replace(b" 4249 ", b" 1.0 "): "bytes: '1.0' is not a number",
    ACCEPTED.replace(b" 4249 ", b" 1e3 "): "bytes: '1e3' is not a number",
    ACCEPTED.replace(b" 4249 ", b" " + b"9" * 20 + b" "): f"bytes: {'9' * 20} is larger than {2**63 - 1}",
    ACCEPTED.replace(
        b"1418530010", b"253402300800000000"
    ): "start: 253402300800000000 is larger than 253402300799000000",
    ACCEPTED.replace(b"172.31.16.21 ", b"ip-10 "): "dstaddr: 'ip-10' is not an IPv4 or IPv6 address",
    ACCEPTED.replace(b"ACCEPT", b"\xffCCEPT"): "action: invalid UTF-8 at byte 0 of the field",
    ACCEPTED.replace(b"ACCEPT", b"AC\0EPT"): "action: a control character",
    ACCEPTED.replace(b" ACCEPT ", b" ACCEPT\x1f"): "13 fields where the format has 14",
}


@pytest.mark.parametrize("line", BAD, ids=BAD.values())
def test_a_bad_line_and_the_rest(line: bytes) -> None:
    reading, shown = read(V2 + ACCEPTED + line + IPV6), line.decode("utf-8", "replace")[:-1]
    assert reading.records == [ACCEPTED_VALUES | {"row": 1}, IPV6_VALUES | {"row": 3}]
    assert reading.bad == [BadLine(2, BAD[line], shown, exact="\ufffd" not in shown)]
    assert (reading.skipped, reading.error) == (0, None)


def test_all_bad_lines_at_once() -> None:
    reading = read(V2 + b"".join(ACCEPTED + line for line in BAD) + ACCEPTED)
    assert reading.rows == [*range(1, 2 * len(BAD) + 2, 2)]
    assert [(bad.row, bad.reason) for bad in reading.bad] == [
        (2 * (place + 1), reason) for place, reason in enumerate(BAD.values())
    ]


def test_one_field_too_many_does_not_hide_one_too_few() -> None:
    reading = read(b"dstport action\n1 a -\n2\n3 c\n")
    assert reading.records == [{"dstport": 3, "action": "c", "row": 3}]
    assert reading.bad == [
        BadLine(1, "3 fields where the format has 2", "1 a -"),
        BadLine(2, "1 field where the format has 2", "2"),
    ]


def test_headers_in_the_middle() -> None:
    reading = read(V2 + ACCEPTED + V2 + NODATA + b"log-status dstport\nOK 5\n\n" + V2 + IPV6 + V2)
    assert reading.records == [
        ACCEPTED_VALUES | {"row": 1},
        NODATA_VALUES | {"row": 3},
        {"log_status": "OK", "dstport": 5, "row": 5},
        IPV6_VALUES | {"row": 8},
    ]
    assert (reading.bad, reading.skipped, reading.error) == ([], 5, None)
    assert [batch.frame.height for batch in reading.batches] == [2, 1, 1]


def test_a_header_in_the_middle_holds_for_the_pieces_after_it() -> None:
    data = b"srcport\n1\n2\ndstport\n3\n4\n" * 3
    whole, pieces = read(data), read(data, Reader(piece_bytes=4), most=3)
    assert pieces.records == whole.records
    assert [row.keys() - {"row"} for row in whole.records] == [{"srcport"}, {"srcport"}, {"dstport"}, {"dstport"}] * 3
    assert (whole.rows, whole.skipped) == ([1, 2, 4, 5, 7, 8, 10, 11, 13, 14, 16, 17], 5)


def test_a_truncated_object_at_every_byte() -> None:
    stored = gzip.compress(V2 + ACCEPTED + NODATA, mtime=0)
    for end in range(2, len(stored)):
        reading = read(stored[:end])
        assert isinstance(reading.error, Damaged)
        assert reading.error.position == end
        assert reading.rows in ([], [1], [1, 2])
        if end >= len(stored) - 8:
            assert reading.rows == [1, 2]
        assert len(reading.bad) <= 1
    assert read(stored).error is None


def test_the_line_in_which_an_object_breaks_off() -> None:
    stored = gzip.compress(V2 + ACCEPTED + NODATA, 0)
    end = len(stored) - 8 - 5  # stored as it is: five bytes, "DATA" and the newline, are missing
    reading = read(stored[:end])
    assert reading.records == [ACCEPTED_VALUES | {"row": 1}]
    reason = f"the file breaks off in this line: the gzip file ends inside its data at byte {end}"
    assert reading.bad == [BadLine(2, reason, NODATA.decode()[:-5], exact=False)]
    assert str(reading.error) == f"the gzip file ends inside its data at byte {end}"


def test_the_line_in_which_an_object_of_words_breaks_off() -> None:
    stored = gzip.compress(b"action\nACCEPT\nREJECT\n", 0)
    reading = read(stored[: len(stored) - 8 - 5])
    assert reading.records == [{"action": "ACCEPT", "row": 1}]
    assert [(bad.row, bad.text) for bad in reading.bad] == [(2, "RE")]


def test_a_wrong_checksum_loses_no_record() -> None:
    stored = gzip.compress(V2 + ACCEPTED + NODATA)
    reading = read(stored[:-8] + b"\0\0\0\0" + stored[-4:])
    assert reading.records == [ACCEPTED_VALUES | {"row": 1}, NODATA_VALUES | {"row": 2}]
    assert reading.bad == []
    assert str(reading.error) == f"the gzip data does not fit its checksum at byte {len(stored) - 8}"


def test_too_many_bad_lines() -> None:
    reading = read(V2 + b"x\n" * 101 + ACCEPTED, Reader(piece_bytes=1, most_bad_lines=100), most=1)
    assert (len(reading.bad), reading.rows) == (101, [])
    assert type(reading.error) is ReadError
    assert str(reading.error) == "more than 100 lines are no records: the rest was not read"
    assert read(V2 + b"x\n" * 100 + ACCEPTED, Reader(most_bad_lines=100)).error is None


def test_too_many_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_MOST_FORMATS", 4)
    assert read(b"srcport\n1\ndstport\n1\n" * 2 + b"srcport\n").error is None
    error = read(b"srcport\n1\ndstport\n1\n" * 3).error
    assert str(error) == "more than 4 headers of another format: the rest was not read"


def test_too_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_reader, "_MOST_ROWS", 1000)
    assert read(V2 + b"\n" * 999).error is None
    assert str(read(V2 + b"\n" * 1000).error) == "more than 1,000 lines: the rest was not read"


def test_what_no_check_faults_and_polars_refuses_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """No such line is known, so the checks are taken away."""
    monkeypatch.setattr(lines, "fault", lambda *_: None)
    reading = read(V2 + ACCEPTED + ACCEPTED.replace(b" 22 ", b" x ") + b"y\n" + IPV6)
    assert reading.records == [ACCEPTED_VALUES | {"row": 1}, IPV6_VALUES | {"row": 4}]
    assert [(bad.row, bad.reason) for bad in reading.bad] == [(row, "the line cannot be read") for row in (2, 3)]


def test_the_source_is_read_no_further_than_needed() -> None:
    stream = Stream(V2 + ACCEPTED * 100_000)
    pieces = Reader().read(stream, SOURCE)
    next(pieces)
    assert stream.at < 5 * 2**20


@pytest.mark.parametrize("more", [b"1 - -", b"1 A null", b"1,,", b'"1","A",'])
def test_a_line_with_one_more_beside_one_with_one_less(more: bytes) -> None:
    """As many fields as two whole lines have, and none of them in the way of a reader that only counts."""
    separator = b"," if b"," in more else b" "
    reading = read(separator.join([b"dstport", b"action"]) + b"\n" + more + b"\n2\n")
    assert reading.records == []
    assert [(bad.row, bad.reason) for bad in reading.bad] == [
        (1, "3 fields where the format has 2"),
        (2, "1 field where the format has 2"),
    ]


def test_null_is_no_value_in_any_kind_of_field() -> None:
    for data in (
        b"dstport action srcaddr end\nnull NULL null null\n",
        b"dstport,action,srcaddr,end\nnull,NULL,,null\n",
    ):
        reading = read(data)
        assert (reading.records, reading.bad) == ([{"row": 1}], [])
