"""New flow-log objects in S3 become enriched documents in Elasticsearch, each once, and what is bad is kept apart."""

import gzip
import re
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from exporter.identity import id_prefix
from exporter.ledger import Ledger, State
from tests.services.clock import Clock
from tests.system.world import REGION, V2, Network, World, hive_key, plain_key, text

V5 = (
    f"{V2} vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id sublocation-type"
    " sublocation-id pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path"
)
START, END = 1767614400, 1767614459  # 2026-01-05 12:00:00 and 12:00:59 UTC
TIMES = {
    "@timestamp": "2026-01-05T12:00:59.000Z",
    "event.start": "2026-01-05T12:00:00.000Z",
    "event.end": "2026-01-05T12:00:59.000Z",
    "event.duration": 59_000_000_000,
}
EVERYWHERE = {
    "event.kind": "event",
    "event.category": ["network"],
    "event.dataset": "aws.vpcflow",
    "event.module": "aws",
    "data_stream.type": "logs",
    "data_stream.dataset": "aws.vpcflow",
    "ecs.version": "9.4.0",
    "cloud.provider": "aws",
    **TIMES,
}
ACCEPTED = {
    "event.action": "ACCEPT",
    "aws.vpcflow.action": "ACCEPT",
    "event.outcome": "success",
    "event.type": ["connection", "allowed"],
    "aws.vpcflow.log_status": "OK",
}
REJECTED = {
    "event.action": "REJECT",
    "aws.vpcflow.action": "REJECT",
    "event.outcome": "failure",
    "event.type": ["connection", "denied"],
    "aws.vpcflow.log_status": "OK",
}
Flat = dict[str, Any]


def ends(source: str, destination: str, ports: tuple[int, int], counts: tuple[int, int], where: str) -> Flat:
    """Addresses, ports and counts; `where` gives each end's letter: i internal, e external, - neither."""
    words = {"i": "internal", "e": "external"}
    localities = [words.get(letter) for letter in where]
    both = "internal" if where == "ii" else "external" if "-" not in where else None
    named = {"source.locality": localities[0], "destination.locality": localities[1], "flow.locality": both}
    return {
        "source.address": source,
        "source.ip": source,
        "source.port": ports[0],
        "destination.address": destination,
        "destination.ip": destination,
        "destination.port": ports[1],
        "source.packets": counts[0],
        "network.packets": counts[0],
        "source.bytes": counts[1],
        "network.bytes": counts[1],
        "related.ip": [source, destination],
        "aws.vpcflow.reporter": ["source", "destination"],  # nobody tells of any of these flows but one
        **{name: value for name, value in named.items() if value},
    }


def talk(client: tuple[str, int], server: tuple[str, int], sent: Flat, rule: str) -> Flat:
    """Who began, and by which rule; `sent` is by whom, how many packets and how many bytes."""
    return {
        "client.address": client[0],
        "client.ip": client[0],
        "client.port": client[1],
        "server.address": server[0],
        "server.ip": server[0],
        "server.port": server[1],
        "aws.vpcflow.client_rule": rule,
        **sent,
    }


# The Community IDs below are those of the reference implementation (package communityid).


def tcp(community_id: str, kind: str = "ipv4") -> Flat:
    return {
        "network.iana_number": "6",
        "network.transport": "tcp",
        "network.type": kind,
        "network.community_id": community_id,
    }


def owner(path: str, network: Network, **more: Any) -> Flat:  # noqa: ANN401
    """What both ends of production have in common, below cloud.origin or cloud.target and aws.vpcflow.END."""
    cloud, end = {"source": ("cloud.origin", path), "destination": ("cloud.target", path)}[path]
    return {
        f"{cloud}.account.id": "123456789012",
        f"{cloud}.region": REGION,
        f"{cloud}.availability_zone": network.zone,
        f"aws.vpcflow.{end}.interface_type": "interface",
        f"aws.vpcflow.{end}.subnet_id": network.subnet,
        f"aws.vpcflow.{end}.subnet_name": "production-a",
        f"aws.vpcflow.{end}.vpc_id": network.vpc,
        f"aws.vpcflow.{end}.vpc_name": "production",
        f"aws.vpcflow.{end}.security_group_ids": [network.group],
        f"aws.vpcflow.{end}.security_group_names": ["web"],
        **{f"aws.vpcflow.{end}.{name}": value for name, value in more.items()},
    }


