"""What a record becomes, one record at a time, in plain Python, written from the mapping's table and not from the code.

It knows nothing of columns, of JSON text or of the program's field table; it is slow and easy to check.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote

from exporter.flow import S3Object
from tests.ecs.cases import always, community_id, nested

Record = Mapping[str, str | None]
Owner = Mapping[str, Any]

V = "aws.vpcflow."
STRINGS: dict[str, tuple[str, ...]] = {
    "version": (V + "version",),
    "account-id": (V + "account_id",),
    "interface-id": (V + "interface_id",),
    "srcaddr": ("source.address", "source.ip"),
    "dstaddr": ("destination.address", "destination.ip"),
    "protocol": ("network.iana_number",),
    "action": ("event.action", V + "action"),
    "log-status": (V + "log_status",),
    "vpc-id": (V + "vpc_id",),
    "subnet-id": (V + "subnet_id",),
    "instance-id": ("cloud.instance.id", V + "instance_id"),
    "tcp-flags": (V + "tcp_flags",),
    "type": (V + "type",),
    "pkt-srcaddr": (V + "pkt_srcaddr",),
    "pkt-dstaddr": (V + "pkt_dstaddr",),
    "pkt-src-aws-service": (V + "pkt_src_service",),
    "pkt-dst-aws-service": (V + "pkt_dst_service",),
    "az-id": ("cloud.availability_zone",),
    "sublocation-type": (V + "sublocation.type",),
    "sublocation-id": (V + "sublocation.id",),
    "flow-direction": ("network.direction",),
    "traffic-path": (V + "traffic_path",),
    "ecs-cluster-arn": ("orchestrator.cluster.id",),
    "ecs-cluster-name": ("orchestrator.cluster.name",),
    "ecs-container-instance-arn": ("orchestrator.resource.name",),
    "ecs-container-instance-id": ("orchestrator.resource.id",),
    "ecs-container-id": ("container.id", V + "ecs_container_id"),
    "ecs-service-name": ("service.name",),
    "reject-reason": ("event.reason",),
}
"""Where a field's text goes as a string; `aws.vpcflow.` and its name with underscores where it is not named here."""
SAME_NAME = [
    "ecs-second-container-id",
    "ecs-task-definition-arn",
    "ecs-task-arn",
    "ecs-task-id",
    "resource-id",
    "encryption-status",
    "interface-type",
    "next-hop-interface-id",
    "next-hop-subnet-id",
    "next-hop-az-id",
    "next-hop-vpc-id",
    "next-hop-interface-type",
    "resource-type",
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
]
NUMBERS: dict[str, tuple[str, ...]] = {
    "srcport": ("source.port",),
    "dstport": ("destination.port",),
    "packets": ("source.packets", "network.packets"),
    "bytes": ("source.bytes", "network.bytes"),
    "packets-lost-no-route": (V + "packets_lost_no_route",),
    "packets-lost-blackhole": (V + "packets_lost_blackhole",),
    "packets-lost-mtu-exceeded": (V + "packets_lost_mtu_exceeded",),
    "packets-lost-ttl-expired": (V + "packets_lost_ttl_expired",),
}
TAGS = ("instance-tag", "instance-tag-2", "interface-tag", "interface-tag-2", "asg-tag", "asg-tag-2")
TIMES = ("start", "end")
ELSEWHERE = ("region",)
"""Handled by itself, because the key can stand in."""

FLAGS = {1: "fin", 2: "syn", 4: "rst", 8: "psh", 16: "ack", 32: "urg"}
TRANSPORTS = {"0": "hopopt", "1": "icmp", "6": "tcp", "17": "udp", "47": "gre", "58": "ipv6-icmp", "132": "sctp"}
"""The protocols that the property test uses and IANA has a keyword for."""


@dataclass(frozen=True, slots=True)
class Known:
    """What enrichment says of a record: owners of its ends and of its interface, localities, the direction."""

    reporter: Owner | None
    source: Owner | None
    destination: Owner | None
    source_locality: str | None
    destination_locality: str | None
    direction: str | None


def document(record: Record, extra: Record, row: int, source: S3Object, known: Known) -> dict[str, Any]:
    """The record's document; `extra` holds the fields that nobody knows, by the name in the document."""
    record = {**record, "account-id": None if record.get("account-id") == "unknown" else record.get("account-id")}
    paths = {
        **_strings(record),
        **_numbers(record),
        **_cloud(record, source),
        **_times(record, source),
        **_action(record),
        **_network(record),
        **_known(record, source, known),
    }
    found = {name: value for name, value in extra.items() if value is not None}
    return nested(
        {
            **always(row, source),
            **{path: value for path, value in paths.items() if value not in (None, [], {})},
            **({"aws.vpcflow.extra": found} if found else {}),
        }
    )


def _strings(record: Record) -> dict[str, Any]:
    same = {name: (V + name.replace("-", "_"),) for name in (*SAME_NAME, *TAGS)}
    found = {path: record.get(name) for name, paths in {**STRINGS, **same}.items() for path in paths}
    for name in TAGS:
        text = record.get(name)
        found[same[name][0]] = None if text is None else unquote(text)
    return found


def _numbers(record: Record) -> dict[str, Any]:
    values = {name: record.get(name) for name in NUMBERS}
    return {path: int(text) for name, text in values.items() if text is not None for path in NUMBERS[name]}


