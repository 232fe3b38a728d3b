"""What many documents have in common, by dotted path, so that a table of documents can be checked by eye."""

from typing import Any

Paths = dict[str, Any]

MINUTE = {
    "@timestamp": "2026-01-31T12:01:00.000Z",
    "event.start": "2026-01-31T12:00:00.000Z",
    "event.end": "2026-01-31T12:01:00.000Z",
    "event.duration": 60_000_000_000,
}
"""1769860800 to 1769860860."""
KEYS = {"cloud.account.id": "012345678901", "cloud.region": "eu-central-1"}
"""What the key tells of a record that does not."""
ACCEPTED = {
    "event.action": "ACCEPT",
    "event.outcome": "success",
    "event.type": ["connection", "allowed"],
    "aws.vpcflow.action": "ACCEPT",
}
REJECTED = {
    "event.action": "REJECT",
    "event.outcome": "failure",
    "event.type": ["connection", "denied"],
    "aws.vpcflow.action": "REJECT",
}


def ends(source: str, destination: str, kind: str = "ipv4") -> Paths:
    return {
        "source.address": source,
        "source.ip": source,
        "destination.address": destination,
        "destination.ip": destination,
        "network.type": kind,
        "related.ip": [source, destination],
    }


def locality(source: str | None, destination: str | None) -> Paths:
    both = source == destination == "internal"
    found = {
        "source.locality": source,
        "destination.locality": destination,
        "flow.locality": ("internal" if both else "external") if source and destination else None,
    }
    return {path: value for path, value in found.items() if value}


def traffic(packets: int, size: int) -> Paths:
    return {"source.packets": packets, "network.packets": packets, "source.bytes": size, "network.bytes": size}


def ports(source: int, destination: int) -> Paths:
    return {"source.port": source, "destination.port": destination}


def protocol(number: str, keyword: str) -> Paths:
    return {"network.iana_number": number, "network.transport": keyword}
