"""Snapshots of several regions as one, as the bench puts its large inventory together."""

from dataclasses import replace
from datetime import timedelta

from bench.ownership import merge
from exporter.enrich.inventory import Snapshot

from .cases import TAKEN, Interface, snapshot


def owned(found: Snapshot) -> dict[str, set[str]]:
    """Addresses by interface id."""
    ids = found.owners["interface_id"].to_list()
    rows = found.addresses.select("owner", "address").rows()
    return {name: {address for owner, address in rows if ids[owner] == name} for name in ids}


def test_merge() -> None:
    east = snapshot([Interface("a", "vpc-a", ("10.0.0.1",)), Interface("b", "vpc-a", ("10.0.0.2",))], ("10.0.0.0/24",))
    west = snapshot(
        [Interface("c", "vpc-c", ("10.0.0.1",), ("54.0.0.1",)), Interface("a", "vpc-x", ("10.0.0.3",))],
        ("10.0.0.0/24", "10.1.0.0/24"),
    )
    earlier = TAKEN - timedelta(seconds=5)
    merged = merge([east, replace(west, taken=earlier)])
    assert merged.owners.select("interface_id", "vpc_id").rows() == [("a", "vpc-a"), ("b", "vpc-a"), ("c", "vpc-c")]
    assert owned(merged) == {"a": {"10.0.0.1", "10.0.0.3"}, "b": {"10.0.0.2"}, "c": {"10.0.0.1", "54.0.0.1"}}
    assert merged.addresses.schema == east.addresses.schema
    assert merged.networks == (("", "10.0.0.0/24"), ("", "10.1.0.0/24"))
    assert merged.taken == earlier


def test_merge_of_one_is_the_same() -> None:
    one = snapshot([Interface("a", "vpc-a", ("10.0.0.1",), ("54.0.0.1",))], ("10.0.0.0/24",))
    merged = merge([one])
    assert merged.owners.equals(one.owners)
    assert merged.addresses.equals(one.addresses)
    assert (merged.networks, merged.taken) == (one.networks, one.taken)
