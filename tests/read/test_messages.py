"""Log events in JSON to lines: Firehose's objects, CloudWatch Logs' envelopes, and what is neither."""

import gzip
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import Damaged
from exporter.read.messages import events, on_lines

from .objects import read
from .records import ACCEPTED, ACCEPTED_VALUES, IPV6, IPV6_VALUES, NODATA, NODATA_VALUES, V2

FIRST, SECOND, THIRD = (line.decode()[:-1] for line in (ACCEPTED, IPV6, NODATA))
VALUES = [ACCEPTED_VALUES, IPV6_VALUES, NODATA_VALUES]


def direct(message: str) -> bytes:
    """As Firehose takes a flow log directly."""
    return json.dumps({"message": message}, separators=(",", ":")).encode()


def envelope(*messages: str, kind: str = "DATA_MESSAGE") -> bytes:
    """As a subscription of CloudWatch Logs delivers events."""
    events = [
        {
            "id": f"31953106606966983378809025079804211143289615424{number}",
            "timestamp": 1418530070000,
            "message": message,
        }
        for number, message in enumerate(messages)
    ]
    about = {"messageType": kind, "owner": "123456789010", "logGroup": "flow-logs", "subscriptionFilters": ["all"]}
    stream = {"logStream": "eni-1235b8ca123456789-all"}
    return json.dumps(about | stream | {"logEvents": events}, separators=(",", ":")).encode()


CONTROL = envelope("CWL CONTROL MESSAGE: Checking health of destination Firehose.", kind="CONTROL_MESSAGE")

OBJECTS = {
    "one a line": b"".join(direct(message) + b"\n" for message in (FIRST, SECOND, THIRD)),
    "no newline between": b"".join(map(direct, (FIRST, SECOND, THIRD))),
    "both": direct(FIRST) + direct(SECOND) + b"\n" + direct(THIRD),
    "CRLF": b"".join(direct(message) + b"\r\n" for message in (FIRST, SECOND, THIRD)),
    "blanks between": b" ".join(direct(message) for message in (FIRST, SECOND, THIRD)),
    "blanks within": b"".join(direct(message).replace(b"{", b"{ ") for message in (FIRST, SECOND, THIRD)),
    "many blank lines first": b"\n" * 100 + b"\n".join(direct(message) for message in (FIRST, SECOND, THIRD)),
    "the key twice": b'{"message":"x","message":"%s"}' % FIRST.encode() + direct(SECOND) + direct(THIRD),
    "a newline within": b"".join(direct(message + "\n") + b"\n" for message in (FIRST, SECOND, THIRD)),
    "more in it": b'{"message": "%s", "timestamp": 1418530070000, "n": {"a": [1]}}\n' % FIRST.encode()
    + direct(SECOND)
    + direct(THIRD),
    "escapes": direct(FIRST).replace(b"ACCEPT", b"\\u0041CCEPT") + direct(SECOND) + direct(THIRD),
    "a byte order mark": b"\xef\xbb\xbf" + direct(FIRST) + direct(SECOND) + direct(THIRD),
    "an envelope": envelope(FIRST, SECOND, THIRD),
    "envelopes": envelope(FIRST) + CONTROL + envelope(SECOND, THIRD) + b"\n" + envelope() + b"\n",
    "a member each": gzip.compress(envelope(FIRST)) + gzip.compress(CONTROL) + gzip.compress(envelope(SECOND, THIRD)),
    "both kinds": envelope(FIRST) + direct(SECOND) + envelope(THIRD),
}


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("most", [1, 2**30])
def test_every_record_of_an_object(name: str, most: int) -> None:
    for stored in (OBJECTS[name], gzip.compress(OBJECTS[name])):
        reading = read(stored, most=most)
        first = 100 if name == "many blank lines first" else 0
        assert reading.records == [values | {"row": row} for row, values in enumerate(VALUES, first)]
        assert (reading.bad, reading.skipped, reading.error) == ([], first, None)


