"""Who stands at the ends of a record: hand-made records against a hand-made inventory."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from exporter.enrich.ends import ENDS, enrich
from exporter.enrich.inventory import Snapshot
from exporter.flow import Batch
from exporter.metrics import Metrics

from .cases import Interface, batch, counted, snapshot

INTERFACES = (
    Interface("web", "vpc-a", ("10.0.0.10", "10.0.0.11", "2600:1f18::10"), ("54.0.0.10",)),
    Interface("db", "vpc-a", ("10.0.1.20",)),
    Interface("nat", "vpc-a", ("10.0.2.30",), ("54.0.0.30",)),
    Interface("same-a", "vpc-a", ("10.0.9.9",)),
    Interface("same-b", "vpc-b", ("10.0.9.9",)),
    Interface("b", "vpc-b", ("10.1.0.40",)),
    Interface("c", "vpc-c", ("10.2.0.50",)),
    Interface("twin-1", "vpc-a", ("10.0.7.7",)),
    Interface("twin-2", "vpc-a", ("10.0.7.7",)),
    Interface("bare", None, ("10.9.9.1",)),
    Interface("bare-2", None, ("10.9.9.2", "10.9.9.3")),
    Interface("bare-3", None, ("10.9.9.3",)),
)
INVENTORY = snapshot(INTERFACES, networks=("10.0.0.0/16", "2600:1f18::/64"))
OUTSIDE = "93.184.216.34"


@dataclass(frozen=True, slots=True)
class Record:
    """What of a record counts here; None for `-`."""

    interface_id: str | None
    srcaddr: str | None
    dstaddr: str | None
    flow_direction: str | None = None
    vpc_id: str | None = None
    pkt_srcaddr: str | None = None
    pkt_dstaddr: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What is to be known of it: interfaces by id."""

    reporter: str | None
    source: str | None
    destination: str | None
    direction: str | None


