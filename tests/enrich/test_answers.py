"""EC2's answers, in boto3's shapes, to whole rows.

What moto cannot show is here: interface types, requesters, zone ids, delegated prefixes, carriers, answers that lack
keys.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from exporter.enrich.answers import Answers, Asked, Oddity, snapshot
from exporter.enrich.inventory import ADDRESSES, OWNERS, Snapshot

from .cases import TAKEN

ATTACHED = datetime(2026, 1, 30, 8, 15, 59, tzinfo=UTC)  # 1769760959 s

VPC = {
    "VpcId": "vpc-a",
    "CidrBlock": "10.0.0.0/16",
    "CidrBlockAssociationSet": [
        {"CidrBlock": "10.0.0.0/16", "CidrBlockState": {"State": "associated"}},
        {"CidrBlock": "100.64.0.0/20", "CidrBlockState": {"State": "associated"}},
        {"CidrBlock": "10.99.0.0/16", "CidrBlockState": {"State": "disassociated"}},
    ],
    "Ipv6CidrBlockAssociationSet": [
        {"Ipv6CidrBlock": "2600:1f18:0:1::/64", "Ipv6CidrBlockState": {"State": "associated"}},
        {"Ipv6CidrBlock": "2600:1f18:0:9::/64", "Ipv6CidrBlockState": {"State": "disassociating"}},
    ],
    "Tags": [{"Key": "Name", "Value": "prod"}, {"Key": "cost", "Value": "c-vpc"}, {"Key": "stage", "Value": "live"}],
}
SUBNET = {
    "SubnetId": "subnet-1",
    "AvailabilityZone": "us-east-1c",
    "AvailabilityZoneId": "use1-az1",
    "Tags": [{"Key": "Name", "Value": "private-1"}, {"Key": "cost", "Value": "c-subnet"}],
}
INSTANCE = {
    "InstanceId": "i-web",
    "InstanceType": "m7g.large",
    "Tags": [{"Key": "Name", "Value": "web-1"}, {"Key": "team", "Value": "shop"}, {"Key": "cost", "Value": "c-inst"}],
}
WEB = {
    "NetworkInterfaceId": "eni-web",
    "InterfaceType": "interface",
    "Description": "Primary network interface",
    "OwnerId": "012345678901",
    "VpcId": "vpc-a",
    "SubnetId": "subnet-1",
    "PrivateIpAddress": "10.0.0.10",
    "PrivateIpAddresses": [
        {"Primary": True, "PrivateIpAddress": "10.0.0.10", "Association": {"PublicIp": "54.0.0.10"}},
        {"Primary": False, "PrivateIpAddress": "10.0.0.11", "Association": {"PublicIp": "54.0.0.11"}},
        {"Primary": False, "PrivateIpAddress": "10.0.0.12", "Association": {"CarrierIp": "155.0.0.12"}},
        {"Primary": False, "PrivateIpAddress": "10.0.0.13", "Association": {"CustomerOwnedIp": "192.0.2.13"}},
    ],
    "Association": {"PublicIp": "54.0.0.10"},
    "Ipv6Addresses": [{"Ipv6Address": "2600:1f18:0:1::10"}],
    "Ipv4Prefixes": [{"Ipv4Prefix": "10.0.1.16/28"}],
    "Ipv6Prefixes": [{"Ipv6Prefix": "2600:1f18:0:1:5::/80"}],
    "Attachment": {
        "InstanceId": "i-web",
        "Status": "attached",
        "DeviceIndex": 0,
        "DeleteOnTermination": True,
        "AttachTime": ATTACHED,
    },
    "Groups": [{"GroupId": "sg-1", "GroupName": "web"}, {"GroupId": "sg-2"}],
    "TagSet": [{"Key": "team", "Value": "frontend"}, {"Key": "Name", "Value": "web's"}],
}
TASK = "arn:aws:ecs:us-east-1:012345678901:attachment/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
BALANCER = "ELB app/shop/50dc6c495c0c9188"
NOWHERE = Oddity(
    "interface_without_vpc",
    "eni-new is in no VPC: its private addresses tell who it is only where nobody else has them",
)
FIRST = {"InstanceId": "i-web", "DeviceIndex": 0, "DeleteOnTermination": True}
NONE = dict.fromkeys(OWNERS)
ANSWERED = TAKEN + timedelta(seconds=7)


def read(answers: Answers, tag_keys: tuple[str, ...] = ()) -> tuple[Snapshot, list[Oddity]]:
    return snapshot(answers, Asked("us-east-1", TAKEN, ANSWERED, "999999999999", "shop", tag_keys))


def taken(*interfaces: dict[str, Any], tag_keys: tuple[str, ...] = (), instance: dict[str, Any] = INSTANCE) -> Snapshot:
    groups = ({"GroupId": "sg-1", "GroupName": "web"}, {"GroupId": "sg-2", "GroupName": "ssh"})
    found, oddities = read(Answers(interfaces, (SUBNET,), (VPC,), (instance,), groups), tag_keys)
    assert {each.kind for each in oddities} <= {"interface_without_vpc"}
    return found


def row(*interfaces: dict[str, Any], instance: dict[str, Any] = INSTANCE) -> dict[str, Any]:
    """The first interface's row."""
    return taken(*interfaces, instance=instance).owners.row(0, named=True)


