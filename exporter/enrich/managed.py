"""What stands behind an interface that AWS manages: a table over its Description, else its type."""

import re
from dataclasses import dataclass

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@dataclass(frozen=True, slots=True)
class Managed:
    """One row: the whole Description as a pattern, resource type and service; its group `name` names the resource.

    `service` is the prefix of the service's permissions, for the network's own parts vpc.  `requester` is what
    RequesterId has to be, given where people could well write such a Description themselves; `interface_type` is what
    InterfaceType has to be, which only AWS can write.  `on_instance` rows also describe interfaces that are attached
    to an instance, and what stands behind goes by its id there; `hosted` rows do too, but keep the Description's name.
    """

    description: str
    resource_type: str
    service: str
    requester: str | None = None
    interface_type: str | None = None
    on_instance: bool = False
    hosted: bool = False


_ANY = r"(?s:.*)"


def _typed(interface_type: str, resource_type: str, service: str) -> Managed:
    """A row for an interface of this type, whatever its Description."""
    return Managed(_ANY, resource_type, service, interface_type=interface_type)


MANAGED: tuple[Managed, ...] = (
    Managed(r"ELB app/(?P<name>[^/]+)/[^/]+", "application_load_balancer", "elasticloadbalancing"),
    Managed(r"ELB net/(?P<name>[^/]+)/[^/]+", "network_load_balancer", "elasticloadbalancing"),
    Managed(r"ELB gwy/(?P<name>[^/]+)/[^/]+", "gateway_load_balancer", "elasticloadbalancing"),
    Managed(r"ELB (?P<name>[^/]+)", "classic_load_balancer", "elasticloadbalancing", requester="amazon-elb"),
    Managed(r"Interface for NAT Gateway (?P<name>nat-\w+)", "nat_gateway", "vpc"),
    Managed(
        r"VPC Endpoint Interface (?P<name>vpce-\w+)",
        "gateway_load_balancer_endpoint",
        "vpc",
        interface_type="gateway_load_balancer_endpoint",
    ),
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
    Managed(r"arn:aws[\w-]*:ecs:[^:]+:\d+:attachment/(?P<name>[\w-]+)", "ecs_task", "ecs", hosted=True),
    Managed(r"Amazon EKS (?P<name>\S+)", "eks_control_plane", "eks"),
    Managed(r"aws-K8S-(?P<name>i-\w+)", "eks_node", "eks", on_instance=True),
    Managed(r"aws-k8s-(?:trunk|branch)-eni", "eks_node", "eks", on_instance=True),
    Managed(r"Route 53 Resolver: (?P<name>rslvr-(?:in|out)-\w+):rni-\w+", "resolver_endpoint", "route53resolver"),
    Managed(r"Amazon MQ network interface for broker (?P<name>b-[\w-]+)", "broker", "mq"),
    Managed(r"ES (?P<name>[a-z][a-z0-9-]{2,27})", "search_domain", "es", requester="amazon-elasticsearch"),
    Managed(r"CloudHSM Managed Interface", "hsm", "cloudhsm"),
    Managed(r"AWS ElasticMapReduce - (?P<name>.+)", "emr_cluster", "elasticmapreduce"),
    Managed(r"AWS created network interface for directory (?P<name>d-\w+)", "directory", "ds"),
    Managed(r"Amazon EC2 Instance Connect Endpoint", "instance_connect_endpoint", "ec2-instance-connect"),
    Managed(r"Created By Amazon Workspaces.*", "workspace", "workspaces"),
    Managed(
        r"DO NOT DELETE - Amazon MSK network interface for cluster "
        r"arn:[^:]+:kafka:[^:]*:\d*:cluster/(?P<name>[^/]+)/.*",
        "kafka_cluster",
        "kafka",
    ),
    Managed(r"Attached to Glue using role: .+", "glue_connection", "glue"),
    Managed(
        r"\[DO NOT DELETE\] ENI managed by SageMaker for Studio Domain ?\((?P<name>d-\w+)\).*",
        "sagemaker_domain",
        "sagemaker",
    ),
    Managed(
        r"\[Do not delete\] Network Interface created to access resources in your VPC for SageMaker "
        r"Notebook Instance .*notebook-instance/(?P<name>[\w-]+).*",
        "sagemaker_notebook",
        "sagemaker",
    ),
    Managed(r"ClientVPN Endpoint resource(?:.*?(?P<name>cvpn-endpoint-\w+))?.*", "client_vpn_endpoint", "vpc"),
    _typed("load_balancer", "load_balancer", "elasticloadbalancing"),
    _typed("network_load_balancer", "network_load_balancer", "elasticloadbalancing"),
    _typed("gateway_load_balancer", "gateway_load_balancer", "elasticloadbalancing"),
    _typed("gateway_load_balancer_endpoint", "gateway_load_balancer_endpoint", "vpc"),
    _typed("vpc_endpoint", "vpc_endpoint", "vpc"),
    _typed("nat_gateway", "nat_gateway", "vpc"),
    _typed("natGateway", "nat_gateway", "vpc"),
    _typed("transit_gateway", "transit_gateway_attachment", "vpc"),
    _typed("lambda", "lambda_function", "lambda"),
    _typed("efs", "file_system", "elasticfilesystem"),
    _typed("evs", "evs_environment", "evs"),
    _typed("quicksight", "quicksight_connection", "quicksight"),
    _typed("global_accelerator_managed", "global_accelerator", "globalaccelerator"),
    _typed("api_gateway_managed", "api_gateway_vpc_link", "apigateway"),
    _typed("iot_rules_managed", "iot_rule_destination", "iot"),
    _typed("aws_codestar_connections_managed", "codestar_connections_host", "codestar-connections"),
    _typed("ec2_instance_connect_endpoint", "instance_connect_endpoint", "ec2-instance-connect"),
)
"""First row that fits counts.  Source: the Descriptions that AWS's services give their interfaces, read in 2026; types:
EC2's API reference, NetworkInterface and the filter interface-type of DescribeNetworkInterfaces.

Names in it are what the Description tells: an ECS task's is the id of its attachment, a node's its instance id.
"""

_COMPILED = tuple((re.compile(row.description), row) for row in MANAGED)
_OF_INSTANCES = tuple((pattern, row) for pattern, row in _COMPILED if row.on_instance or row.hosted)
_LONGEST = 1024


def behind(
    description: str, requester: str | None, interface_type: str | None, *, on_instance: bool
) -> tuple[Managed, str | None] | None:
    """The row for an interface and the name of its resource, if it has one; None for an interface not in the table.

    `on_instance`: it is attached to an instance of its own account, where a service's own Descriptions mean nothing.
    """
    for pattern, row in _OF_INSTANCES if on_instance else _COMPILED:
        if row.requester in (None, requester) and row.interface_type in (None, interface_type):
            found = pattern.fullmatch(description[:_LONGEST])
            if found:
                return row, found.groupdict().get("name")
    return None
