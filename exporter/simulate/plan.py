"""What the plausible network is made of, as tables, and the network that they make."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

import numpy as np

from exporter.simulate.network import Instance, Interface, Network, SecurityGroup, Subnet, Vpc

ZONES = 3

LEAST = 80
"""The smallest network that has everything the traffic and the incidents need."""

MOST = 40_000
"""What the three private subnets of the largest VPC hold with room to spare."""

VPCS: tuple[tuple[str, str, str | None], ...] = (
    ("production", "10.0.0.0/16", "2600:1f18:4000:a00::/56"),
    ("staging", "10.0.0.0/16", None),
    ("shared", "10.8.0.0/16", None),
)
"""Name and ranges: production and staging have the same range, production and shared are peered."""

PUBLIC_RANGE = IPv4Network("3.208.0.0/12")
"""Addresses of EC2 in us-east-1, from which synthetic public addresses are made."""


@dataclass(frozen=True, slots=True)
class Role:
    """One row of the plan: `each` zone gets that many interfaces, or with `weight` a share of what is left of the size.

    `name` is the resource behind the interface, with {n} for its number; `description` is AWS's, with {name}, and
    {hex}, {uuid} and {id} for made-up ids; `machine` makes it an instance's; `told` says that the description or the
    instance tells the name, else only a tag does.
    """

    role: str
    vpc: str
    tier: str
    name: str
    team: str
    resource_type: str
    service: str
    type: str = "interface"
    description: str = ""
    each: int = 0
    weight: int = 0
    machine: str | None = None
    public: bool = False
    ipv6: bool = False
    secondary: bool = False
    told: bool = True


def _alb(vpc: str, name: str, *, ipv6: bool) -> Role:
    text = "ELB app/{name}/{hex}"
    kind = ("application_load_balancer", "elasticloadbalancing", "interface")
    return Role("alb", vpc, "public", name, "storefront", *kind, text, each=1, public=True, ipv6=ipv6)


def _nat(vpc: str) -> Role:
    text = "Interface for NAT Gateway {name}"
    kind = ("nat_gateway", "vpc", "nat_gateway")
    return Role("nat", vpc, "public", "nat-{id}", "platform", *kind, text, each=1, public=True)


def _database(vpc: str) -> Role:
    kind = ("database", "rds", "interface", "RDSNetworkInterface")
    return Role("database", vpc, "private", "orders-db", "data", *kind, each=1, told=False)


def _instance(role: str, vpc: str, name: str, team: str, machine: str, **more: int) -> Role:
    tier = "public" if more.get("public") else "private"
    return Role(role, vpc, tier, name + "-{n}", team, "instance", "ec2", machine=machine, **more)  # type: ignore[arg-type]


ROLES: tuple[Role, ...] = (
    _alb("production", "storefront", ipv6=True),
    Role(
        *("nlb", "production", "public", "telemetry", "devices", "network_load_balancer", "elasticloadbalancing"),
        *("network_load_balancer", "ELB net/{name}/{hex}"),
        each=1,
        public=True,
    ),
    _nat("production"),
    _database("production"),
    Role(
        *(
            "cache",
            "production",
            "private",
            "sessions-00{n}",
            "storefront",
            "cache_cluster",
            "elasticache",
            "interface",
        ),
        "ElastiCache {name}",
        each=1,
    ),
    Role(
        *("lambda", "production", "private", "thumbnails", "media", "lambda_function", "lambda", "lambda"),
        "AWS Lambda VPC ENI-{name}-{uuid}",
        each=1,
    ),
    Role(
        *("endpoint", "production", "private", "vpce-{id}", "platform", "vpc_endpoint", "vpc", "vpc_endpoint"),
        "VPC Endpoint Interface {name}",
        each=1,
    ),
    _instance("web", "production", "storefront-web", "storefront", "m6i.large", weight=5, ipv6=True),
    _instance("app", "production", "storefront-app", "storefront", "m6i.xlarge", weight=6, secondary=True),
    _instance("batch", "production", "reports-batch", "data", "c6i.2xlarge", weight=3),
    _alb("staging", "storefront-staging", ipv6=False),
    _nat("staging"),
    _database("staging"),
    _instance("web", "staging", "staging-web", "storefront", "t3.medium", weight=1),
    _instance("app", "staging", "staging-app", "storefront", "t3.medium", weight=1),
    _instance("bastion", "shared", "bastion", "platform", "t3.micro", each=1, public=True),
    _nat("shared"),
    _instance("batch", "shared", "build-runner", "platform", "c6i.xlarge", weight=1),
    _instance("standby", "shared", "standby", "platform", "t3.micro", each=1),
)
"""What there is, in the order in which it is made."""


def plausible(seed: int, account: str = "123456789012", region: str = "us-east-1", size: int = 120) -> Network:
    """A network of `size` interfaces by `ROLES`, with made-up ids; the same arguments give the same network."""
    if not LEAST <= size <= MOST:
        raise ValueError(f"a network has {LEAST} to {MOST} interfaces, not {size}")
    return Network(account, region, tuple(_Maker(seed, region).interfaces(size)))


def counts(size: int) -> list[int]:
    """How many interfaces each row of `ROLES` gets, `size` in all."""
    left = size - ZONES * sum(role.each for role in ROLES)
    ends = np.cumsum([role.weight for role in ROLES]) * left // sum(role.weight for role in ROLES)
    shares = np.diff(ends, prepend=0)
    return [ZONES * role.each + int(share) for role, share in zip(ROLES, shares, strict=True)]


def zone_ids(region: str) -> tuple[str, ...]:
    """The ids of a region's first three zones, as AWS makes them: us-east-1 has use1-az1."""
    continent, *partition, direction, number = region.split("-")
    short = {"northeast": "ne", "southeast": "se", "northwest": "nw", "southwest": "sw"}.get(direction, direction[0])
    start = continent + "".join(part[0] for part in partition)
    return tuple(f"{start}{short}{number}-az{zone}" for zone in range(1, ZONES + 1))