def test_an_instances_interface_whole() -> None:
    found = taken(WEB, tag_keys=("team", "cost", "stage", "nobody", "Name"))
    assert found.owners.to_dicts() == [
        {
            "interface_id": "eni-web",
            "interface_type": "interface",
            "account_id": "012345678901",
            "account_name": None,
            "region": "us-east-1",
            "availability_zone": "use1-az1",
            "instance_id": "i-web",
            "instance_name": "web-1",
            "machine_type": "m7g.large",
            "service_name": "ec2",
            "subnet_id": "subnet-1",
            "subnet_name": "private-1",
            "vpc_id": "vpc-a",
            "vpc_name": "prod",
            "security_group_ids": ["sg-1", "sg-2"],
            "security_group_names": ["web", "ssh"],
            "resource_type": "instance",
            "resource_name": "web-1",
            "cluster_name": None,
            "tags": '{"team":"frontend","cost":"c-inst","stage":"live","Name":"web\'s"}',
            "attached": 1769760959,
            "fixed": True,
        }
    ]
    assert found.owners.schema == pl.Schema(OWNERS)
    assert found.addresses.rows() == [
        ("vpc-a", "10.0.0.10", 0, "primary"),
        ("vpc-a", "10.0.0.11", 0, "own"),
        ("vpc-a", "10.0.0.12", 0, "own"),
        ("vpc-a", "10.0.0.13", 0, "own"),
        ("vpc-a", "2600:1f18:0:1::10", 0, "own"),
        ("vpc-a", "192.0.2.13", 0, "own"),
        ("vpc-a", "10.0.1.16/28", 0, "own"),
        ("vpc-a", "2600:1f18:0:1:5::/80", 0, "own"),
        ("vpc-a", "54.0.0.10", 0, "public"),
        ("vpc-a", "54.0.0.11", 0, "public"),
        ("vpc-a", "155.0.0.12", 0, "public"),
    ]
    assert found.addresses.schema == pl.Schema(ADDRESSES)
    assert found.networks == (
        ("vpc-a", "10.0.0.0/16"),
        ("vpc-a", "100.64.0.0/20"),
        ("vpc-a", "2600:1f18:0:1::/64"),
    )
    assert (found.taken, found.answered, found.links) == (TAKEN, ANSWERED, ())


