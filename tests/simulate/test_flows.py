"""What each interface logs of a flow, worked out by hand for one flow at a time."""

import numpy as np
import polars as pl
import pytest

from exporter.fields import FIELDS
from exporter.simulate.flows import RECORD_SCHEMA, records_each, records_of, silent_records
from tests.simulate.made import SHOWN, flow, scene

OUT = "203.0.113.80"
APP, APP2, APP6, DB, NAT, ALB, BASTION = (
    *("10.0.0.5", "10.0.0.6", "2600:1f18:4000:a00::5", "10.0.64.9", "10.0.192.7", "10.0.192.8", "10.8.192.4"),
)
THERE = (5, 500)
BACK = (7, 7_000)


def seen(made: pl.DataFrame) -> list[tuple[object, ...]]:
    return sorted(made.select(SHOWN).rows(), key=str)


def of(*rows: tuple[object, ...]) -> list[tuple[object, ...]]:
    return sorted(rows, key=str)


def test_two_interfaces_of_one_vpc_log_both_directions() -> None:
    here = scene()
    assert seen(records_of(here, flow(here, APP, DB))) == of(
        ("eni-app", APP, DB, 40_000, 443, *THERE, "ACCEPT", 3, APP, DB, "egress", 1, None, None),
        ("eni-db", APP, DB, 40_000, 443, *THERE, "ACCEPT", 3, APP, DB, "ingress", None, None, None),
        ("eni-db", DB, APP, 443, 40_000, *BACK, "ACCEPT", 19, DB, APP, "egress", 1, None, None),
        ("eni-app", DB, APP, 443, 40_000, *BACK, "ACCEPT", 19, DB, APP, "ingress", None, None, None),
    )


def test_a_secondary_address_shows_as_the_primary_one_at_its_own_interface_only() -> None:
    here = scene()
    assert seen(records_of(here, flow(here, APP2, DB))) == of(
        ("eni-app", APP, DB, 40_000, 443, *THERE, "ACCEPT", 3, APP2, DB, "egress", 1, None, None),
        ("eni-db", APP2, DB, 40_000, 443, *THERE, "ACCEPT", 3, APP2, DB, "ingress", None, None, None),
        ("eni-db", DB, APP2, 443, 40_000, *BACK, "ACCEPT", 19, DB, APP2, "egress", 1, None, None),
        ("eni-app", DB, APP, 443, 40_000, *BACK, "ACCEPT", 19, DB, APP2, "ingress", None, None, None),
    )


def test_a_nat_gateway_logs_its_private_and_its_outward_side() -> None:
    """As in the AWS guide's example: only the private side shows other ends in pkt-srcaddr and pkt-dstaddr."""
    here = scene(OUT)
    assert seen(records_of(here, flow(here, APP, OUT, NAT))) == of(
        ("eni-app", APP, OUT, 40_000, 443, *THERE, "ACCEPT", 3, APP, OUT, "egress", 1, None, None),
        ("eni-nat", APP, NAT, 40_000, 443, *THERE, "ACCEPT", 3, APP, OUT, "ingress", None, None, None),
        ("eni-nat", NAT, OUT, 50_000, 443, *THERE, "ACCEPT", 3, NAT, OUT, "egress", 8, None, None),
        ("eni-nat", OUT, NAT, 443, 50_000, *BACK, "ACCEPT", 19, OUT, NAT, "ingress", None, None, None),
        ("eni-nat", NAT, APP, 443, 40_000, *BACK, "ACCEPT", 19, OUT, APP, "egress", 1, None, None),
        ("eni-app", OUT, APP, 443, 40_000, *BACK, "ACCEPT", 19, OUT, APP, "ingress", None, None, None),
    )


def test_s3_is_reached_by_the_gateway_endpoint() -> None:
    here = scene(OUT, service="S3")
    assert seen(records_of(here, flow(here, APP, OUT))) == of(
        ("eni-app", APP, OUT, 40_000, 443, *THERE, "ACCEPT", 3, APP, OUT, "egress", 7, None, "S3"),
        ("eni-app", OUT, APP, 443, 40_000, *BACK, "ACCEPT", 19, OUT, APP, "ingress", None, "S3", None),
    )


