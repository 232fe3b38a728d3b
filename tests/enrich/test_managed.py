"""What stands behind a managed interface: a Description as AWS writes it for each row."""

import pytest

from exporter.enrich.managed import MANAGED, behind

OF_MSK = "DO NOT DELETE - Amazon MSK network interface for cluster"
OF_SAGEMAKER = (
    "[Do not delete] Network Interface created to access resources in your VPC for SageMaker Notebook Instance"
)
UUID = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"

DESCRIPTIONS: tuple[tuple[str, str | None, str, str, str | None], ...] = (
    ("ELB app/shop/50dc6c495c0c9188", "amazon-elb", "application_load_balancer", "elasticloadbalancing", "shop"),
    ("ELB net/mail/1a2b3c4d5e6f7a8b", "amazon-elb", "network_load_balancer", "elasticloadbalancing", "mail"),
    ("ELB gwy/fire/1a2b3c4d5e6f7a8b", "amazon-elb", "gateway_load_balancer", "elasticloadbalancing", "fire"),
    ("ELB old-shop", "amazon-elb", "classic_load_balancer", "elasticloadbalancing", "old-shop"),
    ("Interface for NAT Gateway nat-0a1b2c", None, "nat_gateway", "vpc", "nat-0a1b2c"),
    ("VPC Endpoint Interface vpce-0a1b2c", None, "vpc_endpoint", "vpc", "vpce-0a1b2c"),
    (
        "Network Interface for Transit Gateway Attachment tgw-attach-0a1b",
        None,
        "transit_gateway_attachment",
        "vpc",
        "tgw-attach-0a1b",
    ),
    (f"AWS Lambda VPC ENI-pay-out-{UUID}", None, "lambda_function", "lambda", "pay-out"),
    (f"AWS Lambda VPC ENI: {UUID}", None, "lambda_function", "lambda", None),
    ("AWS Lambda VPC ENI: pay-out", None, "lambda_function", "lambda", "pay-out"),
    ("RDSNetworkInterface", "amazon-rds", "database", "rds", None),
    ("RedshiftNetworkInterface", "amazon-redshift", "redshift_cluster", "redshift", None),
    ("DMSNetworkInterface", None, "replication_instance", "dms", None),
    ("ElastiCache sessions-001", "amazon-elasticache", "cache_cluster", "elasticache", "sessions-001"),
    ("ElastiCache+sessions-002", "amazon-elasticache", "cache_cluster", "elasticache", "sessions-002"),
    ("EFS mount target for fs-0a1b (fsmt-0c2d)", None, "file_system", "elasticfilesystem", "fs-0a1b"),
    (f"arn:aws:ecs:us-east-1:012345678901:attachment/{UUID}", None, "ecs_task", "ecs", UUID),
    (f"arn:aws-us-gov:ecs:us-gov-west-1:012345678901:attachment/{UUID}", None, "ecs_task", "ecs", UUID),
    ("Amazon EKS prod", None, "eks_control_plane", "eks", "prod"),
    ("aws-K8S-i-0a1b2c3d", None, "eks_node", "eks", "i-0a1b2c3d"),
    ("Route 53 Resolver: rslvr-in-0a1b:rni-0c2d", None, "resolver_endpoint", "route53resolver", "rslvr-in-0a1b"),
    ("Route 53 Resolver: rslvr-out-0a1b:rni-0c2d", None, "resolver_endpoint", "route53resolver", "rslvr-out-0a1b"),
    ("Amazon MQ network interface for broker b-0a1b-22", None, "broker", "mq", "b-0a1b-22"),
    ("ES search-prod", "amazon-elasticsearch", "search_domain", "es", "search-prod"),
    ("CloudHSM Managed Interface", None, "hsm", "cloudhsm", None),
    ("AWS ElasticMapReduce - j-0A1B2C", None, "emr_cluster", "elasticmapreduce", "j-0A1B2C"),
    ("AWS created network interface for directory d-90671a", None, "directory", "ds", "d-90671a"),
    ("Amazon EC2 Instance Connect Endpoint", None, "instance_connect_endpoint", "ec2-instance-connect", None),
    ("Created By Amazon Workspaces for AWS Account ID 012345678901", None, "workspace", "workspaces", None),
    (
        f"{OF_MSK} arn:aws:kafka:eu-west-2:012345678901:cluster/events/{UUID}-2.",
        None,
        "kafka_cluster",
        "kafka",
        "events",
    ),
    ("Attached to Glue using role: arn:aws:iam::012345678901:role/etl", None, "glue_connection", "glue", None),
    (
        "[DO NOT DELETE] ENI managed by SageMaker for Studio Domain(d-g7djl) - a09d795df1d5926f328cb6564db19ab2",
        None,
        "sagemaker_domain",
        "sagemaker",
        "d-g7djl",
    ),
    (
        f"{OF_SAGEMAKER} [arn:aws:sagemaker:eu-west-2:012345678901:notebook-instance/lab-1]",
        None,
        "sagemaker_notebook",
        "sagemaker",
        "lab-1",
    ),
    ("ClientVPN Endpoint resource", None, "client_vpn_endpoint", "vpc", None),
    ("ClientVPN Endpoint resource cvpn-endpoint-0a1b", None, "client_vpn_endpoint", "vpc", "cvpn-endpoint-0a1b"),
    ("aws-k8s-branch-eni", None, "eks_node", "eks", None),
)

