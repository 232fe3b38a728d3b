"""Text as AWS writes it and as it looks after people have had it in their hands."""

import gzip

import pytest

from exporter.errors import Unrecognised
from exporter.flow import Formats, S3Object
from exporter.read.reader import no_formats
from tests.ecs.cases import community_id
from tests.ecs.paths import ACCEPTED, KEYS, MINUTE, Paths, ends, locality, ports, protocol

from .objects import Bad, Case, check, formats, made
from .records import (
    HEADER,
    NODATA,
    NODATA_PATHS,
    REGION,
    SSH,
    SSH_FLOW,
    SSH_PATHS,
    V2,
    lines,
    values,
)

TWO = {1: SSH_PATHS, 2: NODATA_PATHS}
WHOLE = lines(HEADER, SSH, NODATA)
NO_TIME = {"@timestamp": "2026-01-31T12:00:00.000Z"}
"""The time of the object, from its key."""


def turned(record: str) -> str:
    """The fields in another order: the last first."""
    return " ".join(reversed(record.split()))


ORDERS: dict[str, Case] = {
    "the last field first": Case(lines(turned(HEADER), turned(SSH), turned(NODATA)), TWO),
    "three fields, none of them a time": Case(
        lines("action dstaddr srcaddr", "ACCEPT 172.31.16.21 172.31.16.139"),
        {
            1: {
                **KEYS,
                **NO_TIME,
                **ACCEPTED,
                **ends("172.31.16.139", "172.31.16.21"),
                **locality("internal", "internal"),
            }
        },
    ),
    "one field": Case(
        lines("bytes", "4249", "-"),
        {1: {**KEYS, **NO_TIME, "source.bytes": 4249, "network.bytes": 4249}, 2: {**KEYS, **NO_TIME}},
    ),
    "the guide's NAT gateway: the packet's own ends beside the interface's": Case(
        lines(
            "instance-id interface-id srcaddr dstaddr pkt-srcaddr pkt-dstaddr",
            "- eni-1235b8ca123456789 10.0.1.5 10.0.0.220 10.0.1.5 203.0.113.5",
            "- eni-1235b8ca123456789 10.0.0.220 203.0.113.5 10.0.0.220 203.0.113.5",
        ),
        {
            1: {
                **KEYS,
                **NO_TIME,
                "aws.vpcflow.interface_id": "eni-1235b8ca123456789",
                **ends("10.0.1.5", "10.0.0.220"),
                **locality("internal", "internal"),
                "aws.vpcflow.pkt_srcaddr": "10.0.1.5",
                "aws.vpcflow.pkt_dstaddr": "203.0.113.5",
                "related.ip": ["10.0.1.5", "10.0.0.220", "203.0.113.5"],
            },
            2: {
                **KEYS,
                **NO_TIME,
                "aws.vpcflow.interface_id": "eni-1235b8ca123456789",
                **ends("10.0.0.220", "203.0.113.5"),
                **locality("internal", None),
                "aws.vpcflow.pkt_srcaddr": "10.0.0.220",
                "aws.vpcflow.pkt_dstaddr": "203.0.113.5",
            },
        },
    ),
}

SHAPES: dict[str, Case] = {
    "as AWS writes it": Case(WHOLE, TWO),
    "gzip": Case(gzip.compress(WHOLE), TWO),
    "gzip in two members, cut within a line": Case(gzip.compress(WHOLE[:200]) + gzip.compress(WHOLE[200:]), TWO),
    "the header again in the middle": Case(
        lines(HEADER, SSH, HEADER, NODATA), {1: SSH_PATHS, 3: NODATA_PATHS}, skipped=1
    ),
    "the header of another format in the middle": Case(
        lines(HEADER, SSH, turned(HEADER), turned(NODATA)), {1: SSH_PATHS, 3: NODATA_PATHS}, skipped=1
    ),
    "a byte-order mark": Case(b"\xef\xbb\xbf" + WHOLE, TWO),
    "a second byte-order mark where files were put together": Case(
        WHOLE + b"\xef\xbb\xbf" + WHOLE,
        {1: SSH_PATHS, 2: NODATA_PATHS, 4: SSH_PATHS, 5: NODATA_PATHS},
        skipped=1,
    ),
    "CRLF": Case(WHOLE.replace(b"\n", b"\r\n"), TWO),
    "several blanks": Case(WHOLE.replace(b" ", b"   "), TWO),
    "blanks before and behind": Case(lines(HEADER, f"  {SSH} ", f"{NODATA}  "), TWO),
    "no newline at the end": Case(WHOLE[:-1], TWO),
    "an empty last line": Case(WHOLE + b"\n", TWO, skipped=1),
    "empty lines between": Case(lines(HEADER, "", SSH, " ", NODATA), {2: SSH_PATHS, 4: NODATA_PATHS}, skipped=2),
    "an empty line first": Case(lines("", HEADER, SSH), {2: SSH_PATHS}, skipped=2),
    "nothing but a header": Case(lines(HEADER), {}),
}