def test_another_vpc_is_reached_by_peering() -> None:
    here = scene()
    made = records_of(here, flow(here, BASTION, APP))
    assert made.filter(flow_direction="egress")["traffic_path"].to_list() == [4, 4]
    assert made["vpc_id"].to_list() == ["vpc-s", "vpc-p", "vpc-p", "vpc-s"]


def test_a_rejected_flow_is_accepted_where_it_leaves_and_rejected_where_it_arrives() -> None:
    here = scene()
    refused = flow(here, APP, DB, answered=False, rejected=True, request_flags=2)
    assert seen(records_of(here, refused)) == of(
        ("eni-app", APP, DB, 40_000, 443, *THERE, "ACCEPT", 2, APP, DB, "egress", 1, None, None),
        ("eni-db", APP, DB, 40_000, 443, *THERE, "REJECT", 2, APP, DB, "ingress", None, None, None),
    )


def test_without_an_answer_there_is_only_the_request() -> None:
    here = scene(OUT)
    assert seen(records_of(here, flow(here, OUT, ALB, answered=False, request_flags=2))) == of(
        ("eni-alb", OUT, ALB, 40_000, 443, *THERE, "ACCEPT", 2, OUT, ALB, "ingress", None, None, None),
    )


def test_ipv6_goes_out_directly_and_is_shown_as_it_is() -> None:
    here = scene("2a02:810::1")
    made = records_of(here, flow(here, APP6, "2a02:810::1"))
    assert made["type"].to_list() == ["IPv6", "IPv6"]
    assert made["srcaddr"].to_list() == [APP6, "2a02:810::1"]
    assert made["traffic_path"].to_list() == [8, None]


def test_the_rest_of_a_record_tells_of_its_reporter() -> None:
    here = scene(OUT)
    (made,) = records_of(here, flow(here, OUT, BASTION, answered=False)).drop(SHOWN).to_dicts()
    assert made == {
        "version": 5,
        "account_id": "123456789012",
        "protocol": 6,
        "start": 1_760_000_100,
        "end": 1_760_000_150,
        "log_status": "OK",
        "vpc_id": "vpc-s",
        "subnet_id": "subnet-s1",
        "instance_id": "i-bastion",
        "type": "IPv4",
        "region": "us-east-1",
        "az_id": "use1-az1",
        "sublocation_type": None,
        "sublocation_id": None,
    }


@pytest.mark.parametrize(
    ("ends", "answered", "count"),
    [
        ((APP, DB), True, 4),
        ((APP, DB), False, 2),
        ((APP, OUT, NAT), True, 6),
        ((APP, OUT, NAT), False, 3),
        ((OUT, ALB), True, 2),
        ((OUT, ALB), False, 1),
    ],
)
def test_the_number_of_records_is_told_before_they_are_made(
    ends: tuple[str, ...], *, answered: bool, count: int
) -> None:
    here = scene(OUT)
    made = flow(here, *ends, answered=answered)
    assert records_each(here, made).to_list() == [count]
    assert records_of(here, made).height == count


def test_a_silent_minute_has_times_and_reporter_only() -> None:
    (made,) = silent_records(scene(), np.array([1]), np.array([1_760_000_159]), "NODATA").to_dicts()
    assert {name: value for name, value in made.items() if value is not None} == {
        "version": 5,
        "account_id": "123456789012",
        "interface_id": "eni-db",
        "start": 1_760_000_100,
        "end": 1_760_000_159,
        "log_status": "NODATA",
        "vpc_id": "vpc-p",
        "subnet_id": "subnet-p2",
        "region": "us-east-1",
        "az_id": "use1-az2",
    }


def test_records_have_the_columns_of_the_field_table_in_its_order() -> None:
    here = scene()
    expected = [field.column for field in FIELDS if field.since <= 5]
    assert len(expected) == 29
    assert records_of(here, flow(here, APP, DB)).columns == expected
    assert list(RECORD_SCHEMA) == expected
