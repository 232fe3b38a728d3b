"""A network as plain rows, and back."""

from typing import cast

from exporter.simulate.network import Network, OwnerRow
from tests.simulate.made import NETWORK


def test_an_interface_as_a_plain_row() -> None:
    app = NETWORK.rows()[0]
    assert app == {
        "interface_id": "eni-app",
        "interface_type": "interface",
        "account_id": "123456789012",
        "region": "us-east-1",
        "availability_zone": "use1-az1",
        "instance_id": "i-app",
        "instance_name": "app",
        "machine_type": "m6i.large",
        "service_name": "",
        "subnet_id": "subnet-p1",
        "subnet_name": "private",
        "vpc_id": "vpc-p",
        "vpc_name": "production",
        "security_group_ids": [],
        "security_group_names": [],
        "resource_type": "app",
        "resource_name": "app",
        "tags": {},
        "addresses": ["10.0.0.5", "10.0.0.6", "2600:1f18:4000:a00::5"],
        "public_addresses": [],
    }


def test_an_inventory_gives_the_same_rows_back() -> None:
    rows = NETWORK.rows()
    assert Network.of("123456789012", "us-east-1", rows).rows() == rows


def row(**other: object) -> OwnerRow:
    return cast("OwnerRow", dict(NETWORK.rows()[0]) | other)


def test_roles_follow_from_resource_then_name_then_turn() -> None:
    rows = [
        row(resource_type="lambda_function", resource_name="web-thumbnails"),
        row(resource_type="instance", resource_name="Bastion-1"),
        row(resource_type="instance", resource_name="cards-7"),
        row(resource_type="nat_gateway", resource_name=None),
        row(resource_type=None, resource_name=None),
    ]
    found = Network.of("1", "r", rows).interfaces
    assert [interface.role for interface in found] == ["lambda", "bastion", "batch", "nat", "app"]


def test_what_cannot_log_is_left_out() -> None:
    rows = [row(vpc_id=None), row(subnet_id=None), row(addresses=["2600:1f18::5"]), row()]
    assert len(Network.of("1", "r", rows).interfaces) == 1
