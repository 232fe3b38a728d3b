"""THE field table: every field AWS writes into a flow-log record, its type and where it goes in a document.

Adding a field is adding a row.  The readers take names and types from here, the encoder the document paths, the tests
check the mapping files and the documents against it.  Source of the facts: the AWS guide's "Flow log records" (VPC)
and "Transit gateway flow log records", read in 2026.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a field's text means, and so how it is read and written."""

    KEYWORD = "text, a string in the document"
    ACCOUNT = "an account's id: 12 digits, their leading zeros restored, a string in the document; `unknown` is missing"
    TAG = "text, percent-encoded in the record, a string in the document"
    ADDRESS = "an IPv4 or IPv6 address, a string in the document"
    COUNT = "a whole number from 0 to 2^63-1, a number in the document"
    PORT = "a whole number from 0 to 65535, a number in the document"
    OCTET = "a whole number from 0 to 255, a string of digits in the document"
    CODE = "a whole number from 0 to 65535, a string of digits in the document"
    TIME = "seconds (or milliseconds, microseconds) since 1970, an ISO 8601 time in the document"


@dataclass(frozen=True, slots=True)
class Field:
    """One row: AWS's name, kind, the record version that brought it, document paths, other spellings."""

    name: str
    kind: Kind
    since: int
    paths: tuple[str, ...]
    spellings: tuple[str, ...] = ()

    @property
    def column(self) -> str:
        """Its name in a batch's frame (and in AWS's Parquet files)."""
        return self.name.replace("-", "_")


def _own(name: str, kind: Kind, since: int) -> Field:
    return Field(name, kind, since, (f"aws.vpcflow.{name.replace('-', '_')}",))


K, V = Kind, "aws.vpcflow."

