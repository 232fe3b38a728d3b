"""AWS's own ranges: the list as AWS publishes it, and what a batch's records are told by it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import FeedError
from exporter.flow import Batch
from exporter.lists.aws_ranges import AwsRanges, Ranges, read_ranges
from tests.enrich.cases import batch

PUBLISHED = """{
  "syncToken": "1767225600",
  "createDate": "2026-01-01-00-00-00",
  "prefixes": [
    {"ip_prefix": "3.4.12.4/32", "region": "eu-west-1", "service": "AMAZON", "network_border_group": "eu-west-1"},
    {"ip_prefix": "3.5.140.0/22", "region": "ap-northeast-2", "service": "AMAZON",
     "network_border_group": "ap-northeast-2"},
    {"ip_prefix": "52.94.76.0/22", "region": "us-west-2", "service": "AMAZON", "network_border_group": "us-west-2"},
    {"ip_prefix": "54.192.0.0/16", "region": "GLOBAL", "service": "AMAZON", "network_border_group": "GLOBAL"},
    {"ip_prefix": "54.0.0.0/8", "region": "us-east-1", "service": "AMAZON", "network_border_group": "us-east-1"},
    {"ip_prefix": "3.5.140.0/22", "region": "ap-northeast-2", "service": "S3",
     "network_border_group": "ap-northeast-2"},
    {"ip_prefix": "3.5.140.0/22", "region": "ap-northeast-2", "service": "EC2",
     "network_border_group": "ap-northeast-2"},
    {"ip_prefix": "54.192.0.0/16", "region": "GLOBAL", "service": "CLOUDFRONT", "network_border_group": "GLOBAL"},
    {"ip_prefix": "54.64.0.0/15", "region": "ap-northeast-1", "service": "EC2",
     "network_border_group": "ap-northeast-1"},
    {"ip_prefix": "54.64.0.0/15", "region": "ap-northeast-1", "service": "AMAZON",
     "network_border_group": "ap-northeast-1"},
    {"ip_prefix": "54.65.0.16/29", "region": "ap-northeast-1", "service": "EC2",
     "network_border_group": "ap-northeast-1"},
    {"ip_prefix": "54.65.0.16/29", "region": "ap-northeast-1", "service": "WORKSPACES_GATEWAYS",
     "network_border_group": "ap-northeast-1"},
    {"ip_prefix": "54.65.0.16/29", "region": "ap-northeast-1", "service": "EC2_INSTANCE_CONNECT",
     "network_border_group": "ap-northeast-1"}
  ],
  "ipv6_prefixes": [
    {"ipv6_prefix": "2600:1f18::/33", "region": "us-east-1", "service": "AMAZON", "network_border_group": "us-east-1"},
    {"ipv6_prefix": "2600:1f18::/33", "region": "us-east-1", "service": "EC2", "network_border_group": "us-east-1"},
    {"ipv6_prefix": "2600:1fa0:80a0::/44", "region": "us-east-1", "service": "S3", "network_border_group": "us-east-1"}
  ]
}"""
"""Of the shape of AWS's file, with an entry of each kind."""

WHOSE: Mapping[str, tuple[str | None, str | None]] = {
    "3.4.12.3": (None, None),
    "3.4.12.4": ("AMAZON", "eu-west-1"),
    "3.4.12.5": (None, None),
    "3.5.139.255": (None, None),
    "3.5.140.0": ("S3", "ap-northeast-2"),  # not EC2, not AMAZON
    "3.5.143.255": ("S3", "ap-northeast-2"),
    "3.5.144.0": (None, None),
    "53.255.255.255": (None, None),
    "54.0.0.0": ("AMAZON", "us-east-1"),
    "54.63.255.255": ("AMAZON", "us-east-1"),
    "54.64.0.0": ("EC2", "ap-northeast-1"),  # the longer prefix
    "54.65.0.15": ("EC2", "ap-northeast-1"),
    "54.65.0.16": ("EC2_INSTANCE_CONNECT", "ap-northeast-1"),  # the first by name of two that are not EC2
    "54.65.0.23": ("EC2_INSTANCE_CONNECT", "ap-northeast-1"),
    "54.65.0.24": ("EC2", "ap-northeast-1"),
    "54.66.0.0": ("AMAZON", "us-east-1"),
    "54.192.0.1": ("CLOUDFRONT", None),  # GLOBAL is no region
    "54.255.255.255": ("AMAZON", "us-east-1"),
    "55.0.0.0": (None, None),
    "2600:1f17:ffff::1": (None, None),
    "2600:1f18:7fff:ffff::1": ("EC2", "us-east-1"),
    "2600:1f18:8000::": (None, None),
    "2600:1fa0:80af::1": ("S3", "us-east-1"),
    "::3.5.140.0": (None, None),
}
"""Worked out by hand from the list above: service and region."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A feed that never changes."""

    current: Ranges