def test_an_interface_of_which_only_the_id_is_told() -> None:
    found = taken({"NetworkInterfaceId": "eni-new"}, tag_keys=("team",))
    expected = {
        "interface_id": "eni-new",
        "region": "us-east-1",
        "account_id": "999999999999",
        "account_name": "shop",
        "fixed": False,
    }
    assert found.owners.to_dicts() == [NONE | expected]
    assert found.addresses.height == 0


def test_an_interface_without_a_vpc_stays_and_is_told() -> None:
    new = {"NetworkInterfaceId": "eni-new", "PrivateIpAddress": "10.0.0.9", "Groups": None, "Attachment": None}
    found, oddities = read(Answers(interfaces=(new, WEB)))
    assert oddities == [NOWHERE]
    found = taken(new)
    assert found.owners["vpc_id"].to_list() == [None]
    assert found.addresses.rows() == [(None, "10.0.0.9", 0, "primary")]


def test_empty_answers() -> None:
    found, oddities = snapshot(Answers(), Asked("us-east-1", TAKEN))
    assert (found.owners.height, found.addresses.height, found.networks, found.links) == (0, 0, (), ())
    assert oddities == []


HALVES: dict[str, Any] = {"Tags": [{}, {"Key": "Name"}], "Attachment": {}, "Association": {}, "Status": {}}


def test_items_with_nothing_in_them_spoil_nothing() -> None:
    keys = ("PrivateIpAddresses", "Ipv6Addresses", "Ipv4Prefixes", "Ipv6Prefixes", "Groups")
    lists: dict[str, Any] = {key: [{}] for key in keys}
    sets = {"CidrBlockAssociationSet": [{}], "Ipv6CidrBlockAssociationSet": [{"Ipv6CidrBlock": "2600:1f18::/56"}]}
    interface = {"NetworkInterfaceId": "eni-1", "TagSet": [{}]} | HALVES | lists
    both: tuple[dict[str, Any], ...] = ({}, HALVES)
    found, oddities = read(
        Answers((interface, *both), both, (*both, sets), both, both, ({"Status": {"Code": "active"}}, *both), both)
    )
    assert found.owners["interface_id"].to_list() == ["eni-1"]
    assert found.networks == (("", "2600:1f18::/56"),)
    assert oddities == [
        Oddity("interface_without_id", "an interface without an id in no VPC, which is left out"),
        Oddity("interface_without_id", "an interface without an id in no VPC, which is left out"),
        replace(NOWHERE, what=NOWHERE.what.replace("eni-new", "eni-1")),
    ]


def test_what_is_no_address_or_network_is_left_out_and_told() -> None:
    bad = {
        "NetworkInterfaceId": "eni-1",
        "VpcId": "vpc-b",
        "PrivateIpAddress": "10.0.0",
        "PrivateIpAddresses": [{"PrivateIpAddress": "10.0.0.7"}],
        "Ipv4Prefixes": [{"Ipv4Prefix": "10.0.1.16/99"}],
        "Association": {"PublicIp": "none"},
    }
    vpc = {"VpcId": "vpc-b", "CidrBlock": "10.0.0.0/40", "CidrBlockAssociationSet": [{"CidrBlock": "10.0.0.0/16"}]}
    found, oddities = read(Answers(interfaces=(bad,), vpcs=(vpc,)))
    assert found.addresses.rows() == [("vpc-b", "10.0.0.7", 0, "own")]
    assert found.networks == (("vpc-b", "10.0.0.0/16"),)
    assert sorted(oddities, key=lambda each: (each.kind, each.what)) == [
        Oddity("no_address", "'10.0.0', which is no address, is left out"),
        Oddity("no_address", "'10.0.1.16/99', which is no address, is left out"),
        Oddity("no_address", "'none', which is no address, is left out"),
        Oddity("no_network", "'10.0.0.0/40', which is no network, is left out"),
    ]


