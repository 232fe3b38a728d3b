"""Community IDs: published ones, and any flow against the reference library (package communityid)."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.ecs.community_id import community_ids
from exporter.flow import Batch
from tests.ecs.cases import PORTED, batches, community_id

HEADER = "srcaddr dstaddr srcport dstport protocol"
Flow = tuple[str, str, int, int, int]


def ids(*lines: str, header: str = HEADER) -> list[str | None]:
    (batch,) = batches(header, *lines, inventory=None)
    return ids_of(batch)


def ids_of(batch: Batch) -> list[str | None]:
    found = community_ids(batch.frame, batch.addresses)
    assert found.dtype == pl.String
    return found.to_list()


LOW6, HIGH6 = "fe80:1:203:405:607:809:a0b:c0d", "fe80:1011:1213:1415:1617:1819:1a1b:1c1d"
PUBLISHED = [
    ("1.2.3.4 5.6.7.8 1122 3344 6", "1:wCb3OG7yAFWelaUydu0D+125CLM="),
    ("5.6.7.8 1.2.3.4 3344 1122 6", "1:wCb3OG7yAFWelaUydu0D+125CLM="),
    ("1.2.3.4 5.6.7.8 1122 3344 17", "1:0Mu9InQx6z4ZiCZM/7HXi2WMhOg="),
    ("5.6.7.8 1.2.3.4 3344 1122 17", "1:0Mu9InQx6z4ZiCZM/7HXi2WMhOg="),
    ("1.2.3.4 5.6.7.8 1122 3344 132", "1:EKt4MsxuyaE6mL+hmrEkQ9csDD8="),
    ("5.6.7.8 1.2.3.4 3344 1122 132", "1:EKt4MsxuyaE6mL+hmrEkQ9csDD8="),
    ("1.2.3.4 5.6.7.8 8 0 1", "1:crodRHL2FEsHjbv3UkRrfbs4bZ0="),
    ("5.6.7.8 1.2.3.4 0 0 1", "1:crodRHL2FEsHjbv3UkRrfbs4bZ0="),
    ("1.2.3.4 5.6.7.8 11 0 1", "1:f/YiSyWqczrTgfUCZlBUnvHRcPk="),
    (f"{LOW6} {HIGH6} 128 0 58", "1:0bf7hyMJUwt3fMED7z8LIfRpBeo="),
    (f"{HIGH6} {LOW6} 129 0 58", "1:0bf7hyMJUwt3fMED7z8LIfRpBeo="),
    (f"{LOW6} {HIGH6} 146 0 58", "1:fYC8+pz24E+EhANP1EZhpX0Dw10="),
    ("1.2.3.4 5.6.7.8 - - 46", "1:ikv3kmf89luf73WPz1jOs49S768="),
    ("5.6.7.8 1.2.3.4 0 0 46", "1:ikv3kmf89luf73WPz1jOs49S768="),
    (f"{LOW6} {HIGH6} 0 0 46", "1:wQ/2mwrnXP4lmJcHdGL5ePjR+e0="),
    (f"{HIGH6} {LOW6} - - 46", "1:wQ/2mwrnXP4lmJcHdGL5ePjR+e0="),
]
"""The specification's "Community ID Baseline Data", default settings; AWS writes ports of 0 where there are none."""


@pytest.mark.parametrize(("line", "expected"), PUBLISHED)
def test_published_ids(line: str, expected: str) -> None:
    assert ids(line) == [expected]


def test_published_ids_in_one_batch() -> None:
    assert ids(*(line for line, _ in PUBLISHED)) == [expected for _, expected in PUBLISHED]