FIELDS: tuple[Field, ...] = (
    Field("version", K.CODE, 2, (V + "version",)),
    Field("account-id", K.ACCOUNT, 2, ("cloud.account.id", V + "account_id"), ("owner-id", "account")),
    Field("interface-id", K.KEYWORD, 2, (V + "interface_id",), ("eni-id", "eni")),
    Field(
        "srcaddr",
        K.ADDRESS,
        2,
        ("source.address", "source.ip"),
        ("source-address", "src-addr", "src-address", "source"),
    ),
    Field(
        "dstaddr",
        K.ADDRESS,
        2,
        ("destination.address", "destination.ip"),
        ("destination-address", "dst-addr", "dest-addr", "dst-address", "destination"),
    ),
    Field("srcport", K.PORT, 2, ("source.port",), ("source-port", "src-port")),
    Field("dstport", K.PORT, 2, ("destination.port",), ("destination-port", "dst-port", "dest-port")),
    Field("protocol", K.OCTET, 2, ("network.iana_number",), ("iana-protocol", "protocol-number")),
    Field("packets", K.COUNT, 2, ("source.packets", "network.packets"), ("num-packets",)),
    Field("bytes", K.COUNT, 2, ("source.bytes", "network.bytes"), ("num-bytes",)),
    Field("start", K.TIME, 2, ("event.start",), ("window-start", "start-time")),
    Field("end", K.TIME, 2, ("event.end",), ("window-end", "end-time")),
    Field("action", K.KEYWORD, 2, ("event.action", V + "action")),
    Field("log-status", K.KEYWORD, 2, (V + "log_status",), ("flow-log-status",)),
    _own("vpc-id", K.KEYWORD, 3),
    _own("subnet-id", K.KEYWORD, 3),
    Field("instance-id", K.KEYWORD, 3, ("cloud.instance.id", V + "instance_id")),
    _own("tcp-flags", K.CODE, 3),
    Field("type", K.KEYWORD, 3, (V + "type",), ("traffic-type",)),
    _own("pkt-srcaddr", K.ADDRESS, 3),
    _own("pkt-dstaddr", K.ADDRESS, 3),
    Field("region", K.KEYWORD, 4, ("cloud.region",)),
    Field("az-id", K.KEYWORD, 4, ("cloud.availability_zone",), ("availability-zone-id",)),
    Field("sublocation-type", K.KEYWORD, 4, (V + "sublocation.type",)),
    Field("sublocation-id", K.KEYWORD, 4, (V + "sublocation.id",)),
    Field("pkt-src-aws-service", K.KEYWORD, 5, (V + "pkt_src_service",)),
    Field("pkt-dst-aws-service", K.KEYWORD, 5, (V + "pkt_dst_service",)),
    Field("flow-direction", K.KEYWORD, 5, ("network.direction",)),
    _own("traffic-path", K.CODE, 5),
    Field("resource-type", K.KEYWORD, 6, (V + "resource_type",)),
    *(
        _own(name, K.ACCOUNT if name.endswith("account-id") else K.KEYWORD, 6)
        for name in (
            "tgw-id",
            "tgw-attachment-id",
            "tgw-src-vpc-account-id",
            "tgw-dst-vpc-account-id",
            "tgw-src-vpc-id",
            "tgw-dst-vpc-id",
            "tgw-src-subnet-id",
            "tgw-dst-subnet-id",
            "tgw-src-eni",
            "tgw-dst-eni",
            "tgw-src-az-id",
            "tgw-dst-az-id",
            "tgw-pair-attachment-id",
        )
    ),
    *(_own(f"packets-lost-{cause}", K.COUNT, 6) for cause in ("no-route", "blackhole", "mtu-exceeded", "ttl-expired")),
    Field("ecs-cluster-arn", K.KEYWORD, 7, ("orchestrator.cluster.id",)),
    Field("ecs-cluster-name", K.KEYWORD, 7, ("orchestrator.cluster.name",)),
    Field("ecs-container-instance-arn", K.KEYWORD, 7, ("orchestrator.resource.name",)),
    Field("ecs-container-instance-id", K.KEYWORD, 7, ("orchestrator.resource.id",)),
    Field("ecs-container-id", K.KEYWORD, 7, ("container.id", V + "ecs_container_id")),
    _own("ecs-second-container-id", K.KEYWORD, 7),
    Field("ecs-service-name", K.KEYWORD, 7, ("service.name",)),
    _own("ecs-task-definition-arn", K.KEYWORD, 7),
    _own("ecs-task-arn", K.KEYWORD, 7),
    _own("ecs-task-id", K.KEYWORD, 7),
    Field("reject-reason", K.KEYWORD, 8, ("event.reason",)),
    _own("resource-id", K.KEYWORD, 9),
    _own("encryption-status", K.CODE, 10),
    *(
        _own(name, K.TAG, 11)
        for name in ("instance-tag", "instance-tag-2", "interface-tag", "interface-tag-2", "asg-tag", "asg-tag-2")
    ),
    *(
        _own(name, K.KEYWORD, 11)
        for name in (
            "interface-type",
            "next-hop-interface-id",
            "next-hop-subnet-id",
            "next-hop-az-id",
            "next-hop-vpc-id",
            "next-hop-interface-type",
        )
    ),
)

BY_COLUMN: dict[str, Field] = {field.column: field for field in FIELDS}

DEFAULT_FORMAT: tuple[str, ...] = (
    "version",
    "account-id",
    "interface-id",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "protocol",
    "packets",
    "bytes",
    "start",
    "end",
    "action",
    "log-status",
)
"""The fields of a flow log made without a format of its own (version 2), in AWS's order."""


def _folded(name: str) -> str:
    """A spelling reduced to what all spellings of one field share: `${Src-Addr}`, `srcAddr`, `SRC_ADDR` -> srcaddr."""
    return re.sub(r"[-_${}\s]", "", name.lower())


_BY_SPELLING = {_folded(spelling): field for field in FIELDS for spelling in (field.name, *field.spellings)}


def field_named(spelling: str) -> Field | None:
    """The field that a header, a format or a schema means by `spelling`; None for one that is not in the table."""
    return _BY_SPELLING.get(_folded(spelling))


MOST_NAMES = 200
"""Names that a format may have; AWS knows fewer than a hundred fields."""


def names_of_format(text: str) -> tuple[str, ...]:
    """The names in a format, as the AWS CLI takes it (`${version} ${account-id} …`) or plain, by blanks or commas."""
    return tuple(name.strip("${}") for name in re.split(r"[\s,]+", text) if name)


def columns_of(names: Iterable[str]) -> tuple[str, ...]:
    """Frame columns for the names of a header or format; a name not in the table becomes `extra.NAME`."""
    known = ((name, field_named(name)) for name in names)
    return tuple(field.column if field else f"extra.{name.strip('${}')}" for name, field in known)