def test_the_primary_address_is_known_by_its_mark_where_it_stands_nowhere_else() -> None:
    addresses = [{"PrivateIpAddress": "10.0.0.4"}, {"PrivateIpAddress": "10.0.0.5", "Primary": True}]
    found = taken({"NetworkInterfaceId": "eni-1", "PrivateIpAddresses": addresses})
    assert found.addresses.rows() == [(None, "10.0.0.5", 0, "primary"), (None, "10.0.0.4", 0, "own")]


def test_an_instance_without_a_name_is_called_by_its_id() -> None:
    found = row(WEB, instance={"InstanceId": "i-web"})
    assert (found["resource_name"], found["instance_name"], found["tags"]) == ("i-web", None, None)


def test_an_instance_that_is_not_described() -> None:
    found = row(WEB, instance={"InstanceId": "i-other", "Tags": [{"Key": "Name", "Value": "other"}]})
    assert (found["instance_id"], found["resource_name"], found["machine_type"]) == ("i-web", "i-web", None)


def test_what_aws_manages() -> None:
    balancer = {
        "NetworkInterfaceId": "eni-lb",
        "InterfaceType": "interface",
        "Description": "ELB app/shop/50dc6c495c0c9188",
        "RequesterId": "amazon-elb",
        "RequesterManaged": True,
        "Attachment": {"InstanceOwnerId": "amazon-elb", "DeviceIndex": 1, "AttachTime": ATTACHED},
        "AvailabilityZoneId": "use1-az9",
    }
    expected = {
        "interface_id": "eni-lb",
        "interface_type": "interface",
        "account_id": "999999999999",
        "account_name": "shop",
        "region": "us-east-1",
        "availability_zone": "use1-az9",
        "service_name": "elasticloadbalancing",
        "resource_type": "application_load_balancer",
        "resource_name": "shop",
        "attached": 1769760959,
        "fixed": True,
    }
    assert taken(balancer).owners.to_dicts() == [NONE | expected]


def test_an_unknown_type_stays_as_it_is() -> None:
    found = row({"NetworkInterfaceId": "eni-x", "InterfaceType": "newThing", "Description": "of 2031"})
    assert (found["resource_type"], found["resource_name"], found["service_name"]) == ("newThing", None, None)


def test_an_interface_told_twice_is_one() -> None:
    assert taken(WEB, WEB).owners["interface_id"].to_list() == ["eni-web"]


@pytest.mark.parametrize(
    ("more", "fixed"),
    [
        ({"Attachment": FIRST}, True),
        ({"Attachment": FIRST | {"NetworkCardIndex": 0}}, True),
        ({"Attachment": FIRST | {"NetworkCardIndex": 1}}, False),
        ({"Attachment": FIRST | {"DeviceIndex": 1}}, False),
        ({"Attachment": FIRST | {"DeleteOnTermination": False}}, False),
        ({"Attachment": {"InstanceId": "i-web", "DeviceIndex": 0}}, False),
        ({"Attachment": {"InstanceId": "i-web"}}, False),
        ({"Attachment": {"InstanceId": "i-web", "DeviceIndex": 1}, "RequesterManaged": True}, False),
        ({"RequesterManaged": True}, True),
        ({"InterfaceType": "lambda"}, True),
        ({"Description": "ELB shop", "RequesterId": "amazon-elb"}, True),
        ({"Description": "ELB shop", "RequesterId": "AIDAEXAMPLE"}, False),
        ({"Description": "ELB app/shop/50dc6c495c0c9188"}, False),
        ({"Description": "RDSNetworkInterface"}, False),
        ({"Description": "RDSNetworkInterface", "Attachment": {"InstanceOwnerId": "amazon-rds"}}, False),
        ({"Description": "RDSNetworkInterface", "RequesterManaged": True}, True),
        ({"Description": TASK, "RequesterManaged": True, "Attachment": {"InstanceOwnerId": "210987654321"}}, True),
        ({"Description": TASK, "RequesterManaged": True, "Attachment": {"InstanceId": "i-1", "DeviceIndex": 1}}, False),
        ({"Description": "aws-K8S-i-web"}, False),
        ({"Description": "mine"}, False),
        ({}, False),
    ],
    ids=str,
)
def test_what_cannot_be_attached_to_anything_else(more: dict[str, Any], fixed: bool) -> None:  # noqa: FBT001 - a table's column
    assert row({"NetworkInterfaceId": "eni-1"} | more)["fixed"] is fixed


