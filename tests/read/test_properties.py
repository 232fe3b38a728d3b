"""What holds for any object: nothing is lost, nothing is invented, and only a ReadError ends a reading."""

import gzip
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from exporter.fields import FIELDS, Field, Kind
from exporter.read.lines import header_columns
from exporter.read.reader import Reader

from .objects import Reading, read
from .records import ACCEPTED, IPV6, NODATA, OUTPOST, SERVICE, V2, V5

quick = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
WORDS = st.text(st.characters(codec="utf-8", min_codepoint=33), min_size=1, max_size=8)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)


def _same(value: object) -> tuple[str, object]:
    return str(value), value


def _tag(text: str) -> tuple[str, object]:
    return quote(text, safe=""), text


def _account(number: int) -> tuple[str, object]:
    return str(number), f"{number:012}"


def _time(number: int) -> tuple[str, object]:
    micros = number * 10**6 if number < 10**11 else number * 1000 if number < 10**14 else number
    return str(number), EPOCH + timedelta(microseconds=micros)


VALUES: dict[Kind, st.SearchStrategy[tuple[str, object]]] = {
    Kind.KEYWORD: WORDS.filter(lambda text: text not in ("-", "null", "NULL")).map(_same),
    Kind.ACCOUNT: st.integers(0, 10**12 - 1).map(_account),
    Kind.TAG: st.text(min_size=1, max_size=8).filter(lambda text: text not in ("-", "null", "NULL")).map(_tag),
    Kind.ADDRESS: st.ip_addresses().map(lambda address: (str(address), str(address))),
    Kind.COUNT: st.integers(0, 2**63 - 1).map(_same),
    Kind.PORT: st.integers(0, 65_535).map(_same),
    Kind.OCTET: st.integers(0, 255).map(_same),
    Kind.CODE: st.integers(0, 65_535).map(_same),
    Kind.TIME: st.integers(0, 253_402_300_799_000_000).map(_time),
}
"""By kind: what stands in the record, and what it means."""

NOTHING = st.just(("-", None))


@st.composite
def objects(draw: st.DrawFn) -> tuple[bytes, list[dict[str, object]]]:
    """Any fields in any order, any values: the text, and what it means."""
    fields: list[Field] = draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=12, unique=True))
    records = draw(st.lists(st.tuples(*(VALUES[field.kind] | NOTHING for field in fields)), max_size=6))
    lines = [" ".join(field.name for field in fields), *(" ".join(text for text, _ in values) for values in records)]
    assume(not any(header_columns(line.encode()) for line in lines[1:]))
    meant = [
        {field.column: value for field, (_, value) in zip(fields, values, strict=True) if value is not None}
        | {"row": row}
        for row, values in enumerate(records, 1)
    ]
    return "".join(f"{line}\n" for line in lines).encode("utf-8"), meant


@quick
@given(objects(), st.booleans())
def test_what_was_written_is_read(drawn: tuple[bytes, list[dict[str, object]]], packed: bool) -> None:  # noqa: FBT001
    data, meant = drawn
    reading = read(gzip.compress(data) if packed else data)
    assert (reading.bad, reading.skipped, reading.error) == ([], 0, None)
    assert reading.records == meant


@quick
@given(objects())
def test_the_original_line_is_kept(drawn: tuple[bytes, list[dict[str, object]]]) -> None:
    data, _ = drawn
    kept = [record["original"] for record in read(data, Reader(original=True)).records]
    assert kept == data.decode().split("\n")[1:-1]


ODD = (b"", b" ", b"x", b"- -", V2[:-1], V5[:-1], b"\xff", b"\xef\xbb\xbf", ACCEPTED[:-1].replace(b"6", b"+6"))
PIECES = st.lists(
    st.sampled_from((ACCEPTED, IPV6, NODATA, *(line + b"\n" for line in ODD), SERVICE, OUTPOST)), max_size=9
)


def accounted(reading: Reading) -> int:
    """Lines that are records, bad or skipped."""
    return len(reading.rows) + len(reading.bad) + reading.skipped


@quick
@given(PIECES)
def test_every_line_is_accounted_for(chosen: list[bytes]) -> None:
    reading = read(V2 + b"".join(chosen))
    assert reading.error is None
    assert accounted(reading) == len(chosen)
    taken = [*reading.rows, *(bad.row for bad in reading.bad)]
    assert len(set(taken)) == len(taken)
    assert set(taken) <= set(range(1, len(chosen) + 1))


@quick
@given(PIECES, st.integers(1, 400), st.integers(1, 1000))
def test_the_fast_and_the_careful_way_agree(chosen: list[bytes], most: int, piece_bytes: int) -> None:
    """A piece with one odd line goes the careful way as a whole; in small pieces its other lines go the fast way."""
    data = V2 + b"".join(chosen)
    whole, pieces = read(data), read(data, Reader(piece_bytes=piece_bytes), most)
    assert (pieces.records, pieces.bad, pieces.skipped) == (whole.records, whole.bad, whole.skipped)
    assert str(pieces.error) == str(whole.error)


TOKENS = st.sampled_from(
    [*b"0 1 - + . a A : \x00 \x1f \t \r \n \xff \x80".split(b" "), b" ", b"\n", b"-0", b"::", b"end"]
)


@quick
@given(st.lists(TOKENS, max_size=30).map(b"".join))
def test_any_lines_in_any_pieces(rest: bytes) -> None:
    for header in (b"bytes dstport\n", b"srcaddr end\n", b"action type\n"):
        whole = read(header + rest)
        pieces = read(header + rest, Reader(piece_bytes=1), 1)
        assert whole.error is None
        assert (pieces.records, pieces.bad, pieces.skipped) == (whole.records, whole.bad, whole.skipped)
        assert accounted(whole) == rest.count(b"\n") + (not rest.endswith(b"\n") and rest != b"")


@quick
@given(
    st.binary(max_size=300),
    st.sampled_from([b"", V2, V5, b"\x1f\x8b", b"\x1f\x8b\x08\0\0\0\0\0\0\0", gzip.compress(V2)]),
)
def test_any_bytes_end_in_nothing_else_than_a_read_error(rest: bytes, before: bytes) -> None:
    reading = read(before + rest)
    assert reading.error is None or str(reading.error)
    if before in (V2, V5):
        assert reading.error is None
        assert accounted(reading) == rest.count(b"\n") + (not rest.endswith(b"\n") and rest != b"")


WHOLE = V5 + SERVICE + OUTPOST + SERVICE


@pytest.mark.parametrize("packed", [False, True])
@quick
@given(changes=st.lists(st.tuples(st.integers(0, 1500), st.binary(max_size=3)), min_size=1, max_size=4))
def test_mutations_end_in_nothing_else_than_a_read_error(
    changes: list[tuple[int, bytes]],
    packed: bool,  # noqa: FBT001
) -> None:
    data = bytearray(gzip.compress(WHOLE, mtime=0) if packed else WHOLE)
    for at, text in changes:
        data[at % len(data) : at % len(data) + 1] = text
    reading = read(bytes(data))
    if not packed and reading.error is None:
        lines = bytes(data).count(b"\n") + (not data.endswith(b"\n"))
        headers = lines - accounted(reading)
        assert headers == (header_columns(bytes(data).split(b"\n")[0]) is not None)
