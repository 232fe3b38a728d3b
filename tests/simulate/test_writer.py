"""Objects by their keys and records, and where one ends and the next begins."""

import gzip
import re
import zlib
from dataclasses import dataclass, field
from io import BytesIO
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from exporter.fields import Kind, field_named
from exporter.simulate.containers import FORMATS, Container, Format, Parquet, Text
from exporter.simulate.incidents import INCIDENTS
from exporter.simulate.plan import plausible
from exporter.simulate.scene import Scene
from exporter.simulate.traffic import Order, frames
from exporter.simulate.writer import Bucket, Folder, Layout, Writer, Written
from tests.services.aws import Aws
from tests.simulate.parquet_footer import footer

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


V5 = Format.of(FORMATS["v5"])
TEXT = Text(V5)


def write(
    records: int = 3_000, seconds: int = 900, container: Container = TEXT, largest: int = 75_000_000
) -> tuple[Memory, Written]:
    """A made-up network's traffic with all incidents, as objects in memory."""
    made = Scene.of(plausible(4), seed=4)
    place = Memory()
    writer = Writer(place, LAYOUT, container, largest)
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


@pytest.mark.parametrize("container", [TEXT, Parquet(V5)])
def test_the_same_seed_gives_the_same_bytes(container: Container) -> None:
    assert write(container=container)[0].objects == write(container=container)[0].objects


def test_parquet_holds_the_records_of_the_text() -> None:
    """Every value is the same, `-` being null, and nothing else is null."""
    text, parquet = write()[0].objects, write(container=Parquet(V5))[0].objects
    assert [key.partition("_2025")[2][:10] for key in parquet] == [key.partition("_2025")[2][:10] for key in text]
    assert all(key.endswith(".log.parquet") for key in parquet)
    for lines, data in zip(text.values(), parquet.values(), strict=True):
        rows = pl.read_parquet(BytesIO(data)).rows()
        written = ["-" if value is None else str(value) for row in rows for value in row]
        assert written == [value for line in gzip.decompress(lines).decode().splitlines()[1:] for value in line.split()]


def test_a_large_parquet_object_is_followed_by_another_of_the_same_five_minutes() -> None:
    place, written = write(9_000, 300, Parquet(V5), largest=200_000)
    (one,) = write(9_000, 300, Parquet(V5))[0].objects.values()
    assert len(place.objects) == written.objects > 3
    assert all(len(data) <= 200_000 for data in place.objects.values())
    parts = [pl.read_parquet(BytesIO(data)) for data in place.objects.values()]
    assert pl.concat(parts).equals(pl.read_parquet(BytesIO(one)))
    assert [sum(footer(data).rows) for data in place.objects.values()] == [part.height for part in parts]


def test_gzip_has_no_time_in_it() -> None:
    place, _ = write(100, 300)
    (data,) = place.objects.values()
    assert data[:2] == b"\x1f\x8b"
    assert data[4:8] == b"\0\0\0\0"


def test_plain_text_is_the_same_text() -> None:
    plain, packed = write(container=Text(V5, None))[0].objects, write(container=Text(V5, 9))[0].objects
    assert list(plain.values()) == [gzip.decompress(data) for data in packed.values()]
    assert all(key.endswith(".log") for key in plain)


@pytest.mark.parametrize("level", [None, 1])
def test_a_large_object_is_followed_by_another_of_the_same_five_minutes(level: int | None) -> None:
    place, written = write(9_000, 300, Text(V5, level), largest=60_000)
    whole, _ = write(9_000, 300, Text(V5, level))
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
    place, written = Memory(), Writer(Memory(), LAYOUT, TEXT).finish()
    assert (place.objects, written) == ({}, Written())