def read(text: str | bytes, folder: Path) -> Ranges:
    """The ranges of a list with this text."""
    return parsed(text, folder)[0]


def parsed(text: str | bytes, folder: Path) -> tuple[Ranges, int, int, tuple[str, ...]]:
    """All that is read of a list."""
    path = folder / "list"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    found = read_ranges(path)
    return found.value, found.entries, found.skipped, found.examples


def told(ranges: Ranges, columns: Mapping[str, Sequence[Any]], internal: Sequence[str] = ()) -> Batch:
    """A batch after the stage; all addresses are external but those that are said to be internal, or nothing."""
    made = batch(columns)
    kinds = [
        "internal" if text in internal else None if text == "224.0.0.1" else "external" for text in made.addresses.text
    ]
    return AwsRanges(Fixed(ranges))(made.with_about(pl.Series("locality", kinds, dtype=pl.String)))


def whose(ranges: Ranges, texts: Sequence[str]) -> dict[str, tuple[str | None, str | None]]:
    """What the stage says of each address."""
    made = told(ranges, {"srcaddr": texts})
    if made.about is None or "aws_service" not in made.about.columns:
        return dict.fromkeys(texts, (None, None))
    said = made.about.select("aws_service", "aws_region").rows()
    return {text: (service, region) for text, (service, region) in zip(made.addresses.text, said, strict=True)}


def test_service_and_region_by_the_published_list(tmp_path: Path) -> None:
    ranges, entries, skipped, _ = parsed(PUBLISHED, tmp_path)
    assert whose(ranges, list(WHOSE)) == WHOSE
    assert (entries, skipped) == (16, 0)


def test_a_record_is_told_what_it_does_not_say(tmp_path: Path) -> None:
    columns = {
        "srcaddr": ["10.0.0.5", "54.64.0.1", "54.64.0.1", "10.0.0.5", None, "9.9.9.9"],
        "dstaddr": ["3.5.140.9", "10.0.0.5", "10.0.0.5", "10.0.0.9", None, "10.0.0.5"],
        "pkt_srcaddr": ["10.0.0.7", None, "3.5.140.9", "10.0.0.5", None, None],
        "pkt_dstaddr": ["3.5.140.9", "10.0.0.5", "10.0.0.5", "54.192.0.1", None, None],
        "pkt_src_aws_service": [None, None, None, None, None, "AMAZON"],
        "pkt_dst_aws_service": ["AMAZON", None, None, None, None, None],
    }
    made = told(read(PUBLISHED, tmp_path), columns, internal=("10.0.0.5", "10.0.0.7", "10.0.0.9"))
    expected = columns | {
        "pkt_src_aws_service": [None, "EC2", "S3", None, None, "AMAZON"],
        "pkt_dst_aws_service": ["AMAZON", None, None, "CLOUDFRONT", None, None],
    }
    assert made.frame.drop("row").cast(pl.String).to_dict(as_series=False) == expected
    assert made.frame["row"].to_list() == [1, 2, 3, 4, 5, 6]
    assert made.about is not None
    assert dict(zip(made.addresses.text, made.about.rows(named=True), strict=True)) == {
        "10.0.0.5": {"locality": "internal", "aws_service": None, "aws_region": None},
        "10.0.0.7": {"locality": "internal", "aws_service": None, "aws_region": None},
        "10.0.0.9": {"locality": "internal", "aws_service": None, "aws_region": None},
        "9.9.9.9": {"locality": "external", "aws_service": None, "aws_region": None},
        "54.64.0.1": {"locality": "external", "aws_service": "EC2", "aws_region": "ap-northeast-1"},
        "3.5.140.9": {"locality": "external", "aws_service": "S3", "aws_region": "ap-northeast-2"},
        "54.192.0.1": {"locality": "external", "aws_service": "CLOUDFRONT", "aws_region": None},
    }