def web(path: str, network: Network) -> Flat:
    cloud = {"source": "cloud.origin", "destination": "cloud.target"}[path]
    return owner(
        path,
        network,
        interface_id=network.web,
        resource_type="instance",
        resource_name="web-1",
        **{"tags.Team": "storefront"},
    ) | {
        f"{cloud}.instance.id": network.web_instance,
        f"{cloud}.instance.name": "web-1",
        f"{cloud}.machine.type": "t3.micro",
        f"{cloud}.service.name": "ec2",
    }


def database(path: str, network: Network) -> Flat:
    cloud = {"source": "cloud.origin", "destination": "cloud.target"}[path]
    return owner(path, network, interface_id=network.database, resource_type="database") | {
        f"{cloud}.service.name": "rds"
    }


def reporter(network: Network, interface: str) -> Flat:
    """What the inventory says of a reporting interface of production, where the record is silent."""
    return {
        "aws.vpcflow.interface_id": interface,
        "aws.vpcflow.interface_type": "interface",
        "aws.vpcflow.vpc_id": network.vpc,
        "aws.vpcflow.vpc_name": "production",
        "aws.vpcflow.subnet_id": network.subnet,
        "aws.vpcflow.subnet_name": "production-a",
        "aws.vpcflow.security_group_ids": [network.group],
        "cloud.region": REGION,
        "cloud.availability_zone": network.zone,
    }


def web_reporter(network: Network) -> Flat:
    return reporter(network, network.web) | {
        "cloud.instance.id": network.web_instance,
        "cloud.instance.name": "web-1",
        "cloud.machine.type": "t3.micro",
        "aws.vpcflow.instance_id": network.web_instance,
    }


def account(number: str, version: str) -> Flat:
    return {"cloud.account.id": number, "aws.vpcflow.account_id": number, "aws.vpcflow.version": version}


def v2_lines(network: Network) -> list[str]:
    own, flow = "2 123456789012", f"{START} {END}"
    return [
        V2,
        f"{own} {network.web} 203.6.113.9 10.0.0.10 52344 443 6 12 5120 {flow} ACCEPT OK",
        f"{own} {network.web} 10.0.0.10 10.0.0.20 40000 5432 6 7 900 {flow} REJECT OK",
        f"{own} {network.web} - - - - - - - {flow} - NODATA",
        f"{own} {network.web} - - - - - - - {flow} - SKIPDATA",
        f"{own} eni-0ffffffffffffffff 10.0.0.20 10.9.9.9 1 2 6 1 40 {flow} ACCEPT OK",
        f"{own} {network.batch} 10.0.0.77 10.0.0.20 40001 5432 6 1 40 {flow} ACCEPT OK",
    ]


