"""Each incident contains what docs/incidents.md says, found as a rule would find it, and is not there without."""

from pathlib import Path

import polars as pl
import pytest

from exporter.simulate.incidents import INCIDENTS, document, named
from exporter.simulate.network import Network
from exporter.simulate.plan import plausible
from exporter.simulate.scene import STRANGERS, Scene
from exporter.simulate.traffic import Order, happenings, records
from exporter.simulate.windows import slots
from tests.simulate.made import NETWORK

START = 1_760_000_100
END = START + 1_500
MIDDLE = START + 600
SLOTS = 5

SCENE = Scene.of(plausible(5, size=150), seed=5)
QUIET = records(SCENE, Order(START, END, 30_000, seed=5))
SITES = list(STRANGERS["drop sites"])
POOLS = list(STRANGERS["mining pools"])


@pytest.fixture(scope="module")
def loud() -> pl.DataFrame:
    """The same ordinary traffic, with all incidents."""
    return records(SCENE, Order(START, END, 30_000, seed=5, incidents=INCIDENTS))


def first(role: str, place: int = 0, vpc: str = "production") -> tuple[str, str]:
    """Id and address of an interface of the network."""
    interface = SCENE.network.role(role, vpc)[place]
    return interface.id, interface.address


@pytest.mark.parametrize("incident", INCIDENTS, ids=lambda incident: str(incident.name))
def test_an_incident_has_as_many_records_as_documented_and_in_the_documented_slots(incident: object) -> None:
    (one,) = [row for row in INCIDENTS if row is incident]
    made = happenings(SCENE, Order(START, END, 0, seed=5, incidents=(one,)), slots(START, END).tolist())
    by_slot = dict(made.group_by(pl.col("end") // 300 * 300).len().rows())
    times = range(START, END, 300) if one.steady else [MIDDLE]
    assert by_slot == dict.fromkeys(times, one.records)


def test_incidents_come_on_top_of_unchanged_traffic(loud: pl.DataFrame) -> None:
    assert QUIET.height == 30_000
    once, steady = 120 + 300 + 392 + 720 + 150, 24 + 20
    assert loud.height == 30_000 + once + steady * SLOTS
    assert loud.join(QUIET, on=QUIET.columns, how="semi", nulls_equal=True).height == 30_000


def test_port_scan(loud: pl.DataFrame) -> None:
    def scan(frame: pl.DataFrame) -> pl.DataFrame:
        """Sources outside that were rejected 50 times and more on more than ten ports, at one interface."""
        found = frame.filter(action="REJECT", flow_direction="ingress").group_by("srcaddr", "interface_id")
        counted = found.agg(pl.len(), ports=pl.col("dstport").n_unique(), bytes=pl.col("bytes").unique())
        outside = ~pl.col("srcaddr").str.starts_with("10.")
        return counted.filter(outside & (pl.col("ports") > 10) & (pl.col("len") >= 50))

    assert scan(loud).rows() == [("45.155.91.17", first("bastion", vpc="shared")[0], 120, 60, [44])]
    assert scan(QUIET).is_empty()
    assert loud.filter(srcaddr="45.155.91.17")["tcp_flags"].unique().to_list() == [2]


def test_ssh_brute_force(loud: pl.DataFrame) -> None:
    attempts = loud.filter(srcaddr="45.9.20.114", dstport=22, flow_direction="ingress")
    assert dict(attempts.group_by("action").len().rows()) == {"ACCEPT": 60, "REJECT": 180}
    assert attempts["interface_id"].unique().to_list() == [first("bastion", vpc="shared")[0]]
    assert attempts.filter(action="ACCEPT")["packets"].is_between(10, 20).all()
    assert loud.filter(dstaddr="45.9.20.114", flow_direction="egress").height == 60
    most = QUIET.filter(dstport=22, flow_direction="ingress").group_by("srcaddr", "dstaddr").len()["len"].max()
    assert isinstance(most, int)
    assert most < 100


def test_lateral_movement(loud: pl.DataFrame) -> None:
    def movement(frame: pl.DataFrame) -> pl.DataFrame:
        """Sources inside with rejects at more than ten targets on more than five ports."""
        internal = pl.col("srcaddr").str.starts_with("10.") & (pl.col("action") == "REJECT")
        by_source = frame.filter(internal).group_by("srcaddr")
        counted = by_source.agg(pl.len(), pl.col("dstaddr").n_unique(), pl.col("dstport").n_unique())
        return counted.filter((pl.col("dstaddr") > 10) & (pl.col("dstport") > 5))

    interface, address = first("batch")
    assert movement(loud).rows() == [(address, 188, 24, 8)]
    assert movement(QUIET).is_empty()
    ports = [22, 23, 135, 139, 445, 3389, 5985, 8080]
    sent = loud.filter(interface_id=interface, flow_direction="egress").filter(pl.col("dstport").is_in(ports))
    assert dict(sent.group_by("tcp_flags").len().rows()) == {2: 188, 3: 4}
    entered = loud.filter(srcaddr=address, dstport=22, action="ACCEPT", flow_direction="ingress")
    assert entered.height == 4


def test_exfiltration(loud: pl.DataFrame) -> None:
    interface, address = first("app")
    large = (pl.col("flow_direction") == "egress") & (pl.col("bytes") >= 20_000_000)
    sent = loud.filter(large, interface_id=interface)
    assert dict(sent.group_by("dstaddr").len().rows()) == dict.fromkeys(SITES, 3)
    assert sent["action"].unique().to_list() == ["ACCEPT"]
    assert sent["bytes"].is_between(21_000_000, 84_000_000).all()
    assert QUIET.filter(large).is_empty()
    nat = SCENE.network.role("nat", "production")[0].id
    touching = pl.col("pkt_srcaddr").is_in(SITES) | pl.col("pkt_dstaddr").is_in(SITES)
    assert dict(loud.filter(touching).group_by("interface_id").len().rows()) == {interface: 240, nat: 480}
    assert loud.filter(interface_id=nat, pkt_srcaddr=address).filter(pl.col("pkt_dstaddr").is_in(SITES)).height == 120


def test_crypto_mining(loud: pl.DataFrame) -> None:
    interface, _ = first("batch", 1)
    mining = pl.col("dstport").is_in([4444, 8333, 9999, 14444]) & (pl.col("flow_direction") == "egress")
    sent = loud.filter(mining, interface_id=interface)
    assert sorted(sent.group_by("dstaddr", "dstport", "action").len().rows()) == sorted(
        (address, port, "ACCEPT", SLOTS) for address, port in zip(POOLS, [4444, 8333, 9999, 14444], strict=True)
    )
    assert QUIET.filter(mining).is_empty()


def test_syn_without_syn_ack(loud: pl.DataFrame) -> None:
    interface, address = first("nlb")
    sent = loud.filter(srcaddr="45.143.200.66")
    assert sent.group_by("interface_id", "dstaddr", "dstport", "tcp_flags", "action").len().rows() == [
        (interface, address, 443, 2, "ACCEPT", 150)
    ]
    assert loud.filter(pkt_dstaddr="45.143.200.66").is_empty()


def test_wrong_security_group(loud: pl.DataFrame) -> None:
    refused = pl.col("action") == "REJECT"
    database, address = first("database")
    _, app = first("app", 1)
    found = loud.filter(refused, srcaddr=app).group_by("interface_id", "dstaddr", "dstport").len().rows()
    assert found == [(database, address, 5432, 10 * SLOTS)]
    assert QUIET.filter(refused, dstport=5432).is_empty()


def test_nobody_of_the_incidents_shows_up_without_them() -> None:
    strangers = [address for addresses in STRANGERS.values() for address in addresses]
    assert len(set(strangers)) == 47
    ends = ("srcaddr", "dstaddr", "pkt_srcaddr", "pkt_dstaddr")
    assert QUIET.filter(pl.any_horizontal(pl.col(ends).is_in(strangers))).is_empty()


def test_the_document_is_that_of_the_table() -> None:
    assert (Path(__file__).parents[2] / "docs/incidents.md").read_text() == document()


def test_names() -> None:
    assert named([]) == ()
    assert named(["all"]) == INCIDENTS
    assert [row.name for row in named(["port-scan", "crypto-mining", "port-scan"])] == ["port-scan", "crypto-mining"]
    with pytest.raises(ValueError, match=r"there is no incident flood; there are: port-scan, .*, all"):
        named(["flood", "port-scan"])


@pytest.mark.parametrize(
    ("name", "network", "fault"),
    [
        ("lateral-movement", NETWORK, "no interface of the role 'batch'"),
        ("crypto-mining", plausible(1), None),
        ("syn-without-syn-ack", NETWORK, "no interface of the role 'nlb'"),
        ("wrong-security-group", NETWORK, "too few interfaces"),
        ("port-scan", NETWORK, None),
    ],
)
def test_a_network_that_lacks_what_an_incident_needs_is_refused(name: str, network: Network, fault: str | None) -> None:
    order = Order(START, END, 0, incidents=named([name]))
    if fault is None:
        assert happenings(Scene.of(network, 1), order, [MIDDLE]).height > 0
    else:
        with pytest.raises(ValueError, match=fault):
            happenings(Scene.of(network, 1), order, [MIDDLE])
