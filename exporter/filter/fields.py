"""THE table of what can be filtered on: the document's paths, each with its type and the column that has its values."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from exporter.fields import FIELDS, Field, Kind
from exporter.filter import conditions, enriched, owned, recorded
from exporter.filter.columns import Make
from exporter.flow import CLIENT_RULES, ENDS
from exporter.protocols import PROTOCOLS, TCP_FLAGS

V = "aws.vpcflow."


@dataclass(frozen=True, slots=True)
class Filterable:
    """A field: its type, its column, and all its keywords where this program makes them or AWS has few."""

    kind: conditions.Kind
    make: Make
    among: tuple[str, ...] = ()


_KINDS: Mapping[Kind, conditions.Kind] = {Kind.COUNT: "whole", Kind.PORT: "whole"}
"""Those of the field table that are numbers in documents; addresses are apart, and all else is a keyword."""

_FEW: Mapping[str, tuple[str, ...]] = {
    "event.action": ("ACCEPT", "REJECT"),
    f"{V}action": ("ACCEPT", "REJECT"),
    f"{V}log_status": ("OK", "NODATA", "SKIPDATA"),
    "network.direction": ("ingress", "egress"),
}
_LOCALITIES = ("internal", "external")

_OF_REPORTER: Mapping[str, tuple[str, str]] = {
    "cloud.instance.id": ("instance_id", "instance_id"),
    "cloud.availability_zone": ("az_id", "availability_zone"),
    f"{V}instance_id": ("instance_id", "instance_id"),
    f"{V}interface_type": ("interface_type", "interface_type"),
    f"{V}vpc_id": ("vpc_id", "vpc_id"),
    f"{V}subnet_id": ("subnet_id", "subnet_id"),
}
"""Paths of the record's columns for which, where it has none, a column of the reporting interface's owner stands in."""


def _of_record(field: Field) -> Iterator[tuple[str, Filterable]]:
    """A row of the field table; times are none."""
    for path in field.paths:
        if field.kind is Kind.ADDRESS and not path.endswith(".address"):
            yield path, Filterable("ip", partial(recorded.address, field.column))
        elif field.kind is not Kind.TIME:
            make = partial(recorded.recorded, field.column)
            if path in _OF_REPORTER:
                make = partial(owned.reported, *_OF_REPORTER[path])
            yield path, Filterable(_KINDS.get(field.kind, "keyword"), make, _FEW.get(path, ()))


_DERIVED: Mapping[str, Filterable] = {
    "aws.s3.bucket.name": Filterable("keyword", partial(recorded.of_object, "bucket")),
    "aws.s3.object.key": Filterable("keyword", partial(recorded.of_object, "key")),
    f"{V}client_rule": Filterable("keyword", enriched.client_rule, CLIENT_RULES),
    f"{V}cost.kind": Filterable("keyword", partial(recorded.recorded, "cost_kind")),
    f"{V}cost.usd": Filterable("decimal", enriched.usd),
    f"{V}reporter": Filterable("keyword", enriched.reporter, (*ENDS, "copy")),
    f"{V}security_group_ids": Filterable("keyword", partial(owned.owned, "reporter", "security_group_ids")),
    f"{V}subnet_name": Filterable("keyword", partial(owned.owned, "reporter", "subnet_name")),
    f"{V}tcp_flags_array": Filterable("keyword", recorded.flag_names, TCP_FLAGS),
    f"{V}vpc_name": Filterable("keyword", partial(owned.owned, "reporter", "vpc_name")),
    "cloud.account.id": Filterable("keyword", owned.account),
    "cloud.account.name": Filterable("keyword", owned.account_name),
    "cloud.instance.name": Filterable("keyword", partial(owned.of_instance, "instance_name")),
    "cloud.machine.type": Filterable("keyword", partial(owned.of_instance, "machine_type")),
    "cloud.region": Filterable("keyword", owned.region),
    "event.duration": Filterable("whole", recorded.duration),
    "event.outcome": Filterable("keyword", recorded.outcome, ("success", "failure")),
    "event.type": Filterable("keyword", recorded.event_type, ("connection", "allowed", "denied")),
    "flow.locality": Filterable("keyword", enriched.flow_locality, _LOCALITIES),
    "log.file.path": Filterable("keyword", partial(recorded.of_object, "path")),
    "log.offset": Filterable("whole", partial(recorded.recorded, "row")),
    "network.protocol": Filterable("keyword", partial(recorded.recorded, "network_protocol")),
    "network.transport": Filterable("keyword", recorded.transport, tuple(PROTOCOLS.values())),
    "network.type": Filterable("keyword", recorded.network_type, ("ipv4", "ipv6")),
    "orchestrator.type": Filterable("keyword", recorded.orchestrator, ("ecs",)),
    "related.ip": Filterable("ip", recorded.related),
    "threat.feed.name": Filterable("keyword", enriched.feeds),
}

_CLOUD = ("account.id", "account.name", "availability_zone", "instance.id", "instance.name", "machine.type")
_INTERFACE = (
    "cluster_name",
    "interface_id",
    "interface_type",
    "resource_name",
    "resource_type",
    "security_group_ids",
    "security_group_names",
    "subnet_id",
    "subnet_name",
    "vpc_id",
    "vpc_name",
)
_GEO = (
    "city_name",
    "continent_code",
    "continent_name",
    "country_iso_code",
    "country_name",
    "postal_code",
    "region_iso_code",
    "region_name",
    "timezone",
)


def _of_end(end: str, cloud: str) -> Iterator[tuple[str, Filterable]]:
    """What is known of the source or of the destination."""
    yield f"{end}.locality", Filterable("keyword", partial(enriched.about, end, "locality"), _LOCALITIES)
    yield f"{end}.as.number", Filterable("whole", partial(enriched.member, end, "as", "number"))
    yield f"{end}.as.organization.name", Filterable("keyword", partial(enriched.member, end, "as", "organization.name"))
    for name in _GEO:
        yield f"{end}.geo.{name}", Filterable("keyword", partial(enriched.member, end, "geo", name))
    for path in (*_CLOUD, "region", "service.name"):
        yield f"{cloud}.{path}", Filterable("keyword", partial(owned.cloud, end, path.replace(".", "_")))
    for name in _INTERFACE:
        yield f"{V}{end}.{name}", Filterable("keyword", partial(owned.owned, f"{end}_owner", name))


def _of_role(name: str, place: int) -> Iterator[tuple[str, Filterable]]:
    """What is known of the client or of the server."""
    yield f"{name}.address", Filterable("keyword", partial(enriched.of_client, place, 0, recorded.recorded))
    yield f"{name}.ip", Filterable("ip", partial(enriched.of_client, place, 0, recorded.address))
    yield f"{name}.port", Filterable("whole", partial(enriched.of_client, place, 1, recorded.recorded))
    for count in ("bytes", "packets"):
        yield f"{name}.{count}", Filterable("whole", partial(enriched.traffic, place, count))


FILTERABLE: Mapping[str, Filterable] = dict(
    [
        *(row for field in FIELDS for row in _of_record(field)),
        *_of_end("source", "cloud.origin"),
        *_of_end("destination", "cloud.target"),
        *_of_role("client", 0),
        *_of_role("server", 1),
        *_DERIVED.items(),
    ]
)

BELOW: Mapping[str, str] = {
    f"{V}source.tags": "a tag's key",
    f"{V}destination.tags": "a tag's key",
    f"{V}extra": "the field's name in the record",
}
"""Paths below which any name is a field of its own, and what that name is."""

_SAME = "it is the same in every document"
_TIME = "a time is nothing to filter on"

UNFILTERABLE: Mapping[str, str] = {
    "@timestamp": _TIME,
    f"{V}sample_rate": "it is what a filter says of its samples",
    "cloud.provider": _SAME,
    "data_stream.dataset": _SAME,
    "data_stream.namespace": _SAME,
    "data_stream.type": _SAME,
    "ecs.version": _SAME,
    "event.category": _SAME,
    "event.dataset": _SAME,
    "event.end": _TIME,
    "event.ingested": _TIME,
    "event.kind": _SAME,
    "event.module": _SAME,
    "event.original": "it is not searched in Elasticsearch either: name the fields that it has",
    "event.start": _TIME,
    "network.community_id": "it is a hash of both ends' addresses and ports: name these",
    "source.geo.location": "a place on the globe is nothing to filter on: name the country or the city",
    "destination.geo.location": "a place on the globe is nothing to filter on: name the country or the city",
    "threat.enrichments": "threat.feed.name says which feeds a record matches",
}
"""Fields of documents that rules cannot name, each with why; what is below one of them can be named no more."""


def filterable(path: str) -> Filterable:
    """The field at a path of a document; ValueError says why there is none to filter on."""
    if found := FILTERABLE.get(path):
        return found
    for above, what in BELOW.items():
        if path == above or path.startswith(f"{above}."):
            return _below(above, path.removeprefix(above)[1:], what)
    for above, why in UNFILTERABLE.items():
        if path == above or path.startswith(f"{above}."):
            raise ValueError(f"cannot be filtered on: {why}")
    alike = difflib.get_close_matches(path, (*FILTERABLE, *BELOW), 1)
    raise ValueError(f"no such field in documents{f'; did you mean {alike[0]}?' if alike else ''}")


def _below(above: str, name: str, what: str) -> Filterable:
    if not name:
        raise ValueError(f"expected {what} behind it: {above}.NAME")
    if above == f"{V}extra":
        return Filterable("keyword", partial(recorded.recorded, f"extra.{name}"))
    return Filterable("keyword", partial(owned.tag, above.removeprefix(V).partition(".")[0], name))
