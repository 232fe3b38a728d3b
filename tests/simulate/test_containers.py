"""Containers by their bytes: header, lines, gzip, and Parquet by what its footer says."""

import gzip
from io import BytesIO

import polars as pl
import pytest

from exporter.simulate.containers import FORMATS, Format, Parquet, Text
from exporter.simulate.flows import records_of
from tests.simulate.made import flow, scene
from tests.simulate.parquet_footer import GZIP, INT32, INT64, TEXT, UNCOMPRESSED, footer

V5_HEADER = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action "
    "log-status vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id sublocation-type "
    "sublocation-id pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path\n"
)


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


EVERY_FIELD = {
    "version": INT32,
    "account_id": TEXT,
    "interface_id": TEXT,
    "srcaddr": TEXT,
    "dstaddr": TEXT,
    "srcport": INT32,
    "dstport": INT32,
    "protocol": INT32,
    "packets": INT64,
    "bytes": INT64,
    "start": INT64,
    "end": INT64,
    "action": TEXT,
    "log_status": TEXT,
    "vpc_id": TEXT,
    "subnet_id": TEXT,
    "instance_id": TEXT,
    "tcp_flags": INT32,
    "type": TEXT,
    "pkt_srcaddr": TEXT,
    "pkt_dstaddr": TEXT,
    "region": TEXT,
    "az_id": TEXT,
    "sublocation_type": TEXT,
    "sublocation_id": TEXT,
    "pkt_src_aws_service": TEXT,
    "pkt_dst_aws_service": TEXT,
    "flow_direction": TEXT,
    "traffic_path": INT32,
}
"""The AWS guide's data types for Parquet of the fields of versions 2 to 5."""

LATER = ("resource-type", "tgw-src-vpc-account-id", "packets-lost-mtu-exceeded", "encryption-status", "instance-tag")


def packed(container: Parquet | Text, *blocks: pl.DataFrame) -> bytes:
    begun = container.begin()
    for records in blocks:
        begun.append(container.block(records), records.height)
    return begun.finish()


@pytest.mark.parametrize(
    ("names", "types"),
    [
        (FORMATS["v5"], EVERY_FIELD),
        (FORMATS["v2"], dict(list(EVERY_FIELD.items())[:14])),
        (("end", "dstport", "srcaddr"), {"end": INT64, "dstport": INT32, "srcaddr": TEXT}),
        (LATER, dict(zip((name.replace("-", "_") for name in LATER), (TEXT, TEXT, INT64, INT32, TEXT), strict=True))),
    ],
)
def test_parquet_has_the_columns_and_types_that_aws_writes(names: tuple[str, ...], types: dict[str, int]) -> None:
    found = footer(packed(Parquet(Format.of(names)), one_flow()))
    assert list(found.types.items()) == list(types.items())
    assert (found.rows, found.codecs) == ([2], {GZIP})


def test_a_record_in_parquet() -> None:
    there, back = pl.read_parquet(BytesIO(packed(Parquet(Format.of(FORMATS["v5"])), one_flow()))).rows()
    usual = (6, 5, 500, 1_760_000_100, 1_760_000_150, "ACCEPT", "OK", "vpc-p", "subnet-p1", "i-app")
    assert there == (
        *(5, "123456789012", "eni-app", "10.0.0.5", "203.0.113.80", 40_000, 443, *usual, 3, "IPv4"),
        *("10.0.0.6", "203.0.113.80", "us-east-1", "use1-az1", None, None, None, "S3", "egress", 7),
    )
    assert back[-4:] == ("S3", None, "ingress", None)


def test_blocks_become_row_groups_whatever_their_sizes() -> None:
    blocks = (one_flow(), one_flow().head(1), one_flow(), one_flow())
    data = packed(Parquet(Format.of(("srcport", "end")), group_rows=3), *blocks)
    assert footer(data).rows == [3, 3, 1]
    assert pl.read_parquet(BytesIO(data))["srcport"].to_list() == [40_000, 443, 40_000, 40_000, 443, 40_000, 443]


def test_parquet_without_compression() -> None:
    assert footer(packed(Parquet(Format.of(FORMATS["v2"]), None), one_flow())).codecs == {UNCOMPRESSED}


@pytest.mark.parametrize(("level", "suffix"), [(None, ".log"), (1, ".log.gz"), (9, ".log.gz")])
def test_text_is_plain_or_gzip(level: int | None, suffix: str) -> None:
    container = Text(Format.of(("srcport", "end")), level)
    data = packed(container, one_flow())
    text = data if level is None else gzip.decompress(data)
    assert text == b"srcport end\n40000 1760000150\n443 1760000150\n"
    assert container.suffix == suffix