@pytest.mark.parametrize("case", (ORDERS | SHAPES).values(), ids=ORDERS | SHAPES)
def test_text(case: Case) -> None:
    check(case)


SPELLINGS: dict[str, str] = {
    "camel case": (
        "version accountId interfaceId srcAddr dstAddr srcPort dstPort protocol packets bytes start end action "
        "logStatus"
    ),
    "underscores": HEADER.replace("-", "_"),
    "the AWS CLI's": " ".join(f"${{{name}}}" for name in V2),
    "capitals": HEADER.upper(),
    "capitals and underscores": HEADER.upper().replace("-", "_"),
    "no hyphens": HEADER.replace("-", ""),
    "the filter pattern of the guide's CloudWatch example": (
        "version account eni source destination srcport destport protocol packets bytes windowstart windowend action "
        "flowlogstatus"
    ),
    "the table of the guide's first Athena example": (
        "version account interfaceid sourceaddress destinationaddress sourceport destinationport protocol numpackets "
        "numbytes starttime endtime action logstatus"
    ),
    "mixed": (
        "Version owner-id eni-id src_addr dest-addr source-port dest_port ianaProtocol Packets Bytes window-start "
        "windowEnd ACTION flow-log-status"
    ),
    "log_status": HEADER.replace("log-status", "log_status"),
    "flow_log_status": HEADER.replace("log-status", "flow_log_status"),
}


@pytest.mark.parametrize("header", SPELLINGS.values(), ids=SPELLINGS)
def test_a_spelling_in_a_header_and_in_a_configured_format(header: str) -> None:
    check(Case(lines(header, SSH, NODATA), TWO))
    told = formats(("the configuration", header))
    check(Case(lines(SSH, NODATA), {0: SSH_PATHS, 1: NODATA_PATHS}, formats=told, told_by="the configuration"))


TURNED = lines(turned(SSH), turned(NODATA))
FROM_0 = {0: SSH_PATHS, 1: NODATA_PATHS}
AWS_CLI = " ".join(f"${{{name}}}" for name in reversed(V2))

HEADERLESS: dict[str, Case] = {
    "the version 2 default": Case(lines(SSH, NODATA), FROM_0),
    "the version 2 default in gzip": Case(gzip.compress(lines(SSH, NODATA)), FROM_0),
    "the version 2 default behind a byte-order mark": Case(b"\xef\xbb\xbf" + lines(SSH, NODATA), FROM_0),
    "the version 2 default, a window without records first": Case(lines(NODATA, SSH), {0: NODATA_PATHS, 1: SSH_PATHS}),
    "as configured, in the AWS CLI's syntax": Case(
        TURNED, FROM_0, formats=formats(("the configuration", AWS_CLI)), told_by="the configuration"
    ),
    "as configured, plain names": Case(
        TURNED, FROM_0, formats=formats(("the configuration", turned(HEADER))), told_by="the configuration"
    ),
    "as DescribeFlowLogs says": Case(
        TURNED, FROM_0, formats=formats(("DescribeFlowLogs", AWS_CLI)), told_by="DescribeFlowLogs"
    ),
    "the first that fits of what is known": Case(
        TURNED,
        FROM_0,
        formats=formats(("the configuration", "version srcaddr"), ("DescribeFlowLogs", AWS_CLI)),
        told_by="DescribeFlowLogs",
    ),
    "as many fields as configured, but of other kinds: the version 2 default": Case(
        lines(SSH, NODATA), FROM_0, formats=formats(("the configuration", AWS_CLI))
    ),
    "a field that is not known, in a configured format": Case(
        lines("4249 sunny"),
        {0: {**KEYS, **NO_TIME, "source.bytes": 4249, "network.bytes": 4249, "aws.vpcflow.extra.weather": "sunny"}},
        formats=formats(("the configuration", "${bytes} ${weather}")),
        told_by="the configuration",
    ),
    "a header in the middle": Case(
        lines(SSH, turned(HEADER), turned(NODATA)), {0: SSH_PATHS, 2: NODATA_PATHS}, skipped=1
    ),
}


@pytest.mark.parametrize("case", HEADERLESS.values(), ids=HEADERLESS)
def test_text_without_a_header(case: Case) -> None:
    check(case)