CASES: dict[str, tuple[Record, Known]] = {
    "both in the reporter's VPC, seen by the source": (
        Record("web", "10.0.0.10", "10.0.1.20"),
        Known("web", "web", "db", "egress"),
    ),
    "the same, seen by the destination": (
        Record("db", "10.0.0.10", "10.0.1.20"),
        Known("db", "web", "db", "ingress"),
    ),
    "an unknown interface, the record's own VPC": (
        Record("gone", "10.0.9.9", "10.0.1.20", vpc_id="vpc-a"),
        Known(None, "same-a", "db", None),
    ),
    "an unknown interface, no VPC: only what is unique": (
        Record("gone", "10.0.1.20", "10.0.9.9"),
        Known(None, "db", None, None),
    ),
    "a VPC that the inventory does not know: nobody by a private address": (
        Record("gone", "10.0.1.20", "10.0.9.9", vpc_id="vpc-foreign"),
        Known(None, None, None, None),
    ),
    "no interface (a regional NAT gateway)": (
        Record(None, "10.0.1.20", OUTSIDE),
        Known(None, "db", None, None),
    ),
    "an unknown interface never stands at an end": (
        Record("gone", "10.0.0.77", OUTSIDE, "egress"),
        Known(None, None, None, "egress"),
    ),
    "one address in two VPCs: the own VPC's wins": (
        Record("b", "10.1.0.40", "10.0.9.9"),
        Known("b", "b", "same-b", "egress"),
    ),
    "one address in two VPCs, seen from a third": (
        Record("c", "10.2.0.50", "10.0.9.9"),
        Known("c", "c", None, "egress"),
    ),
    "the record's VPC counts more than the reporter's": (
        Record("web", "10.0.0.10", "10.0.9.9", vpc_id="vpc-b"),
        Known("web", "web", "same-b", "egress"),
    ),
    "a VPC that the inventory lacks is not the reporter's": (
        Record("web", "10.0.0.10", "10.0.9.9", vpc_id="vpc-x"),
        Known("web", "web", None, "egress"),
    ),
    "a peer in another VPC, unique over the inventory": (
        Record("c", "10.2.0.50", "10.0.1.20"),
        Known("c", "c", "db", "egress"),
    ),
    "a secondary address": (
        Record("db", "10.0.0.11", "10.0.1.20"),
        Known("db", "web", "db", "ingress"),
    ),
    "a public address": (
        Record("c", "10.2.0.50", "54.0.0.10"),
        Known("c", "c", "web", "egress"),
    ),
    "IPv6": (
        Record("web", "2600:1f18::99", "2600:1f18::10"),
        Known("web", None, "web", "ingress"),
    ),
    "IPv6, other spelling": (
        Record("web", "2600:1F18:0:0::10", "2600:1f18::99"),
        Known("web", "web", None, "egress"),
    ),
    "a NAT gateway, outward: its own address counts, not the packet's": (
        Record("nat", "10.0.2.30", OUTSIDE, pkt_srcaddr="10.0.1.20", pkt_dstaddr=OUTSIDE),
        Known("nat", "nat", None, "egress"),
    ),
    "a NAT gateway, from inside": (
        Record("nat", "10.0.1.20", "10.0.2.30", pkt_srcaddr="10.0.1.20", pkt_dstaddr=OUTSIDE),
        Known("nat", "db", "nat", "ingress"),
    ),
    "NODATA": (
        Record("web", None, None),
        Known("web", None, None, None),
    ),
    "a peer that was deleted": (
        Record("web", "10.0.0.10", "10.0.0.99"),
        Known("web", "web", None, "egress"),
    ),
    "egress from an address that the inventory does not have yet": (
        Record("web", "10.0.0.77", "10.0.1.20", "egress"),
        Known("web", "web", "db", "egress"),
    ),
    "ingress to such an address": (
        Record("web", "10.0.1.20", "10.0.0.77", "ingress"),
        Known("web", "db", "web", "ingress"),
    ),
    "egress, but the destination is the reporter's own": (
        Record("web", "10.0.0.77", "10.0.0.10", "egress"),
        Known("web", None, "web", "egress"),
    ),
    "the direction counts more than uniqueness elsewhere": (
        Record("c", "10.1.0.40", OUTSIDE, "egress"),
        Known("c", "c", None, "egress"),
    ),
    "the VPC counts more than the direction": (
        Record("web", "10.0.0.10", "10.0.1.20", "ingress"),
        Known("web", "web", "db", "ingress"),
    ),
    "two interfaces claim the peer's address": (
        Record("web", "10.0.0.10", "10.0.7.7"),
        Known("web", "web", None, "egress"),
    ),
    "two claim it, seen from another VPC": (
        Record("c", "10.2.0.50", "10.0.7.7"),
        Known("c", "c", None, "egress"),
    ),
    "two claim it, one of them reports": (
        Record("twin-2", "10.0.7.7", "10.0.1.20"),
        Known("twin-2", "twin-2", "db", "egress"),
    ),
    "two claim it, a third reports it as its own by the direction": (
        Record("web", "10.0.7.7", OUTSIDE, "egress"),
        Known("web", "web", None, "egress"),
    ),
    "an interface without a VPC": (
        Record("bare", "10.9.9.1", "10.0.9.9"),
        Known("bare", "bare", None, "egress"),
    ),
    "two interfaces without a VPC do not share one": (
        Record("bare", "10.9.9.2", OUTSIDE, "egress"),
        Known("bare", "bare", None, "egress"),
    ),
    "nor do they for an address that several have": (
        Record("bare", "10.9.9.1", "10.9.9.3"),
        Known("bare", "bare", None, "egress"),
    ),
    "both ends the reporter's own": (
        Record("web", "10.0.0.10", "10.0.0.11"),
        Known("web", "web", "web", None),
    ),
    "neither end the reporter's own": (
        Record("web", "10.0.1.20", "10.2.0.50"),
        Known("web", "db", "c", None),
    ),
}


