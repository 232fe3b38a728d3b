"""From flows to records: each interface on the way logs each direction of a flow as it sees it."""

from dataclasses import dataclass

import polars as pl

from exporter.fields import FIELDS, Kind
from exporter.simulate.scene import Ints, Scene

TCP, UDP, ICMP = 6, 17, 1

_NUMBERS = (
    *("client", "server", "nat", "client_port", "server_port", "nat_port", "protocol"),
    *("request_packets", "request_bytes", "response_packets", "response_bytes"),
    *("request_flags", "response_flags", "start", "end"),
)

FLOW_SCHEMA = pl.Schema(dict.fromkeys(_NUMBERS, pl.Int64) | dict.fromkeys(("answered", "rejected"), pl.Boolean))
"""A frame of flows: one row is what passes between two ends within one aggregation window.

client, server and nat are rows of `Scene.ends` (nat -1: none on the way); start and end are seconds since 1970.
A rejected flow is refused at the server's interface; it and one that is not answered have no response.
"""

RECORD_SCHEMA = pl.Schema(
    {
        field.column: pl.String if field.kind in {Kind.KEYWORD, Kind.ACCOUNT, Kind.ADDRESS} else pl.Int64
        for field in FIELDS
        if field.since <= 5  # noqa: PLR2004 (the newest version that the generator knows how to fill)
    }
)
"""The columns of a frame of records: the 29 fields of versions 2 to 5 in AWS's order; times are seconds since 1970."""

FLAGS: dict[str, tuple[int, int]] = {
    "whole": (2 | 1, 2 | 16 | 1),
    "opening": (2, 2 | 16),
    "middle": (0, 0),
    "closing": (1, 1),
    "reset": (4, 0),
    "syn": (2, 0),
}
"""The part of a TCP connection that a window saw, and tcp-flags of request and response (ACK alone counts as 0)."""

ADDRESS_COLUMNS = ("srcaddr", "dstaddr", "pkt_srcaddr", "pkt_dstaddr")

GATEWAY_SERVICES = ("S3", "DYNAMODB")
"""Services that are reached through a gateway endpoint of the VPC, not through its NAT gateways."""

LEAST_PACKETS = {"whole": 4, "opening": 2, "middle": 1, "closing": 2, "reset": 1, "syn": 1}

_INSIDE_CLIENT, _INSIDE_SERVER = pl.col("client_inside"), pl.col("server_inside")
_NAT, _ANSWERED = pl.col("nat") >= 0, pl.col("answered")


@dataclass(frozen=True, slots=True)
class View:
    """One interface's view of one direction of a flow, as names of flow columns.

    `path` is (srcaddr, dstaddr, pkt-srcaddr, pkt-dstaddr): the interface's own end is shown by its primary address.
    """

    when: pl.Expr
    reporter: str
    direction: str
    half: str
    path: tuple[str, str, str, str]
    ports: tuple[str, str]


VIEWS: tuple[View, ...] = (
    View(
        *(_INSIDE_CLIENT, "client", "egress", "request"),
        ("client_shown", "server", "client", "server"),
        ("client_port", "server_port"),
    ),
    View(
        *(_INSIDE_SERVER, "server", "ingress", "request"),
        ("client", "server_shown", "client", "server"),
        ("client_port", "server_port"),
    ),
    View(
        *(_INSIDE_SERVER & _ANSWERED, "server", "egress", "response"),
        ("server_shown", "client", "server", "client"),
        ("server_port", "client_port"),
    ),
    View(
        *(_INSIDE_CLIENT & _ANSWERED, "client", "ingress", "response"),
        ("server", "client_shown", "server", "client"),
        ("server_port", "client_port"),
    ),
    View(
        *(_NAT, "nat", "ingress", "request"),
        ("client", "nat", "client", "server"),
        ("client_port", "server_port"),
    ),
    View(
        *(_NAT, "nat", "egress", "request"),
        ("nat", "server", "nat", "server"),
        ("nat_port", "server_port"),
    ),
    View(
        *(_NAT & _ANSWERED, "nat", "ingress", "response"),
        ("server", "nat", "server", "nat"),
        ("server_port", "nat_port"),
    ),
    View(
        *(_NAT & _ANSWERED, "nat", "egress", "response"),
        ("nat", "client", "server", "client"),
        ("server_port", "client_port"),
    ),
)
"""All views.  Those of a NAT gateway follow the AWS guide's example: its private side shows the true ends in pkt-*."""


def records_each(scene: Scene, flows: pl.DataFrame) -> pl.Series:
    """How many records each flow makes."""
    total = pl.sum_horizontal(*(view.when.cast(pl.Int64) for view in VIEWS))
    return _with_sides(scene, flows).select(records=total)["records"]


