"""What the encoder's tests share: an object, an inventory by hand, and the way from lines to documents."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import communityid  # type: ignore[import-untyped]
import polars as pl

from exporter.ecs.document import Encoder
from exporter.enrich.ends import enrich
from exporter.enrich.index import Kind
from exporter.enrich.inventory import ADDRESSES, OWNERS, Snapshot
from exporter.flow import Batch, S3Object
from exporter.metrics import Metrics
from exporter.read.reader import Reader

Document = dict[str, Any]

KEY = (
    "AWSLogs/012345678901/vpcflowlogs/eu-central-1/2026/01/31/"
    "012345678901_vpcflowlogs_eu-central-1_fl-0abc_20260131T1200Z_5d41402a.log.gz"
)
SOURCE = S3Object(
    "flow-logs", KEY, "9e107d9d", 4711, datetime(2026, 1, 31, 12, 0, tzinfo=UTC), "012345678901", "eu-central-1"
)
LOCAL = S3Object("", "/var/tmp/flows.log", "", 4711, datetime(2026, 1, 31, 12, 0, tzinfo=UTC))  # noqa: S108 # only a name
NOW = datetime(2026, 1, 31, 12, 7, 30, 250_000, tzinfo=UTC)

V2 = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)
V3 = f"{V2} vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr"
V4 = f"{V3} region az-id sublocation-type sublocation-id"
V5 = f"{V4} pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path"

PORTED = (1, 6, 17, 58, 132)


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface of the inventory: its row of owners without what it lacks, its own and its public addresses."""

    row: Mapping[str, Any]
    own: tuple[str, ...]
    public: tuple[str, ...] = ()


WEB = Interface(
    {
        "interface_id": "eni-web",
        "interface_type": "interface",
        "account_id": "012345678901",
        "region": "eu-central-1",
        "availability_zone": "euc1-az2",
        "instance_id": "i-web",
        "instance_name": "web-1",
        "machine_type": "m7g.large",
        "service_name": "shop",
        "subnet_id": "subnet-a",
        "subnet_name": "front-a",
        "vpc_id": "vpc-main",
        "vpc_name": "main",
        "security_group_ids": ["sg-web", "sg-all"],
        "security_group_names": ["web", "all"],
        "resource_type": "instance",
        "resource_name": "web-1",
        "tags": '{"team":"shop","cost center":"42"}',
    },
    ("10.0.1.5", "2a05:d014::5"),
    ("54.93.1.2",),
)
WEB_CLOUD = {
    "account": {"id": "012345678901"},
    "region": "eu-central-1",
    "availability_zone": "euc1-az2",
    "instance": {"id": "i-web", "name": "web-1"},
    "machine": {"type": "m7g.large"},
    "service": {"name": "shop"},
}
WEB_VPCFLOW = {
    "interface_id": "eni-web",
    "interface_type": "interface",
    "subnet_id": "subnet-a",
    "subnet_name": "front-a",
    "vpc_id": "vpc-main",
    "vpc_name": "main",
    "security_group_ids": ["sg-web", "sg-all"],
    "security_group_names": ["web", "all"],
    "resource_type": "instance",
    "resource_name": "web-1",
    "tags": {"team": "shop", "cost center": "42"},
}
DB = Interface(
    {
        "interface_id": "eni-db",
        "account_id": "012345678901",
        "vpc_id": "vpc-main",
        "subnet_id": "subnet-b",
        "security_group_ids": [],
        "resource_type": "rds",
    },
    ("10.0.2.9",),
)
DB_CLOUD = {"account": {"id": "012345678901"}}
DB_VPCFLOW = {"interface_id": "eni-db", "vpc_id": "vpc-main", "subnet_id": "subnet-b", "resource_type": "rds"}
BARE = Interface({"interface_id": "eni-bare"}, ("10.0.3.3",))
ODD_NAME = 'Jörg\'s "C:\\temp"\nไทย 🤖\t\x7f\u2028'
ODD = Interface(
    {
        "interface_id": "eni-odd",
        "instance_id": "i-odd",
        "instance_name": ODD_NAME,
        "vpc_name": "a\\",
        "security_group_ids": ['sg-"', "sg-\\n"],
        "tags": json.dumps({'the "key"\n': ODD_NAME}),
    },
    ("10.0.4.4",),
)
POD = Interface(
    {
        "interface_id": "eni-pod",
        "account_id": "000000000007",
        "account_name": "payments",
        "instance_id": "i-node",
        "vpc_id": "vpc-eks",
        "resource_type": "eks_node",
        "resource_name": "i-node",
        "cluster_name": "shop",
        "attached": 1_769_000_000,
        "fixed": False,
    },
    ("10.0.5.5", "10.0.6.16/28"),
)
"""A node's interface in a cluster, with the prefix of its pods, of an account that has a name."""
POD_CLOUD = {"account": {"id": "000000000007", "name": "payments"}, "instance": {"id": "i-node"}}
POD_VPCFLOW = {
    "interface_id": "eni-pod",
    "vpc_id": "vpc-eks",
    "resource_type": "eks_node",
    "resource_name": "i-node",
    "cluster_name": "shop",
}
NAMELESS = Interface({"interface_id": "eni-nameless", "account_name": ODD_NAME}, ("10.0.7.7",))
"""An interface of which only the name of its account is known."""