def test_records_of_version_2_get_the_columns_that_they_lack(tmp_path: Path) -> None:
    columns = {"srcaddr": ["10.0.0.5", None], "dstaddr": ["54.64.0.1", None]}
    frame = told(read(PUBLISHED, tmp_path), columns, internal=("10.0.0.5",)).frame
    assert frame.select("pkt_src_aws_service", "pkt_dst_aws_service").rows() == [(None, "EC2"), (None, None)]
    assert frame.schema["pkt_src_aws_service"] == pl.String


def test_what_is_internal_or_no_internet_address_is_not_told(tmp_path: Path) -> None:
    text = '{"prefixes": [{"ip_prefix": "0.0.0.0/0", "region": "us-east-1", "service": "EC2"}]}'
    columns = {"srcaddr": ["54.0.0.1", "1.1.1.1"], "dstaddr": ["224.0.0.1", "224.0.0.1"]}
    made = told(read(text, tmp_path), columns, internal=("54.0.0.1",))
    assert made.frame.select("pkt_src_aws_service", "pkt_dst_aws_service").rows() == [(None, None), ("EC2", None)]


def test_a_batch_without_anything_of_awss_is_the_batch_itself(tmp_path: Path) -> None:
    stage = AwsRanges(Fixed(read(PUBLISHED, tmp_path)))
    plain = batch({"srcaddr": ["1.1.1.1"], "dstaddr": ["10.0.0.5"]})
    assert stage(plain) is plain
    known = plain.with_about(pl.Series("locality", ["external", "internal"]))
    assert stage(known) is known
    nothing = batch({"srcaddr": [None], "dstaddr": [None]}).with_about(pl.Series("locality", [], dtype=pl.String))
    assert stage(nothing) is nothing


def test_what_is_exchanged_counts_from_the_next_batch_on(tmp_path: Path) -> None:
    @dataclass
    class Changing:
        current: Ranges

    feed = Changing(read(PUBLISHED, tmp_path))
    stage = AwsRanges(feed)
    known = batch({"srcaddr": ["1.1.1.1"]}).with_about(pl.Series("locality", ["external"]))
    assert stage(known) is known
    feed.current = read('{"prefixes": [{"ip_prefix": "1.1.1.0/24", "region": "x-1", "service": "NEW"}]}', tmp_path)
    assert stage(known).frame["pkt_src_aws_service"].to_list() == ["NEW"]


SKIPPED = {
    "no object": '"1.0.0.0/8"',
    "no prefix": '{"region": "r", "service": "S3"}',
    "a prefix that is none": '{"ip_prefix": "1.0.0.0/33", "region": "r", "service": "S3"}',
    "bits behind the length": '{"ip_prefix": "1.0.0.1/8", "region": "r", "service": "S3"}',
    "a number": '{"ip_prefix": 16777216, "region": "r", "service": "S3"}',
    "no service": '{"ip_prefix": "1.0.0.0/8", "region": "r"}',
    "a service that would have to be escaped": '{"ip_prefix": "1.0.0.0/8", "region": "r", "service": "S\\"3"}',
    "a region that is none": '{"ip_prefix": "1.0.0.0/8", "region": ["r"], "service": "S3"}',
    "an empty service": '{"ip_prefix": "1.0.0.0/8", "region": "r", "service": ""}',
}


@pytest.mark.parametrize("entry", SKIPPED.values(), ids=SKIPPED)
def test_a_bad_prefix_is_passed_over_and_counted(entry: str, tmp_path: Path) -> None:
    good = '{"ip_prefix": "2.0.0.0/8", "region": "r-1", "service": "S3"}'
    ranges, entries, skipped, examples = parsed(f'{{"prefixes": [{entry}, {good}]}}', tmp_path)
    assert (entries, skipped) == (1, 1)
    assert examples[0].startswith("prefixes[0]: ")
    assert whose(ranges, ["1.0.0.1", "2.0.0.1"]) == {"1.0.0.1": (None, None), "2.0.0.1": ("S3", "r-1")}


