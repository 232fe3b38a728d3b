"""An address passes from one instance to another between two askings: each flow names who had it then, as remembered.

The program is started anew for every step, so that all it knows of what is gone is what its ledger has; hours pass by
AWS's clock between the steps.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from tests.services.aws import Aws
from tests.services.clock import Clock
from tests.system.test_main_job import (
    ACCEPTED,
    EVERYWHERE,
    Flat,
    account,
    ends,
    expected,
    new_key,
    talk,
    tcp,
    web,
    web_reporter,
    without_ingested,
)
from tests.system.world import REGION, V2, Network, World, text

ADDRESS = "10.0.0.30"


def at(clock: str) -> datetime:
    """A time of the day of the flows."""
    return datetime.fromisoformat(f"2026-01-05T{clock}").replace(tzinfo=UTC)


@contextmanager
def instance(aws: Aws, network: Network, name: str) -> Iterator[tuple[str, str]]:
    """An instance in production that has the address as long as the block lasts: its id, and its interface's."""
    ec2: Any = aws.client("ec2", REGION)
    interface = ec2.create_network_interface(
        SubnetId=network.subnet, Groups=[network.group], PrivateIpAddress=ADDRESS, Description="primary"
    )["NetworkInterface"]["NetworkInterfaceId"]
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}, {"Key": "Team", "Value": name}]}]
    made = ec2.run_instances(
        ImageId="ami-12c6146b",
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        NetworkInterfaces=[{"DeviceIndex": 0, "NetworkInterfaceId": interface}],
        TagSpecifications=tags,
    )["Instances"][0]["InstanceId"]
    try:
        yield made, interface
    finally:
        ec2.terminate_instances(InstanceIds=[made])
        left = ec2.describe_network_interfaces(Filters=[{"Name": "network-interface-id", "Values": [interface]}])
        if left["NetworkInterfaces"]:  # moto leaves it behind where EC2 deletes it with its instance
            ec2.delete_network_interface(NetworkInterfaceId=interface)
        ec2.close()


def line(network: Network, first: str, last: str, port: int) -> str:
    """A record of web-1's own interface, of a connection that came from the address."""
    flow = f"{at(first).timestamp():.0f} {at(last).timestamp():.0f}"
    return f"2 123456789012 {network.web} {ADDRESS} 10.0.0.10 {port} 443 6 12 5120 {flow} ACCEPT OK"


def document(network: Network, first: str, last: str, port: int, community_id: str) -> Flat:
    """What that record becomes, apart from who the address was."""
    seconds = int((at(last) - at(first)).total_seconds())
    times = {
        "@timestamp": f"2026-01-05T{last}.000Z",
        "event.start": f"2026-01-05T{first}.000Z",
        "event.end": f"2026-01-05T{last}.000Z",
        "event.duration": seconds * 1_000_000_000,
    }
    return (
        EVERYWHERE
        | times
        | account("123456789012", "2")
        | ACCEPTED
        | ends(ADDRESS, "10.0.0.10", (port, 443), (12, 5120), "ii")
        | tcp(community_id)
        | talk((ADDRESS, port), ("10.0.0.10", 443), {"client.packets": 12, "client.bytes": 5120}, "port")
        | {"network.direction": "ingress", "network.protocol": "https"}
        | web_reporter(network)
        | web("destination", network)
    )


def source(network: Network, name: str, ids: tuple[str, str]) -> Flat:
    """Who the address was."""
    return web("source", network) | {
        "cloud.origin.instance.id": ids[0],
        "cloud.origin.instance.name": name,
        "aws.vpcflow.source.interface_id": ids[1],
        "aws.vpcflow.source.resource_name": name,
        "aws.vpcflow.source.tags.Team": name,
    }


def test_each_flow_names_who_had_the_address_then(
    timed_world: World, aws: Aws, aws_clock: Clock, network: Network
) -> None:
    """The first one's file comes last, when the address has long been the second one's, and is read by a new start."""
    world = timed_world
    aws_clock.set(at("11:50:00"))
    with instance(aws, network, "first") as first:
        aws_clock.set(at("12:00:00"))
        world.ask_ec2()
    aws_clock.set(at("12:03:00"))
    with instance(aws, network, "second") as second:
        aws_clock.set(at("12:06:00"))
        later = new_key("later")
        world.put(later, text(V2, line(network, "12:04:10", "12:05:20", 40002)))
        assert "1 objects, 1 records: 1 indexed" in world.command("once")
        aws_clock.set(at("12:50:00"))
        late = new_key("late")
        world.put(
            late,
            text(
                V2,
                line(network, "11:55:00", "11:56:30", 40000),
                line(network, "12:01:10", "12:02:40", 40001),  # one had gone by then, and the other not come
                line(network, "12:10:00", "12:11:00", 40003),
            ),
        )
        assert "1 objects, 3 records: 3 indexed" in world.command("once")
    wanted = expected(
        world,
        later,
        [
            document(network, "12:04:10", "12:05:20", 40002, "1:H7hC5+8/tOwj2bmJem8RcFBf/Vs=")
            | source(network, "second", second)
        ],
    ) | expected(
        world,
        late,
        [
            document(network, "11:55:00", "11:56:30", 40000, "1:yEu5M5SrvJR0EtP1AIrSwb3we2c=")
            | source(network, "first", first),
            document(network, "12:01:10", "12:02:40", 40001, "1:Fsld93BNg0GQKU5JTCLFRCBa7t0="),
            document(network, "12:10:00", "12:11:00", 40003, "1:JopFVfQD55JEJ1ENdULaF/Jm0LI=")
            | source(network, "second", second),
        ],
    )
    found = without_ingested(world.documents())
    assert found.keys() == wanted.keys()
    for key, each in wanted.items():
        assert found[key] == each