WEBS_NAME = {"resource_type": "instance", "resource_name": "web-1", "service_name": "ec2"}
TASKS_NAME = {
    "resource_type": "ecs_task",
    "resource_name": "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
    "service_name": "ecs",
}
BALANCERS_NAME = {
    "resource_type": "application_load_balancer",
    "resource_name": "shop",
    "service_name": "elasticloadbalancing",
}


@pytest.mark.parametrize(
    ("description", "attachment", "expected"),
    [
        (TASK, {"InstanceId": "i-web"}, TASKS_NAME | {"instance_id": "i-web", "instance_name": "web-1"}),
        (
            TASK,
            {"InstanceId": "i-web", "InstanceOwnerId": "012345678901"},
            TASKS_NAME | {"instance_id": "i-web", "machine_type": "m7g.large"},
        ),
        (TASK, {"InstanceOwnerId": "210987654321"}, TASKS_NAME | {"instance_id": None, "instance_name": None}),
        (BALANCER, {"InstanceId": "i-web"}, WEBS_NAME),
        (BALANCER, {"InstanceId": "i-web", "InstanceOwnerId": "012345678901"}, WEBS_NAME),
        (BALANCER, {"InstanceId": "i-far", "InstanceOwnerId": "210987654321"}, BALANCERS_NAME),
        (BALANCER, {"InstanceOwnerId": "amazon-elb"}, BALANCERS_NAME | {"instance_id": None}),
        (BALANCER, {}, BALANCERS_NAME | {"instance_id": None}),
    ],
    ids=str,
)
def test_what_a_description_tells_of_an_attached_interface(
    description: str, attachment: dict[str, Any], expected: dict[str, Any]
) -> None:
    """A task on an instance keeps its own name; a service's Description counts where no own instance stands behind."""
    interface = {"NetworkInterfaceId": "eni-1", "OwnerId": "012345678901", "Description": description}
    found = row(interface | {"Attachment": attachment})
    assert {key: found[key] for key in expected} == expected


def tags(**values: str) -> list[dict[str, str]]:
    """Tags; a key's name is found in KEYS."""
    return [{"Key": KEYS[key], "Value": value} for key, value in values.items()]


KEYS = {
    "name": "Name",
    "cni": "cluster.k8s.amazonaws.com/name",
    "eks": "eks:cluster-name",
    "one": "kubernetes.io/cluster/one",
    "two": "kubernetes.io/cluster/two",
    "none": "kubernetes.io/cluster/",
    "node": "node.k8s.amazonaws.com/instance_id",
    "trunk": "vpcresources.k8s.aws/trunk-eni-id",
}


@pytest.mark.parametrize(
    ("interface", "instance", "cluster"),
    [
        ({"TagSet": tags(cni="prod", one="owned")}, {}, "prod"),
        ({"TagSet": tags(eks="prod", two="owned")}, {}, "prod"),
        ({"TagSet": tags(one="owned")}, {}, "one"),
        ({"TagSet": tags(two="shared")}, {}, "two"),
        ({"TagSet": tags(one="owned", two="shared")}, {}, None),
        ({"TagSet": tags(one="once")}, {}, None),
        ({"TagSet": tags(none="owned")}, {}, None),
        ({"Description": "Amazon EKS prod"}, {}, "prod"),
        ({"Attachment": {"InstanceId": "i-node"}}, {"Tags": tags(eks="prod", one="owned")}, "prod"),
        ({"Attachment": {"InstanceId": "i-node"}, "TagSet": tags(cni="a")}, {"Tags": tags(eks="b")}, "a"),
        ({"Attachment": {"InstanceId": "i-other"}}, {"Tags": tags(eks="prod")}, None),
        ({}, {}, None),
    ],
    ids=str,
)
def test_the_cluster(interface: dict[str, Any], instance: dict[str, Any], cluster: str | None) -> None:
    found = row({"NetworkInterfaceId": "eni-1"} | interface, instance={"InstanceId": "i-node"} | instance)
    assert found["cluster_name"] == cluster


