"""A network built in an EC2 API, moto's, in an account of its own: what EC2 describes is what the network says."""

from typing import Any

import pytest

from exporter.simulate.aws import build
from exporter.simulate.network import Interface, Network
from exporter.simulate.plan import LEAST, plausible
from tests.services.aws import Aws

ACCOUNT = "445566778899"


@pytest.fixture(scope="module")
def ec2(aws: Aws) -> Any:  # noqa: ANN401 (boto3 makes its clients' classes at run time)
    return aws.client("ec2", account=ACCOUNT)


@pytest.fixture(scope="module")
def plan() -> Network:
    return plausible(3, size=LEAST)


@pytest.fixture(scope="module")
def network(ec2: Any, plan: Network) -> Network:  # noqa: ANN401 (as above)
    return build(ec2, plan)


@pytest.fixture(scope="module")
def described(ec2: Any, network: Network) -> dict[str, Any]:  # noqa: ANN401 (as above)
    """Every interface that EC2 knows, by id, once the network is built."""
    assert network.interfaces
    return {each["NetworkInterfaceId"]: each for each in ec2.describe_network_interfaces()["NetworkInterfaces"]}


def test_ec2_has_the_networks_interfaces_and_no_other(network: Network, described: dict[str, Any]) -> None:
    assert described.keys() == {interface.id for interface in network.interfaces}
    assert len(described) == LEAST
    assert network.account == ACCOUNT


def test_ec2_describes_each_interface_as_the_network_does(network: Network, described: dict[str, Any]) -> None:
    for interface in network.interfaces:
        assert _described(described[interface.id]) == _told(interface), interface.resource_name


def test_the_plan_was_kept(plan: Network, network: Network) -> None:
    """Ids are EC2's, and so are public addresses, IPv6 ranges and what it makes itself: the NAT gateways."""
    for planned, made in zip(plan.interfaces, network.interfaces, strict=True):
        assert (planned.role, planned.subnet.cidr, planned.subnet.zone) == (
            made.role,
            made.subnet.cidr,
            made.subnet.zone,
        )
        assert planned.id != made.id
        if made.role != "nat":
            assert (planned.address, planned.secondary, planned.tags) == (made.address, made.secondary, made.tags)
            assert (planned.description, len(planned.ipv6)) == (made.description, len(made.ipv6))


def test_subnets_stand_in_three_zones_by_their_ids(ec2: Any, network: Network) -> None:  # noqa: ANN401 (as above)
    subnets = {s["SubnetId"]: s for s in ec2.describe_subnets(SubnetIds=[s.id for s in network.subnets])["Subnets"]}
    assert {s.id: (s.zone, s.cidr, s.vpc.id) for s in network.subnets} == {
        id_: (s["AvailabilityZoneId"], s["CidrBlock"], s["VpcId"]) for id_, s in subnets.items()
    }
    assert {s["AvailabilityZoneId"] for s in subnets.values()} == {"use1-az1", "use1-az2", "use1-az3"}


def test_instances_have_their_type_and_tags(ec2: Any, network: Network) -> None:  # noqa: ANN401 (as above)
    reservations = ec2.describe_instances()["Reservations"]
    found = {i["InstanceId"]: i for reservation in reservations for i in reservation["Instances"]}
    with_instance = [interface for interface in network.interfaces if interface.instance]
    assert len(found) == len(with_instance) > 40
    for interface in with_instance:
        instance = found[interface.instance.id if interface.instance else ""]
        assert {tag["Key"]: tag["Value"] for tag in instance["Tags"]} == dict(interface.tags)
        assert interface.instance
        assert instance["InstanceType"] == interface.instance.machine_type


def _described(answer: dict[str, Any]) -> dict[str, object]:
    public = answer.get("Association", {}).get("PublicIp")
    nat = answer["Description"].startswith("Interface for NAT Gateway ")
    return {
        "vpc": answer["VpcId"],
        "subnet": answer["SubnetId"],
        "private": [each["PrivateIpAddress"] for each in answer["PrivateIpAddresses"]],
        "ipv6": [each["Ipv6Address"] for each in answer["Ipv6Addresses"]],
        "public": public,
        "description": answer["Description"],
        "groups": [] if nat else [(group["GroupId"], group["GroupName"]) for group in answer["Groups"]],
        "instance": answer.get("Attachment", {}).get("InstanceId"),
        "tags": {tag["Key"]: tag["Value"] for tag in answer["TagSet"]},
    }


def _told(interface: Interface) -> dict[str, object]:
    """The same of the network; moto gives the interface of a NAT gateway the default group, AWS none."""
    return {
        "vpc": interface.subnet.vpc.id,
        "subnet": interface.subnet.id,
        "private": [interface.address, *interface.secondary],
        "ipv6": list(interface.ipv6),
        "public": interface.public,
        "description": interface.description,
        "groups": [(group.id, group.name) for group in interface.groups],
        "instance": interface.instance.id if interface.instance else None,
        "tags": dict(interface.tags),
    }