def test_a_prefix_without_a_region_has_none(tmp_path: Path) -> None:
    ranges = read('{"prefixes": [{"ip_prefix": "2.0.0.0/8", "service": "S3"}]}', tmp_path)
    assert whose(ranges, ["2.0.0.1"]) == {"2.0.0.1": ("S3", None)}


def test_the_ends_of_the_space(tmp_path: Path) -> None:
    low, high = "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
    entries = [{"ipv6_prefix": f"{text}/128", "region": "r", "service": "S3"} for text in (low, high)]
    ranges = read(json.dumps({"ipv6_prefixes": entries}), tmp_path)
    assert whose(ranges, [low, "::1", high[:-1] + "e", high]) == {
        low: ("S3", "r"),
        "::1": (None, None),
        high[:-1] + "e": (None, None),
        high: ("S3", "r"),
    }


BROKEN = {
    "no JSON": ("no", "it is no JSON"),
    "no text": (b"\xff\xfe", "it is no JSON"),
    "deeper than anything": ("[" * 100_000, "it is no JSON"),
    "breaks off": (PUBLISHED[:-20], "it is no JSON"),
    "a list": ("[]", 'no list "prefixes"'),
    "something else": ('{"servers": []}', 'no list "prefixes"'),
    "prefixes that are no list": ('{"prefixes": 7}', 'no list "prefixes"'),
}


@pytest.mark.parametrize(("text", "told"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_such_list_is_told(text: str | bytes, told: str, tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=told):
        read(text, tmp_path)


def test_a_list_without_prefixes_has_no_entries(tmp_path: Path) -> None:
    assert parsed('{"prefixes": [], "ipv6_prefixes": []}', tmp_path)[1] == 0


def slow(entries: Sequence[Mapping[str, str]], text: str) -> tuple[str | None, str | None]:
    """Whose an address is, by looking at every entry."""
    address = ip_address(text)
    found: list[tuple[IPv4Network | IPv6Network, Mapping[str, str]]] = []
    for entry in entries:
        network = ip_network(entry.get("ip_prefix") or entry["ipv6_prefix"])
        if address in network:
            found.append((network, entry))
    if not found:
        return None, None
    longest = max(network.prefixlen for network, _ in found)
    here = [entry for network, entry in found if network.prefixlen == longest]
    others = [entry for entry in here if entry["service"] not in {"AMAZON", "EC2"}]
    ec2 = [entry for entry in here if entry["service"] == "EC2"]
    best = min(others or ec2 or here, key=lambda entry: (entry["service"], entry["region"]))
    return best["service"], None if best["region"] == "GLOBAL" else best["region"]


def _ipv4(number: int, length: int) -> IPv4Network:
    return IPv4Network(((0x36000000 | number) >> (32 - length) << (32 - length), length))


def _ipv6(number: int, length: int) -> IPv6Network:
    return IPv6Network((((0x2600 << 112) | number) >> (128 - length) << (128 - length), length))


SERVICES = st.sampled_from(["AMAZON", "EC2", "S3", "CLOUDFRONT"])
REGIONS = st.sampled_from(["GLOBAL", "a-1", "b-1"])
ENTRIES = st.one_of(
    st.builds(
        lambda network, service, region: {"ip_prefix": str(network), "service": service, "region": region},
        st.builds(_ipv4, st.integers(0, 63), st.integers(26, 32)),
        SERVICES,
        REGIONS,
    ),
    st.builds(
        lambda network, service, region: {"ipv6_prefix": str(network), "service": service, "region": region},
        st.builds(_ipv6, st.integers(0, 63), st.integers(122, 128)),
        SERVICES,
        REGIONS,
    ),
)


@settings(deadline=None)
@given(st.lists(ENTRIES, min_size=1, max_size=30))
def test_it_is_what_looking_at_every_entry_tells(entries: list[dict[str, str]]) -> None:
    lists = {"prefixes": [each for each in entries if "ip_prefix" in each]}
    lists["ipv6_prefixes"] = [each for each in entries if "ipv6_prefix" in each]
    texts = [str(IPv4Address(0x36000000 + number)) for number in range(-1, 65)]
    texts += [str(IPv6Address((0x2600 << 112) + number)) for number in range(-1, 65)]
    with TemporaryDirectory() as folder:
        ranges = read(json.dumps(lists), Path(folder))
    assert whose(ranges, texts) == {text: slow(entries, text) for text in texts}
