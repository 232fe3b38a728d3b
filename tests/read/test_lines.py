"""Single lines: which are headers, and what exactly is wrong with one that is no record."""

import pytest

from exporter.flow import BadLine
from exporter.read.lines import Segment, examine, header_columns, unique

V2 = (
    "version",
    "account_id",
    "interface_id",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "protocol",
    "packets",
    "bytes",
    "start",
    "end",
    "action",
    "log_status",
)

HEADERS = {
    b"version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status": V2,  # noqa: E501
    b"log-status end start": ("log_status", "end", "start"),
    b"srcAddr dstAddr srcPort dstPort": ("srcaddr", "dstaddr", "srcport", "dstport"),
    b"sourceaddress destinationaddress sourceport": ("srcaddr", "dstaddr", "srcport"),
    b"${version} ${srcaddr} $end {start}": ("version", "srcaddr", "end", "start"),
    b"interface_id vpc_id pkt_src_aws_service": ("interface_id", "vpc_id", "pkt_src_aws_service"),
    b"windowstart windowend flow-log-status": ("start", "end", "log_status"),
    b"start flowlogstatus": ("start", "log_status"),
    b"start logstatus": ("start", "log_status"),
    b"VERSION Account-Id": ("version", "account_id"),
    b"\xef\xbb\xbfversion end": ("version", "end"),
    b"version  end\r": ("version", "end"),
    b"version end brand-new": ("version", "end", "extra.brand-new"),
    b"version end ${new_one}": ("version", "end", "extra.new_one"),
    b"srcaddr dstaddr srcaddr srcAddr": ("srcaddr", "dstaddr", "extra.srcaddr.2", "extra.srcaddr.3"),
    b"version end start new new": ("version", "end", "start", "extra.new", "extra.new.2"),
    b"action": ("action",),
}


@pytest.mark.parametrize("line", HEADERS)
def test_headers(line: bytes) -> None:
    assert header_columns(line) == HEADERS[line]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"   ",
        b"2 123456789010 eni-1 - - - - - - - 1431280876 1431280934 - NODATA",
        b"- - -",
        b"OK ACCEPT",
        b"version new",  # only half of it is known
        b"version,account-id,interface-id",
        b'{"version": 2}',
        b"version \xff",
        b"version end " + b"a" * 65_536,
    ],
)
def test_no_headers(line: bytes) -> None:
    assert header_columns(line) is None


@pytest.mark.parametrize(
    ("columns", "once"),
    [
        (("a", "b"), ("a", "b")),
        (("a", "a", "a"), ("a", "extra.a.2", "extra.a.3")),
        (("extra.n", "extra.n"), ("extra.n", "extra.n.2")),
        (("extra.a.2", "a", "a"), ("extra.a.2", "a", "extra.a.3")),
    ],
)
def test_columns_named_twice(columns: tuple[str, ...], once: tuple[str, ...]) -> None:
    assert unique(columns) == once


FORMAT = ("srcaddr", "dstport", "protocol", "bytes", "start", "tcp_flags", "instance_tag", "extra.new")
GOOD = [b"10.0.0.1", b"443", b"6", b"100", b"1431280876", b"18", b"a%20b", b"x"]


def line(**changed: bytes) -> bytes:
    """A good line with some columns changed."""
    named = dict(zip(FORMAT, GOOD, strict=True))
    assert changed.keys() <= named.keys()
    return b" ".join((named | changed).values())


