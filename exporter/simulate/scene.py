"""Everybody who may stand at an end of a flow: the network's own addresses, and made-up ones outside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from exporter.simulate.network import Interface, Network

Ints = npt.NDArray[np.int64]

OUTSIDE = "outside"
"""The place of a pool whose addresses are not in the network; the other places are VPC ids."""

STRANGERS: dict[str, tuple[str, ...]] = {
    "port scanner": ("45.155.91.17",),
    "ssh attacker": ("45.9.20.114",),
    "syn sender": ("45.143.200.66",),
    "mining pools": ("45.76.10.4", "45.76.11.5", "45.76.12.6", "45.76.13.7"),
    "drop sites": tuple(f"45.{60 + site}.{7 * site % 256}.{200 - site}" for site in range(40)),
}
"""The outsiders of the incidents, each incident's its own; made up, they say nothing of who holds the addresses."""

RESOLVERS = ("9.9.9.9", "149.112.112.112")
TIME_SERVERS = ("162.159.200.1", "162.159.200.123")

CROWD_OCTETS = (31, 37, 46, 62, 77, 78, 79, *range(80, 91), 109, 176, 178, 188, 189, 201, 212, 213, 217)
"""First octets of the made-up crowd: all global unicast, none in use by `STRANGERS`, a service or the network."""


@dataclass(frozen=True, slots=True)
class Service:
    """An AWS service outside the VPC: its name in pkt-*-aws-service, and how to make addresses of it."""

    name: str
    first_two: str
    third: range
    addresses: int


SERVICES: dict[str, Service] = {
    "s3": Service("S3", "52.216", range(256), 300),
    "dynamodb": Service("DYNAMODB", "52.94", range(4), 40),
    "cdn": Service("CLOUDFRONT", "130.176", range(256), 400),
    "apis": Service("AMAZON", "54.239", range(16, 32), 60),
}
"""Ranges that AWS's ip-ranges.json gives to these services (S3 and DynamoDB: those of us-east-1)."""

CROWDS: dict[str, int] = {"clients": 6000, "admins": 4, "partners": 150}
"""Pools of made-up addresses: visitors, administrators at home, servers of other companies."""

CLIENTS6 = 1500
"""How many of the visitors have IPv6."""


@dataclass(frozen=True, slots=True)
class Scene:
    """The network and all ends: a flow names an end by its row in `ends`.

    `ends` columns: address (as packets show it), shown (the row of the address that the interface's own records show
    instead: the primary one for a secondary one), interface (a row of `interfaces`, null outside), vpc (a number, null
    outside), nat (the end by which it reaches the internet, -1 for a direct way), service, ipv6.
    `interfaces`: what a record says of its reporter.  `pools`: by (place, name), rows of `ends`; the names are roles,
    a role with "6" for its IPv6 addresses, "public" for what the internet can reach, and the pools outside.
    """

    network: Network
    interfaces: pl.DataFrame
    ends: pl.DataFrame
    pools: Mapping[tuple[str, str], Ints]

    @classmethod
    def of(cls, network: Network, seed: int) -> "Scene":
        """The same network and seed give the same scene."""
        inside, pools = _inside(network)
        scene = cls(network, _reporters(network), inside, pools)
        for name, (addresses, service) in _outsiders(np.random.default_rng([seed, 2])).items():
            scene = scene.joined(name, pl.Series(addresses, dtype=pl.String), service)
        return scene

    def joined(self, name: str, addresses: pl.Series, service: str | None = None) -> "Scene":
        """This scene and a further pool outside."""
        rows = np.arange(self.ends.height, self.ends.height + len(addresses))
        more = pl.DataFrame({"address": addresses, "shown": rows}).with_columns(
            interface=pl.lit(None, pl.Int64),
            vpc=pl.lit(None, pl.Int64),
            nat=pl.lit(-1, pl.Int64),
            service=pl.lit(service, pl.String),
            ipv6=pl.col("address").str.contains(":", literal=True),
        )
        return replace(self, ends=pl.concat([self.ends, more]), pools={**self.pools, (OUTSIDE, name): rows})

    def places(self, name: str) -> list[str]:
        """Where there is a pool of that name: VPC ids in their order, or `OUTSIDE`."""
        return [place for place, pool in self.pools if pool == name]

    def pool(self, name: str) -> Ints:
        """The pool of that name in the first place that has one; a ValueError where there is none."""
        places = self.places(name)
        if not places:
            raise ValueError(f"the network has no interface of the role {name!r}")
        return self.pools[places[0], name]

    def primaries(self, name: str) -> Ints:
        """Of `pool`, the primary addresses only: one end an interface."""
        return self._primary(self.pool(name))

    def beside(self, end: int, roles: Sequence[str]) -> Ints:
        """The primary ends of these roles in the VPC of an end, without that end, role by role."""
        vpc = self.network.interfaces[self.ends["interface"].item(end)].subnet.vpc.id
        found = np.concatenate([self.pools.get((vpc, role), np.empty(0, dtype=np.int64)) for role in roles])
        return self._primary(found[found != end])

    def _primary(self, rows: Ints) -> Ints:
        shown: Ints = self.ends["shown"].gather(rows).to_numpy()
        return np.asarray(rows[shown == rows])