def test_nobody_is_asked_where_there_is_a_header() -> None:
    def asked(_: S3Object) -> list[tuple[str, tuple[str, ...]]]:
        raise AssertionError("the header tells the format")

    check(Case(WHOLE, TWO, formats=asked))


@pytest.mark.parametrize(
    ("first", "told"),
    [
        (SSH.replace("172.31.16.139", "host-1"), no_formats),
        (f"{SSH} more", no_formats),
        (turned(SSH), no_formats),
        (SSH.replace("2 ", "3 ", 1).removesuffix(" OK"), no_formats),
        (f"{SSH} more", formats(("the configuration", AWS_CLI))),
        ("hello", no_formats),
        ("[2026-01-31] 10.1.2.3 GET /", no_formats),
    ],
)
def test_what_fits_no_format_is_set_aside(first: str, told: Formats) -> None:
    """Never a guess by the count alone, and nothing indexed under the wrong names."""
    result = made(lines(first, SSH), formats=told)
    assert isinstance(result.error, Unrecognised)
    assert first[:20] in str(result.error)
    assert (result.documents, result.bad) == ({}, [])


def with_values(**changes: str) -> str:
    """The guide's record with other values, named with underscores."""
    return " ".join(changes.get(name.replace("-", "_"), text or "-") for name, text in values(SSH).items())


def without(paths: Paths, *gone: str) -> Paths:
    return {path: value for path, value in paths.items() if path not in gone}


NO_SOURCE_PORT = without(SSH_PATHS, "source.port", "network.community_id")
"""A TCP flow without its ports has no Community ID."""
SPAN = {
    "@timestamp": "2026-01-31T12:01:00.000Z",
    "event.start": "2026-01-31T12:00:00.000Z",
    "event.end": "2026-01-31T12:01:00.000Z",
    "event.duration": 60_000_000_000,
}

VALUES: dict[str, Case] = {
    "milliseconds": Case(lines(HEADER, with_values(start="1769860800000", end="1769860860000")), {1: SSH_PATHS | SPAN}),
    "milliseconds that are no whole seconds": Case(
        lines(HEADER, with_values(start="1769860800001", end="1769860860250")),
        {
            1: SSH_PATHS
            | {
                "@timestamp": "2026-01-31T12:01:00.250Z",
                "event.start": "2026-01-31T12:00:00.001Z",
                "event.end": "2026-01-31T12:01:00.250Z",
                "event.duration": 60_249_000_000,
            }
        },
    ),
    "microseconds": Case(
        lines(HEADER, with_values(start="1769860800000000", end="1769860860000000")), {1: SSH_PATHS | SPAN}
    ),
    "seconds and milliseconds side by side": Case(
        lines(
            HEADER,
            with_values(start="1769860800", end="1769860860"),
            with_values(start="1769860800", end="1769860860000"),
        ),
        {1: SSH_PATHS | MINUTE, 2: SSH_PATHS | MINUTE},
    ),
    "an account whose leading zeros are lost": Case(
        lines(HEADER, with_values(account_id="7"), with_values(account_id="12345678901"), with_values()),
        {
            1: SSH_PATHS | {"cloud.account.id": "000000000007", "aws.vpcflow.account_id": "000000000007"},
            2: SSH_PATHS | {"cloud.account.id": "012345678901", "aws.vpcflow.account_id": "012345678901"},
            3: SSH_PATHS,
        },
    ),
    "an unknown account: the key's": Case(
        lines(HEADER, with_values(account_id="unknown")),
        {1: without(SSH_PATHS, "aws.vpcflow.account_id") | KEYS},
    ),
    "null": Case(
        lines(HEADER, with_values(srcport="null"), with_values(), with_values(srcport="-")),
        {1: NO_SOURCE_PORT, 2: SSH_PATHS, 3: NO_SOURCE_PORT},
    ),
    "nothing but -": Case(lines(HEADER, " ".join("-" * 14)), {1: {**KEYS, **NO_TIME}}),
    "IPv6, SSH, of the guide": Case(
        lines(
            HEADER,
            (
                "2 123456789010 eni-1235b8ca123456789 2001:db8:1234:a100:8d6e:3477:df66:f105 "
                "2001:db8:1234:a102:3304:8879:34cf:4071 34892 22 6 54 8855 1477913708 1477913820 ACCEPT OK"
            ),
        ),
        {
            1: {
                **without(SSH_PATHS, "source.locality", "destination.locality", "flow.locality"),
                **ends("2001:db8:1234:a100:8d6e:3477:df66:f105", "2001:db8:1234:a102:3304:8879:34cf:4071", "ipv6"),
                **ports(34_892, 22),
                **protocol("6", "tcp"),
                "source.packets": 54,
                "network.packets": 54,
                "source.bytes": 8855,
                "network.bytes": 8855,
                "network.community_id": community_id(
                    "2001:db8:1234:a100:8d6e:3477:df66:f105", "2001:db8:1234:a102:3304:8879:34cf:4071", 34_892, 22, 6
                ),
                "@timestamp": "2016-10-31T11:37:00.000Z",
                "event.start": "2016-10-31T11:35:08.000Z",
                "event.end": "2016-10-31T11:37:00.000Z",
                "event.duration": 112_000_000_000,
            }
        },
    ),
    "fields that nobody knows yet are carried": Case(
        lines(f"{HEADER} weather Mood-2", f"{SSH} sunny 1e3", f"{SSH} - -", f"{SSH} \u00fcber null"),
        {
            1: SSH_PATHS | {"aws.vpcflow.extra": {"weather": "sunny", "Mood-2": "1e3"}},
            2: SSH_PATHS,
            3: SSH_PATHS | {"aws.vpcflow.extra": {"weather": "\u00fcber"}},
        },
    ),
    "a field that is named twice": Case(
        lines("bytes srcport bytes", "1 2 3"),
        {
            1: {
                **KEYS,
                **NO_TIME,
                "source.bytes": 1,
                "network.bytes": 1,
                "source.port": 2,
                "aws.vpcflow.extra": {"bytes.2": "3"},
            }
        },
    ),
    "the largest numbers": Case(
        lines(
            "srcport dstport protocol packets bytes tcp-flags",
            "65535 65535 255 9223372036854775807 9223372036854775807 65535",
        ),
        {
            1: {
                **KEYS,
                **NO_TIME,
                **ports(65_535, 65_535),
                "network.iana_number": "255",
                "source.packets": 2**63 - 1,
                "network.packets": 2**63 - 1,
                "source.bytes": 2**63 - 1,
                "network.bytes": 2**63 - 1,
                "aws.vpcflow.tcp_flags": "65535",
                "aws.vpcflow.tcp_flags_array": ["fin", "syn", "rst", "psh", "ack", "urg"],
            }
        },
    ),
    "a version that is not here yet": Case(
        lines(f"{HEADER} region", f"12{SSH[1:]} eu-west-3"),
        {1: {**SSH_FLOW, "cloud.region": "eu-west-3", "aws.vpcflow.version": "12"}},
    ),
}