def test_what_has_no_record_is_kept_where_it_stands() -> None:
    odd = [
        b'{"message": 5}',
        b'{"other": "x"}',
        b"no JSON",
        b"[1]",
        b'{"logEvents": [{"id": "1"}]}',
        b'{"message": "a"',
    ]
    reading = read(b"\n".join([direct(FIRST), *odd, direct(SECOND), b"", direct(THIRD)]) + b"\n")
    rows = [record["row"] for record in reading.records]
    assert [{k: v for k, v in record.items() if k != "row"} for record in reading.records] == VALUES
    assert rows == [0, 7, 9]
    assert reading.skipped == 1
    json_reason = "JSON without a `message`, which is where a log event has its record"
    assert [(bad.row, bad.reason, bad.text) for bad in reading.bad] == [
        (1, json_reason, '{"message": 5}'),
        (2, json_reason, '{"other": "x"}'),
        (3, "2 fields where the format has 14", "no JSON"),
        (4, "1 field where the format has 14", "[1]"),
        (5, json_reason, '{"id": "1"}'),
        (6, json_reason, '{"message": "a"'),
    ]


def test_records_beside_what_is_none() -> None:
    """Objects of one line go through each for itself."""
    line = direct(FIRST) + b" " + b'{"a": 1}' + b" " + direct(SECOND) + b" rest\n"
    reading = read(line + direct(THIRD))
    assert [record["row"] for record in reading.records] == [0, 2, 4]
    assert [(bad.row, bad.text) for bad in reading.bad] == [(1, '{"a": 1}'), (3, " rest")]


def test_any_bytes_stay_what_they_are() -> None:
    (bad,) = read(direct(FIRST) + b"\n" + direct(SECOND).replace(b"ACCEPT", b"\xff")).bad
    assert (bad.row, bad.reason, bad.exact) == (1, "action: invalid UTF-8 at byte 0 of the field", False)


def test_bad_records_within() -> None:
    reading = read(direct("2 3") + direct(FIRST) + direct(f"{SECOND}\n{THIRD}") + direct("") + direct(THIRD))
    assert reading.error is not None
    reading = read(direct(FIRST) + direct("2 3") + direct(f"{SECOND}\n{THIRD}") + direct("") + direct(THIRD))
    assert [record["row"] for record in reading.records] == [0, 4]
    assert [(bad.row, bad.reason) for bad in reading.bad] == [
        (1, "2 fields where the format has 14"),
        (2, "28 fields where the format has 14"),
    ]
    assert reading.skipped == 1


def test_a_format_from_elsewhere() -> None:
    reading = read(direct("443 ACCEPT") + direct("22 REJECT"), names=("dstport", "action"))
    assert reading.records == [
        {"dstport": 443, "action": "ACCEPT", "row": 0},
        {"dstport": 22, "action": "REJECT", "row": 1},
    ]


def test_a_header_among_events() -> None:
    reading = read(direct(V2.decode()[:-1]) + direct(FIRST))
    assert reading.records == [ACCEPTED_VALUES | {"row": 1}]


def test_an_object_that_breaks_off() -> None:
    whole = gzip.compress(direct(FIRST) + direct(SECOND) + direct(THIRD), 0)
    reading = read(whole[:-60])
    assert reading.records == [ACCEPTED_VALUES | {"row": 0}, IPV6_VALUES | {"row": 1}]
    assert [(bad.row, bad.text) for bad in reading.bad] == [(2, direct(THIRD).decode()[: -60 + 8])]
    assert isinstance(reading.error, Damaged)


def test_only_control_messages() -> None:
    reading = read(CONTROL)
    assert (reading.records, reading.bad, reading.skipped, reading.error) == ([], [], 0, None)


ENTRIES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | st.text('a"}{\\\n ü\ud800', max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["message", "logEvents", "messageType", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(ENTRIES, max_size=5), st.integers(1, 9))
def test_any_json_gives_the_same_lines_in_any_pieces(entries: list[Any], size: int) -> None:
    text = b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)
    if text:
        each = b"".join(events(line + b"\n") for line in text[:-1].split(b"\n"))
        assert events(text) == each
    packed = text.replace(b"\n", b"")
    seamed = b"".join(on_lines(iter([packed[at : at + size] for at in range(0, len(packed), size)])))
    assert seamed.replace(b"\n", b"") == packed
