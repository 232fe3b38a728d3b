"""Which record costs what: a day worked out by hand, and each rule at its edges."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config import Cost
from exporter.enrich.cost import Costs
from exporter.enrich.inventory import Snapshot

from .cost_day import (
    DAY,
    EDGE,
    GIB,
    INTERFACES,
    IRISH,
    NODATA,
    NOON,
    OFFICE,
    OUTSIDE,
    PRICES,
    ROWS,
    S3,
    STRANGER,
    STRANGER_6,
    SUMS,
    Row,
    inventory,
    read,
)

KNOWN = inventory()
Charge = tuple[str | None, float | None]
NONE: Charge = (None, None)


def charges(rows: Sequence[Row], *more: str) -> list[Charge]:
    """Kind and US dollars of each record."""
    frame = Costs(PRICES)(read([*(row.line for row in rows), *more], known=KNOWN)).frame
    return frame.select("cost_kind", "cost_usd").rows()


def near(kind: str | None, usd: float | None) -> object:
    """As it has to be, but for rounding."""
    return kind, None if usd is None else pytest.approx(usd, abs=1e-12)


@pytest.mark.parametrize("name", DAY)
def test_each_conversation_of_the_day(name: str) -> None:
    assert charges(DAY[name]) == [near(row.kind, row.usd) for row in DAY[name]]


def test_the_day_sums_up_by_kind() -> None:
    sums: dict[str, float] = {}
    for kind, usd in charges(ROWS, NODATA):
        if kind is not None and usd is not None:
            sums[kind] = sums.get(kind, 0.0) + usd
    assert sums == pytest.approx(SUMS, abs=1e-9)


BASE = {
    "version": "5",
    "interface-id": "web",
    "srcaddr": "web",
    "dstaddr": OUTSIDE,
    "bytes": str(GIB),
    "start": "1772366400",
    "end": "1772366460",
    "action": "ACCEPT",
    "log-status": "OK",
    "traffic-path": "8",
    "flow-direction": "egress",
}
"""A gigabyte from a web server to the world, which costs 0.09 dollars."""


def charge(changes: dict[str, str | None], known: Snapshot | None = KNOWN) -> Charge:
    """What the record costs with these changes; None: its format lacks the field."""
    values = {name: text for name, text in (BASE | changes).items() if text is not None}
    if "interface-id" in values and values["interface-id"] in INTERFACES:
        values["interface-id"] = f"eni-{values['interface-id']}"
    words = [INTERFACES[text].own if text in INTERFACES else text for text in values.values()]
    batch = Costs(PRICES)(read([" ".join(words)], " ".join(values), known))
    ((kind, usd),) = batch.frame.select("cost_kind", "cost_usd").rows()
    return kind, usd


OUT, CROSS, ACROSS = ("internet_egress", 0.09), ("cross_zone", 0.01), ("inter_region", 0.02)
PROCESSED, PASSED, GATEWAY = ("nat_processing", 0.045), ("endpoint", 0.01), ("transit_gateway", 0.02)

RECEIVED: dict[str, str | None] = {"flow-direction": "ingress", "traffic-path": "-", "dstaddr": "web"}
FROM_APP: dict[str, str | None] = {"interface-id": "app", "srcaddr": "app"}
FROM_NAT: dict[str, str | None] = {"interface-id": "nat", "srcaddr": "nat"}
FROM_TGW: dict[str, str | None] = {"interface-id": "tgw", "srcaddr": "tgw"}
UNKNOWN: dict[str, str | None] = {"interface-id": "eni-unknown", "srcaddr": "10.0.1.99"}
TO_FAR: dict[str, str | None] = {"dstaddr": "far"}
TO_ZONE: dict[str, str | None] = {"dstaddr": "app", "traffic-path": "1"}
NO_PATH: dict[str, str | None] = {"traffic-path": None}
HOP: dict[str, str | None] = {"traffic-path": "1", "az-id": "use1-az1", "next-hop-az-id": "use1-az2"}
INTO_TGW: dict[str, str | None] = {
    "interface-id": None,
    "action": None,
    "traffic-path": None,
    "tgw-id": "tgw-1",
    "tgw-src-eni": "eni-elsewhere",
    "flow-direction": "ingress",
    "srcaddr": "app",
    "dstaddr": "10.5.0.9",
}

EDGES: dict[str, tuple[dict[str, str | None], Charge]] = {
    "to the world, path 8": ({}, OUT),
    "path 2": ({"traffic-path": "2"}, OUT),
    "path 1: through another interface, which pays": ({"traffic-path": "1"}, NONE),
    "path 3: a virtual private gateway": ({"traffic-path": "3"}, NONE),
    "path 4": ({"traffic-path": "4"}, NONE),
    "path 5": ({"traffic-path": "5"}, ACROSS),
    "path 6: a local gateway": ({"traffic-path": "6"}, NONE),
    "path 7: a gateway endpoint": ({"traffic-path": "7"}, NONE),
    "a path of the future": ({"traffic-path": "65535"}, NONE),
    "no path told, a public address": ({"traffic-path": "-"}, OUT),
    "no path told, no public address": (FROM_APP | {"traffic-path": "-"}, NONE),
    "no path told, a NAT gateway": (FROM_NAT | {"traffic-path": "-"}, OUT),
    "version 2, a public address": (NO_PATH | {"flow-direction": None}, OUT),
    "version 2, no public address": (FROM_APP | NO_PATH | {"flow-direction": None}, NONE),
    "version 2, received": (
        NO_PATH | {"flow-direction": None, "srcaddr": OUTSIDE, "dstaddr": "web"},
        NONE,
    ),
    "IPv6 without a path": (UNKNOWN | NO_PATH | {"srcaddr": "2600:1f18::10", "dstaddr": "2a00::1"}, OUT),
    "IPv6 to an IPv4 address through a NAT gateway": (
        UNKNOWN | NO_PATH | {"srcaddr": "2600:1f18::10", "dstaddr": "64:ff9b::5db8:d822"},
        NONE,
    ),
    "an unknown interface, path 8": (UNKNOWN, OUT),
    "an unknown interface, no path": (UNKNOWN | NO_PATH, NONE),
    "no direction": ({"flow-direction": "-", "srcaddr": "10.0.1.98"}, NONE),
    "to the office": ({"dstaddr": OFFICE}, NONE),
    "to a link-local address": ({"dstaddr": "169.254.1.1"}, NONE),
    "the packet goes elsewhere than its first hop": (
        {"dstaddr": OFFICE, "pkt-srcaddr": "web", "pkt-dstaddr": OUTSIDE},
        OUT,
    ),
    "the packet's ends are not told": ({"pkt-srcaddr": "-", "pkt-dstaddr": "-"}, OUT),
    "AWS's, by the record, no region known": ({"pkt-dst-aws-service": "AMAZON"}, NONE),
    "another service, by the record, no region known": ({"pkt-dst-aws-service": "ROUTE53"}, NONE),
    "EC2, by the record, no region known": ({"pkt-dst-aws-service": "EC2"}, NONE),
    "EC2 in the region, by its ranges alone": ({"dstaddr": STRANGER}, CROSS),
    "AMAZON by the record, EC2 by the ranges": ({"dstaddr": STRANGER, "pkt-dst-aws-service": "AMAZON"}, CROSS),
    "S3 by the record, EC2 by the ranges": ({"dstaddr": STRANGER, "pkt-dst-aws-service": "S3"}, NONE),
    "EC2 in another region": ({"dstaddr": IRISH}, ACROSS),
    "EC2 in another region, through a NAT gateway": (FROM_APP | {"dstaddr": IRISH, "traffic-path": "1"}, NONE),
    "EC2 in another region, from a NAT gateway": (FROM_NAT | {"dstaddr": IRISH}, ACROSS),
    "CloudFront": ({"dstaddr": EDGE}, NONE),
    "S3 over a gateway endpoint, path 2": ({"dstaddr": S3, "traffic-path": "2"}, NONE),
    "from EC2 in the region": (RECEIVED | {"srcaddr": STRANGER}, CROSS),
    "from EC2 in the region, through a NAT gateway": (
        RECEIVED | {"interface-id": "app", "dstaddr": "app", "srcaddr": STRANGER},
        NONE,
    ),
    "from EC2 in the region by IPv6": (RECEIVED | UNKNOWN | {"srcaddr": STRANGER_6, "dstaddr": "2600:1f18::10"}, CROSS),
    "a database never pays for crossing, to EC2 in the region": (
        {"interface-id": "db", "srcaddr": "db", "dstaddr": STRANGER},
        NONE,
    ),
    "a database never pays for crossing, from EC2 in the region": (
        RECEIVED | {"interface-id": "db", "dstaddr": "db", "srcaddr": STRANGER},
        NONE,
    ),
    "a database pays for the internet": ({"interface-id": "db", "srcaddr": "db"}, OUT),
    "from EC2 in another region": (RECEIVED | {"srcaddr": IRISH}, NONE),
    "from the world": (RECEIVED | {"srcaddr": OUTSIDE}, NONE),
    "to another region through a transit gateway": (TO_FAR | {"traffic-path": "1"}, ACROSS),
    "to another region, path not told": (TO_FAR | NO_PATH, ACROSS),
    "to another region, says the inventory, and in the region, says the path": (TO_FAR | {"traffic-path": "4"}, NONE),
    "to another region over a virtual private gateway": (TO_FAR | {"traffic-path": "3"}, NONE),
    "to another region, from a NAT gateway that passes it on": (FROM_NAT | TO_FAR | {"traffic-path": "1"}, NONE),
    "the same over a peering": (FROM_NAT | TO_FAR | {"traffic-path": "5"}, NONE),
    "from a NAT gateway over a peering to nobody known": (
        FROM_NAT | {"dstaddr": "10.66.0.1", "traffic-path": "5"},
        ACROSS,
    ),
    "from another region": (RECEIVED | {"srcaddr": "far"}, NONE),
    "to another region by its public address": ({"dstaddr": "54.9.0.10"}, ACROSS),
    "the same through a NAT gateway": (FROM_APP | {"dstaddr": "54.9.0.10", "traffic-path": "1"}, NONE),
    "the same from the NAT gateway": (FROM_NAT | {"dstaddr": "54.9.0.10"}, ACROSS),
    "to another zone": (TO_ZONE, CROSS),
    "to another zone, no path": (TO_ZONE | NO_PATH, CROSS),
    "to another zone, version 2": (TO_ZONE | NO_PATH | {"flow-direction": None}, CROSS),
    "to the same zone": (TO_ZONE | {"dstaddr": "batch"}, NONE),
    "to nobody known in the VPC": (TO_ZONE | {"dstaddr": "10.0.2.99"}, NONE),
    "from nobody known in the VPC": (TO_ZONE | UNKNOWN, NONE),
    "from a NAT gateway to another zone": (TO_ZONE | FROM_NAT, NONE),
    "from an endpoint to another zone": (TO_ZONE | {"interface-id": "endpoint", "srcaddr": "endpoint"}, PASSED),
    "from a transit gateway within the VPC": (
        {"interface-id": "tgw", "srcaddr": "tgw", "dstaddr": "web", "traffic-path": "1"},
        NONE,
    ),
    "from a transit gateway to the world": (FROM_TGW, NONE),
    "from a transit gateway to EC2": (FROM_TGW | {"dstaddr": STRANGER}, NONE),
    "from a transit gateway to another region": (FROM_TGW | TO_FAR | {"traffic-path": "5"}, NONE),
    "to another zone of a VPC with public addresses of its own": (
        {"interface-id": "own-1", "srcaddr": "own-1", "dstaddr": "own-2", "traffic-path": "1"},
        CROSS,
    ),
    "an unknown interface to a known public address": (UNKNOWN | {"dstaddr": "54.0.0.5"}, CROSS),
    "an unknown interface to a known public address of another region": (UNKNOWN | {"dstaddr": "54.9.0.10"}, ACROSS),
    "an unknown interface, which may pass it on, to another region": (UNKNOWN | TO_FAR | {"traffic-path": "1"}, NONE),
    "an unknown interface over a peering of regions": (UNKNOWN | TO_FAR | {"traffic-path": "5"}, ACROSS),
    "a load balancer to another zone": (TO_ZONE | {"interface-id": "alb", "srcaddr": "alb"}, NONE),
    "to a load balancer in another zone over a peering": (
        {"interface-id": "peer", "srcaddr": "peer", "dstaddr": "alb", "traffic-path": "4"},
        CROSS,
    ),
    "to another VPC and zone through a transit gateway": ({"dstaddr": "peer", "traffic-path": "1"}, NONE),
    "to another VPC and zone, no path": (NO_PATH | {"dstaddr": "peer"}, NONE),
    "by a public address through a NAT gateway": (FROM_APP | {"dstaddr": "54.0.0.10", "traffic-path": "1"}, NONE),
    "a public address of the region receives": (RECEIVED | {"srcaddr": "54.0.0.5"}, CROSS),
    "a public address of the region, behind a NAT gateway": (
        RECEIVED | {"interface-id": "app", "dstaddr": "app", "srcaddr": "54.0.0.10"},
        NONE,
    ),
    "next hop in another zone": (HOP, CROSS),
    "next hop in another zone, the reporter's by the inventory": (HOP | {"az-id": None}, CROSS),
    "next hop in the zone": (HOP | {"next-hop-az-id": "use1-az1"}, NONE),
    "no next hop": (HOP | {"next-hop-az-id": "-"}, NONE),
    "next hop a NAT gateway": (HOP | {"next-hop-interface-type": "nat_gateway"}, CROSS),
    "next hop a transit gateway": (HOP | {"next-hop-interface-type": "transit_gateway"}, NONE),
    "next hop an endpoint": (HOP | {"next-hop-interface-type": "vpc_endpoint"}, NONE),
    "next hop in another zone, from a NAT gateway": (HOP | FROM_NAT, NONE),
    "next hop in another zone, from a database": (HOP | {"interface-id": "db", "srcaddr": "db"}, NONE),
    "next hop in another zone, a load balancer there": (HOP | {"dstaddr": "alb"} | FROM_APP, NONE),
    "next hop in another zone, received": (HOP | RECEIVED | {"srcaddr": OUTSIDE}, NONE),
    "next hop in another zone, over a peering of regions": (HOP | TO_FAR | {"traffic-path": "5"}, ACROSS),
    "a regional NAT gateway takes in": (
        RECEIVED | {"interface-id": "-", "resource-id": "nat-1", "dstaddr": "10.0.1.98", "srcaddr": "app"},
        PROCESSED,
    ),
    "a regional NAT gateway sends out": (UNKNOWN | {"interface-id": "-", "resource-id": "nat-1"}, OUT),
    "another resource": (
        RECEIVED | {"interface-id": "-", "resource-id": "x-1", "dstaddr": "10.0.1.98", "srcaddr": "app"},
        NONE,
    ),
    "a NAT gateway by the record": (
        RECEIVED | UNKNOWN | {"interface-type": "nat_gateway", "srcaddr": "app", "dstaddr": "10.0.1.99"},
        PROCESSED,
    ),
    "the same, spelt as others do": (
        RECEIVED | UNKNOWN | {"interface-type": "natGateway", "srcaddr": "app", "dstaddr": "10.0.1.99"},
        PROCESSED,
    ),
    "an endpoint by the record": (UNKNOWN | {"interface-type": "vpc_endpoint", "dstaddr": "app"}, PASSED),
    "a Gateway Load Balancer endpoint by the record": (
        RECEIVED | UNKNOWN | {"interface-type": "gateway_load_balancer_endpoint", "dstaddr": "10.0.1.99"},
        PASSED,
    ),
    "a transit gateway by the record alone": (
        RECEIVED | UNKNOWN | {"interface-type": "transit_gateway", "srcaddr": "app", "dstaddr": "10.0.1.99"},
        NONE,
    ),
    "a transit gateway takes in": (INTO_TGW, GATEWAY),
    "by an interface that reports itself": (INTO_TGW | {"tgw-src-eni": "eni-tgw"}, NONE),
    "by no interface: a VPN, Direct Connect, a peering": (INTO_TGW | {"tgw-src-eni": "-"}, NONE),
    "a transit gateway gives out": (INTO_TGW | {"flow-direction": "egress"}, NONE),
    "a transit gateway gives out over IPv6": (
        INTO_TGW | {"flow-direction": "egress", "srcaddr": "2600:1f18::10", "dstaddr": "2a00::1"},
        NONE,
    ),
    "a transit gateway without data": (INTO_TGW | {"log-status": "SKIPDATA"}, NONE),
    "rejected": ({"action": "REJECT"}, NONE),
    "no action told": ({"action": "-"}, NONE),
    "no action in the format": ({"action": None}, OUT),
    "no status in the format": ({"log-status": None}, OUT),
    "skipped": ({"log-status": "SKIPDATA"}, NONE),
    "no bytes": ({"bytes": "0"}, NONE),
    "bytes not told": ({"bytes": "-"}, NONE),
    "no bytes in the format": ({"bytes": None}, NONE),
    "one byte": ({"bytes": "1"}, ("internet_egress", 0.09 / GIB)),
    "the record's region": ({"region": "eu-west-1"}, ("internet_egress", 0.085)),
    "the record's region, not told: the interface's": (
        {"region": "-", "interface-id": "far", "srcaddr": "far"},
        ("internet_egress", 0.085),
    ),
    "no region in the format: the interface's": (
        {"interface-id": "far", "srcaddr": "far"},
        ("internet_egress", 0.085),
    ),
    "nothing but the key's": (UNKNOWN, OUT),
    "a region without prices": ({"region": "ap-south-1"}, NONE),
}
"""What is changed of the record above, and what it costs then."""


@pytest.mark.parametrize("name", EDGES)
def test_edges(name: str) -> None:
    changes, expected = EDGES[name]
    assert charge(changes) == near(*expected)


RESOURCES: dict[tuple[str | None, str], tuple[Charge, Charge]] = {
    ("instance", "interface"): (CROSS, CROSS),
    ("network_load_balancer", "network_load_balancer"): (CROSS, CROSS),
    ("lambda_function", "lambda"): (CROSS, CROSS),
    ("database", "interface"): (CROSS, NONE),
    ("cache_cluster", "interface"): (CROSS, NONE),
    ("application_load_balancer", "interface"): (NONE, NONE),
    ("classic_load_balancer", "interface"): (NONE, NONE),
    ("load_balancer", "load_balancer"): (NONE, NONE),
    ("client_vpn_endpoint", "interface"): (NONE, NONE),
    ("transit_gateway_attachment", "transit_gateway"): (NONE, NONE),
    ("nat_gateway", "nat_gateway"): (NONE, NONE),
    ("vpc_endpoint", "vpc_endpoint"): (NONE, PASSED),
    ("gateway_load_balancer_endpoint", "interface"): (NONE, PASSED),
    (None, "interface"): (CROSS, CROSS),
    (None, "natGateway"): (NONE, NONE),
    (None, "load_balancer"): (NONE, NONE),
    (None, "transit_gateway"): (NONE, NONE),
    (None, "gateway_load_balancer_endpoint"): (NONE, PASSED),
}
"""What stands in another zone, with its interface's type: what it costs to send to it, and what it pays for sending."""