DAMAGED = {
    "a field too few": (SSH.removesuffix(" OK"), "13 fields where the format has 14"),
    "a field too many": (f"{SSH} OK", "15 fields where the format has 14"),
    "a port that is none": (with_values(srcport="65536"), "srcport"),
    "a count that is none": (with_values(bytes="-1"), "bytes"),
    "a number with a plus": (with_values(packets="+5"), "packets"),
    "an address that is none": (with_values(dstaddr="172.31.16.256"), "dstaddr"),
    "a time that is none": (with_values(end="soon"), "end"),
    "a protocol that is none": (with_values(protocol="tcp"), "protocol"),
}

BAD: dict[str, Case] = {
    name: Case(lines(HEADER, SSH, line, NODATA), {1: SSH_PATHS, 3: NODATA_PATHS}, bad=(Bad(2, reason, line),))
    for name, (line, reason) in DAMAGED.items()
} | {
    "all of them, with blank lines and a header among them": Case(
        lines(HEADER, "", *(line for line, _ in DAMAGED.values()), HEADER, SSH),
        {2 + len(DAMAGED) + 1: SSH_PATHS},
        bad=tuple(Bad(2 + place, reason, line) for place, (line, reason) in enumerate(DAMAGED.values())),
        skipped=2,
    ),
}


@pytest.mark.parametrize("case", (VALUES | BAD).values(), ids=VALUES | BAD)
def test_values(case: Case) -> None:
    check(case)


def test_a_line_that_is_no_utf_8() -> None:
    line = SSH.encode().replace(b"eni-1235", b"eni-\xff\xfe")
    text = SSH.replace("eni-1235", "eni-\ufffd\ufffd")
    data = lines(HEADER, SSH) + line + b"\n" + lines(NODATA)
    check(Case(data, {1: SSH_PATHS, 3: NODATA_PATHS}, bad=(Bad(2, "interface_id", text),)))


def test_the_region_of_a_record_and_of_its_key() -> None:
    check(
        Case(
            lines(f"{HEADER} region", f"{SSH} us-west-2", f"{SSH} -"),
            {1: {**SSH_PATHS, "cloud.region": "us-west-2"}, 2: {**SSH_PATHS, **REGION}},
        )
    )
