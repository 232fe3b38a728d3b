"""A network small enough to work out each record by hand, and the shape in which the tests state records."""

import polars as pl

from exporter.simulate.flows import FLOW_SCHEMA
from exporter.simulate.network import Instance, Interface, Network, Subnet, Vpc
from exporter.simulate.scene import Scene

PRODUCTION = Vpc("vpc-p", "production", "10.0.0.0/16", "2600:1f18:4000:a00::/56")
SHARED = Vpc("vpc-s", "shared", "10.8.0.0/16")
PRIVATE = Subnet("subnet-p1", "private", PRODUCTION, "10.0.0.0/18", "use1-az1")
OTHER = Subnet("subnet-p2", "private", PRODUCTION, "10.0.64.0/18", "use1-az2")
PUBLIC = Subnet("subnet-p3", "public", PRODUCTION, "10.0.192.0/20", "use1-az1")
AWAY = Subnet("subnet-s1", "public", SHARED, "10.8.192.0/20", "use1-az1")


def interface(name: str, role: str, subnet: Subnet, address: str, **more: object) -> Interface:
    """An interface with nothing behind it but what is given."""
    plain = {"type": "interface", "description": "", "service": "", "resource_type": role, "resource_name": name}
    return Interface(id=f"eni-{name}", role=role, subnet=subnet, address=address, **(plain | more))  # type: ignore[arg-type]


NETWORK = Network(
    "123456789012",
    "us-east-1",
    (
        interface(
            *("app", "app", PRIVATE, "10.0.0.5"),
            instance=Instance("i-app", "app", "m6i.large"),
            secondary=("10.0.0.6",),
            ipv6=("2600:1f18:4000:a00::5",),
        ),
        interface("db", "database", OTHER, "10.0.64.9"),
        interface("nat", "nat", PUBLIC, "10.0.192.7", public="3.208.0.7"),
        interface("alb", "alb", PUBLIC, "10.0.192.8", public="3.208.0.8"),
        interface(
            *("bastion", "bastion", AWAY, "10.8.192.4"),
            instance=Instance("i-bastion", "bastion", "t3.micro"),
            public="3.208.0.9",
        ),
    ),
)

SHOWN = (
    *("interface_id", "srcaddr", "dstaddr", "srcport", "dstport", "packets", "bytes", "action", "tcp_flags"),
    *("pkt_srcaddr", "pkt_dstaddr", "flow_direction", "traffic_path", "pkt_src_aws_service", "pkt_dst_aws_service"),
)
"""The columns of a record that depend on who looks at the flow."""


def scene(*outside: str, service: str | None = None) -> Scene:
    """The network, and a pool `outside` of those addresses."""
    return Scene.of(NETWORK, seed=1).joined("outside", pl.Series(outside, dtype=pl.String), service)


def flow(scene_: Scene, client: str, server: str, nat: str | None = None, **other: object) -> pl.DataFrame:
    """One flow between addresses of the scene, of 5 packets and 500 bytes there, 7 packets and 7,000 bytes back."""
    rows = {address: row for row, address in enumerate(scene_.ends["address"].to_list())}
    usual: dict[str, object] = {
        "client": rows[client],
        "server": rows[server],
        "nat": rows[nat] if nat else -1,
        "client_port": 40_000,
        "server_port": 443,
        "nat_port": 50_000,
        "protocol": 6,
        "request_packets": 5,
        "request_bytes": 500,
        "response_packets": 7,
        "response_bytes": 7_000,
        "request_flags": 3,
        "response_flags": 19,
        "start": 1_760_000_100,
        "end": 1_760_000_150,
        "answered": True,
        "rejected": False,
    }
    return pl.DataFrame([usual | other], schema=FLOW_SCHEMA)
