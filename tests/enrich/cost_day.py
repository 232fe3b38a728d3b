"""A made-up day of a network, as AWS writes it down, and what each record of it costs, worked out by hand.

Every conversation is here as all its interfaces report it, both halves: so each charge has to be found once.
docs/cost.md shows the same day.
"""

import gzip
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO

import polars as pl

from exporter.config import Cost
from exporter.enrich.ends import enrich
from exporter.enrich.index import Kind
from exporter.enrich.inventory import ADDRESSES, OWNERS, Snapshot
from exporter.flow import Batch, S3Object
from exporter.metrics import Metrics
from exporter.read.reader import Reader

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOURCE = S3Object("logs", "AWSLogs/day.log.gz", "etag", 100, NOON, "123456789012", "us-east-1")
GIB = 1_073_741_824

PRICES = Cost.model_validate(
    {
        "prices": [
            {
                "region": "us-east-1",
                "date": "2026-01-01",
                "nat_processing": 0.045,
                "cross_zone": 0.01,
                "inter_region": 0.02,
                "internet_egress": 0.09,
                "transit_gateway": 0.02,
                "endpoint": 0.01,
            },
            {
                "region": "eu-west-1",
                "date": "2026-01-01",
                "nat_processing": 0.048,
                "cross_zone": 0.01,
                "inter_region": 0.02,
                "internet_egress": 0.085,
                "transit_gateway": 0.02,
                "endpoint": 0.011,
            },
        ]
    }
)


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface: its VPC and zone (the region follows from it), what it is, its private and its public address."""

    vpc: str
    zone: str
    what: str
    own: str
    public: str | None = None

    @property
    def region(self) -> str:
        """Zones of Virginia and Ireland."""
        return {"use1": "us-east-1", "euw1": "eu-west-1"}[self.zone[:4]]


INTERFACES = {
    "web": Interface("vpc-a", "use1-az1", "instance", "10.0.1.10", "54.0.0.10"),
    "batch": Interface("vpc-a", "use1-az1", "instance", "10.0.1.30"),
    "app": Interface("vpc-a", "use1-az2", "instance", "10.0.2.20"),
    "nat": Interface("vpc-a", "use1-az1", "nat_gateway", "10.0.1.5", "54.0.0.5"),
    "alb": Interface("vpc-a", "use1-az1", "application_load_balancer", "10.0.1.40"),
    "db": Interface("vpc-a", "use1-az1", "database", "10.0.1.50", "54.0.0.50"),
    "endpoint": Interface("vpc-a", "use1-az1", "vpc_endpoint", "10.0.1.60"),
    "tgw": Interface("vpc-a", "use1-az2", "transit_gateway_attachment", "10.0.2.70"),
    "peer": Interface("vpc-b", "use1-az2", "instance", "10.1.2.20"),
    "own-1": Interface("vpc-c", "use1-az1", "instance", "54.100.1.10"),
    "own-2": Interface("vpc-c", "use1-az2", "instance", "54.100.2.20"),
    "far": Interface("vpc-e", "euw1-az1", "instance", "10.9.1.10", "54.9.0.10"),
}
NETWORKS = (("vpc-a", "10.0.0.0/16"), ("vpc-b", "10.1.0.0/16"), ("vpc-c", "54.100.0.0/16"), ("vpc-e", "10.9.0.0/16"))

"""vpc-c has public addresses for its own, and is in no conversation of the day."""

OUTSIDE = "93.184.216.34"
S3 = "52.216.0.1"
STRANGER = "3.80.0.1"
STRANGER_6 = "2600:1f18:ffff::1"
IRISH = "34.240.0.1"
EDGE = "13.32.0.1"
BEHIND = "10.5.0.9"
OFFICE = "192.168.0.9"

AWS = {
    S3: ("S3", "us-east-1"),
    STRANGER: ("EC2", "us-east-1"),
    STRANGER_6: ("EC2", "us-east-1"),
    IRISH: ("EC2", "eu-west-1"),
    EDGE: ("CLOUDFRONT", "GLOBAL"),
}
"""Addresses of AWS's, as its address ranges tell."""

