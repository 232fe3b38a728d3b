"""The field table against the facts: every field that AWS names, once, under its column, with every spelling."""

import re
from collections import Counter

import pytest

from exporter.fields import BY_COLUMN, DEFAULT_FORMAT, FIELDS, Kind, columns_of, field_named

SINCE = {
    2: "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action "
    "log-status",
    3: "vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr",
    4: "region az-id sublocation-type sublocation-id",
    5: "pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path",
    6: "resource-type tgw-id tgw-attachment-id tgw-src-vpc-account-id tgw-dst-vpc-account-id tgw-src-vpc-id "
    "tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id tgw-src-eni tgw-dst-eni tgw-src-az-id tgw-dst-az-id "
    "tgw-pair-attachment-id packets-lost-no-route packets-lost-blackhole packets-lost-mtu-exceeded "
    "packets-lost-ttl-expired",
    7: "ecs-cluster-arn ecs-cluster-name ecs-container-instance-arn ecs-container-instance-id ecs-container-id "
    "ecs-second-container-id ecs-service-name ecs-task-definition-arn ecs-task-arn ecs-task-id",
    8: "reject-reason",
    9: "resource-id",
    10: "encryption-status",
    11: "instance-tag instance-tag-2 interface-tag interface-tag-2 asg-tag asg-tag-2 interface-type "
    "next-hop-interface-id next-hop-subnet-id next-hop-az-id next-hop-vpc-id next-hop-interface-type",
}
KINDS = {
    Kind.ADDRESS: "srcaddr dstaddr pkt-srcaddr pkt-dstaddr",
    Kind.ACCOUNT: "account-id tgw-src-vpc-account-id tgw-dst-vpc-account-id",
    Kind.PORT: "srcport dstport",
    Kind.OCTET: "protocol",
    Kind.COUNT: "packets bytes packets-lost-no-route packets-lost-blackhole packets-lost-mtu-exceeded "
    "packets-lost-ttl-expired",
    Kind.TIME: "start end",
    Kind.CODE: "version tcp-flags traffic-path encryption-status",
    Kind.TAG: "instance-tag instance-tag-2 interface-tag interface-tag-2 asg-tag asg-tag-2",
}
PATHS = {
    "version": "aws.vpcflow.version",
    "account-id": "cloud.account.id aws.vpcflow.account_id",
    "interface-id": "aws.vpcflow.interface_id",
    "srcaddr": "source.address source.ip",
    "dstaddr": "destination.address destination.ip",
    "srcport": "source.port",
    "dstport": "destination.port",
    "protocol": "network.iana_number",
    "packets": "source.packets network.packets",
    "bytes": "source.bytes network.bytes",
    "start": "event.start",
    "end": "event.end",
    "action": "event.action aws.vpcflow.action",
    "instance-id": "cloud.instance.id aws.vpcflow.instance_id",
    "pkt-src-aws-service": "aws.vpcflow.pkt_src_service",
    "pkt-dst-aws-service": "aws.vpcflow.pkt_dst_service",
    "region": "cloud.region",
    "az-id": "cloud.availability_zone",
    "sublocation-type": "aws.vpcflow.sublocation.type",
    "sublocation-id": "aws.vpcflow.sublocation.id",
    "flow-direction": "network.direction",
    "ecs-cluster-arn": "orchestrator.cluster.id",
    "ecs-cluster-name": "orchestrator.cluster.name",
    "ecs-container-instance-arn": "orchestrator.resource.name",
    "ecs-container-instance-id": "orchestrator.resource.id",
    "ecs-container-id": "container.id aws.vpcflow.ecs_container_id",
    "ecs-service-name": "service.name",
    "reject-reason": "event.reason",
}
"""Where a field is not (only) the underscored name under aws.vpcflow."""


@pytest.mark.parametrize("since", SINCE)
def test_every_field_of_a_version(since: int) -> None:
    assert sorted(field.name for field in FIELDS if field.since == since) == sorted(SINCE[since].split())


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_kind_paths_and_column(field) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    kinds = [kind for kind, names in KINDS.items() if field.name in names.split()]
    assert field.kind is (kinds[0] if kinds else Kind.KEYWORD)
    assert " ".join(field.paths) == PATHS.get(field.name, "aws.vpcflow." + field.name.replace("-", "_"))
    assert field.column == field.name.replace("-", "_")
    assert BY_COLUMN[field.column] is field


def test_no_two_fields_share_a_column_a_path_or_a_spelling() -> None:
    folded = [{re.sub("[^a-z0-9]", "", name.lower()) for name in (field.name, *field.spellings)} for field in FIELDS]
    for names in ([field.column for field in FIELDS], [p for field in FIELDS for p in field.paths]):
        assert max(Counter(names).values()) == 1
    assert max(Counter(name for names in folded for name in names).values()) == 1


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_spellings(field) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    for name in (field.name, *field.spellings):
        first, *others = name.split("-")
        camel = first + "".join(part.capitalize() for part in others)
        for spelling in (name, name.upper(), name.replace("-", "_"), name.replace("-", ""), camel, f"${{{name}}}"):
            assert field_named(spelling) is field


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("windowstart", "start"),
        ("windowEnd", "end"),
        ("flow-log-status", "log-status"),
        ("flowlogstatus", "log-status"),
        ("log_status", "log-status"),
        ("logstatus", "log-status"),
        ("srcAddr", "srcaddr"),
        ("dstPort", "dstport"),
        ("sourceaddress", "srcaddr"),
        ("destinationaddress", "dstaddr"),
        ("interfaceid", "interface-id"),
        ("numpackets", "packets"),
        ("numbytes", "bytes"),
    ],
)
def test_spellings_that_people_use(spelling: str, name: str) -> None:
    field = field_named(spelling)
    assert field is not None
    assert field.name == name


@pytest.mark.parametrize("spelling", ["", "-", "${}", "pkt", "src", "version-2", "brand-new"])
def test_no_field(spelling: str) -> None:
    assert field_named(spelling) is None


def test_columns() -> None:
    names = ["${srcAddr}", "log-status", "brand-new", "${other_one}", "Mixed"]
    assert columns_of(names) == ("srcaddr", "log_status", "extra.brand-new", "extra.other_one", "extra.Mixed")


def test_the_default_format_is_version_2_in_order() -> None:
    assert tuple(SINCE[2].split()) == DEFAULT_FORMAT
