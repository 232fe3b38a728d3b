"""EC2's answers, in boto3's shapes, to whole rows.

What moto cannot show is here: interface types, requesters, zone ids, answers that lack keys.
"""

from typing import Any

import polars as pl

from exporter.enrich.answers import Answers, snapshot
from exporter.enrich.inventory import OWNERS, Snapshot

from .cases import TAKEN

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
    ],
    "Association": {"PublicIp": "54.0.0.10"},
    "Ipv6Addresses": [{"Ipv6Address": "2600:1f18:0:1::10"}],
    "Attachment": {"InstanceId": "i-web", "Status": "attached"},
    "Groups": [{"GroupId": "sg-1", "GroupName": "web"}, {"GroupId": "sg-2"}],
    "TagSet": [{"Key": "team", "Value": "frontend"}, {"Key": "Name", "Value": "web's"}],
}
NONE = dict.fromkeys(OWNERS)


def taken(*interfaces: dict[str, Any], tag_keys: tuple[str, ...] = (), instance: dict[str, Any] = INSTANCE) -> Snapshot:
    groups = ({"GroupId": "sg-1", "GroupName": "web"}, {"GroupId": "sg-2", "GroupName": "ssh"})
    answers = Answers(interfaces, (SUBNET,), (VPC,), (instance,), groups)
    return snapshot(answers, region="us-east-1", account="999999999999", tag_keys=tag_keys, taken=TAKEN)


def test_an_instances_interface_whole() -> None:
    found = taken(WEB, tag_keys=("team", "cost", "stage", "nobody", "Name"))
    assert found.owners.to_dicts() == [
        {
            "interface_id": "eni-web",
            "interface_type": "interface",
            "account_id": "012345678901",
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
            "tags": '{"team":"frontend","cost":"c-inst","stage":"live","Name":"web\'s"}',
        }
    ]
    assert found.owners.schema == pl.Schema(OWNERS)
    assert found.addresses.rows() == [
        ("vpc-a", "10.0.0.10", 0, False),
        ("vpc-a", "10.0.0.11", 0, False),
        ("vpc-a", "2600:1f18:0:1::10", 0, False),
        ("vpc-a", "54.0.0.10", 0, True),
        ("vpc-a", "54.0.0.11", 0, True),
    ]
    assert found.networks == ("10.0.0.0/16", "100.64.0.0/20", "2600:1f18:0:1::/64")
    assert found.taken == TAKEN


def test_an_interface_of_which_only_the_id_is_told() -> None:
    found = taken({"NetworkInterfaceId": "eni-new"}, tag_keys=("team",))
    expected = {"interface_id": "eni-new", "region": "us-east-1", "account_id": "999999999999"}
    assert found.owners.to_dicts() == [NONE | expected]
    assert found.addresses.height == 0


def test_empty_answers() -> None:
    found = snapshot(Answers((), (), (), (), ()), region="us-east-1", account=None, tag_keys=(), taken=TAKEN)
    assert (found.owners.height, found.addresses.height, found.networks) == (0, 0, ())


def test_an_instance_without_a_name_is_called_by_its_id() -> None:
    found = taken(WEB, instance={"InstanceId": "i-web"}).owners.to_dicts()[0]
    assert (found["resource_name"], found["instance_name"], found["tags"]) == ("i-web", None, None)


def test_an_instance_that_is_not_described() -> None:
    found = taken(WEB, instance={"InstanceId": "i-other", "Tags": [{"Key": "Name", "Value": "other"}]})
    row = found.owners.to_dicts()[0]
    assert (row["instance_id"], row["resource_name"], row["machine_type"]) == ("i-web", "i-web", None)


def test_what_aws_manages() -> None:
    balancer = {
        "NetworkInterfaceId": "eni-lb",
        "InterfaceType": "interface",
        "Description": "ELB app/shop/50dc6c495c0c9188",
        "RequesterId": "amazon-elb",
        "Attachment": {"InstanceOwnerId": "amazon-elb"},
        "AvailabilityZoneId": "use1-az9",
    }
    expected = {
        "interface_id": "eni-lb",
        "interface_type": "interface",
        "account_id": "999999999999",
        "region": "us-east-1",
        "availability_zone": "use1-az9",
        "service_name": "elasticloadbalancing",
        "resource_type": "application_load_balancer",
        "resource_name": "shop",
    }
    assert taken(balancer).owners.to_dicts() == [NONE | expected]


def test_an_unknown_type_stays_as_it_is() -> None:
    found = taken({"NetworkInterfaceId": "eni-x", "InterfaceType": "newThing", "Description": "of 2031"})
    row = found.owners.to_dicts()[0]
    assert (row["resource_type"], row["resource_name"], row["service_name"]) == ("newThing", None, None)


def test_an_interface_told_twice_is_one() -> None:
    assert taken(WEB, WEB).owners["interface_id"].to_list() == ["eni-web"]