def addresses_at_random(rng: np.random.Generator, count: int) -> pl.Series:
    """Made-up global IPv4 addresses, hardly ever the same twice."""
    octets = [rng.choice(CROWD_OCTETS, count), *rng.integers(1, 255, (3, count))]
    frame = pl.DataFrame({str(place): octet for place, octet in enumerate(octets)})
    return frame.select(address=pl.concat_str(pl.all(), separator="."))["address"]


def _outsiders(rng: np.random.Generator) -> dict[str, tuple[Sequence[str], str | None]]:
    """Every pool outside: its addresses and the AWS service that they belong to."""
    crowds = {name: (addresses_at_random(rng, size).to_list(), None) for name, size in CROWDS.items()}
    clients6 = [
        f"2a02:810{a:x}:{b:x}:{c:x}::{d:x}" for a, b, c, d in rng.integers(1, [16, 65535, 65535, 255], (CLIENTS6, 4))
    ]
    services = {
        name: ([f"{s.first_two}.{rng.choice(s.third)}.{rng.integers(1, 255)}" for _ in range(s.addresses)], s.name)
        for name, s in SERVICES.items()
    }
    fixed = {"resolvers": RESOLVERS, "time servers": TIME_SERVERS, **STRANGERS}
    return {**crowds, "clients6": (clients6, None), **services, **{name: (a, None) for name, a in fixed.items()}}


def _reporters(network: Network) -> pl.DataFrame:
    """One row an interface, with the columns of the field table that tell where a record comes from."""
    schema = dict.fromkeys(("interface_id", "vpc_id", "subnet_id", "instance_id", "az_id"), pl.String)
    rows = [
        (i.id, i.subnet.vpc.id, i.subnet.id, i.instance.id if i.instance else None, i.subnet.zone or None)
        for i in network.interfaces
    ]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _inside(network: Network) -> tuple[pl.DataFrame, dict[tuple[str, str], Ints]]:
    """The network's own ends, and pools of them by VPC and role."""
    vpcs = {vpc.id: number for number, vpc in enumerate(network.vpcs)}
    rows: list[tuple[str, int, int, int]] = []
    pools: dict[tuple[str, str], list[int]] = {}
    for number, interface in enumerate(network.interfaces):
        primary, vpc = len(rows), interface.subnet.vpc.id
        for address in interface.addresses:
            pools.setdefault((vpc, interface.role + ("6" if ":" in address else "")), []).append(len(rows))
            rows.append((address, len(rows) if ":" in address else primary, number, vpcs[vpc]))
        if interface.public and interface.role != "nat":  # nothing is rejected at a NAT gateway: it has no group
            pools.setdefault((vpc, "public"), []).append(primary)
    ends = pl.DataFrame(
        rows, schema=dict(zip(("address", "shown", "interface", "vpc"), _INSIDE, strict=True)), orient="row"
    )
    nats = _ways_out(network, [row[1] for row in rows], [row[2] for row in rows])
    ends = ends.with_columns(
        nat=pl.Series(nats, dtype=pl.Int64),
        service=pl.lit(None, pl.String),
        ipv6=pl.col("address").str.contains(":", literal=True),
    )
    return ends, {key: np.array(pool, dtype=np.int64) for key, pool in pools.items()}


_INSIDE = (pl.String, pl.Int64, pl.Int64, pl.Int64)


def _ways_out(network: Network, shown: list[int], owners: list[int]) -> list[int]:
    """For each end the end of its NAT gateway: that of its zone, else of its VPC; -1 with a public address or IPv6."""
    found: dict[tuple[str, str], int] = {}
    for end, owner in enumerate(owners):
        interface = network.interfaces[owner]
        if interface.role == "nat":
            found[interface.subnet.vpc.id, interface.subnet.zone] = end
            found.setdefault((interface.subnet.vpc.id, ""), end)
    primaries = {owner: end for end, owner in reversed(list(enumerate(owners)))}

    def way(interface: Interface, end: int, owner: int) -> int:
        if interface.public or shown[end] != primaries[owner]:
            return -1
        vpc = interface.subnet.vpc.id
        return found.get((vpc, interface.subnet.zone), found.get((vpc, ""), -1))

    return [way(network.interfaces[owner], end, owner) for end, owner in enumerate(owners)]