def v2_documents(network: Network) -> list[Flat]:
    """By row, from 1 on.

    The fifth is of an interface that nobody knows, and 10.0.0.20 is owned twice, so nobody is guessed; in the sixth,
    seen from staging, 10.0.0.20 is staging's own and not production's database.
    """
    mine = EVERYWHERE | account("123456789012", "2")
    staging = {
        "aws.vpcflow.{}.interface_type": "interface",
        "aws.vpcflow.{}.subnet_id": network.staging_subnet,
        "aws.vpcflow.{}.subnet_name": "staging-a",
        "aws.vpcflow.{}.vpc_id": network.staging_vpc,
        "aws.vpcflow.{}.vpc_name": "staging",
        "aws.vpcflow.{}.security_group_ids": [network.staging_group],
        "aws.vpcflow.{}.security_group_names": ["all"],
    }
    return [
        mine
        | ACCEPTED
        | ends("203.6.113.9", "10.0.0.10", (52344, 443), (12, 5120), "ei")
        | tcp("1:mgohF2FRy7GBHgmHi6Ow7bn+FLA=")
        | talk(("203.6.113.9", 52344), ("10.0.0.10", 443), {"client.packets": 12, "client.bytes": 5120}, "port")
        | {"network.protocol": "https"}
        | {"network.direction": "ingress"}
        | web_reporter(network)
        | web("destination", network),
        mine
        | REJECTED
        | ends("10.0.0.10", "10.0.0.20", (40000, 5432), (7, 900), "ii")
        | tcp("1:BmJG4PyQN4JVS8eYc/ORdEVFpn8=")
        | {"network.direction": "egress"}
        | web_reporter(network)
        | web("source", network)
        | database("destination", network),
        mine | {"aws.vpcflow.log_status": "NODATA"} | web_reporter(network),
        mine | {"aws.vpcflow.log_status": "SKIPDATA"} | web_reporter(network),
        mine
        | ACCEPTED
        | ends("10.0.0.20", "10.9.9.9", (1, 2), (1, 40), "ii")
        | tcp("1:6E3M7o2yM5dhu/sfC78ok/6Lyg0=")
        | {"aws.vpcflow.interface_id": "eni-0ffffffffffffffff", "cloud.region": REGION},
        mine
        | ACCEPTED
        | ends("10.0.0.77", "10.0.0.20", (40001, 5432), (1, 40), "ii")
        | tcp("1:Rz95j+mebUo/rIsiWCB5BYgNlNw=")
        | {"network.direction": "egress", "aws.vpcflow.interface_id": network.batch}
        | {
            "cloud.region": REGION,
            "cloud.availability_zone": network.zone,
            "cloud.instance.id": network.batch_instance,
            "cloud.instance.name": "batch-1",
            "cloud.machine.type": "t3.micro",
            "aws.vpcflow.instance_id": network.batch_instance,
            "aws.vpcflow.interface_type": "interface",
            "aws.vpcflow.vpc_id": network.staging_vpc,
            "aws.vpcflow.vpc_name": "staging",
            "aws.vpcflow.subnet_id": network.staging_subnet,
            "aws.vpcflow.subnet_name": "staging-a",
            "aws.vpcflow.security_group_ids": [network.staging_group],
        }
        | {
            "cloud.origin.account.id": "123456789012",
            "cloud.origin.region": REGION,
            "cloud.origin.availability_zone": network.zone,
            "cloud.origin.instance.id": network.batch_instance,
            "cloud.origin.instance.name": "batch-1",
            "cloud.origin.machine.type": "t3.micro",
            "cloud.origin.service.name": "ec2",
            "cloud.target.account.id": "123456789012",
            "cloud.target.region": REGION,
            "cloud.target.availability_zone": network.zone,
            "aws.vpcflow.source.interface_id": network.batch,
            "aws.vpcflow.source.resource_type": "instance",
            "aws.vpcflow.source.resource_name": "batch-1",
            "aws.vpcflow.source.tags.Team": "data",
            "aws.vpcflow.destination.interface_id": network.staging,
            "aws.vpcflow.destination.resource_type": "interface",
        }
        | {path.format("source"): value for path, value in staging.items()}
        | {path.format("destination"): value for path, value in staging.items()},
    ]


def v5_lines(network: Network) -> list[str]:
    own, flow = "5 210987654321", f"{START} {END}"
    below, place = f"{network.vpc} {network.subnet}", f"{REGION} euw1-az9 - -"
    nat = (
        f"{own} {network.nat} 10.0.0.5 52.10.20.30 61000 443 6 9 7000 {flow} ACCEPT OK {below} - 19 IPv4 "
        f"10.0.0.10 52.10.20.30 {place} - S3 egress 8"
    )
    ipv6 = (
        f"{own} {network.web} 2a05:d018::9 2a05:d018::7 55555 443 6 3 300 {flow} ACCEPT OK {below} "
        f"i-0123456789abcdef0 2 IPv6 2a05:d018::9 2a05:d018::7 {place} - - ingress -"
    )
    return [V5, nat, ipv6]


