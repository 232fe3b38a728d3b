"""The ordinary day: every record is one that AWS could have written, and both sides of a flow tell the same."""

import numpy as np
import polars as pl
import pytest

from exporter.simulate.plan import plausible
from exporter.simulate.scene import Scene
from exporter.simulate.traffic import TALKS, Order, chunks, frames, ordinary, records
from exporter.simulate.windows import busyness, slots
from tests.simulate.made import NETWORK

START = 1_760_000_100
END = START + 1_800
NETWORK_MADE = plausible(2, size=150)
SCENE = Scene.of(NETWORK_MADE, seed=2)
DAY = records(SCENE, Order(START, END, 60_000, seed=2))
FLOWS = DAY.filter(log_status="OK")


def test_exactly_as_many_records_as_ordered_in_order_of_their_end() -> None:
    assert DAY.height == 60_000
    assert DAY["end"].is_sorted()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 100])
def test_few_records_are_exact_as_well(count: int) -> None:
    assert records(SCENE, Order(START, START + 86_400, count)).height == count


def test_a_seed_gives_the_same_records_and_another_one_others() -> None:
    order = Order(START, END, 2_000, seed=9)
    assert records(SCENE, order).equals(records(Scene.of(NETWORK_MADE, seed=2), order))
    assert not records(SCENE, order).equals(records(SCENE, Order(START, END, 2_000, seed=10)))


