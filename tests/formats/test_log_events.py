"""Log events that Firehose and CloudWatch Logs leave in a bucket; `log.offset` is the event's number, from 0.

Sources: the AWS guides' "Publish flow logs to Amazon Data Firehose", "Log group-level subscription filters" and
"Exporting log data to Amazon S3".
"""

import gzip
import json

import pytest

from exporter.errors import Unrecognised

from .objects import Bad, Case, check, formats, made
from .records import HEADER, NODATA, NODATA_PATHS, SKIPDATA, SKIPDATA_PATHS, SSH, SSH_PATHS, V2, lines
from .writing import event

THREE = {0: SSH_PATHS, 1: NODATA_PATHS, 2: SKIPDATA_PATHS}
RECORDS = (SSH, NODATA, SKIPDATA)


def envelope(*messages: str, kind: str = "DATA_MESSAGE") -> str:
    """What a subscription delivers, as the guide shows it."""
    return json.dumps(
        {
            "messageType": kind,
            "owner": "111111111111",
            "logGroup": "flow-logs",
            "logStream": "eni-1235b8ca123456789-all",
            "subscriptionFilters": ["to-firehose"],
            "logEvents": [
                {
                    "id": f"3195310660696698337880902507980421114328961542429EXAMPLE{number:02}",
                    "timestamp": 1_432_826_855_000 + number,
                    "message": message,
                }
                for number, message in enumerate(messages)
            ],
        },
        separators=(",", ":"),
    )


CONTROL = json.dumps(
    {
        "messageType": "CONTROL_MESSAGE",
        "owner": "CloudwatchLogs",
        "logGroup": "",
        "logStream": "",
        "subscriptionFilters": [],
        "logEvents": [
            {
                "id": "",
                "timestamp": 1_432_826_855_000,
                "message": "CWL CONTROL MESSAGE: Checking health of destination.",
            }
        ],
    }
)
TURNED = " ".join(reversed(V2))
"""The fields the last first."""


def turned(record: str) -> str:
    return " ".join(reversed(record.split()))


EVENTS = lines(*(event(record) for record in RECORDS))