def batch_of(*records: Record) -> Batch:
    rows = [asdict(record) for record in records]
    return batch({name: [row[name] for row in rows] for name in asdict(records[0])})


def known(enriched: Batch) -> list[Known]:
    """The columns as ids; `owners` is what the rows point into."""
    assert enriched.owners is not None
    ids = enriched.owners["interface_id"]
    columns = [ids.gather(enriched.frame[name]) for name in ("reporter", "source_owner", "destination_owner")]
    return [Known(*row) for row in zip(*columns, enriched.frame["flow_direction"], strict=True)]


@pytest.mark.parametrize(("record", "expected"), CASES.values(), ids=CASES)
def test_ends_and_direction(record: Record, expected: Known) -> None:
    assert known(enrich(batch_of(record), INVENTORY, Metrics())) == [expected]


@dataclass(frozen=True, slots=True)
class GatewayRecord:
    """What of a transit gateway's record counts here; None for `-`.

    The attachments' interfaces are ones that could well be taken for the ends.
    """

    srcaddr: str | None
    dstaddr: str | None
    tgw_src_vpc_id: str | None
    tgw_dst_vpc_id: str | None
    flow_direction: str | None = None
    tgw_src_vpc_account_id: str | None = None
    tgw_dst_vpc_account_id: str | None = None
    account_id: str | None = "111111111111"
    tgw_src_eni: str = "web"
    tgw_dst_eni: str = "b"
    vpc_id: str | None = None


OURS, THEIRS = "111111111111", "222222222222"
OWNED = replace(INVENTORY, owners=INVENTORY.owners.with_columns(account_id=pl.lit(OURS)))

GATEWAY: dict[str, tuple[GatewayRecord, Known]] = {
    "each end in a VPC of its own": (
        GatewayRecord("10.0.0.10", "10.1.0.40", "vpc-a", "vpc-b", "ingress", OURS, OURS),
        Known(None, "web", "b", "ingress"),
    ),
    "one address at both ends, each in its VPC": (
        GatewayRecord("10.0.9.9", "10.0.9.9", "vpc-a", "vpc-b"),
        Known(None, "same-a", "same-b", None),
    ),
    "the same the other way": (
        GatewayRecord("10.0.9.9", "10.0.9.9", "vpc-b", "vpc-a"),
        Known(None, "same-b", "same-a", None),
    ),
    "a VPC that the inventory does not know has no say in the other end's": (
        GatewayRecord("10.0.1.20", "10.0.9.9", "vpc-foreign", "vpc-b", None, THEIRS, OURS),
        Known(None, None, "same-b", None),
    ),
    "nor has the account of the other end": (
        GatewayRecord("10.0.9.9", "10.1.0.40", "vpc-a", "vpc-foreign", None, OURS, THEIRS),
        Known(None, "same-a", None, None),
    ),
    "public addresses count in an unknown VPC too": (
        GatewayRecord("54.0.0.10", "54.0.0.30", "vpc-foreign", "vpc-foreign"),
        Known(None, "web", "nat", None),
    ),
    "no VPC and no account (a VPN, another gateway): somebody else's network may have the same ranges": (
        GatewayRecord("10.0.0.10", "10.2.0.50", "vpc-a", None, "ingress"),
        Known(None, "web", None, "ingress"),
    ),
    "no VPC and no account, and a public address": (
        GatewayRecord("10.0.0.10", "54.0.0.30", "vpc-a", None, "ingress"),
        Known(None, "web", "nat", "ingress"),
    ),
    "no VPC, and an address that two VPCs have": (
        GatewayRecord("10.0.0.10", "10.0.9.9", "vpc-a", None),
        Known(None, "web", None, None),
    ),
    "no VPC, but an account that the inventory does not know": (
        GatewayRecord("10.2.0.50", "10.2.0.50", None, None, None, THEIRS, OURS),
        Known(None, None, "c", None),
    ),
    "no VPC and no account, and the gateway's owner is not known": (
        GatewayRecord("10.0.0.10", "10.2.0.50", "vpc-a", None, None, OURS, None, THEIRS),
        Known(None, "web", None, None),
    ),
    "an address from behind an appliance's VPC": (
        GatewayRecord("10.2.0.50", "10.1.0.40", "vpc-a", "vpc-b", "egress"),
        Known(None, "c", "b", "egress"),
    ),
    "the end's VPC counts more than the record's": (
        GatewayRecord("10.0.9.9", "10.0.9.9", "vpc-a", "vpc-a", vpc_id="vpc-b"),
        Known(None, "same-a", "same-a", None),
    ),
    "an address that two interfaces of the VPC claim": (
        GatewayRecord("10.0.7.7", "10.1.0.40", "vpc-a", "vpc-b"),
        Known(None, None, "b", None),
    ),
    "egress: the attachment's interface is not the source": (
        GatewayRecord("10.0.0.77", OUTSIDE, "vpc-a", None, "egress"),
        Known(None, None, None, "egress"),
    ),
    "ingress: nor is it the destination": (
        GatewayRecord(OUTSIDE, "10.1.0.77", None, "vpc-b", "ingress"),
        Known(None, None, None, "ingress"),
    ),
    "NODATA of a gateway": (
        GatewayRecord(None, None, "vpc-a", "vpc-b"),
        Known(None, None, None, None),
    ),
}


