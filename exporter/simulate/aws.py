"""Builds a network in an EC2 API: moto's on loopback, for the demo and the tests."""

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from typing import Any

from exporter.simulate.network import Instance, Interface, Network, SecurityGroup, Subnet, Vpc

IMAGE = "ami-12c6146b"
"""An image that moto knows."""

Tags = tuple[tuple[str, str], ...]


def build(ec2: Any, plan: Network) -> Network:  # noqa: ANN401 (the stubs want each machine type as a literal)
    """Creates what `plan` has through a boto3 EC2 client, and returns it with the ids and addresses that EC2 gave.

    `plan` comes from `plan.plausible`.  A managed interface (of a load balancer, a function, a database) is made as an
    interface with the description that AWS gives it, for its service is not there to make it; a NAT gateway is made
    by EC2, which then names and describes its interface.  The zones are the region's first three by their ids.
    """
    return _Builder(ec2, plan).network()


class _Builder:
    """What was built so far: made-up ids and what EC2 has instead."""

    def __init__(self, ec2: Any, plan: Network) -> None:  # noqa: ANN401 (as for build)
        self._ec2, self._plan = ec2, plan
        self._vpcs: dict[Vpc, Vpc] = {}
        self._subnets: dict[Subnet, Subnet] = {}
        self._groups: dict[SecurityGroup, SecurityGroup] = {}
        self._zones: dict[str, tuple[str, str]] = {}

    def network(self) -> Network:
        self._zones = self._real_zones()
        self._vpcs = {vpc: self._vpc(vpc) for vpc in self._plan.vpcs}
        self._subnets = {subnet: self._subnet(subnet) for subnet in self._plan.subnets}
        groups = dict.fromkeys(group for interface in self._plan.interfaces for group in interface.groups)
        self._groups = {group: self._group(group) for group in groups}
        made = tuple(self._interface(interface) for interface in self._plan.interfaces)
        account = self._ec2.describe_vpcs(VpcIds=[made[0].subnet.vpc.id])["Vpcs"][0].get("OwnerId", self._plan.account)
        return replace(self._plan, account=account, interfaces=made)

    def _real_zones(self) -> dict[str, tuple[str, str]]:
        """For each planned zone the id and name of one that the region has, both in the order of their ids."""
        zones = self._ec2.describe_availability_zones()["AvailabilityZones"]
        real = sorted((zone["ZoneId"], zone["ZoneName"]) for zone in zones)
        planned = sorted({subnet.zone for subnet in self._plan.subnets})
        return {zone: real[number % len(real)] for number, zone in enumerate(planned)}

    def _vpc(self, vpc: Vpc) -> Vpc:
        wanted = {"AmazonProvidedIpv6CidrBlock": True} if vpc.cidr6 else {}
        tags = _tagged("vpc", (("Name", vpc.name),))
        made = self._ec2.create_vpc(CidrBlock=vpc.cidr, TagSpecifications=tags, **wanted)["Vpc"]
        if any(interface.public and interface.subnet.vpc == vpc for interface in self._plan.interfaces):
            gateway = self._ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
            self._ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=made["VpcId"])
        blocks = made.get("Ipv6CidrBlockAssociationSet") or [{}]
        return replace(vpc, id=made["VpcId"], cidr6=blocks[0].get("Ipv6CidrBlock") if vpc.cidr6 else None)

    def _subnet(self, subnet: Subnet) -> Subnet:
        vpc = self._vpcs[subnet.vpc]
        cidr6 = _moved(subnet.cidr6, subnet.vpc, vpc)
        zone, zone_name = self._zones[subnet.zone]
        wanted = {"Ipv6CidrBlock": cidr6} if cidr6 else {}
        made = self._ec2.create_subnet(
            VpcId=vpc.id,
            CidrBlock=subnet.cidr,
            AvailabilityZone=zone_name,
            TagSpecifications=_tagged("subnet", (("Name", subnet.name),)),
            **wanted,
        )["Subnet"]
        return replace(subnet, id=made["SubnetId"], vpc=vpc, zone=zone, cidr6=cidr6)

    def _group(self, group: SecurityGroup) -> SecurityGroup:
        vpc = self._vpcs[group.vpc]
        made = self._ec2.create_security_group(GroupName=group.name, Description=group.name, VpcId=vpc.id)
        return replace(group, id=made["GroupId"], vpc=vpc)

    def _interface(self, planned: Interface) -> Interface:
        placed = replace(
            planned,
            subnet=self._subnets[planned.subnet],
            groups=tuple(self._groups[group] for group in planned.groups),
            ipv6=tuple(_moved(a, planned.subnet.vpc, self._vpcs[planned.subnet.vpc]) or a for a in planned.ipv6),
        )
        if planned.role == "nat":
            return self._nat_gateway(placed)
        made = self._made(placed)
        if placed.instance:
            made = replace(made, instance=self._instance(made, placed.instance))
        return replace(made, public=self._public_address(made.id)) if placed.public else made

    def _made(self, interface: Interface) -> Interface:
        """A network interface with the planned addresses, groups and description."""
        addresses = [{"PrivateIpAddress": a, "Primary": False} for a in interface.secondary]
        wanted = {"Ipv6Addresses": [{"Ipv6Address": a} for a in interface.ipv6]} if interface.ipv6 else {}
        answer = self._ec2.create_network_interface(
            SubnetId=interface.subnet.id,
            PrivateIpAddresses=[{"PrivateIpAddress": interface.address, "Primary": True}, *addresses],
            Groups=[group.id for group in interface.groups],
            Description=interface.description,
            TagSpecifications=_tagged("network-interface", interface.tags),
            **wanted,
        )["NetworkInterface"]
        return replace(interface, id=answer["NetworkInterfaceId"])

    def _instance(self, interface: Interface, planned: Instance) -> Instance:
        made = self._ec2.run_instances(
            ImageId=IMAGE,
            InstanceType=planned.machine_type,
            MinCount=1,
            MaxCount=1,
            NetworkInterfaces=[{"DeviceIndex": 0, "NetworkInterfaceId": interface.id}],
            TagSpecifications=_tagged("instance", interface.tags),
        )["Instances"][0]
        return replace(planned, id=made["InstanceId"])

    def _nat_gateway(self, planned: Interface) -> Interface:
        """EC2 makes the interface; moto does not describe it, so that is done here where it is missing."""
        allocation = self._ec2.allocate_address(Domain="vpc")
        made = self._ec2.create_nat_gateway(
            SubnetId=planned.subnet.id,
            AllocationId=allocation["AllocationId"],
        )["NatGateway"]
        address = made["NatGatewayAddresses"][0]
        description = planned.description.replace(planned.resource_name or "", made["NatGatewayId"])
        self._ec2.modify_network_interface_attribute(
            NetworkInterfaceId=address["NetworkInterfaceId"], Description={"Value": description}
        )
        return replace(
            planned,
            id=address["NetworkInterfaceId"],
            address=address["PrivateIp"],
            public=allocation["PublicIp"],
            description=description,
            resource_name=made["NatGatewayId"],
        )

    def _public_address(self, interface: str) -> str:
        allocation = self._ec2.allocate_address(Domain="vpc")
        self._ec2.associate_address(AllocationId=allocation["AllocationId"], NetworkInterfaceId=interface)
        return str(allocation["PublicIp"])


def _tagged(resource: str, tags: Tags) -> list[dict[str, Any]]:
    return [{"ResourceType": resource, "Tags": [{"Key": key, "Value": value} for key, value in tags]}]


def _moved(text: str | None, planned: Vpc, made: Vpc) -> str | None:
    """An IPv6 address or range of the planned VPC, in the range that EC2 gave; both are a /56."""
    if not text or not planned.cidr6 or not made.cidr6:
        return None
    address, slash, bits = text.partition("/")
    base = [int(IPv6Network(cidr).network_address) for cidr in (planned.cidr6, made.cidr6)]
    return f"{IPv6Address(int(IPv6Address(address)) - base[0] + base[1])}{slash}{bits}"
