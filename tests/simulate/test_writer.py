"""Objects by their bytes: keys, header, lines, gzip, and where one ends and the next begins."""

import gzip
import re
import zlib
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from exporter.fields import Kind, field_named
from exporter.simulate.flows import records_of
from exporter.simulate.incidents import INCIDENTS
from exporter.simulate.plan import plausible
from exporter.simulate.scene import Scene
from exporter.simulate.traffic import Order, frames
from exporter.simulate.writer import FORMATS, Bucket, Folder, Format, Layout, Writer, Written
from tests.services.aws import Aws
from tests.simulate.made import flow, scene

START = 1_760_000_100
"""2025-10-09T08:55:00Z"""

V5_HEADER = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action "
    "log-status vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id sublocation-type "
    "sublocation-id pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path\n"
)

HIVE = "AWSLogs/aws-account-id=123456789012/aws-service=vpcflowlogs/aws-region=us-east-1/year=2025/month=10/day=09/"


@dataclass
class Memory:
    """A place that keeps what it is given."""

    objects: dict[str, bytes] = field(default_factory=dict)

    def put(self, key: str, data: bytes) -> None:
        assert key not in self.objects
        self.objects[key] = data


LAYOUT = Layout("123456789012", "us-east-1", "fl-0a")


def one_flow() -> pl.DataFrame:
    here = scene("203.0.113.80", service="S3")
    return records_of(here, flow(here, "10.0.0.6", "203.0.113.80"))