@pytest.mark.parametrize(("record", "expected"), GATEWAY.values(), ids=GATEWAY)
def test_the_ends_of_a_transit_gateways_record(record: GatewayRecord, expected: Known) -> None:
    metrics = Metrics()
    assert known(enrich(gateway_batch(record), OWNED, metrics)) == [expected]
    resolved = sum(owner is not None for owner in (expected.source, expected.destination))
    addressed = sum(address is not None for address in (record.srcaddr, record.dstaddr))
    counts = [counted(metrics, end) for end in ENDS]
    assert (sum(known for known, _ in counts), sum(unknown for _, unknown in counts)) == (
        resolved,
        addressed - resolved,
    )


def gateway_batch(*records: GatewayRecord) -> Batch:
    rows = [asdict(record) for record in records]
    return batch({name: [row[name] for row in rows] for name in asdict(records[0])})


def test_locality_at_both_ends_of_a_transit_gateways_record() -> None:
    enriched = enrich(gateway_batch(GatewayRecord("2600:1f18::77", OUTSIDE, "vpc-a", None)), OWNED, Metrics())
    assert localities(enriched, "srcaddr") == ["internal"], "of the inventory's networks"
    assert localities(enriched, "dstaddr") == ["external"]


def test_records_of_interfaces_and_of_gateways_in_one_batch() -> None:
    """No file of AWS has both, but what a format has room for says nothing of a record that leaves it empty."""
    cases: list[tuple[Record | GatewayRecord, Known]] = [*CASES.values(), *GATEWAY.values()]
    rows = [{"account_id": OURS} | asdict(record) for record, _ in cases]
    names = sorted({name for row in rows for name in row})
    together = batch({name: [row.get(name) for row in rows] for name in names})
    assert known(enrich(together, OWNED, Metrics())) == [expected for _, expected in cases]


def test_an_account_that_the_inventory_does_not_know_is_named_by_public_addresses_only() -> None:
    inventory = replace(INVENTORY, owners=INVENTORY.owners.with_columns(account_id=pl.lit("111111111111")))
    columns: dict[str, list[str | None]] = {
        "account_id": ["222222222222", "111111111111", None],
        "interface_id": ["gone", "gone", "gone"],
        "srcaddr": ["10.0.1.20"] * 3,
        "dstaddr": ["10.0.9.9"] * 3,
    }
    found = enrich(batch(columns), inventory, Metrics()).frame["source_owner"].to_list()
    db = INVENTORY.owners["interface_id"].to_list().index("db")
    assert found == [None, db, db]


