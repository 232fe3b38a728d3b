"""EC2's answers to a snapshot: pure, so that it needs no EC2.

An answer may lack any key (an interface that is being made has no VPC, no groups); what is lacking is null.  What
cannot be used at all is left out and told as an oddity, so that one odd item never spoils a snapshot.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_network
from typing import Any

import polars as pl

from exporter.addresses import cidrs_of_texts
from exporter.enrich.index import Kind
from exporter.enrich.inventory import ADDRESSES, OWNERS, Snapshot, pairs_of
from exporter.enrich.managed import Managed, behind
from exporter.errors import InventoryError

Item = Mapping[str, Any]

_LOST = ("disassociating", "disassociated", "failing", "failed")
"""States of a CIDR block that its VPC does not have."""

_CLUSTER_TAGS = ("cluster.k8s.amazonaws.com/name", "eks:cluster-name")
"""Tags whose value is the Kubernetes cluster's name: of the VPC CNI plugin, of EKS."""

_CLUSTER_PREFIX, _CLUSTER_VALUES = "kubernetes.io/cluster/", frozenset({"owned", "shared"})
"""What the key of a tag begins with whose end is the cluster's name, and the tag's values."""

_NODE_TAG = "node.k8s.amazonaws.com/instance_id"
_TRUNK_TAG = "vpcresources.k8s.aws/trunk-eni-id"
"""Tags of pods' interfaces: the node's instance, as the VPC CNI plugin tells it, and of a branch interface, which is
attached to none, the trunk interface that it goes through (EKS's VPC resource controller)."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What EC2 says of one account in one region: the items of all pages, in the shapes that boto3 gives them."""

    interfaces: Sequence[Item] = ()
    subnets: Sequence[Item] = ()
    vpcs: Sequence[Item] = ()
    instances: Sequence[Item] = ()
    security_groups: Sequence[Item] = ()
    peerings: Sequence[Item] = ()
    gateway_attachments: Sequence[Item] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What the answers do not tell.

    `account` stands in for an interface without an owner, `account_name` is the name of just that account; `taken` and
    `answered` as in a snapshot.
    """

    region: str
    taken: datetime
    answered: datetime | None = None
    account: str | None = None
    account_name: str | None = None
    tag_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Oddity:
    """Something that was left out: its kind as in the metric, and what it was."""

    kind: str
    what: str


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What stands around interfaces, by id."""

    asked: Asked
    interfaces: Mapping[str, Item]
    subnets: Mapping[str, Item]
    instances: Mapping[str, Item]
    groups: Mapping[str, Item]
    tags: Mapping[str, Mapping[str, str]]
    """Of subnets, VPCs and instances: each is read once, however many interfaces it has."""

    def tags_of(self, id_: str | None) -> Mapping[str, str]:
        """None where it is not described."""
        return self.tags.get(id_ or "", {})


def snapshot(answers: Answers, asked: Asked) -> tuple[Snapshot, list[Oddity]]:
    """The answers as a snapshot, and what of them was left out."""
    around = _Surroundings(
        asked=asked,
        interfaces=_by_id(answers.interfaces, "NetworkInterfaceId"),
        subnets=_by_id(answers.subnets, "SubnetId"),
        instances=_by_id(answers.instances, "InstanceId"),
        groups=_by_id(answers.security_groups, "GroupId"),
        tags=dict(_all_tags(answers)),
    )
    oddities = [*_without_id(answers.interfaces), *_without_vpc(around.interfaces)]
    addresses = [
        (interface.get("VpcId"), address, row, kind.value)
        for row, interface in enumerate(around.interfaces.values())
        for address, kind in _addresses(interface).items()
    ]
    links = (*_peered(answers.peerings), *_attached(answers.gateway_attachments))
    found = Snapshot(
        owners=_owners([_owner(interface, around) for interface in around.interfaces.values()]),
        addresses=pl.DataFrame(
            list(zip(*_usable(addresses, oddities), strict=True)) or None, schema=ADDRESSES, orient="col"
        ),
        networks=pairs_of(_networks(answers.vpcs, oddities)),
        links=pairs_of(links),
        taken=asked.taken,
        answered=asked.answered,
    )
    return found, oddities