FIELDS = (
    "version interface-id vpc-id region az-id srcaddr dstaddr pkt-srcaddr pkt-dstaddr pkt-src-aws-service "
    "pkt-dst-aws-service bytes start end action log-status traffic-path flow-direction"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One record: who reports it, its ends (an interface's name or an address), gigabytes, and what it has to cost.

    `path` None is an ingress record.  `packet` are the packet's own ends, where they are others.
    """

    interface: str
    source: str
    destination: str
    path: str | None
    gigabytes: int
    kind: str | None = None
    usd: float | None = None
    packet: tuple[str, str] | None = None
    action: str = "ACCEPT"

    @property
    def line(self) -> str:
        """As AWS writes it."""
        here = INTERFACES[self.interface]
        ends = [_address(name) for name in (self.source, self.destination)]
        packet = [_address(name) for name in self.packet] if self.packet else ends
        services = [AWS[address][0] if address in AWS else "-" for address in packet]
        direction = "ingress" if self.path is None else "egress"
        words = ("5", f"eni-{self.interface}", here.vpc, here.region, here.zone, *ends, *packet, *services)
        amounts = (str(self.gigabytes * GIB), "1772366400", "1772366460", self.action, "OK")
        return " ".join((*words, *amounts, self.path or "-", direction))


def _address(name: str) -> str:
    return INTERFACES[name].own if name in INTERFACES else name


DAY: dict[str, tuple[Row, ...]] = {
    "a page to the world, and what was asked for": (
        Row("web", "web", OUTSIDE, "8", 100, "internet_egress", 9.0),
        Row("web", OUTSIDE, "web", None, 10),
    ),
    "from a private subnet through a NAT gateway in another zone": (
        Row("app", "app", OUTSIDE, "1", 4),
        Row("nat", "app", "nat", None, 4, "nat_processing", 0.18, packet=("app", OUTSIDE)),
        Row("nat", "nat", OUTSIDE, "8", 4, "internet_egress", 0.36),
        Row("nat", OUTSIDE, "nat", None, 40, "nat_processing", 1.8),
        Row("nat", "nat", "app", "1", 40, packet=(OUTSIDE, "app")),
        Row("app", OUTSIDE, "app", None, 40),
    ),
    "from a private subnet through a NAT gateway to S3": (
        Row("batch", "batch", S3, "1", 2),
        Row("nat", "batch", "nat", None, 2, "nat_processing", 0.09, packet=("batch", S3)),
        Row("nat", "nat", S3, "8", 2),
    ),
    "between two zones": (
        Row("web", "web", "app", "1", 20, "cross_zone", 0.2),
        Row("app", "web", "app", None, 20, "cross_zone", 0.2),
        Row("app", "app", "web", "1", 30, "cross_zone", 0.3),
        Row("web", "app", "web", None, 30, "cross_zone", 0.3),
    ),
    "within one zone": (
        Row("web", "web", "batch", "1", 50),
        Row("batch", "web", "batch", None, 50),
    ),
    "from an application load balancer to another zone": (
        Row("alb", "alb", "app", "1", 5),
        Row("app", "alb", "app", None, 5),
    ),
    "to a database in another zone": (
        Row("app", "app", "db", "1", 6, "cross_zone", 0.06),
        Row("db", "app", "db", None, 6),
        Row("db", "db", "app", "1", 60),
        Row("app", "db", "app", None, 60, "cross_zone", 0.6),
    ),
    "to an endpoint in another zone": (
        Row("app", "app", "endpoint", "1", 7),
        Row("endpoint", "app", "endpoint", None, 7, "endpoint", 0.07),
        Row("endpoint", "endpoint", "app", "1", 70, "endpoint", 0.7),
        Row("app", "endpoint", "app", None, 70),
    ),
    "through a transit gateway": (
        Row("app", "app", BEHIND, "1", 8),
        Row("tgw", "app", "tgw", None, 8, "transit_gateway", 0.16, packet=("app", BEHIND)),
        Row("tgw", "tgw", "app", "1", 80, packet=(BEHIND, "app")),
        Row("app", BEHIND, "app", None, 80),
    ),
    "over a peering in the region, to another zone: what is received is not known to have come over it": (
        Row("web", "web", "peer", "4", 9, "cross_zone", 0.09),
        Row("peer", "web", "peer", None, 9),
        Row("peer", "peer", "web", "4", 90, "cross_zone", 0.9),
        Row("web", "peer", "web", None, 90),
    ),
    "over a peering in the region, within one zone": (
        Row("app", "app", "peer", "4", 3),
        Row("peer", "app", "peer", None, 3),
    ),
    "over a peering between regions": (
        Row("web", "web", "far", "5", 11, "inter_region", 0.22),
        Row("far", "web", "far", None, 11),
        Row("far", "far", "web", "5", 12, "inter_region", 0.24),
        Row("web", "far", "web", None, 12),
    ),
    "to AWS's own addresses": (
        Row("web", "web", S3, "8", 13),
        Row("web", "web", STRANGER, "8", 14, "cross_zone", 0.14),
        Row("web", STRANGER, "web", None, 15, "cross_zone", 0.15),
        Row("web", "web", IRISH, "8", 16, "inter_region", 0.32),
        Row("web", "web", EDGE, "8", 17),
    ),
    "to one's own public address, in one's own zone": (
        Row("web", "web", "54.0.0.5", "8", 1, "cross_zone", 0.01),
        Row("nat", "54.0.0.10", "nat", None, 1, "nat_processing", 0.045),
    ),
    "to the office over a virtual private gateway": (Row("web", "web", OFFICE, "3", 18),),
    "rejected": (Row("web", "web", OUTSIDE, "8", 1000, action="REJECT"),),
    "to the world from another region": (Row("far", "far", OUTSIDE, "8", 20, "internet_egress", 1.7),),
}

ROWS = [row for rows in DAY.values() for row in rows]
NODATA = "5 eni-web vpc-a us-east-1 use1-az1 - - - - - - - 1772366400 1772366460 - NODATA - -"

SUMS = {
    "cross_zone": 2.95,  # 0.20 + 0.20 + 0.30 + 0.30 + 0.06 + 0.60 + 0.09 + 0.90 + 0.14 + 0.15 + 0.01
    "endpoint": 0.77,  # 0.07 + 0.70
    "inter_region": 0.78,  # 0.22 + 0.24 + 0.32
    "internet_egress": 11.06,  # 9.00 + 0.36 + 1.70
    "nat_processing": 2.115,  # 0.18 + 1.80 + 0.09 + 0.045
    "transit_gateway": 0.16,
}
"""US dollars of the day."""


def inventory() -> Snapshot:
    """The network as EC2 would have told it."""
    owners = [
        {
            "interface_id": f"eni-{name}",
            "interface_type": "interface",
            "region": each.region,
            "availability_zone": each.zone,
            "vpc_id": each.vpc,
            "resource_type": each.what,
        }
        for name, each in INTERFACES.items()
    ]
    addresses = [
        (each.vpc, address, number, kind)
        for number, each in enumerate(INTERFACES.values())
        for kind, address in ((Kind.PRIMARY, each.own), (Kind.PUBLIC, each.public))
        if address is not None
    ]
    return Snapshot(
        pl.DataFrame(owners, schema=OWNERS), pl.DataFrame(addresses, schema=ADDRESSES, orient="row"), NETWORKS, NOON
    )


def read(lines: list[str], fields: str = FIELDS, known: Snapshot | None = None) -> Batch:
    """Lines as the program reads them, with both ends and what AWS's ranges tell of the addresses."""
    stored = gzip.compress("\n".join((fields, *lines, "")).encode())
    (piece,) = Reader(lambda _: []).read(BytesIO(stored), replace(SOURCE, size=len(stored)))
    batch = enrich(piece.batch, known, Metrics())
    told = [AWS.get(address, (None, None)) for address in batch.addresses.text.to_list()]
    return batch.with_about(
        pl.Series("aws_service", [service for service, _ in told], dtype=pl.String),
        pl.Series("aws_region", [region for _, region in told], dtype=pl.String),
    )
