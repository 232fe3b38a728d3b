"""Every path of a document with its type in the mappings: the field table's by their kind, and the derived ones."""

from exporter.fields import FIELDS, Kind

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
    flow.locality log.file.path network.community_id network.transport network.type orchestrator.type source.locality
"""

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
    **dict.fromkeys(_KEYWORDS.split(), "keyword"),
    **{f"cloud.{end}.{name}": "keyword" for end in ("origin", "target") for name in _CLOUD_END.split()},
    **{f"aws.vpcflow.{end}.{name}": "keyword" for end in ("source", "destination") for name in _INTERFACE_END.split()},
}

ALL = FROM_RECORDS | DERIVED