def records_of(scene: Scene, flows: pl.DataFrame) -> pl.DataFrame:
    """Every record of the flows, in order of their end, with the columns of the field table (versions 2 to 5).

    Numbers are Int64 and the rest String; start and end are seconds since 1970; what AWS writes as `-` is null.
    """
    seen = _with_sides(scene, flows)
    numbers = pl.concat([_seen(seen, view) for view in VIEWS]).sort("end", maintain_order=True)
    return _told(scene, numbers)


def silent_records(scene: Scene, reporters: Ints, ends: Ints, status: str) -> pl.DataFrame:
    """NODATA or SKIPDATA records: rows of `Scene.interfaces`, the ends of their minutes, and nothing of a flow."""
    frame = scene.interfaces[reporters].with_columns(
        start=pl.Series(ends - 59), end=pl.Series(ends), log_status=pl.lit(status), **_constants(scene)
    )
    missing = {name: pl.lit(None) for name in RECORD_SCHEMA if name not in frame.columns}
    return frame.with_columns(**missing).select(RECORD_SCHEMA.names()).cast(RECORD_SCHEMA)


def _constants(scene: Scene) -> dict[str, pl.Expr]:
    return {"version": pl.lit(5), "account_id": pl.lit(scene.network.account), "region": pl.lit(scene.network.region)}


def _with_sides(scene: Scene, flows: pl.DataFrame) -> pl.DataFrame:
    """The flows with what their ends are to the network."""
    ends = scene.ends
    return flows.with_columns(
        client_shown=ends["shown"].gather(flows["client"]),
        server_shown=ends["shown"].gather(flows["server"]),
        client_inside=ends["interface"].gather(flows["client"]).is_not_null(),
        server_inside=ends["interface"].gather(flows["server"]).is_not_null(),
    )


def _seen(flows: pl.DataFrame, view: View) -> pl.DataFrame:
    """The records of one view, still as numbers: `reporter` and the four addresses are rows of `Scene.ends`."""
    names = (*ADDRESS_COLUMNS, "srcport", "dstport")
    refused = pl.col("rejected") if view.reporter == "server" and view.half == "request" else pl.lit(value=False)
    return flows.filter(view.when).select(
        pl.col(view.reporter).alias("reporter"),
        *(pl.col(column).alias(name) for name, column in zip(names, (*view.path, *view.ports), strict=True)),
        pl.col(f"{view.half}_packets").alias("packets"),
        pl.col(f"{view.half}_bytes").alias("bytes"),
        pl.col(f"{view.half}_flags").alias("tcp_flags"),
        *("protocol", "start", "end"),
        refused.alias("refused"),
        pl.lit(view.direction == "egress").alias("egress"),
        (pl.lit(view.reporter == "client") & _NAT).alias("inward"),
    )


def _told(scene: Scene, seen: pl.DataFrame) -> pl.DataFrame:
    """Numbers to what a record says."""
    ends, reporter = scene.ends, seen["reporter"]
    source, destination = seen["pkt_srcaddr"], seen["pkt_dstaddr"]
    addresses = {name: ends["address"].gather(seen[name]) for name in ADDRESS_COLUMNS}
    return (
        pl.concat([seen, scene.interfaces[ends["interface"].gather(reporter)]], how="horizontal")
        .with_columns(
            own_vpc=ends["vpc"].gather(reporter),
            other_vpc=ends["vpc"].gather(destination),
            pkt_src_aws_service=ends["service"].gather(source),
            pkt_dst_aws_service=ends["service"].gather(destination),
            ipv6=ends["ipv6"].gather(source),
            log_status=pl.lit("OK"),
            sublocation_type=pl.lit(None, pl.String),
            sublocation_id=pl.lit(None, pl.String),
            **_constants(scene),
            **addresses,
        )
        .with_columns(
            action=_either("refused", "REJECT", "ACCEPT"),
            type=_either("ipv6", "IPv6", "IPv4"),
            flow_direction=_either("egress", "egress", "ingress"),
            traffic_path=_TRAFFIC_PATH,
        )
        .select(RECORD_SCHEMA.names())
        .cast(RECORD_SCHEMA)
    )


def _either(condition: str, yes: str, no: str) -> pl.Expr:
    return pl.when(condition).then(pl.lit(yes)).otherwise(pl.lit(no))


_TRAFFIC_PATH = (
    pl.when(~pl.col("egress"))
    .then(None)
    .when(pl.col("inward") | (pl.col("own_vpc") == pl.col("other_vpc")))
    .then(1)
    .when(pl.col("other_vpc").is_not_null())
    .then(4)
    .when(pl.col("pkt_dst_aws_service").is_in(GATEWAY_SERVICES))
    .then(7)
    .otherwise(8)
)
"""AWS's numbers: 1 the same VPC (a NAT gateway's way as well), 4 peering, 7 gateway endpoint, 8 internet gateway."""