def snapshot(*interfaces: Interface) -> Snapshot:
    """The first of an interface's own addresses is the primary one."""
    addresses = [
        (each.row.get("vpc_id"), text, row, kind)
        for row, each in enumerate(interfaces)
        for kind, texts in ((Kind.PRIMARY, each.own[:1]), (Kind.OWN, each.own[1:]), (Kind.PUBLIC, each.public))
        for text in texts
    ]
    return Snapshot(
        pl.DataFrame([dict(each.row) for each in interfaces], schema=OWNERS),
        pl.DataFrame(addresses, schema=ADDRESSES, orient="row"),
        (("", "10.0.0.0/16"), ("", "2a05:d014::/64")),
        NOW,
    )


INVENTORY = snapshot(WEB, DB, BARE, ODD)
NAMED = snapshot(WEB, DB, BARE, ODD, POD, NAMELESS)
"""Two accounts of it have names."""


def batches(
    header: str,
    *lines: str,
    inventory: Snapshot | None = INVENTORY,
    source: S3Object = SOURCE,
    original: bool = False,
) -> list[Batch]:
    """The lines, all of them records, read and enriched."""
    text = "\n".join((header, *lines, "")).encode()
    pieces = list(Reader(original=original).read(BytesIO(text), source))
    assert [piece.bad for piece in pieces] == [()] * len(pieces)
    return [enrich(piece.batch, inventory, Metrics()) for piece in pieces]


def encoder(request_bytes: int = 1_000_000) -> Encoder:
    return Encoder("exporter", request_bytes, lambda: NOW)


def encoded(found: Sequence[Batch]) -> dict[str, Document]:
    """The documents of batches by `_id`; each is checked for what no document may have."""
    making, result = encoder(), dict[str, Document]()
    for body in (body for batch in found for body in making.encode(batch)):
        items = list(body.items())
        assert len(items) == body.count
        for action, line in items:
            head, document = parsed(action), parsed(line)
            assert head.keys() == {"create"}
            assert head["create"].keys() == {"_id"}
            assert head["create"]["_id"] not in result
            assert_filled(document)
            result[head["create"]["_id"]] = document
    return result


def parsed(line: bytes) -> Document:
    """JSON in which no object names a key twice."""
    parsed: Document = json.loads(line, object_pairs_hook=_distinct)
    return parsed


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


def assert_filled(value: object) -> None:
    """No nulls, no `-`, no empty objects or arrays, at any depth."""
    assert value is not None
    assert value not in ("-", {}, [])
    for below in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        assert_filled(below)


def document_id(row: int, source: S3Object = SOURCE) -> str:
    """As the design says it: base64url of the first 12 bytes of a hash, and the row in hex."""
    digest = hashlib.sha256(b"\0".join(part.encode() for part in (source.bucket, source.key, source.etag))).digest()
    return f"{base64.urlsafe_b64encode(digest[:12]).decode()}{row:08x}"


def nested(paths: Mapping[str, Any]) -> Document:
    """Dotted paths to the object they describe; nothing may stand at a path and below it."""
    document: Document = {}
    for path, value in paths.items():
        node = document
        *above, name = path.split(".")
        for part in above:
            node = node.setdefault(part, {})
        assert name not in node, path
        node[name] = value
    return document


def always(row: int = 1, source: S3Object = SOURCE) -> dict[str, Any]:
    """What every document of an object has, by dotted path."""
    place = {"aws.s3.bucket.name": source.bucket, "aws.s3.object.key": source.key}
    return {
        "ecs.version": "9.4.0",
        "event.kind": "event",
        "event.category": ["network"],
        "event.dataset": "aws.vpcflow",
        "event.module": "aws",
        "event.ingested": "2026-01-31T12:07:30.250Z",
        "data_stream.type": "logs",
        "data_stream.dataset": "aws.vpcflow",
        "data_stream.namespace": "exporter",
        "cloud.provider": "aws",
        "log.offset": row,
        **(place if source.bucket else {"log.file.path": source.key}),
    }


def community_id(source: str, target: str, sport: int, dport: int, protocol: int) -> str:
    """As the reference library computes it; ports only where the protocol has them."""
    ports = (sport, dport) if protocol in PORTED else ()
    answer: str = communityid.CommunityID().calc(communityid.FlowTuple(protocol, source, target, *ports))
    return answer


def with_key(**changes: Any) -> S3Object:  # noqa: ANN401 # any attribute of an S3Object
    """SOURCE with other attributes."""
    return replace(SOURCE, **changes)