FAULTS = {
    line(dstport=b"x"): "dstport: 'x' is not a number",
    line(dstport=b"+5"): "dstport: '+5' is not a number",
    line(dstport=b"-5"): "dstport: '-5' is not a number",
    line(bytes=b"-0"): "bytes: '-0' is not a number",
    line(bytes=b"1.0"): "bytes: '1.0' is not a number",
    line(bytes=b"1e3"): "bytes: '1e3' is not a number",
    line(bytes=b"0x10"): "bytes: '0x10' is not a number",
    line(bytes="٣".encode()): "bytes: '٣' is not a number",
    line(bytes=b"9223372036854775808"): "bytes: 9223372036854775808 is larger than 9223372036854775807",
    line(bytes=b"99999999999999999999"): "bytes: 99999999999999999999 is larger than 9223372036854775807",
    line(bytes=b"9" * 5000): f"bytes: {'9' * 60} is larger than 9223372036854775807",
    line(dstport=b"65536"): "dstport: 65536 is larger than 65535",
    line(dstport=b"0" * 40 + b"65536"): f"dstport: {'0' * 40}65536 is larger than 65535",
    line(protocol=b"256"): "protocol: 256 is larger than 255",
    line(tcp_flags=b"65536"): "tcp_flags: 65536 is larger than 65535",
    line(start=b"253402300800000000"): "start: 253402300800000000 is larger than 253402300799000000",
    line(srcaddr=b"10.0.0"): "srcaddr: '10.0.0' is not an IPv4 or IPv6 address",
    line(srcaddr=b"10.0.0.256"): "srcaddr: '10.0.0.256' is not an IPv4 or IPv6 address",
    line(srcaddr=b"010.0.0.1"): "srcaddr: '010.0.0.1' is not an IPv4 or IPv6 address",
    line(srcaddr=b"fe80::1%eth0"): "srcaddr: 'fe80::1%eth0' is not an IPv4 or IPv6 address",
    line(srcaddr=b"::g"): "srcaddr: '::g' is not an IPv4 or IPv6 address",
    line(srcaddr=b"10.0.0.0/8"): "srcaddr: '10.0.0.0/8' is not an IPv4 or IPv6 address",
    line(srcaddr=b"h" * 99): f"srcaddr: '{'h' * 60}' is not an IPv4 or IPv6 address",
    line(instance_tag=b"caf\xe9"): "instance_tag: invalid UTF-8 at byte 3 of the field",
    line(dstport=b"\xff"): "dstport: invalid UTF-8 at byte 0 of the field",
    line(instance_tag=b"a\0b"): "instance_tag: a control character",
    line(dstport=b"\x1b[1m"): "dstport: a control character",
    b"10.0.0.1 443 6": "3 fields where the format has 8",
    b"x": "1 field where the format has 8",
    line() + b" y": "9 fields where the format has 8",
    line() + b" y" * 40: "48 fields where the format has 8",
    b"y " * 32_768: "32768 fields where the format has 8",
    b"y " * 32_769: "more than 32,768 fields where the format has 8",
}


@pytest.mark.parametrize("text", FAULTS)
def test_a_bad_line_between_good_ones(text: bytes) -> None:
    good = line() + b"\n"
    shown = text.decode("utf-8", "replace")
    bad = BadLine(8, FAULTS[text], shown, exact="\ufffd" not in shown)
    assert list(examine(good + text + b"\r\n" + good, 7, FORMAT)) == [Segment(FORMAT, good * 2, [7, 9], [bad])]


@pytest.mark.parametrize(
    "text",
    [
        b"- - - - - - - -",
        line(bytes=b"9223372036854775807", dstport=b"65535", protocol=b"255", tcp_flags=b"65535"),
        line(start=b"253402300799000000"),
        line(bytes=b"0" * 40 + b"7"),
        line(srcaddr=b"2001:db8::1"),
        line(srcaddr=b"::ffff:10.0.0.1"),
        line(instance_tag=b"+5"),
        line(instance_tag='"quoted\\"\u2028'.encode()),
    ],
)
def test_good_lines(text: bytes) -> None:
    assert list(examine(text + b"\n", 0, FORMAT)) == [Segment(FORMAT, text + b"\n", [0])]


def test_blanks_are_put_in_order() -> None:
    assert list(examine(b"\n \t\r\n  1   2 \r\n\n", 3, ("srcport", "dstport"))) == [
        Segment(("srcport", "dstport"), b"1 2\n", [5], skipped=3)
    ]


def test_a_million_blank_lines_are_counted_at_once() -> None:
    assert list(examine(b"\n" * 10**6, 0, ("srcport",))) == [Segment(("srcport",), skipped=10**6)]


def test_headers_in_the_middle() -> None:
    text = b"1 2\nsrcport dstPort\n3 4\nx y\nend\nend\n5\n\nstart\n"
    assert list(examine(text, 0, ("srcport", "dstport"))) == [
        Segment(
            ("srcport", "dstport"),
            b"1 2\n3 4\n",
            [0, 2],
            [BadLine(3, "srcport: 'x' is not a number", "x y")],
            1,
        ),
        Segment(("end",), b"5\n", [6], skipped=3),
        Segment(("start",), skipped=1),
    ]