NODE = {"InstanceId": "i-node", "InstanceType": "m7g.large", "Tags": tags(name="node-1", eks="prod")}
TRUNK = {
    "NetworkInterfaceId": "eni-trunk",
    "InterfaceType": "trunk",
    "Description": "aws-k8s-trunk-eni",
    "Attachment": {"InstanceId": "i-node", "DeviceIndex": 2},
}


@pytest.mark.parametrize(
    "interface",
    [
        {"Description": "aws-K8S-i-node", "Attachment": {"InstanceId": "i-node", "DeviceIndex": 1}},
        {"Description": "aws-K8S-i-0before", "TagSet": tags(node="i-node")},
        {"InterfaceType": "branch", "Description": "aws-k8s-branch-eni", "TagSet": tags(node="i-node")},
        {"InterfaceType": "branch", "Description": "aws-k8s-branch-eni", "TagSet": tags(trunk="eni-trunk")},
        TRUNK,
    ],
    ids=["attached", "by its tag", "a branch by its tag", "a branch by its trunk", "the trunk"],
)
def test_the_node_of_pods(interface: dict[str, Any]) -> None:
    found = row({"NetworkInterfaceId": "eni-1"} | interface, TRUNK, instance=NODE)
    expected = {
        "instance_id": "i-node",
        "instance_name": "node-1",
        "machine_type": "m7g.large",
        "resource_type": "eks_node",
        "resource_name": "i-node",
        "service_name": "eks",
        "cluster_name": "prod",
        "fixed": False,
    }
    assert {key: found[key] for key in expected} == expected


def test_pods_of_a_node_that_only_the_description_tells() -> None:
    found = row({"NetworkInterfaceId": "eni-1", "Description": "aws-K8S-i-0gone"})
    assert (found["resource_type"], found["resource_name"], found["instance_id"]) == ("eks_node", "i-0gone", None)


def test_vpcs_that_reach_each_other() -> None:
    def peering(name: str, status: str, requester: dict[str, str], accepter: dict[str, str]) -> dict[str, Any]:
        return {
            "VpcPeeringConnectionId": name,
            "Status": {"Code": status},
            "RequesterVpcInfo": requester,
            "AccepterVpcInfo": accepter,
        }

    found, oddities = read(
        Answers(
            peerings=(
                peering("pcx-1", "active", {"VpcId": "vpc-a"}, {"VpcId": "vpc-b", "OwnerId": "210987654321"}),
                peering("pcx-2", "pending-acceptance", {"VpcId": "vpc-a"}, {"VpcId": "vpc-c"}),
                peering("pcx-3", "active", {"VpcId": "vpc-a"}, {}),
            ),
            gateway_attachments=(
                {"TransitGatewayId": "tgw-1", "VpcId": "vpc-b", "State": "available"},
                {"TransitGatewayId": "tgw-1", "VpcId": "vpc-a", "State": "available"},
                {"TransitGatewayId": "tgw-1", "VpcId": "vpc-d", "State": "deleting"},
                {"TransitGatewayId": "tgw-2", "State": "available"},
            ),
        )
    )
    assert found.links == (
        ("pcx-1", "vpc-a"),
        ("pcx-1", "vpc-b"),
        ("pcx-3", "vpc-a"),
        ("tgw-1", "vpc-a"),
        ("tgw-1", "vpc-b"),
    )
    assert oddities == []