def v5_documents(network: Network) -> list[Flat]:
    mine = EVERYWHERE | account("210987654321", "5")
    return [
        mine
        | ACCEPTED
        | ends("10.0.0.5", "52.10.20.30", (61000, 443), (9, 7000), "ie")
        | tcp("1:35QasHVDRoFtg8KjpwfNsf6Z5Dk=")
        | talk(("52.10.20.30", 443), ("10.0.0.5", 61000), {"server.packets": 9, "server.bytes": 7000}, "tcp_flags")
        | reporter(network, network.nat)
        | {
            "related.ip": ["10.0.0.5", "52.10.20.30", "10.0.0.10"],
            "network.direction": "egress",
            "cloud.availability_zone": "euw1-az9",
            "aws.vpcflow.type": "IPv4",
            "aws.vpcflow.pkt_srcaddr": "10.0.0.10",
            "aws.vpcflow.pkt_dstaddr": "52.10.20.30",
            "aws.vpcflow.pkt_dst_service": "S3",
            "aws.vpcflow.tcp_flags": "19",
            "aws.vpcflow.tcp_flags_array": ["fin", "syn", "ack"],
            "aws.vpcflow.traffic_path": "8",
            "cloud.origin.service.name": "vpc",
        }
        | owner(
            "source",
            network,
            interface_id=network.nat,
            resource_type="nat_gateway",
            resource_name="nat-0a1b2c3d4e5f60718",
        ),
        mine
        | ACCEPTED
        | ends("2a05:d018::9", "2a05:d018::7", (55555, 443), (3, 300), "ee")
        | tcp("1:H6pWGhnkNmkdzc3hQKCVXLikRIc=", "ipv6")
        | talk(
            ("2a05:d018::9", 55555),
            ("2a05:d018::7", 443),
            {"client.packets": 3, "client.bytes": 300},
            "tcp_flags",
        )
        | {"network.protocol": "https"}
        | reporter(network, network.web)
        | web("destination", network)
        | {
            "network.direction": "ingress",
            "cloud.availability_zone": "euw1-az9",
            "cloud.instance.id": "i-0123456789abcdef0",
            "aws.vpcflow.instance_id": "i-0123456789abcdef0",
            "aws.vpcflow.type": "IPv6",
            "aws.vpcflow.pkt_srcaddr": "2a05:d018::9",
            "aws.vpcflow.pkt_dstaddr": "2a05:d018::7",
            "aws.vpcflow.tcp_flags": "2",
            "aws.vpcflow.tcp_flags_array": ["syn"],
        },
    ]


FIRST = plain_key("123456789012", REGION, "2026/01/05", "20260105T1200Z_aaaa")
SECOND = hive_key("210987654321", REGION, "2026/01/06", "20260106T0000Z_bbbb")
THIRD = plain_key("210987654321", "us-east-1", "2026/01/05", "20260105T1205Z_cccc")


def new_key(name: str) -> str:
    """An object of today: older days than the look-back's are not looked for again once a pass was whole."""
    now = datetime.now(UTC)
    return plain_key("123456789012", REGION, f"{now:%Y/%m/%d}", f"{now:%Y%m%dT%H%MZ}_{name}")


def expected(world: World, key: str, documents: list[Flat]) -> dict[str, Flat]:
    """Documents by id, with what tells where they came from."""
    prefix = id_prefix(world.bucket, key, etag(world, key))
    return {
        f"{prefix}{row:08x}": document
        | {
            "log.offset": row,
            "aws.s3.bucket.name": world.bucket,
            "aws.s3.object.key": key,
            "data_stream.namespace": world.namespace,
        }
        for row, document in enumerate(documents, 1)
    }


def etag(world: World, key: str) -> str:
    head = world.aws.client("s3", REGION).head_object(Bucket=world.bucket, Key=key)
    return str(head["ETag"]).strip('"')


def without_ingested(documents: dict[str, Flat]) -> dict[str, Flat]:
    """The documents less event.ingested, which is when they were sent: lately."""
    for document in documents.values():
        sent = datetime.fromisoformat(document.pop("event.ingested"))
        assert abs((datetime.now(UTC) - sent).total_seconds()) < 300
    return documents


@pytest.fixture
def asked_world(timed_world: World, aws_clock: Clock) -> World:
    """A world in which EC2 answered two minutes before the flows, and answers again nine minutes after them."""
    aws_clock.set(datetime(2026, 1, 5, 11, 58, tzinfo=UTC))
    timed_world.ask_ec2()
    aws_clock.set(datetime(2026, 1, 5, 12, 10, tzinfo=UTC))
    return timed_world


