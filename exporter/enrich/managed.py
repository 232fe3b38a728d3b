"""What stands behind an interface that AWS manages: a table over its Description."""

import re
from dataclasses import dataclass

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@dataclass(frozen=True, slots=True)
class Managed:
    """One row: the whole Description as a pattern, resource type and service; its group `name` names the resource.

    `service` is the prefix of the service's permissions, for the network's own parts vpc.  `requester` is what
    RequesterId has to be, given where people could well write such a Description themselves.  `on_instance` rows
    also describe interfaces that are attached to an instance.
    """

    description: str
    resource_type: str
    service: str
    requester: str | None = None
    on_instance: bool = False


MANAGED: tuple[Managed, ...] = (
    Managed(r"ELB app/(?P<name>[^/]+)/[^/]+", "application_load_balancer", "elasticloadbalancing"),
    Managed(r"ELB net/(?P<name>[^/]+)/[^/]+", "network_load_balancer", "elasticloadbalancing"),
    Managed(r"ELB gwy/(?P<name>[^/]+)/[^/]+", "gateway_load_balancer", "elasticloadbalancing"),
    Managed(r"ELB (?P<name>[^/]+)", "classic_load_balancer", "elasticloadbalancing", requester="amazon-elb"),
    Managed(r"Interface for NAT Gateway (?P<name>nat-\w+)", "nat_gateway", "vpc"),
    Managed(r"VPC Endpoint Interface (?P<name>vpce-\w+)", "vpc_endpoint", "vpc"),
    Managed(
        r"Network Interface for Transit Gateway Attachment (?P<name>tgw-attach-\w+)",
        "transit_gateway_attachment",
        "vpc",
    ),
    Managed(rf"AWS Lambda VPC ENI-(?P<name>.+)-{_UUID}", "lambda_function", "lambda"),
    Managed(rf"AWS Lambda VPC ENI: {_UUID}", "lambda_function", "lambda"),
    Managed(r"AWS Lambda VPC ENI: (?P<name>.+)", "lambda_function", "lambda"),
    Managed(r"RDSNetworkInterface", "database", "rds"),
    Managed(r"RedshiftNetworkInterface", "redshift_cluster", "redshift"),
    Managed(r"DMSNetworkInterface", "replication_instance", "dms"),
    Managed(r"ElastiCache[ +](?P<name>.+)", "cache_cluster", "elasticache", requester="amazon-elasticache"),
    Managed(r"EFS mount target for (?P<name>fs-\w+) \(fsmt-\w+\)", "file_system", "elasticfilesystem"),
    Managed(r"arn:aws[\w-]*:ecs:[^:]+:\d+:attachment/(?P<name>[\w-]+)", "ecs_task", "ecs"),
    Managed(r"Amazon EKS (?P<name>\S+)", "eks_control_plane", "eks"),
    Managed(r"aws-K8S-(?P<name>i-\w+)", "eks_node", "eks", on_instance=True),
    Managed(r"Route 53 Resolver: (?P<name>rslvr-(?:in|out)-\w+):rni-\w+", "resolver_endpoint", "route53resolver"),
    Managed(r"Amazon MQ network interface for broker (?P<name>b-[\w-]+)", "broker", "mq"),
    Managed(r"ES (?P<name>[a-z][a-z0-9-]{2,27})", "search_domain", "es"),
    Managed(r"CloudHSM Managed Interface", "hsm", "cloudhsm"),
    Managed(r"AWS ElasticMapReduce - (?P<name>.+)", "emr_cluster", "elasticmapreduce"),
    Managed(r"AWS created network interface for directory (?P<name>d-\w+)", "directory", "ds"),
    Managed(r"Amazon EC2 Instance Connect Endpoint", "instance_connect_endpoint", "ec2-instance-connect"),
    Managed(r"Created By Amazon Workspaces.*", "workspace", "workspaces"),
)
"""First row that fits counts.  Source: the Descriptions that AWS's services give their interfaces, read in 2026.

Names in it are what the Description tells: an ECS task's is the id of its attachment, a node's its instance id.
"""

_COMPILED = tuple((re.compile(row.description), row) for row in MANAGED)
_LONGEST = 1024


def behind(description: str, requester: str | None, *, on_instance: bool) -> tuple[Managed, str | None] | None:
    """The row for an interface and the name of its resource, if it has one; None for an interface not in the table."""
    for pattern, row in _COMPILED:
        found = pattern.fullmatch(description[:_LONGEST])
        if found and row.requester in (None, requester) and (row.on_instance or not on_instance):
            return row, found.groupdict().get("name")
    return None