def _cloud(record: Record, source: S3Object) -> dict[str, Any]:
    clustered = record.get("ecs-cluster-arn") or record.get("ecs-cluster-name")
    return {
        "cloud.account.id": record.get("account-id") or source.account,
        "cloud.region": record.get("region") or source.region,
        "orchestrator.type": "ecs" if clustered else None,
    }


def _microseconds(text: str | None) -> int | None:
    """Seconds, milliseconds or microseconds by their magnitude: 10^11 seconds are the year 5138."""
    if text is None:
        return None
    number = int(text)
    return number * (1_000_000 if number < 10**11 else 1000 if number < 10**14 else 1)


def _iso(micros: int | None) -> str | None:
    if micros is None:
        return None
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03}Z"


def _times(record: Record, source: S3Object) -> dict[str, Any]:
    start, end = _microseconds(record.get("start")), _microseconds(record.get("end"))
    lasted = None if start is None or end is None or end < start else (end - start) * 1000
    return {
        "event.start": _iso(start),
        "event.end": _iso(end),
        "event.duration": None if lasted is None or lasted >= 2**63 else lasted,
        "@timestamp": _iso(end) or _iso(start) or f"{source.time:%Y-%m-%dT%H:%M:%S.000Z}",
    }


def _action(record: Record) -> dict[str, Any]:
    outcomes = {"ACCEPT": ("success", "allowed"), "REJECT": ("failure", "denied")}
    action = record.get("action")
    if action not in outcomes or record.get("log-status") in ("NODATA", "SKIPDATA"):
        return {}
    outcome, kind = outcomes[action]
    return {"event.outcome": outcome, "event.type": ["connection", kind]}


def _network(record: Record) -> dict[str, Any]:
    source, target = record.get("srcaddr"), record.get("dstaddr")
    every = [source, target, record.get("pkt-srcaddr"), record.get("pkt-dstaddr")]
    there = [address for address in every if address]
    mask = int(record.get("tcp-flags") or 0)
    return {
        "network.transport": TRANSPORTS.get(record.get("protocol") or ""),
        "network.type": f"ipv{ip_address(there[0]).version}" if there else None,
        "network.community_id": _community_id(record, source, target),
        "related.ip": list(dict.fromkeys(there)),
        "aws.vpcflow.tcp_flags_array": [name for bit, name in FLAGS.items() if mask & bit],
    }


def _community_id(record: Record, source: str | None, target: str | None) -> str | None:
    ports, protocol = [record.get("srcport"), record.get("dstport")], record.get("protocol")
    if not source or not target or not protocol or ip_address(source).version != ip_address(target).version:
        return None
    if protocol in ("1", "6", "17", "58", "132") and None in ports:
        return None
    return community_id(source, target, int(ports[0] or 0), int(ports[1] or 0), int(protocol))


def _known(record: Record, source: S3Object, known: Known) -> dict[str, Any]:
    found: dict[str, Any] = {
        "network.direction": record.get("flow-direction") or known.direction,
        "source.locality": known.source_locality,
        "destination.locality": known.destination_locality,
    }
    if known.source_locality and known.destination_locality:
        both = known.source_locality == known.destination_locality == "internal"
        found["flow.locality"] = "internal" if both else "external"
    for end, where, owner in (("source", "origin", known.source), ("destination", "target", known.destination)):
        found |= {f"cloud.{where}": _cloud_of(owner or {}), V + end: _vpcflow_of(owner or {})}
    owner = known.reporter or {}
    account = record.get("account-id") or source.account
    if account in (None, owner.get("account_id")):
        found["cloud.account.name"] = owner.get("account_name")
    return found | _filled(record, owner)


def _filled(record: Record, owner: Owner) -> dict[str, Any]:
    """The reporting interface's values where the record has none; those of an instance only with that instance."""
    instance = record.get("instance-id") or owner.get("instance_id")
    theirs = instance == owner.get("instance_id")
    silent = {
        "cloud.instance.id": instance,
        V + "instance_id": instance,
        "cloud.instance.name": owner.get("instance_name") if theirs else None,
        "cloud.machine.type": owner.get("machine_type") if theirs else None,
        "cloud.availability_zone": record.get("az-id") or owner.get("availability_zone"),
        V + "interface_type": record.get("interface-type") or owner.get("interface_type"),
        V + "vpc_id": record.get("vpc-id") or owner.get("vpc_id"),
        V + "vpc_name": owner.get("vpc_name"),
        V + "subnet_id": record.get("subnet-id") or owner.get("subnet_id"),
        V + "subnet_name": owner.get("subnet_name"),
        V + "security_group_ids": owner.get("security_group_ids"),
    }
    if not record.get("region") and owner.get("region"):
        silent["cloud.region"] = owner["region"]
    return silent


def _cloud_of(owner: Owner) -> dict[str, Any]:
    whole = {
        "account.id": owner.get("account_id"),
        "account.name": owner.get("account_name"),
        "region": owner.get("region"),
        "availability_zone": owner.get("availability_zone"),
        "instance.id": owner.get("instance_id"),
        "instance.name": owner.get("instance_name"),
        "machine.type": owner.get("machine_type"),
        "service.name": owner.get("service_name"),
    }
    return nested({path: value for path, value in whole.items() if value})


def _vpcflow_of(owner: Owner) -> dict[str, Any]:
    names = [
        "interface_id",
        "interface_type",
        "subnet_id",
        "subnet_name",
        "vpc_id",
        "vpc_name",
        "security_group_ids",
        "security_group_names",
        "resource_type",
        "resource_name",
        "cluster_name",
        "tags",
    ]
    return {name: owner[name] for name in names if owner.get(name)}