ADDRESSES = ("0.0.0.0", "10.0.0.1", "10.0.1.0", "10.0.255.255", "128.0.0.1", "255.255.255.255")  # noqa: S104 # no listening
ADDRESSES6 = ("::", "::1", "2001:db8::1", "2001:db8:0:1::", "8000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
PORTS = (0, 1, 3, 8, 9, 13, 18, 80, 128, 129, 133, 136, 144, 145, 255, 256, 32_768, 65_535)

numbers = st.one_of(st.sampled_from(PORTS), st.integers(0, 65_535))
protocols = st.one_of(st.sampled_from(PORTED), st.integers(0, 255))
ipv4 = st.one_of(st.sampled_from(ADDRESSES), st.ip_addresses(v=4).map(str))
ipv6 = st.one_of(st.sampled_from(ADDRESSES6), st.ip_addresses(v=6).map(str))
flows = st.one_of(*(st.tuples(address, address, numbers, numbers, protocols) for address in (ipv4, ipv6)))


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.lists(flows, min_size=1, max_size=40))
def test_any_flows_as_the_reference_library(some: list[Flow]) -> None:
    assert ids(*(" ".join(map(str, flow)) for flow in some)) == [community_id(*flow) for flow in some]


@pytest.mark.parametrize("protocol", [1, 58])
def test_every_icmp_type_both_ways(protocol: int) -> None:
    ends = (("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1"), ("10.0.0.1", "10.0.0.1"))
    some = [(*pair, kind, code, protocol) for pair in ends for kind in range(256) for code in (0, 3)]
    assert ids(*(" ".join(map(str, flow)) for flow in some)) == [community_id(*flow) for flow in some]


def test_every_protocol() -> None:
    some = [("10.0.0.2", "10.0.0.1", 1024, 80, protocol) for protocol in range(256)]
    assert ids(*(" ".join(map(str, flow)) for flow in some)) == [community_id(*flow) for flow in some]


TCP = community_id("10.0.0.1", "10.0.0.2", 1024, 80, 6)
GRE = community_id("10.0.0.1", "10.0.0.2", 0, 0, 47)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("10.0.0.1 10.0.0.2 1024 80 6", TCP),
        ("- 10.0.0.2 1024 80 6", None),
        ("10.0.0.1 - 1024 80 6", None),
        ("- - 1024 80 6", None),
        ("10.0.0.1 10.0.0.2 - 80 6", None),
        ("10.0.0.1 10.0.0.2 1024 - 6", None),
        ("10.0.0.1 10.0.0.2 1024 80 -", None),
        ("- - - - -", None),
        ("10.0.0.1 2001:db8::1 1024 80 6", None),
        ("2001:db8::1 10.0.0.1 1024 80 6", None),
        ("10.0.0.1 10.0.0.2 1024 80 47", GRE),
        ("10.0.0.1 10.0.0.2 - - 47", GRE),
    ],
)
def test_what_lacks_something(line: str, expected: str | None) -> None:
    assert ids(line) == [expected]
    assert ids("- - - - -", line, "10.0.0.1 10.0.0.2 1024 80 6", "2001:db8::1 ::1 1 2 17") == [
        None,
        expected,
        TCP,
        community_id("2001:db8::1", "::1", 1, 2, 17),
    ]


@pytest.mark.parametrize(
    ("header", "line", "expected"),
    [
        ("srcaddr dstaddr protocol", "10.0.0.1 10.0.0.2 6", None),
        ("srcaddr dstaddr protocol", "10.0.0.1 10.0.0.2 47", GRE),
        ("srcaddr srcport dstport protocol", "10.0.0.1 1024 80 6", None),
        ("srcaddr dstaddr srcport dstport", "10.0.0.1 10.0.0.2 1024 80", None),
        ("version action", "2 ACCEPT", None),
    ],
)
def test_formats_without_a_column(header: str, line: str, expected: str | None) -> None:
    assert ids(line, header=header) == [expected]


def test_more_flows_than_are_hashed_at_a_time() -> None:
    some = [("10.0.0.1", f"10.1.{n >> 8}.{n & 255}", 40_000, n % 3 + 443, 6) for n in range(17_000)]
    found = ids(*(" ".join(map(str, flow)) for flow in some))
    assert len(found) == len(set(found)) == 17_000
    assert [found[n] for n in (0, 16_383, 16_384, 16_999)] == [
        community_id(*some[n]) for n in (0, 16_383, 16_384, 16_999)
    ]
