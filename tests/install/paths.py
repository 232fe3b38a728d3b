"""Every path of a document with its type in the mappings: the field table's by their kind, and the derived ones."""

from exporter.fields import FIELDS, Kind

NESTED = ("threat.enrichments",)
"""Lists of objects that are searched one by one; what is below stands in a document of its own."""

TYPES = {
    Kind.KEYWORD: "keyword",
    Kind.ACCOUNT: "keyword",
    Kind.TAG: "keyword",
    Kind.ADDRESS: "ip",
    Kind.COUNT: "long",
    Kind.PORT: "long",
    Kind.OCTET: "keyword",
    Kind.CODE: "keyword",
    Kind.TIME: "date",
}

FROM_RECORDS = {
    path: "keyword" if path.endswith(".address") else TYPES[field.kind] for field in FIELDS for path in field.paths
}

_KEYWORDS = """
    aws.s3.bucket.name aws.s3.object.key
    aws.vpcflow.security_group_ids aws.vpcflow.subnet_name aws.vpcflow.tcp_flags_array aws.vpcflow.vpc_name
    cloud.account.name cloud.instance.name cloud.machine.type cloud.provider
    data_stream.dataset data_stream.namespace data_stream.type
    destination.locality ecs.version
    event.category event.dataset event.kind event.module event.original event.outcome event.type
    flow.locality log.file.path network.community_id network.protocol network.transport network.type orchestrator.type
    source.locality
    aws.vpcflow.client_rule aws.vpcflow.cost.kind aws.vpcflow.reporter threat.feed.name
    threat.enrichments.matched.atomic threat.enrichments.matched.field threat.enrichments.matched.id
    threat.enrichments.matched.type
"""

_GEO = """
    city_name continent_code continent_name country_iso_code country_name postal_code region_iso_code region_name
    timezone
"""

_INDICATOR = "confidence description marking.tlp marking.tlp_version name provider reference type"

_CONVERSATION = {"address": "keyword", "bytes": "long", "ip": "ip", "packets": "long", "port": "long"}

_CLOUD_END = "account.id account.name availability_zone instance.id instance.name machine.type region service.name"

_INTERFACE_END = """
    cluster_name interface_id interface_type resource_name resource_type security_group_ids security_group_names
    subnet_id subnet_name vpc_id vpc_name
"""

DERIVED = {
    "@timestamp": "date",
    "event.duration": "long",
    "event.ingested": "date",
    "log.offset": "long",
    "related.ip": "ip",
    "aws.vpcflow.extra": "flattened",
    "aws.vpcflow.source.tags": "object",
    "aws.vpcflow.destination.tags": "object",
    "aws.vpcflow.cost.usd": "double",
    "aws.vpcflow.sample_rate": "double",
    "threat.enrichments.indicator.ip": "ip",
    "threat.enrichments.indicator.port": "long",
    **{f"threat.enrichments.indicator.{name}": "date" for name in ("first_seen", "last_seen", "modified_at")},
    **{f"threat.enrichments.indicator.{name}": "keyword" for name in _INDICATOR.split()},
    **{f"{end}.{name}": kind for end in ("client", "server") for name, kind in _CONVERSATION.items()},
    **{f"{end}.geo.{name}": "keyword" for end in ("source", "destination") for name in _GEO.split()},
    **{f"{end}.geo.location": "geo_point" for end in ("source", "destination")},
    **{f"{end}.as.number": "long" for end in ("source", "destination")},
    **{f"{end}.as.organization.name": "keyword" for end in ("source", "destination")},
    **dict.fromkeys(_KEYWORDS.split(), "keyword"),
    **{f"cloud.{end}.{name}": "keyword" for end in ("origin", "target") for name in _CLOUD_END.split()},
    **{f"aws.vpcflow.{end}.{name}": "keyword" for end in ("source", "destination") for name in _INTERFACE_END.split()},
}

ALL = FROM_RECORDS | DERIVED