@pytest.mark.parametrize("what", RESOURCES)
def test_what_stands_in_another_zone(what: tuple[str | None, str]) -> None:
    app = pl.col("interface_id") == "eni-app"
    owners = KNOWN.owners.with_columns(
        resource_type=pl.when(app).then(pl.lit(what[0], dtype=pl.String)).otherwise("resource_type"),
        interface_type=pl.when(app).then(pl.lit(what[1])).otherwise("interface_type"),
    )
    known = Snapshot(owners, KNOWN.addresses, KNOWN.networks, NOON)
    back: dict[str, str | None] = {"interface-id": "app", "srcaddr": "app", "dstaddr": "web", "traffic-path": "1"}
    assert (charge(TO_ZONE, known), charge(back, known)) == tuple(near(*each) for each in RESOURCES[what])


WITHOUT: dict[str, tuple[dict[str, str | None], Charge]] = {
    "path 8": ({}, OUT),
    "no path": (NO_PATH, NONE),
    "another zone": (TO_ZONE, NONE),
    "another zone by the next hop": (HOP, CROSS),
    "the next hop, but not the own zone": (HOP | {"az-id": None}, NONE),
    "a NAT gateway by the record": (RECEIVED | {"interface-type": "nat_gateway", "srcaddr": "app"}, PROCESSED),
    "a transit gateway's interface": (INTO_TGW | {"tgw-src-eni": "eni-tgw"}, GATEWAY),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_without_an_inventory(name: str) -> None:
    changes, expected = WITHOUT[name]
    assert charge(changes, known=None) == near(*expected)


def test_that_nothing_is_known_of_addresses_is_no_reason_to_fail() -> None:
    batch = Costs(PRICES)(replace(read([row.line for row in DAY["between two zones"]], known=KNOWN), about=None))
    assert batch.frame["cost_kind"].to_list() == ["cross_zone"] * 4


def test_prices_are_those_of_the_day() -> None:
    row = dict.fromkeys(SUMS, 1)
    settings = Cost.model_validate(
        {
            "prices": [
                row | {"region": "us-east-1", "date": "2026-03-01", "internet_egress": 3},
                row | {"region": "us-east-1", "date": "2026-02-01", "internet_egress": 2},
                row | {"region": "us-east-1", "date": "2026-03-02", "internet_egress": 4},
            ]
        }
    )
    costs = Costs(settings)
    batch = read([Row("web", "web", OUTSIDE, "8", 1).line], known=KNOWN)
    days = {"2026-01-31": 2.0, "2026-02-28": 2.0, "2026-03-01": 3.0, "2026-03-02": 4.0, "2030-01-01": 4.0}
    found = {}
    for day in days:
        time = datetime.fromisoformat(f"{day}T23:59:00").replace(tzinfo=UTC)
        found[day] = costs(replace(batch, source=replace(batch.source, time=time))).frame["cost_usd"].item()
    assert found == days


def test_a_price_of_nothing_is_a_price() -> None:
    prices = {"region": "us-east-1", "date": "2026-01-01"} | dict.fromkeys(SUMS, 0)
    batch = Costs(Cost.model_validate({"prices": [prices]}))(
        read([Row("web", "web", OUTSIDE, "8", 1).line], known=KNOWN)
    )
    assert batch.frame.select("cost_kind", "cost_usd").rows() == [("internet_egress", 0.0)]


def test_new_owners_count_at_once() -> None:
    costs, line = Costs(PRICES), Row("web", "web", "app", "1", 1).line
    moved = KNOWN.owners.with_columns(availability_zone=pl.lit("use1-az1"))
    later = Snapshot(moved, KNOWN.addresses, KNOWN.networks, NOON)
    kinds = [costs(read([line], known=known)).frame["cost_kind"].item() for known in (KNOWN, later, KNOWN)]
    assert kinds == ["cross_zone", None, "cross_zone"]


def test_columns_and_all_else_stay() -> None:
    batch = read([row.line for row in ROWS], known=KNOWN)
    priced = Costs(PRICES)(batch)
    assert priced.frame.drop("cost_kind", "cost_usd").equals(batch.frame)
    assert priced.frame.select("cost_kind", "cost_usd").dtypes == [pl.String, pl.Float64]
    nothing = Costs(Cost())(batch).frame
    assert nothing["cost_kind"].null_count() == nothing["cost_usd"].null_count() == len(ROWS)


def test_an_empty_batch() -> None:
    batch = read([row.line for row in ROWS], known=KNOWN)
    empty = Costs(PRICES)(replace(batch, frame=batch.frame.clear())).frame
    assert empty.height == 0
    assert empty.select("cost_kind", "cost_usd").dtypes == [pl.String, pl.Float64]


ENDS = (*INTERFACES, OUTSIDE, S3, STRANGER, IRISH, EDGE, OFFICE, "54.0.0.10", "2600:1f18::10", "64:ff9b::1")
ANY_ROW = st.builds(
    Row,
    interface=st.sampled_from(tuple(INTERFACES)),
    source=st.sampled_from(ENDS),
    destination=st.sampled_from(ENDS),
    path=st.sampled_from((None, "-", *"12345678")),
    gigabytes=st.integers(0, 5),
    action=st.sampled_from(("ACCEPT", "ACCEPT", "REJECT")),
)


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(ANY_ROW, min_size=1, max_size=8), random=st.randoms(use_true_random=False))
def test_a_record_costs_what_it_costs_alone(rows: list[Row], random) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - random.Random
    found = charges(rows)
    mixed = random.sample(range(len(rows)), len(rows))
    assert charges([rows[place] for place in mixed]) == [found[place] for place in mixed]
    assert [charges([row])[0] for row in rows] == found
    for row, (kind, usd) in zip(rows, found, strict=True):
        assert (kind is None) == (usd is None)
        assert usd is None or usd >= 0
        assert kind is None or (row.gigabytes and row.action == "ACCEPT")