def test_objects_of_all_accounts_regions_days_and_layouts_become_whole_documents_once(
    asked_world: World, network: Network
) -> None:
    world = asked_world
    v2, v5 = text(*v2_lines(network)), text(*v5_lines(network))
    third = text(V2, f"2 210987654321 eni-0b 10.1.1.1 10.1.1.2 1 2 6 1 40 {START} {END} ACCEPT OK")
    world.put(FIRST, v2)
    world.put(SECOND, v5)
    world.put(THIRD, third)
    world.put("AWSLogs/123456789012/CloudTrail/eu-west-1/2026/01/05/other.json.gz", b"not a flow log")
    log = world.command("once")
    assert (
        "3 objects, 9 records: 9 indexed, 0 there already, 0 dead letters; "
        "0 objects damaged, 0 set aside, 0 left undone"
    ) in log
    alone = (
        EVERYWHERE
        | account("210987654321", "2")
        | ACCEPTED
        | ends("10.1.1.1", "10.1.1.2", (1, 2), (1, 40), "ii")
        | tcp("1:AhubVeXRrhiiUxpvAlGoW9pGDyg=")
        | {"aws.vpcflow.interface_id": "eni-0b", "cloud.region": "us-east-1"}
    )
    wanted = (
        expected(world, FIRST, v2_documents(network))
        | expected(world, SECOND, v5_documents(network))
        | expected(world, THIRD, [alone])
    )
    found = without_ingested(world.documents())
    assert found.keys() == wanted.keys()
    for key, document in wanted.items():
        assert found[key] == document

    log = world.command("once")
    assert "0 objects, 0 records: 0 indexed" in log
    world.put(new_key("dddd"), third)
    log = world.command("once")
    assert "1 objects, 1 records: 1 indexed, 0 there already" in log
    assert world.count() == 10


def test_the_stream_is_typed(asked_world: World, network: Network) -> None:
    world = asked_world
    world.put(FIRST, text(*v2_lines(network)))
    world.command("once")
    client = world.search
    client.indices.refresh(index=world.stream)

    def hits(query: dict[str, Any]) -> int:
        return int(client.count(index=world.stream, query=query)["count"])

    assert hits({"term": {"source.ip": "10.0.0.0/16"}}) == 3
    assert hits({"range": {"source.ip": {"gte": "203.6.113.0", "lt": "203.6.113.10"}}}) == 1
    assert hits({"range": {"@timestamp": {"gte": "2026-01-05T12:00:59Z", "lt": "2026-01-05T12:01:00Z"}}}) == 6
    assert hits({"range": {"event.start": {"gt": "2026-01-05T12:00:00Z"}}}) == 0
    assert hits({"term": {"event.type": "denied"}}) == 1
    assert hits({"term": {"aws.vpcflow.source.tags.Team": "storefront"}}) == 1
    assert hits({"term": {"cloud.target.instance.name": "web-1"}}) == 1
    total = client.search(index=world.stream, size=0, aggs={"bytes": {"sum": {"field": "source.bytes"}}})
    assert total["aggregations"]["bytes"]["value"] == 5120 + 900 + 40 + 40


GOOD = f"2 123456789012 eni-0c 10.1.1.1 10.1.1.2 1000 443 6 1 40 {START} {END} ACCEPT OK"
BAD_LINES = {
    "2 123456789012 eni-0c": "3 fields where the format has 14",
    f"{GOOD} 99": "15 fields where the format has 14",
    GOOD.replace(" 443 ", " https "): "dstport: 'https' is not a number",
    GOOD.replace("10.1.1.1", "10.1.1.256"): "srcaddr: '10.1.1.256' is not an IPv4 or IPv6 address",
    GOOD.replace("ACCEPT", "ACC\udcffEPT"): "action: invalid UTF-8 at byte 3 of the field",
}