def test_all_cases_as_one_batch_with_counters() -> None:
    metrics = Metrics()
    enriched = enrich(batch_of(*(record for record, _ in CASES.values())), INVENTORY, metrics)
    assert known(enriched) == [expected for _, expected in CASES.values()]
    addressed = [expected for record, expected in CASES.values() if record.srcaddr]
    assert len(addressed) == len(CASES) - 1, "all but NODATA have addresses"
    sources = sum(expected.source is not None for expected in addressed)
    destinations = sum(expected.destination is not None for expected in addressed)
    assert counted(metrics, "source") == (sources, len(addressed) - sources)
    assert counted(metrics, "destination") == (destinations, len(addressed) - destinations)


def test_the_whole_frame() -> None:
    enriched = enrich(
        batch_of(
            Record("db", "10.0.0.10", "10.0.1.20", vpc_id="vpc-a"),
            Record("web", "10.0.0.10", OUTSIDE, "egress"),
            Record("gone", None, None),
        ),
        INVENTORY,
        Metrics(),
    )
    expected = pl.DataFrame(
        {
            "row": [1, 2, 3],
            "interface_id": ["db", "web", "gone"],
            "srcaddr": ["10.0.0.10", "10.0.0.10", None],
            "dstaddr": ["10.0.1.20", OUTSIDE, None],
            "flow_direction": ["ingress", "egress", None],
            "vpc_id": ["vpc-a", None, None],
            "pkt_srcaddr": [None, None, None],
            "pkt_dstaddr": [None, None, None],
            "reporter": [1, 0, None],
            "source_owner": [0, 0, None],
            "destination_owner": [1, None, None],
            "reporter_public": [False, True, False],
        },
        schema_overrides=dict.fromkeys(("pkt_srcaddr", "pkt_dstaddr"), pl.String)
        | dict.fromkeys(("row", "reporter", "source_owner", "destination_owner"), pl.UInt32),
    )
    addresses = pl.col("srcaddr", "dstaddr", "pkt_srcaddr", "pkt_dstaddr").cast(pl.String)
    assert_frame_equal(enriched.frame.with_columns(addresses), expected, check_column_order=False)
    assert enriched.owners is INVENTORY.owners
    assert localities(enriched, "srcaddr") == ["internal", "internal", None]
    assert localities(enriched, "dstaddr") == ["internal", "external", None]


def localities(enriched: Batch, column: str) -> list[str | None]:
    """The locality of the address in a column, record by record."""
    assert enriched.about is not None
    by_address = dict(zip(enriched.addresses.text, enriched.about["locality"], strict=True))
    return [by_address.get(text) for text in enriched.frame[column].cast(pl.String).to_list()]


def test_networks_of_ones_own_are_inside_with_and_without_an_inventory() -> None:
    for inventory in (INVENTORY, None):
        given_batch = batch({"srcaddr": ["93.184.216.34", "93.184.217.1", "203.0.113.9", "10.0.0.1", "2a00:1450::5"]})
        internal = ("93.184.216.0/24", "203.0.113.0/24", "2a00:1450::/32")
        enriched = enrich(given_batch, inventory, Metrics(), internal)
        assert localities(enriched, "srcaddr") == ["internal", "external", "internal", "internal", "internal"]


def test_locality_of_owned_addresses_and_of_networks() -> None:
    inventory = snapshot(
        [Interface("odd", "vpc-a", ("198.19.0.1",), ("54.0.0.1",))], networks=("52.1.0.0/16", "2600:1f18::/64")
    )
    sources = ["198.19.0.1", "198.19.0.2", "54.0.0.1", "52.1.2.3", "2600:1f18::1", "169.254.169.254"]
    enriched = enrich(batch({"srcaddr": sources}), inventory, Metrics())
    assert localities(enriched, "srcaddr") == ["internal", None, "external", "internal", "internal", None]


