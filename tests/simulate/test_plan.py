"""The plausible network: how many of what, where, and with which addresses."""

from collections import Counter
from ipaddress import ip_address, ip_network

import pytest

from exporter.simulate.plan import LEAST, MOST, ROLES, ZONES, counts, plausible, zone_ids


def test_the_same_arguments_give_the_same_network() -> None:
    assert plausible(7) == plausible(7)
    assert plausible(7) != plausible(8)


@pytest.mark.parametrize("size", [LEAST, 120, 1_001])
def test_every_interface_counts_and_every_role_is_there(size: int) -> None:
    network = plausible(1, size=size)
    assert len(network.interfaces) == size
    assert {interface.role for interface in network.interfaces} == {role.role for role in ROLES}
    assert len({interface.id for interface in network.interfaces}) == size


def test_counts_are_the_fixed_ones_a_zone_and_shares_of_the_rest() -> None:
    fixed = 13 * ZONES  # alb, nlb, nat, db, cache, lambda, endpoint; alb, nat, db; bastion, nat, standby
    by_role = dict(zip(((role.vpc, role.role) for role in ROLES), counts(fixed + 17), strict=True))
    assert by_role["production", "alb"] == 3
    assert (by_role["production", "web"], by_role["production", "app"], by_role["production", "batch"]) == (5, 6, 3)
    assert (by_role["staging", "web"], by_role["staging", "app"], by_role["shared", "batch"]) == (1, 1, 1)


@pytest.mark.parametrize("size", [LEAST - 1, MOST + 1])
def test_a_size_out_of_bounds_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"a network has 80 to 40000 interfaces, not {size}"):
        plausible(1, size=size)


def test_addresses_lie_in_their_subnets_and_are_used_once_a_vpc() -> None:
    network = plausible(1, size=400)
    used: Counter[tuple[str, str]] = Counter()
    for interface in network.interfaces:
        for address in interface.addresses:
            used[interface.subnet.vpc.id, address] += 1
            ranges = [ip_network(cidr) for cidr in (interface.subnet.cidr, interface.subnet.cidr6) if cidr]
            assert any(ip_address(address) in within for within in ranges)
    assert set(used.values()) == {1}
    publics = [interface.public for interface in network.interfaces if interface.public]
    assert len(publics) == len(set(publics)) == 21  # three balancers, three NAT gateways and a bastion, in each zone


def test_two_vpcs_overlap_and_share_addresses() -> None:
    network = plausible(1)
    production, staging = (vpc for vpc in network.vpcs if vpc.name in {"production", "staging"})
    assert production.cidr == staging.cidr
    assert production.id != staging.id
    held = [{i.address for i in network.interfaces if i.subnet.vpc == vpc} for vpc in (production, staging)]
    assert held[0] & held[1]


def test_descriptions_are_those_of_aws() -> None:
    network = plausible(1)
    told = {
        role: network.role(role, "production")[0].description for role in ("alb", "nlb", "nat", "lambda", "endpoint")
    }
    assert told["alb"].startswith("ELB app/storefront/")
    assert told["nlb"].startswith("ELB net/telemetry/")
    assert told["nat"] == f"Interface for NAT Gateway {network.role('nat')[0].resource_name}"
    assert told["lambda"].startswith("AWS Lambda VPC ENI-thumbnails-")
    assert told["endpoint"].startswith("VPC Endpoint Interface vpce-")
    assert network.role("database")[0].description == "RDSNetworkInterface"


@pytest.mark.parametrize(
    ("region", "first"),
    [
        ("us-east-1", "use1-az1"),
        ("eu-central-1", "euc1-az1"),
        ("ap-northeast-2", "apne2-az1"),
        ("us-gov-west-1", "usgw1-az1"),
    ],
)
def test_zone_ids(region: str, first: str) -> None:
    assert zone_ids(region)[0] == first