class _Maker:
    """Hands out ids and addresses in order while a network is made."""

    def __init__(self, seed: int, region: str) -> None:
        self._rng = np.random.default_rng([seed, 1])
        self._hosts: Counter[Subnet] = Counter()
        self._zones = zone_ids(region)
        self._vpcs = {name: Vpc(self._id("vpc"), name, cidr, cidr6) for name, cidr, cidr6 in VPCS}
        self._subnets = {
            (vpc.name, tier, zone): self._subnet(vpc, tier, zone)
            for vpc in self._vpcs.values()
            for tier in ("private", "public")
            for zone in range(ZONES)
        }
        self._groups = {
            (role.vpc, role.role): SecurityGroup(self._id("sg"), f"{role.vpc}-{role.role}", self._vpcs[role.vpc])
            for role in ROLES
        }
        self._publics = self._rng.choice(PUBLIC_RANGE.num_addresses - 2, MOST, replace=False).tolist()

    def interfaces(self, size: int) -> Iterator[Interface]:
        for role, count in zip(ROLES, counts(size), strict=True):
            balancer = self._hex(8)
            for number in range(count):
                yield self._interface(role, number, balancer)

    def _interface(self, role: Role, number: int, balancer: str) -> Interface:
        subnet = self._subnets[role.vpc, role.tier, number % ZONES]
        name = role.name.format(n=number + 1, id="0" + self._hex(8))
        return Interface(
            id=self._id("eni"),
            role=role.role,
            subnet=subnet,
            address=self._address(subnet),
            type=role.type,
            description=role.description.format(name=name, hex=balancer, uuid=self._uuid()),
            service=role.service,
            resource_type=role.resource_type,
            resource_name=name if role.told else None,
            groups=() if role.role == "nat" else (self._groups[role.vpc, role.role],),
            instance=Instance(self._id("i"), name, role.machine) if role.machine else None,
            secondary=(self._address(subnet),) if role.secondary else (),
            ipv6=(self._address6(subnet),) if role.ipv6 else (),
            public=str(PUBLIC_RANGE[self._publics.pop() + 1]) if role.public else None,
            tags=() if role.role == "nat" else (("Name", name), ("Team", role.team), ("Environment", role.vpc)),
        )

    def _subnet(self, vpc: Vpc, tier: str, zone: int) -> Subnet:
        """Private subnets are the /18 numbers 0 to 2 of the VPC, public ones the /20 numbers 12 to 14."""
        bits, first = (2, 0) if tier == "private" else (4, 12)
        cidr = list(IPv4Network(vpc.cidr).subnets(bits))[first + zone]
        cidr6 = list(IPv6Network(vpc.cidr6).subnets(8))[first + zone] if vpc.cidr6 else None
        name = f"{vpc.name}-{tier}-{zone + 1}"
        return Subnet(self._id("subnet"), name, vpc, str(cidr), self._zones[zone], str(cidr6) if cidr6 else None)

    def _address(self, subnet: Subnet) -> str:
        self._hosts[subnet] += 1
        return str(IPv4Network(subnet.cidr)[9 + self._hosts[subnet]])

    def _address6(self, subnet: Subnet) -> str:
        return str(IPv6Network(subnet.cidr6 or "")[int(self._rng.integers(1 << 32, 1 << 62))])

    def _id(self, prefix: str) -> str:
        return f"{prefix}-0{self._hex(8)}"

    def _hex(self, size: int) -> str:
        return self._rng.bytes(size).hex()

    def _uuid(self) -> str:
        return "-".join(self._hex(size) for size in (4, 2, 2, 2, 6))
