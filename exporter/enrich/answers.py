"""EC2's answers to a snapshot: pure, so that it needs no EC2.

An answer may lack any key (an interface that is being made has no VPC, no groups); what is lacking is null.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from exporter.enrich.inventory import ADDRESSES, OWNERS, Snapshot, networks_of
from exporter.enrich.managed import behind

Item = Mapping[str, Any]

_LOST = ("disassociating", "disassociated", "failing", "failed")
"""States of a CIDR block that its VPC does not have."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What EC2 says of one account in one region: the items of all pages, in the shapes that boto3 gives them."""

    interfaces: tuple[Item, ...]
    subnets: tuple[Item, ...]
    vpcs: tuple[Item, ...]
    instances: tuple[Item, ...]
    security_groups: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What stands around interfaces, by id; and what their rows need from the configuration."""

    region: str
    account: str | None
    tag_keys: tuple[str, ...]
    subnets: Mapping[str, Item]
    vpcs: Mapping[str, Item]
    instances: Mapping[str, Item]
    groups: Mapping[str, Item]


def snapshot(
    answers: Answers, *, region: str, account: str | None, tag_keys: tuple[str, ...], taken: datetime
) -> Snapshot:
    """The answers as a snapshot; `account` stands in for an interface without an owner."""
    around = _Surroundings(
        region=region,
        account=account,
        tag_keys=tag_keys,
        subnets=_by_id(answers.subnets, "SubnetId"),
        vpcs=_by_id(answers.vpcs, "VpcId"),
        instances=_by_id(answers.instances, "InstanceId"),
        groups=_by_id(answers.security_groups, "GroupId"),
    )
    interfaces = tuple(_by_id(answers.interfaces, "NetworkInterfaceId").values())
    addresses = [
        {"vpc_id": interface.get("VpcId"), "address": address, "owner": row, "public": public}
        for row, interface in enumerate(interfaces)
        for address, public in dict.fromkeys(_addresses(interface))
    ]
    return Snapshot(
        owners=pl.DataFrame([_owner(interface, around) for interface in interfaces], schema=OWNERS),
        addresses=pl.DataFrame(addresses, schema=ADDRESSES),
        networks=networks_of(_networks(answers.vpcs)),
        taken=taken,
    )


def _by_id(items: Iterable[Item], key: str) -> dict[str, Item]:
    return {item[key]: item for item in items if item.get(key)}


def _owner(interface: Item, around: _Surroundings) -> dict[str, Any]:
    """An interface's row of `owners`."""
    instance_id = interface.get("Attachment", {}).get("InstanceId")
    instance = around.instances.get(instance_id or "", {})
    subnet = around.subnets.get(interface.get("SubnetId", ""), {})
    vpc = around.vpcs.get(interface.get("VpcId", ""), {})
    tags = [_tags(item) for item in (interface, instance, subnet, vpc)]
    groups = interface.get("Groups", ())
    return {
        "interface_id": interface["NetworkInterfaceId"],
        "interface_type": interface.get("InterfaceType"),
        "account_id": interface.get("OwnerId") or around.account,
        "region": around.region,
        "availability_zone": subnet.get("AvailabilityZoneId") or interface.get("AvailabilityZoneId"),
        "instance_id": instance_id,
        "instance_name": _tags(instance).get("Name"),
        "machine_type": instance.get("InstanceType"),
        "subnet_id": interface.get("SubnetId"),
        "subnet_name": _tags(subnet).get("Name"),
        "vpc_id": interface.get("VpcId"),
        "vpc_name": _tags(vpc).get("Name"),
        "security_group_ids": [group["GroupId"] for group in groups if group.get("GroupId")] or None,
        "security_group_names": list(_group_names(groups, around.groups)) or None,
        "tags": _chosen(tags, around.tag_keys),
        **_resource(interface, instance_id, instance),
    }


def _resource(interface: Item, instance_id: str | None, instance: Item) -> dict[str, str | None]:
    """What stands behind an interface: what AWS manages, else its instance, else only its type as EC2 names it."""
    managed = behind(
        interface.get("Description") or "", interface.get("RequesterId"), on_instance=instance_id is not None
    )
    if managed:
        row, name = managed
        return {"resource_type": row.resource_type, "resource_name": name, "service_name": row.service}
    if instance_id:
        name = _tags(instance).get("Name") or instance_id
        return {"resource_type": "instance", "resource_name": name, "service_name": "ec2"}
    return {"resource_type": interface.get("InterfaceType"), "resource_name": None, "service_name": None}


def _tags(item: Item) -> dict[str, str]:
    """Tags by key; EC2 calls an interface's list TagSet, everything else's Tags.  Empty values are none."""
    tags = (*item.get("Tags", ()), *item.get("TagSet", ()))
    return {tag["Key"]: tag["Value"] for tag in tags if tag.get("Key") and tag.get("Value")}


def _chosen(tags: Iterable[Mapping[str, str]], keys: tuple[str, ...]) -> str | None:
    """The text of a JSON object of the chosen keys, each from the first of `tags` that has it; None for none."""
    by_key = {key: next((each[key] for each in tags if key in each), None) for key in keys}
    found = {key: value for key, value in by_key.items() if value is not None}
    return tags_text(found) if found else None


def tags_text(tags: Mapping[str, str]) -> str:
    """The one spelling of a tags column: JSON without blanks, text as it is."""
    return json.dumps(tags, ensure_ascii=False, separators=(",", ":"))


def _group_names(groups: Iterable[Item], described: Mapping[str, Item]) -> Iterator[str]:
    """Names of an interface's security groups, in its order, without those that nobody tells."""
    for group in groups:
        name = group.get("GroupName") or described.get(group.get("GroupId", ""), {}).get("GroupName")
        if name:
            yield name


def _addresses(interface: Item) -> Iterator[tuple[str, bool]]:
    """Every address of an interface, the primary first, and whether it is a public one mapped to a private one."""
    privates = (interface, *interface.get("PrivateIpAddresses", ()))
    own = [each.get("PrivateIpAddress") for each in privates]
    own += [each.get("Ipv6Address") for each in interface.get("Ipv6Addresses", ())]
    yield from ((address, False) for address in own if address)
    public = [each.get("Association", {}).get("PublicIp") for each in privates]
    yield from ((address, True) for address in public if address)


def _networks(vpcs: Iterable[Item]) -> Iterator[str]:
    """The CIDR blocks of the VPCs, but for those that a VPC has lost."""
    for vpc in vpcs:
        if vpc.get("CidrBlock"):
            yield vpc["CidrBlock"]
        for kind in ("CidrBlock", "Ipv6CidrBlock"):
            for block in vpc.get(f"{kind}AssociationSet", ()):
                state = block.get(f"{kind}State", {}).get("State")
                if block.get(kind) and state not in _LOST:
                    yield block[kind]
