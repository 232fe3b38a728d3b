"""What a network is: VPCs, subnets in zones, interfaces with their addresses and what stands behind each."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypedDict


class OwnerRow(TypedDict):
    """One interface as a plain row: the columns of an inventory's table of owners, and its own and public addresses."""

    interface_id: str
    interface_type: str
    account_id: str
    region: str
    availability_zone: str | None
    instance_id: str | None
    instance_name: str | None
    machine_type: str | None
    service_name: str | None
    subnet_id: str | None
    subnet_name: str | None
    vpc_id: str | None
    vpc_name: str | None
    security_group_ids: list[str]
    security_group_names: list[str]
    resource_type: str | None
    resource_name: str | None
    tags: dict[str, str]
    addresses: list[str]
    public_addresses: list[str]


@dataclass(frozen=True, slots=True)
class Vpc:
    """A VPC; `cidr6` is a /56."""

    id: str
    name: str
    cidr: str
    cidr6: str | None = None


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet of one zone, which is named by its id (use1-az1): names differ between accounts."""

    id: str
    name: str
    vpc: Vpc
    cidr: str
    zone: str
    cidr6: str | None = None


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    """A security group of a VPC."""

    id: str
    name: str
    vpc: Vpc


@dataclass(frozen=True, slots=True)
class Instance:
    """An EC2 instance."""

    id: str
    name: str
    machine_type: str


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface.

    `role` is what it does in the traffic (a name of `plan.ROLES`); `description` is what AWS writes there, by which
    an inventory tells the load balancer or function behind it, here in `resource_type` and `resource_name` as well.
    """

    id: str
    role: str
    subnet: Subnet
    address: str
    type: str
    description: str
    service: str
    resource_type: str
    resource_name: str | None
    groups: tuple[SecurityGroup, ...] = ()
    instance: Instance | None = None
    secondary: tuple[str, ...] = ()
    ipv6: tuple[str, ...] = ()
    public: str | None = None
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """All its own addresses, the primary one first; not the public one, which the internet gateway has."""
        return (self.address, *self.secondary, *self.ipv6)


@dataclass(frozen=True, slots=True)
class Network:
    """The interfaces of one account and region, in a fixed order."""

    account: str
    region: str
    interfaces: tuple[Interface, ...]

    @property
    def subnets(self) -> tuple[Subnet, ...]:
        """Each subnet once, in the order of the interfaces."""
        return tuple(dict.fromkeys(interface.subnet for interface in self.interfaces))

    @property
    def vpcs(self) -> tuple[Vpc, ...]:
        """Each VPC once, in the order of the interfaces."""
        return tuple(dict.fromkeys(subnet.vpc for subnet in self.subnets))

    def role(self, name: str, vpc: str | None = None) -> tuple[Interface, ...]:
        """The interfaces of a role, all or those of the VPC with that name."""
        return tuple(i for i in self.interfaces if i.role == name and vpc in {None, i.subnet.vpc.name})

    def rows(self) -> list[OwnerRow]:
        """Every interface as a plain row, for whoever keeps an inventory."""
        return [_row(self, interface) for interface in self.interfaces]

    @classmethod
    def of(cls, account: str, region: str, rows: Iterable[OwnerRow]) -> "Network":
        """A network of the interfaces of an inventory, each given the role that its resource or its name suggests.

        Interfaces without a private IPv4 address, a VPC or a subnet are left out: nothing could be logged of them.
        What an inventory does not tell (ranges, descriptions) is empty text.
        """
        usable = (row for row in rows if row["vpc_id"] and row["subnet_id"] and _of_family(row["addresses"], 4))
        return cls(account, region, tuple(_interface(row, number) for number, row in enumerate(usable)))


ROLE_OF_RESOURCE: dict[str, str] = {
    "application_load_balancer": "alb",
    "classic_load_balancer": "alb",
    "network_load_balancer": "nlb",
    "nat_gateway": "nat",
    "lambda_function": "lambda",
    "database": "database",
    "cache_cluster": "cache",
    "vpc_endpoint": "endpoint",
}
"""The role of an interface by its resource type in an inventory."""

ROLE_OF_NAME: dict[str, str] = {
    "cache": "cache",
    "bastion": "bastion",
    "standby": "standby",
    "web": "web",
    "app": "app",
    "batch": "batch",
    "runner": "batch",
}
"""The role of any other one by what its resource's name contains, else its security groups' names; the first that fits.
"""

ROLES_OF_OTHERS = ("web", "app", "batch")
"""Dealt out in turn where neither tells."""


def _row(network: Network, interface: Interface) -> OwnerRow:
    subnet, instance = interface.subnet, interface.instance
    return OwnerRow(
        interface_id=interface.id,
        interface_type=interface.type,
        account_id=network.account,
        region=network.region,
        availability_zone=subnet.zone,
        instance_id=instance.id if instance else None,
        instance_name=instance.name if instance else None,
        machine_type=instance.machine_type if instance else None,
        service_name=interface.service,
        subnet_id=subnet.id,
        subnet_name=subnet.name,
        vpc_id=subnet.vpc.id,
        vpc_name=subnet.vpc.name,
        security_group_ids=[group.id for group in interface.groups],
        security_group_names=[group.name for group in interface.groups],
        resource_type=interface.resource_type,
        resource_name=interface.resource_name,
        tags=dict(interface.tags),
        addresses=list(interface.addresses),
        public_addresses=[interface.public] if interface.public else [],
    )


def _interface(row: OwnerRow, number: int) -> Interface:
    vpc = Vpc(row["vpc_id"] or "", row["vpc_name"] or "", "")
    subnet = Subnet(row["subnet_id"] or "", row["subnet_name"] or "", vpc, "", row["availability_zone"] or "")
    groups = zip(row["security_group_ids"] or (), row["security_group_names"] or (), strict=False)
    instance, private = row["instance_id"], _of_family(row["addresses"], 4)
    return Interface(
        id=row["interface_id"],
        role=_role(row, number),
        subnet=subnet,
        address=private[0],
        type=row["interface_type"],
        description="",
        service=row["service_name"] or "",
        resource_type=row["resource_type"] or "",
        resource_name=row["resource_name"],
        groups=tuple(SecurityGroup(group, name, vpc) for group, name in groups),
        instance=Instance(instance, row["instance_name"] or "", row["machine_type"] or "") if instance else None,
        secondary=private[1:],
        ipv6=_of_family(row["addresses"], 6),
        public=next(iter(row["public_addresses"]), None),
        tags=tuple((row["tags"] or {}).items()),
    )


def _role(row: OwnerRow, number: int) -> str:
    name = (row["resource_name"] or " ".join(row["security_group_names"])).lower()
    by_name = next((role for part, role in ROLE_OF_NAME.items() if part in name), None)
    others = ROLES_OF_OTHERS[number % len(ROLES_OF_OTHERS)]
    return ROLE_OF_RESOURCE.get(row["resource_type"] or "") or by_name or others


def _of_family(addresses: Iterable[str], family: int) -> tuple[str, ...]:
    return tuple(text for text in addresses if (":" in text) == (family == 6))  # noqa: PLR2004 (IPv6)