def test_bad_input_is_kept_apart_and_the_rest_goes_through(world: World) -> None:
    mixed = "\n".join([V2, *(line for bad in BAD_LINES for line in (GOOD, bad)), GOOD]) + "\n"
    whole = gzip.compress("\n".join([V2, *[GOOD] * 50_000]).encode(), 0)
    objects = {
        "mixed": gzip.compress(mixed.encode("utf-8", "surrogateescape")),
        "corrupt": b"\x1f\x8b\x08\x00" + b"\xff" * 400,
        "truncated": whole[: len(whole) // 2],
        "empty": b"",
        "header": text(V2),
        "members": text(V2, GOOD) + text(GOOD),
        "plain": f"{V2}\n{GOOD}".encode(),
        "foreign": text('{"records": []}'),
    }
    keys = {name: new_key(name) for name in objects}
    for name, data in objects.items():
        world.put(keys[name], data)
    log = world.command("once", status=0)
    readable = half_read(objects["truncated"])
    world.search.indices.refresh(index=world.stream)
    by_key = world.search.search(
        index=world.stream, size=0, aggs={"keys": {"terms": {"field": "aws.s3.object.key", "size": 20}}}
    )
    counts = {bucket["key"]: bucket["doc_count"] for bucket in by_key["aggregations"]["keys"]["buckets"]}
    assert counts == {keys["mixed"]: 6, keys["truncated"]: readable, keys["members"]: 2, keys["plain"]: 1}

    letters = world.dead_letters()
    mixed_letters = [letter for letter in letters if letter["object"]["key"] == keys["mixed"]]
    assert [(letter["row"], letter["reason"]) for letter in mixed_letters] == [
        (2 * number, reason) for number, reason in enumerate(BAD_LINES.values(), 1)
    ]
    assert mixed_letters[2]["text"] == list(BAD_LINES)[2]
    (broken,) = (letter for letter in letters if letter["object"]["key"] == keys["truncated"])
    assert broken["row"] == readable + 1
    assert broken["reason"].startswith("the file breaks off in this line: the gzip file ends inside its data at byte ")
    assert len(letters) == len(BAD_LINES) + 1
    with Ledger(world.folder / "state" / "ledger.sqlite3", read_only=True) as ledger:
        states = {entry.source.key: entry.state for entry in ledger.kept()}
        summary = ledger.summary()
    assert states == {
        keys["truncated"]: State.DAMAGED,
        keys["corrupt"]: State.SET_ASIDE,
        keys["foreign"]: State.SET_ASIDE,
    }
    assert summary.objects == {State.DONE: 5, State.DAMAGED: 1, State.SET_ASIDE: 2}
    assert summary.records == 6 + readable + 2 + 1
    assert f"{keys['truncated']}: {readable} records" in log
    assert "0 objects, 0 records" in world.command("once")


def half_read(stored: bytes) -> int:
    """How many whole records stand in a stored (not compressed) gzip file that was cut: its newlines, less one.

    Level 0 stores blocks of up to 65,535 bytes as they are, and the reader sees all bytes of the last, cut block.
    """
    return stored.count(b"\n") - 1


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.2)


def test_the_daemon_finds_new_objects_and_stops_in_time(world: World) -> None:
    world.put(FIRST, text(V2, GOOD))
    with world.start("run") as daemon:
        try:
            wait_for(lambda: world.count() == 1, "the first object")
            world.put(new_key("later"), text(V2, GOOD, GOOD))
            wait_for(lambda: world.count() == 3, "an object that came later")
            asked = time.monotonic()
            daemon.send_signal(signal.SIGTERM)
            output, log = daemon.communicate(timeout=40)
        finally:
            daemon.kill()
    assert daemon.returncode == 0, log
    assert time.monotonic() - asked < 10
    assert output == ""
    assert "2 objects were done" in log
    assert "Traceback" not in log
    assert "0 objects, 0 records" in world.command("once")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_in_the_middle_loses_nothing_and_repeats_nothing(world: World, number: signal.Signals) -> None:
    records = 20_000
    data = gzip.compress("\n".join([V2, *[GOOD] * records]).encode(), 1)
    keys = [new_key(f"big{number}") for number in range(3)]
    for key in keys:
        world.put(key, data)
    with world.start("run") as daemon:
        try:
            wait_for(lambda: world.count() > 0, "the first documents")
            daemon.send_signal(number)
            _, log = daemon.communicate(timeout=60)
        finally:
            daemon.kill()
    assert daemon.returncode == 0, log
    with Ledger(world.folder / "state" / "ledger.sqlite3", read_only=True) as ledger:
        done = ledger.summary()
    assert done.records <= world.count()
    log = world.command("once")
    found = re.search(r"(\d+) objects, (\d+) records: (\d+) indexed, (\d+) there already", log)
    assert found, log
    objects, again, created, existing = map(int, found.groups())
    assert objects == 3 - done.objects.get(State.DONE, 0)
    assert again == objects * records == created + existing
    assert objects >= 1, "the stop came too late: nothing was left to do"
    assert existing == 0 or objects > 1, "what was under way had time to end, and was sent again"
    assert world.count() == 3 * records