def _by_id(items: Iterable[Item], key: str) -> dict[str, Item]:
    return {item[key]: item for item in items if item.get(key)}


def _without_id(interfaces: Iterable[Item]) -> Iterator[Oddity]:
    for interface in interfaces:
        if not interface.get("NetworkInterfaceId"):
            what = f"an interface without an id in {interface.get('VpcId', 'no VPC')}, which is left out"
            yield Oddity("interface_without_id", what)


def _without_vpc(interfaces: Mapping[str, Item]) -> Iterator[Oddity]:
    for id_, interface in interfaces.items():
        if not interface.get("VpcId"):
            what = f"{id_} is in no VPC: its private addresses tell who it is only where nobody else has them"
            yield Oddity("interface_without_vpc", what)


def _all_tags(answers: Answers) -> Iterator[tuple[str, dict[str, str]]]:
    """The tags of every subnet, VPC and instance by its id, which is none of the others'."""
    kinds = ((answers.subnets, "SubnetId"), (answers.vpcs, "VpcId"), (answers.instances, "InstanceId"))
    for items, key in kinds:
        for id_, item in _by_id(items, key).items():
            yield id_, _tags(item)


def _owners(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows as a frame, column by column; lists are made once for all rows that have the same."""
    columns = {}
    for name, kind in OWNERS.items():
        values = [row[name] for row in rows]
        if kind == pl.List(pl.String):
            distinct = {texts: place for place, texts in enumerate(dict.fromkeys(values))}
            lists = pl.Series([None if texts is None else list(texts) for texts in distinct], dtype=kind)
            columns[name] = lists.gather([distinct[texts] for texts in values]).alias(name)
        else:
            columns[name] = pl.Series(name, values, dtype=kind)
    return pl.DataFrame(columns)


_Address = tuple[str | None, str, int, str]
"""A row of `addresses`."""


def _usable(addresses: list[_Address], oddities: list[Oddity]) -> list[_Address]:
    """Those that are addresses; looks at each alone only where all together are not well."""
    if _are_addresses(text for _, text, *_ in addresses):
        return addresses
    usable = []
    for row in addresses:
        if _are_addresses([row[1]]):
            usable.append(row)
        else:
            oddities.append(Oddity("no_address", f"{row[1]!r:.60}, which is no address, is left out"))
    return usable


def _are_addresses(texts: Iterable[str]) -> bool:
    try:
        cidrs_of_texts(pl.Series(list(texts), dtype=pl.String))
    except InventoryError:
        return False
    return True


def _owner(interface: Item, around: _Surroundings) -> dict[str, Any]:
    """An interface's row of `owners`."""
    asked, attachment = around.asked, interface.get("Attachment") or {}
    instance_id = attachment.get("InstanceId") or _node(interface, around)
    instance = around.instances.get(instance_id or "", {})
    subnet = around.subnets.get(interface.get("SubnetId") or "", {})
    subnet_id, vpc_id = interface.get("SubnetId"), interface.get("VpcId")
    tags = [_tags(interface), *map(around.tags_of, (instance_id, subnet_id, vpc_id))]
    groups = interface.get("Groups") or ()
    account = interface.get("OwnerId") or asked.account
    managed = behind(
        interface.get("Description") or "",
        interface.get("RequesterId"),
        interface.get("InterfaceType"),
        on_instance=_is_on_own_instance(interface, attachment),
    )
    return {
        "interface_id": interface["NetworkInterfaceId"],
        "interface_type": interface.get("InterfaceType"),
        "account_id": account,
        "account_name": asked.account_name if account == asked.account else None,
        "region": asked.region,
        "availability_zone": subnet.get("AvailabilityZoneId") or interface.get("AvailabilityZoneId"),
        "instance_id": instance_id,
        "instance_name": tags[1].get("Name"),
        "machine_type": instance.get("InstanceType"),
        "subnet_id": subnet_id,
        "subnet_name": tags[2].get("Name"),
        "vpc_id": vpc_id,
        "vpc_name": tags[3].get("Name"),
        "security_group_ids": tuple(group["GroupId"] for group in groups if group.get("GroupId")) or None,
        "security_group_names": tuple(_group_names(groups, around.groups)) or None,
        "cluster_name": _cluster(tags[0], tags[1], managed),
        "tags": _chosen(tags, asked.tag_keys),
        "attached": _seconds(attachment.get("AttachTime")),
        "fixed": _is_fixed(interface, attachment, managed),
        **_resource(interface, instance_id, tags[1].get("Name"), managed),
    }


def _is_on_own_instance(interface: Item, attachment: Item) -> bool:
    """Whether it is attached to an instance of its own account, and not to one that a service runs in another."""
    owner = attachment.get("InstanceOwnerId")
    return bool(attachment.get("InstanceId")) and owner in (None, interface.get("OwnerId"))


def _node(interface: Item, around: _Surroundings) -> str | None:
    """The instance of a pod's interface that is attached to none: as its tags tell, else its trunk's."""
    tags = _tags(interface)
    trunk = around.interfaces.get(tags.get(_TRUNK_TAG, ""), {})
    node: str | None = tags.get(_NODE_TAG) or (trunk.get("Attachment") or {}).get("InstanceId")
    return node


def _resource(
    interface: Item, instance_id: str | None, instance_name: str | None, managed: tuple[Managed, str | None] | None
) -> dict[str, str | None]:
    """What stands behind an interface: what AWS manages, else its instance, else only its type as EC2 names it."""
    if managed:
        row, name = managed
        name = instance_id or name if row.on_instance else name
        return {"resource_type": row.resource_type, "resource_name": name, "service_name": row.service}
    if instance_id:
        return {"resource_type": "instance", "resource_name": instance_name or instance_id, "service_name": "ec2"}
    return {"resource_type": interface.get("InterfaceType"), "resource_name": None, "service_name": None}


def _cluster(
    tags: Mapping[str, str], instance_tags: Mapping[str, str], managed: tuple[Managed, str | None] | None
) -> str | None:
    """The Kubernetes cluster: of a control plane as its Description tells, else by tags of the interface or its node.

    The primary interface of a node, whose addresses pods have too, has no tags of its own.
    """
    if managed and managed[0].resource_type == "eks_control_plane":
        return managed[1]
    return _tagged_cluster(tags) or _tagged_cluster(instance_tags)


def _tagged_cluster(tags: Mapping[str, str]) -> str | None:
    """The cluster that tags name; None where their keys name more than one."""
    named = next((tags[key] for key in _CLUSTER_TAGS if key in tags), None)
    if named:
        return named
    keys = [key for key, value in tags.items() if key.startswith(_CLUSTER_PREFIX) and value in _CLUSTER_VALUES]
    return keys[0].removeprefix(_CLUSTER_PREFIX) or None if len(keys) == 1 else None


def _seconds(time: object) -> int | None:
    return int(time.timestamp()) if isinstance(time, datetime) else None


def _is_fixed(interface: Item, attachment: Item, managed: tuple[Managed, str | None] | None) -> bool:
    """Whether it stays what it is as long as it exists.

    An instance's primary interface cannot be detached: it has index 0 on network card 0 (other cards have an index 0
    too).  Where it is deleted with its instance, it never has another one; an interface that was made beforehand may
    outlive the instance.  What a service made for itself, it does not hand on: RequesterManaged tells that, and so does
    a row that asks for a requester or a type.  A Description alone does not: people write Descriptions too.
    """
    if attachment.get("InstanceId"):
        is_first = attachment.get("DeviceIndex") == 0 and not attachment.get("NetworkCardIndex")
        return is_first and attachment.get("DeleteOnTermination") is True
    if interface.get("RequesterManaged"):
        return True
    return managed is not None and (managed[0].requester or managed[0].interface_type) is not None


def _tags(item: Item) -> dict[str, str]:
    """Tags by key; EC2 calls an interface's list TagSet, everything else's Tags.  Empty values are none."""
    tags = (*(item.get("Tags") or ()), *(item.get("TagSet") or ()))
    return {tag["Key"]: tag["Value"] for tag in tags if tag.get("Key") and tag.get("Value")}


def _chosen(tags: Iterable[Mapping[str, str]], keys: tuple[str, ...]) -> str | None:
    """The text of a JSON object of the chosen keys, each from the first of `tags` that has it; None for none."""
    by_key = {key: next((each[key] for each in tags if key in each), None) for key in keys}
    found = {key: value for key, value in by_key.items() if value is not None}
    return tags_text(found) if found else None


_PLAIN = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def tags_text(tags: Mapping[str, str]) -> str:
    """The one spelling of a tags column: JSON without blanks, text as it is."""
    return _PLAIN.encode(tags)


def _group_names(groups: Iterable[Item], described: Mapping[str, Item]) -> Iterator[str]:
    """Names of an interface's security groups, in its order, without those that nobody tells."""
    for group in groups:
        name = group.get("GroupName") or described.get(group.get("GroupId") or "", {}).get("GroupName")
        if name:
            yield name


def _addresses(interface: Item) -> dict[str, Kind]:
    """Every address and delegated prefix of an interface, the primary first, each once."""
    privates = interface.get("PrivateIpAddresses") or ()
    marked = next((each.get("PrivateIpAddress") for each in privates if each.get("Primary")), None)
    own = [each.get("PrivateIpAddress") for each in privates]
    own += [each.get("Ipv6Address") for each in (*(interface.get("Ipv6Addresses") or ()), interface)]
    mapped = [each.get("Association") or {} for each in (interface, *privates)]
    own += [each.get("CustomerOwnedIp") for each in mapped]  # of an Outpost: no other site can reach it
    own += [each.get("Ipv4Prefix") for each in interface.get("Ipv4Prefixes") or ()]
    own += [each.get("Ipv6Prefix") for each in interface.get("Ipv6Prefixes") or ()]
    public = [each.get(key) for each in mapped for key in ("PublicIp", "CarrierIp")]
    found: dict[str, Kind] = {}
    for kind, texts in (
        (Kind.PRIMARY, [interface.get("PrivateIpAddress") or marked]),
        (Kind.OWN, own),
        (Kind.PUBLIC, public),
    ):
        for text in texts:
            if text:
                found.setdefault(text, kind)
    return found


def _networks(vpcs: Iterable[Item], oddities: list[Oddity]) -> Iterator[tuple[str, str]]:
    """Each VPC with its CIDR blocks, but for those that it has lost."""
    for vpc in vpcs:
        for block in _blocks(vpc):
            try:
                ip_network(block)
            except ValueError:
                oddities.append(Oddity("no_network", f"{block!r:.60}, which is no network, is left out"))
            else:
                yield vpc.get("VpcId") or "", block


def _blocks(vpc: Item) -> Iterator[str]:
    if vpc.get("CidrBlock"):
        yield vpc["CidrBlock"]
    for kind in ("CidrBlock", "Ipv6CidrBlock"):
        for block in vpc.get(f"{kind}AssociationSet") or ():
            state = (block.get(f"{kind}State") or {}).get("State")
            if block.get(kind) and state not in _LOST:
                yield block[kind]


def _peered(peerings: Iterable[Item]) -> Iterator[tuple[str, str]]:
    """Each peering that is up with its two VPCs."""
    for peering in peerings:
        if (peering.get("Status") or {}).get("Code") == "active":
            yield from _joined(
                peering.get("VpcPeeringConnectionId"),
                (peering.get("RequesterVpcInfo") or {}).get("VpcId"),
                (peering.get("AccepterVpcInfo") or {}).get("VpcId"),
            )


def _attached(attachments: Iterable[Item]) -> Iterator[tuple[str, str]]:
    """Each transit gateway with a VPC that is attached to it."""
    for attachment in attachments:
        if attachment.get("State") == "available":
            yield from _joined(attachment.get("TransitGatewayId"), attachment.get("VpcId"))


def _joined(link: str | None, *vpcs: str | None) -> Iterator[tuple[str, str]]:
    yield from ((link, vpc) for vpc in vpcs if link and vpc)