def test_nobody_stands_where_there_is_no_address() -> None:
    enriched = enrich(batch_of(Record("web", None, "10.0.1.20", "egress")), INVENTORY, Metrics())
    assert known(enriched) == [Known("web", None, "db", "egress")]


def test_the_columns_a_format_lacks() -> None:
    enriched = enrich(batch({"action": ["ACCEPT", "REJECT"]}), INVENTORY, Metrics())
    assert known(enriched) == [Known(None, None, None, None)] * 2
    assert enriched.about is not None
    assert enriched.about.height == 0


@pytest.mark.parametrize("inventory", [INVENTORY, snapshot([]), None], ids=["full", "empty", "none"])
def test_no_records(inventory: Snapshot | None) -> None:
    enriched = enrich(batch({"interface_id": [], "srcaddr": [], "dstaddr": []}), inventory, Metrics())
    assert enriched.frame.height == 0


def test_an_empty_inventory_knows_nobody() -> None:
    enriched = enrich(batch_of(Record("web", "10.0.0.10", OUTSIDE, "egress")), snapshot([]), Metrics())
    assert known(enriched) == [Known(None, None, None, "egress")]


def test_without_a_snapshot_only_the_locality_is_told() -> None:
    metrics = Metrics()
    given_batch = batch_of(Record("web", "10.0.0.10", OUTSIDE), Record("web", None, None))
    enriched = enrich(given_batch, None, metrics)
    assert_frame_equal(enriched.frame, given_batch.frame)
    assert localities(enriched, "srcaddr") == ["internal", None]
    assert localities(enriched, "dstaddr") == ["external", None]
    assert enriched.owners is None
    assert (counted(metrics, "source"), counted(metrics, "destination")) == ((0, 1), (0, 1))


POOL = [text for interface in INTERFACES for text in (*interface.own, *interface.public)] + [OUTSIDE, None]
RECORDS = st.builds(
    Record,
    interface_id=st.sampled_from([interface.id for interface in INTERFACES] + ["gone", None]),
    srcaddr=st.sampled_from(POOL),
    dstaddr=st.sampled_from(POOL),
    flow_direction=st.sampled_from(["ingress", "egress", None]),
    vpc_id=st.sampled_from(["vpc-a", "vpc-b", "vpc-x", None]),
)


@settings(deadline=None, max_examples=50)
@given(st.lists(RECORDS, min_size=1, max_size=30))
def test_the_records_own_values_stay(records: list[Record]) -> None:
    before = batch_of(*records)
    after: Any = enrich(before, INVENTORY, Metrics())
    assert_frame_equal(
        after.frame.select(before.frame.columns).drop("flow_direction"), before.frame.drop("flow_direction")
    )
    told = before.frame["flow_direction"].is_not_null()
    assert_frame_equal(
        after.frame.filter(told).select("flow_direction"), before.frame.filter(told).select("flow_direction")
    )
    assert (after.addresses, after.source, after.plain) == (before.addresses, before.source, before.plain)


@settings(deadline=None, max_examples=50)
@given(st.lists(RECORDS, min_size=1, max_size=30), st.permutations(INTERFACES))
def test_the_order_of_the_inventory_does_not_count(records: list[Record], interfaces: list[Interface]) -> None:
    shuffled = snapshot(interfaces, tuple(network for _, network in INVENTORY.networks))
    assert known(enrich(batch_of(*records), shuffled, Metrics())) == known(
        enrich(batch_of(*records), INVENTORY, Metrics())
    )


@settings(deadline=None, max_examples=50)
@given(st.lists(RECORDS, min_size=1, max_size=30))
def test_a_record_is_judged_by_itself(records: list[Record]) -> None:
    alone = [known(enrich(batch_of(record), INVENTORY, Metrics()))[0] for record in records]
    assert known(enrich(batch_of(*records), INVENTORY, Metrics())) == alone