def test_lines_of_the_29_fields() -> None:
    form = Format.of(FORMATS["v5"])
    assert form.header.decode() == V5_HEADER
    there, back = form.lines(one_flow()).decode().splitlines()
    assert there == (
        "5 123456789012 eni-app 10.0.0.5 203.0.113.80 40000 443 6 5 500 1760000100 1760000150 ACCEPT OK "
        "vpc-p subnet-p1 i-app 3 IPv4 10.0.0.6 203.0.113.80 us-east-1 use1-az1 - - - S3 egress 7"
    )
    assert back == (
        "5 123456789012 eni-app 203.0.113.80 10.0.0.5 443 40000 6 7 7000 1760000100 1760000150 ACCEPT OK "
        "vpc-p subnet-p1 i-app 19 IPv4 203.0.113.80 10.0.0.6 us-east-1 use1-az1 - - S3 - ingress -"
    )


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (
            FORMATS["v2"],
            "2 123456789012 eni-app 10.0.0.5 203.0.113.80 40000 443 6 5 500 1760000100 1760000150 ACCEPT OK",
        ),
        (("end", "version", "tcp-flags"), "1760000150 3 3"),
        (("${srcPort}", "reject_reason", "version"), "40000 - 8"),
        (("bytes",), "500"),
    ],
)
def test_any_format(names: tuple[str, ...], line: str) -> None:
    """`version` is the highest version of the fields; what the generator does not know is `-`."""
    assert Format.of(names).lines(one_flow().head(1)).decode() == line + "\n"


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (["bytes", "flavour", "smell"], "not the name of a flow-log field: flavour, smell"),
        ([], "at least one field"),
        (["bytes", "end", "num-bytes"], "each only once"),
    ],
)
def test_a_format_that_is_none(names: list[str], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Format.of(names)


@pytest.mark.parametrize(
    ("options", "folders"),
    [
        ({}, "AWSLogs/123456789012/vpcflowlogs/us-east-1/2025/10/09/"),
        (
            {"prefix": "logs/vpc", "hourly": True},
            "logs/vpc/AWSLogs/123456789012/vpcflowlogs/us-east-1/2025/10/09/08/",
        ),
        ({"hive": True}, HIVE),
        ({"prefix": "p", "hive": True, "hourly": True}, f"p/{HIVE}hour=08/"),
    ],
)
def test_keys(options: dict[str, Any], folders: str) -> None:
    name = "123456789012_vpcflowlogs_us-east-1_fl-0a_20251009T0855Z_0badcafe.log.gz"
    key = Layout("123456789012", "us-east-1", "fl-0a", **options).key(START, "0badcafe", ".log.gz")
    assert key == folders + name


def write(records: int = 3_000, seconds: int = 900, **options: Any) -> tuple[Memory, Written]:  # noqa: ANN401 (as Writer)
    """A made-up network's traffic with all incidents, as objects in memory."""
    made = Scene.of(plausible(4), seed=4)
    place = Memory()
    writer = Writer(place, LAYOUT, Format.of(FORMATS["v5"]), **options)
    for frame in frames(made, Order(START, START + seconds, records, seed=4, incidents=INCIDENTS), limit=3_000):
        writer.add(frame)
    return place, writer.finish()


def test_an_object_for_each_five_minutes_holds_the_records_that_end_in_it() -> None:
    place, written = write()
    shape = re.compile(r".*_(\d{8}T\d{4}Z)_[0-9a-f]{8}\.log\.gz")
    times = [found[1] for key in place.objects if (found := shape.fullmatch(key))]
    assert times == ["20251009T0855Z", "20251009T0900Z", "20251009T0905Z"]
    texts = [gzip.decompress(data).decode().splitlines() for data in place.objects.values()]
    assert [lines[0] + "\n" for lines in texts] == [V5_HEADER] * 3
    for number, lines in enumerate(texts):
        assert {int(line.split()[11]) // 300 * 300 for line in lines[1:]} == {START + 300 * number}
    records = 3_000 + 120 + 300 + 392 + 720 + 150 + 3 * (24 + 20)
    assert sum(len(lines) - 1 for lines in texts) == records
    assert written == Written(3, records, sum(map(len, place.objects.values())))


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert write()[0].objects == write()[0].objects


def test_gzip_has_no_time_in_it() -> None:
    place, _ = write(100, 300)
    (data,) = place.objects.values()
    assert data[:2] == b"\x1f\x8b"
    assert data[4:8] == b"\0\0\0\0"


def test_plain_text_is_the_same_text() -> None:
    plain, packed = write(level=None)[0].objects, write(level=9)[0].objects
    assert list(plain.values()) == [gzip.decompress(data) for data in packed.values()]
    assert all(key.endswith(".log") for key in plain)


@pytest.mark.parametrize("level", [None, 1])
def test_a_large_object_is_followed_by_another_of_the_same_five_minutes(level: int | None) -> None:
    place, written = write(9_000, 300, level=level, largest=60_000)
    whole, _ = write(9_000, 300, level=level)
    assert len(place.objects) == written.objects > 3
    assert all(len(data) <= 60_000 for data in place.objects.values())
    wbits = zlib.MAX_WBITS | 16
    unpacked = [data if level is None else zlib.decompress(data, wbits) for data in place.objects.values()]
    texts = [text.splitlines(keepends=True) for text in unpacked]
    assert {lines[0].decode() for lines in texts} == {V5_HEADER}
    (one,) = whole.objects.values()
    assert (
        b"".join(line for lines in texts for line in lines[1:])
        == (one if level is None else zlib.decompress(one, wbits)).partition(b"\n")[2]
    )


def test_every_field_is_what_the_field_table_says() -> None:
    place, _ = write()
    limits = {Kind.COUNT: 2**63 - 1, Kind.TIME: 2**63 - 1, Kind.PORT: 65_535, Kind.CODE: 65_535, Kind.OCTET: 255}
    for data in place.objects.values():
        header, *lines = gzip.decompress(data).decode().splitlines()
        fields = [field_named(name) for name in header.split(" ")]
        for line in lines:
            for known, text in zip(fields, line.split(" "), strict=True):
                assert known
                if known.kind in limits and text != "-":
                    assert text.isdigit()
                    assert int(text) <= limits[known.kind]
                elif known.kind is Kind.ADDRESS and text != "-":
                    assert str(ip_address(text)) == text
                else:
                    assert re.fullmatch(r"[\w.:-]+", text)


def test_into_a_folder(tmp_path: Path) -> None:
    Folder(tmp_path).put("a/b/c.log", b"first")
    Folder(tmp_path).put("a/b/c.log", b"second")
    assert (tmp_path / "a/b/c.log").read_bytes() == b"second"


def test_into_a_bucket(aws: Aws) -> None:
    client: Any = aws.client("s3")
    client.create_bucket(Bucket="simulated-objects")
    Bucket(client, "simulated-objects").put("a/b=1/c.log.gz", b"\x1f\x8b")
    assert client.get_object(Bucket="simulated-objects", Key="a/b=1/c.log.gz")["Body"].read() == b"\x1f\x8b"


def test_nothing_to_write_writes_nothing() -> None:
    place, written = Memory(), Writer(Memory(), LAYOUT, Format.of(FORMATS["v2"])).finish()
    assert (place.objects, written) == ({}, Written())