def test_windows_are_a_minute_at_most_and_lie_in_the_five_minutes_of_their_end() -> None:
    assert DAY["start"].min() >= START  # type: ignore[operator]
    assert DAY["end"].max() < END  # type: ignore[operator]
    assert (DAY["end"] - DAY["start"]).is_between(0, 60).all()
    assert (DAY["start"] // 300 == DAY["end"] // 300).all()


def test_every_reporter_is_an_interface_of_the_network_with_its_vpc_subnet_instance_and_zone() -> None:
    known = {
        (i.id, i.subnet.vpc.id, i.subnet.id, i.instance.id if i.instance else None, i.subnet.zone)
        for i in NETWORK_MADE.interfaces
    }
    reported = set(DAY.select("interface_id", "vpc_id", "subnet_id", "instance_id", "az_id").unique().rows())
    assert reported <= known
    assert len(reported) == len(known)


def test_the_reporters_own_address_stands_at_the_end_that_the_direction_says() -> None:
    own = {(i.id, a) for i in NETWORK_MADE.interfaces for a in (i.address, *i.ipv6)}
    there = FLOWS.filter(flow_direction="egress").select("interface_id", "srcaddr").unique().rows()
    back = FLOWS.filter(flow_direction="ingress").select("interface_id", "dstaddr").unique().rows()
    assert {*there, *back} <= own


def test_both_halves_of_an_accepted_flow_between_interfaces_tell_the_same() -> None:
    """What one interface sends another receives: same true ends, ports, packets, bytes, flags and window."""
    same = [
        "pkt_srcaddr",
        "pkt_dstaddr",
        "srcport",
        "dstport",
        "protocol",
        "packets",
        "bytes",
        "tcp_flags",
        "start",
        "end",
    ]
    inside = {address for i in NETWORK_MADE.interfaces for address in i.addresses}
    between = FLOWS.filter(pl.col("pkt_srcaddr").is_in(inside) & pl.col("pkt_dstaddr").is_in(inside))
    sent, received = (between.filter(flow_direction=way).select(same).sort(same) for way in ("egress", "ingress"))
    assert sent.height > 10_000
    assert sent.equals(received)


def test_what_enters_a_nat_gateway_leaves_it() -> None:
    nats = [interface.id for interface in NETWORK_MADE.role("nat")]
    at_nat = FLOWS.filter(pl.col("interface_id").is_in(nats))
    same = ["interface_id", "packets", "bytes", "tcp_flags", "protocol", "start", "end"]
    entered, left = (at_nat.filter(flow_direction=way).select(same).sort(same) for way in ("ingress", "egress"))
    assert entered.height > 1_000
    assert entered.equals(left)
    private = at_nat.filter(flow_direction="ingress").filter(pl.col("dstaddr") != pl.col("pkt_dstaddr"))
    assert private["srcaddr"].str.starts_with("10.").all()
    assert not private["pkt_dstaddr"].str.starts_with("10.").any()


def test_packets_and_bytes_are_plausible() -> None:
    each = FLOWS["bytes"] / FLOWS["packets"]
    assert FLOWS["packets"].min() == 1
    assert each.is_between(20, 1_500).all()
    assert FLOWS["bytes"].max() <= 16_000_000  # type: ignore[operator]
    middle, mean = FLOWS["bytes"].median(), FLOWS["bytes"].mean()
    assert isinstance(middle, float)
    assert isinstance(mean, float)
    assert mean > 4 * middle  # a heavy tail


def test_flags_are_those_of_requests_and_answers() -> None:
    by_protocol = dict(FLOWS.group_by("protocol").agg(pl.col("tcp_flags").unique().sort()).rows())
    assert by_protocol == {6: [0, 1, 2, 3, 4, 18, 19], 17: [0], 1: [0]}
    asked = FLOWS.filter(dstport=5432, flow_direction="egress")["tcp_flags"].unique().sort().to_list()
    answered = FLOWS.filter(srcport=5432, flow_direction="egress")["tcp_flags"].unique().sort().to_list()
    assert (asked, answered) == ([0, 1, 2, 3, 4], [0, 1, 18, 19])


def test_traffic_path_is_told_on_the_way_out_only() -> None:
    by_way = dict(FLOWS.group_by("flow_direction").agg(pl.col("traffic_path").unique().sort()).rows())
    assert by_way == {"egress": [1, 4, 7, 8], "ingress": [None]}
    gateway = FLOWS.filter(traffic_path=7)
    assert set(gateway["pkt_dst_aws_service"]) == {"S3", "DYNAMODB"}
    assert set(FLOWS["pkt_src_aws_service"].drop_nulls()) == {"S3", "DYNAMODB", "CLOUDFRONT", "AMAZON"}


def test_rejects_are_scans_of_public_interfaces() -> None:
    rejected = FLOWS.filter(action="REJECT")
    assert 0.03 < rejected.height / DAY.height < 0.05
    public = {interface.id for interface in NETWORK_MADE.interfaces if interface.public and interface.role != "nat"}
    assert set(rejected["interface_id"]) == public
    assert rejected["flow_direction"].unique().to_list() == ["ingress"]
    assert not rejected["srcaddr"].str.starts_with("10.").any()


def test_silent_minutes_have_no_flow() -> None:
    silent = DAY.filter(pl.col("log_status") != "OK")
    counts = dict(silent.group_by("log_status").len().rows())
    assert 300 <= counts["NODATA"] <= 420  # 0.6 % of 60,000
    assert 10 <= counts["SKIPDATA"] <= 40  # 0.04 %
    flow_columns = (
        *("srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes", "action", "tcp_flags", "type"),
        *("pkt_srcaddr", "pkt_dstaddr", "flow_direction", "traffic_path"),
    )
    assert silent.select(flow_columns).null_count().row(0) == (silent.height,) * len(flow_columns)
    idle = {interface.id for interface in NETWORK_MADE.role("standby")}
    assert set(silent.filter(log_status="NODATA")["interface_id"]) == idle
    assert FLOWS.filter(pl.col("interface_id").is_in(idle)).is_empty()


def test_every_talk_takes_place() -> None:
    """Each by what only it has: its port, protocol and a pool of one of its ends."""
    servers = {talk.ports[0] for talk in TALKS} - {0}
    assert servers <= set(FLOWS["dstport"])
    assert FLOWS.filter(protocol=1)["srcport"].unique().to_list() == [0]
    assert FLOWS.filter(type="IPv6", dstport=443).height > 500
    zones = {i.address: i.subnet.zone for i in NETWORK_MADE.role("database", "production")}
    replicated = FLOWS.filter(pl.col("srcaddr").is_in(zones.keys()), pl.col("dstaddr").is_in(zones.keys()))
    pairs = replicated.select("srcaddr", "dstaddr").unique().rows()
    assert len(pairs) > 1
    assert all(zones[source] != zones[destination] for source, destination in pairs)


def test_overlapping_vpcs_do_not_talk_to_each_other() -> None:
    vpcs: dict[str, set[str]] = {}
    for interface in NETWORK_MADE.interfaces:
        for address in interface.addresses:
            vpcs.setdefault(address, set()).add(interface.subnet.vpc.name)
    own = {vpc.id: vpc.name for vpc in NETWORK_MADE.vpcs}
    for vpc, peer in FLOWS.filter(flow_direction="egress").select("vpc_id", "pkt_dstaddr").unique().rows():
        reachable = {own[vpc]} | ({"production", "shared"} if own[vpc] != "staging" else set())
        assert peer not in vpcs or vpcs[peer] & reachable


def test_the_day_has_its_peak_at_three_in_the_afternoon() -> None:
    midnight = 1_759_968_000
    times = slots(midnight, midnight + 86_400)
    assert len(times) == 288
    curve = busyness(times)
    assert times[np.argmax(curve)] == midnight + 15 * 3_600
    assert times[np.argmin(curve)] == midnight + 3 * 3_600
    assert curve.max() / curve.min() == pytest.approx(3)
    made = records(SCENE, Order(midnight, midnight + 86_400, 20_000))
    hours = dict(made.group_by(pl.col("end") % 86_400 // 3_600).len().rows())
    assert hours[15] > 2 * hours[3]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 300, [0]),
        (0, 301, [0, 300]),
        (299, 600, [0, 300]),
        (600, 1_200, [600, 900]),
        (600, 600, []),
    ],
)
def test_slots_are_whole(start: int, end: int, expected: list[int]) -> None:
    assert slots(start, end).tolist() == expected


def test_chunks_cover_the_range_once_and_add_up() -> None:
    small = list(chunks(START, END, 1_000, limit=300))
    assert [first for first, _, _ in small] == [START, *(last for _, last, _ in small[:-1])]
    assert small[-1][1] == END
    assert sum(count for _, _, count in small) == 1_000
    large = list(chunks(START, START + 300, 1_000, limit=300))
    assert large == [(START, START + 300, 333), (START, START + 300, 333), (START, START + 300, 334)]


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(ValueError, match="the time range is empty"):
        next(frames(SCENE, Order(START, START, 10)))


def test_a_small_network_of_an_inventory_has_the_traffic_that_it_can_have() -> None:
    made = ordinary(Scene.of(NETWORK, 1), START, END, 500, np.random.default_rng(1))
    assert made.height == 500
    assert set(made["interface_id"]) == {"eni-app", "eni-db", "eni-nat", "eni-alb", "eni-bastion"}
    assert {5432, 443, 53, 22} <= set(made["dstport"])