TYPES: tuple[tuple[str, str, str, str, str | None], ...] = (
    ("load_balancer", "", "load_balancer", "elasticloadbalancing", None),
    ("network_load_balancer", "", "network_load_balancer", "elasticloadbalancing", None),
    ("gateway_load_balancer", "", "gateway_load_balancer", "elasticloadbalancing", None),
    ("gateway_load_balancer_endpoint", "", "gateway_load_balancer_endpoint", "vpc", None),
    (
        "gateway_load_balancer_endpoint",
        "VPC Endpoint Interface vpce-0a1b",
        "gateway_load_balancer_endpoint",
        "vpc",
        "vpce-0a1b",
    ),
    ("vpc_endpoint", "", "vpc_endpoint", "vpc", None),
    ("nat_gateway", "", "nat_gateway", "vpc", None),
    ("natGateway", "two\nlines", "nat_gateway", "vpc", None),
    ("transit_gateway", "", "transit_gateway_attachment", "vpc", None),
    ("lambda", "", "lambda_function", "lambda", None),
    ("efs", "", "file_system", "elasticfilesystem", None),
    ("evs", "", "evs_environment", "evs", None),
    ("quicksight", "", "quicksight_connection", "quicksight", None),
    ("global_accelerator_managed", "", "global_accelerator", "globalaccelerator", None),
    ("api_gateway_managed", "", "api_gateway_vpc_link", "apigateway", None),
    ("iot_rules_managed", "", "iot_rule_destination", "iot", None),
    ("aws_codestar_connections_managed", "", "codestar_connections_host", "codestar-connections", None),
    ("ec2_instance_connect_endpoint", "", "instance_connect_endpoint", "ec2-instance-connect", None),
)
"""Types, and a Description that may stand beside one."""

UNKNOWN: tuple[tuple[str, str | None], ...] = (
    ("", None),
    ("my interface", None),
    ("ELB of the old team", "AIDAEXAMPLE"),
    ("ElastiCache experiment", None),
    ("ES test cluster of Joe", None),
    ("ES data-1", "AIDAEXAMPLE"),
    ("ES data-1", None),
    ("was RDSNetworkInterface", None),
    ("RDSNetworkInterface\n", None),
    ("Interface for NAT Gateway", None),
)


@pytest.mark.parametrize(("description", "requester", "resource_type", "service", "name"), DESCRIPTIONS)
def test_known(description: str, requester: str | None, resource_type: str, service: str, name: str | None) -> None:
    found = behind(description, requester, "interface", on_instance=False)
    assert found is not None
    row, found_name = found
    assert (row.resource_type, row.service, found_name) == (resource_type, service, name)


def test_every_row_has_a_description_here() -> None:
    found = [behind(description, requester, None, on_instance=False) for description, requester, *_ in DESCRIPTIONS]
    found += [behind(description, None, interface_type, on_instance=False) for interface_type, description, *_ in TYPES]
    assert {each[0] for each in found if each} == set(MANAGED)


@pytest.mark.parametrize(("interface_type", "description", "resource_type", "service", "name"), TYPES)
def test_known_by_its_type(
    interface_type: str, description: str, resource_type: str, service: str, name: str | None
) -> None:
    found = behind(description, None, interface_type, on_instance=False)
    assert found is not None
    row, found_name = found
    assert (row.resource_type, row.service, found_name) == (resource_type, service, name)


@pytest.mark.parametrize("interface_type", ["interface", "efa", "efa-only", "trunk", "branch", "newThing", None])
def test_types_that_tell_nothing(interface_type: str | None) -> None:
    assert behind("", None, interface_type, on_instance=False) is None


@pytest.mark.parametrize(("description", "requester"), UNKNOWN)
def test_not_in_the_table(description: str, requester: str | None) -> None:
    assert behind(description, requester, "interface", on_instance=False) is None


def test_an_interface_of_an_instance_is_managed_only_for_kubernetes_and_tasks() -> None:
    assert behind("ELB app/shop/50dc6c495c0c9188", None, "interface", on_instance=True) is None
    found = behind(f"arn:aws:ecs:us-east-1:012345678901:attachment/{UUID}", None, "interface", on_instance=True)
    assert found is not None
    assert (found[0].resource_type, found[0].service, found[1]) == ("ecs_task", "ecs", UUID)
    for description, interface_type in (("aws-K8S-i-0a1b2c3d", "interface"), ("aws-k8s-trunk-eni", "trunk")):
        found = behind(description, None, interface_type, on_instance=True)
        assert found is not None
        assert found[0].resource_type == "eks_node"