CASES: dict[str, Case] = {
    "Firehose, an event a line": Case(EVENTS, THREE),
    "Firehose in gzip": Case(gzip.compress(EVENTS), THREE),
    "Firehose, nothing between the events": Case(EVENTS.replace(b"\n", b""), THREE),
    "Firehose, the last newline missing": Case(EVENTS[:-1], THREE),
    "Firehose, a newline in each message": Case(lines(*(event(f"{record}\n") for record in RECORDS)), THREE),
    "Firehose, other members beside the message": Case(
        lines(*(event(record, timestamp=1_432_826_855_000, id="x", tags=["a"]) for record in RECORDS)), THREE
    ),
    "Firehose, the member written otherwise": Case(
        b"".join(b'{ "message" :  "%s" }\n' % record.encode() for record in RECORDS), THREE
    ),
    "Firehose, characters by their numbers": Case(
        b'{"message": "%s"}\n' % SSH.replace("eni", "\\u0065ni").encode(), {0: SSH_PATHS}
    ),
    "Firehose, a format as configured": Case(
        lines(*(event(turned(record)) for record in RECORDS)),
        THREE,
        formats=formats(("the configuration", TURNED)),
        told_by="the configuration",
    ),
    "Firehose, a format as DescribeFlowLogs says": Case(
        lines(*(event(turned(record)) for record in RECORDS)),
        THREE,
        formats=formats(("DescribeFlowLogs", " ".join(f"${{{name}}}" for name in TURNED.split()))),
        told_by="DescribeFlowLogs",
    ),
    "Firehose, a field that nobody knows": Case(
        lines(event(f'{SSH} "a\\b"'), event(f"{NODATA} -")),
        {0: SSH_PATHS | {"aws.vpcflow.extra.weather": '"a\\b"'}, 1: NODATA_PATHS},
        formats=formats(("the configuration", f"{HEADER} weather")),
    ),
    "a subscription's envelope": Case(lines(envelope(*RECORDS)), THREE),
    "a subscription's envelope without a newline": Case(envelope(*RECORDS).encode(), THREE),
    "envelopes one after the other": Case(
        (envelope(SSH) + envelope(NODATA, SKIPDATA)).encode(),
        THREE,
    ),
    "envelopes with newlines between": Case(lines(envelope(SSH, NODATA), envelope(SKIPDATA)), THREE),
    "envelopes, each a gzip member": Case(
        gzip.compress(envelope(SSH).encode()) + gzip.compress(envelope(NODATA, SKIPDATA).encode()), THREE
    ),
    "envelopes, each a gzip member, in gzip": Case(
        gzip.compress(gzip.compress(envelope(SSH).encode()) + gzip.compress(envelope(NODATA, SKIPDATA).encode())),
        THREE,
    ),
    "a control message first": Case((CONTROL + envelope(*RECORDS)).encode(), THREE),
    "control messages between and last": Case(
        lines(envelope(SSH), CONTROL, envelope(NODATA, SKIPDATA), CONTROL), THREE
    ),
    "nothing but control messages": Case(lines(CONTROL, CONTROL), {}),
    "empty lines between": Case(lines(event(SSH), "", event(NODATA)), {0: SSH_PATHS, 2: NODATA_PATHS}, skipped=1),
    "an empty message": Case(lines(event(SSH), event(""), event(NODATA)), {0: SSH_PATHS, 2: NODATA_PATHS}, skipped=1),
    "a header in the first event": Case(lines(event(HEADER), event(SSH)), {1: SSH_PATHS}),
    "a byte-order mark": Case(b"\xef\xbb\xbf" + EVENTS, THREE),
    "CRLF": Case(EVENTS.replace(b"\n", b"\r\n"), THREE),
    "braces and quotes in other members, nothing between the events": Case(
        "".join(event(record, note='}{"message":"') for record in RECORDS).encode(), THREE
    ),
    "a message that is no record": Case(
        lines(event(SSH), event("hello"), event(NODATA)),
        {0: SSH_PATHS, 2: NODATA_PATHS},
        bad=(Bad(1, "1 field where the format has 14", "hello"),),
    ),
    "an envelope in which a message is no record": Case(
        lines(envelope(SSH, f"{SSH} more", NODATA)),
        {0: SSH_PATHS, 2: NODATA_PATHS},
        bad=(Bad(1, "15 fields where the format has 14", f"{SSH} more"),),
    ),
    "an event without a message": Case(
        lines(event(SSH), '{"mood": "fine"}', event(NODATA)),
        {0: SSH_PATHS, 2: NODATA_PATHS},
        bad=(Bad(1, "JSON without a `message`", '{"mood": "fine"}'),),
    ),
    "a line that is no JSON": Case(
        lines(event(SSH), '{"message": ', event(NODATA)),
        {0: SSH_PATHS, 2: NODATA_PATHS},
        bad=(Bad(1, "JSON without a `message`", '{"message": '),),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_log_events(case: Case) -> None:
    check(case)


def stamped(*records: str) -> bytes:
    """As CloudWatch Logs exports them: when the event was taken in, a blank, the message."""
    return lines(*(f"2014-12-14T04:09:{second:02}.{second:03}Z {record}" for second, record in enumerate(records, 7)))


EXPORTS: dict[str, Case] = {
    "an export": Case(stamped(*RECORDS), THREE),
    "an export in gzip": Case(gzip.compress(stamped(*RECORDS)), THREE),
    "an export, CRLF": Case(stamped(*RECORDS).replace(b"\n", b"\r\n"), THREE),
    "an export, the last newline missing": Case(stamped(*RECORDS)[:-1], THREE),
    "an export without parts of seconds": Case(
        lines(*(f"2014-12-14T04:09:07Z {record}" for record in RECORDS)),
        THREE,
    ),
    "an export, a format as configured": Case(
        stamped(*(turned(record) for record in RECORDS)),
        THREE,
        formats=formats(("the configuration", TURNED)),
        told_by="the configuration",
    ),
    "an export with a bad line and an empty one": Case(
        stamped(SSH) + lines("", "2014-12-14T04:09:07.000Z hello") + stamped(NODATA),
        {0: SSH_PATHS, 3: NODATA_PATHS},
        bad=(Bad(2, "1 field where the format has 14", "2014-12-14T04:09:07.000Z hello"),),
        skipped=1,
    ),
}
"""Lines of text: `log.offset` is the physical line."""


@pytest.mark.parametrize("case", EXPORTS.values(), ids=EXPORTS)
def test_an_export_of_cloudwatch_logs(case: Case) -> None:
    check(case)


@pytest.mark.parametrize(
    "data",
    [
        lines('{"Records": [{"eventVersion": "1.08"}]}'),
        lines(event(turned(SSH))),
        lines("[1, 2]"),
        gzip.compress(gzip.compress(gzip.compress(EVENTS))),
        b'PK\x03\x04{"message": "x"}',
    ],
    ids=["CloudTrail", "an order that nobody tells", "an array", "gzip, three times", "ZIP"],
)
def test_what_is_set_aside(data: bytes) -> None:
    result = made(data)
    assert isinstance(result.error, Unrecognised)
    assert str(result.error)
    assert (result.documents, result.bad) == ({}, [])
