"""A snapshot of who owns which interface and address, and its index."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from exporter.enrich.addresses import Flags, Integers, Keys, find, keys_of_texts

OWNERS: dict[str, Any] = {
    "interface_id": pl.String,
    "interface_type": pl.String,
    "account_id": pl.String,
    "region": pl.String,
    "availability_zone": pl.String,
    "instance_id": pl.String,
    "instance_name": pl.String,
    "machine_type": pl.String,
    "service_name": pl.String,
    "subnet_id": pl.String,
    "subnet_name": pl.String,
    "vpc_id": pl.String,
    "vpc_name": pl.String,
    "security_group_ids": pl.List(pl.String),
    "security_group_names": pl.List(pl.String),
    "resource_type": pl.String,
    "resource_name": pl.String,
    "tags": pl.String,
}
"""The columns of `Snapshot.owners`.

`availability_zone` is the zone id (use1-az1), the same in every account; `tags` is the text of a JSON object of the
chosen tags, null where the owner has none of them.
"""

ADDRESSES: dict[str, Any] = {
    "vpc_id": pl.String,
    "address": pl.String,
    "owner": pl.UInt32,
    "public": pl.Boolean,
}
"""The columns of `Snapshot.addresses`: `public` marks one that a private address is mapped to (an elastic IP)."""


@dataclass(frozen=True, slots=True)
class Index:
    """A snapshot's look-ups, by integers: an interface is a row of `owners`, an address a position in `addresses`.

    Arrays that are looked up by a row or a position end in one more element, for -1: nobody, unknown.  A key made with
    VPC or owner -1 is below zero and so is never found.
    """

    accounts: dict[str, int]
    interfaces: dict[str, int]
    vpcs: dict[str, int]
    vpc_of: Integers
    """By owner: its VPC as in `vpcs`, -1 none."""
    addresses: Keys
    owned: Flags
    """By address: somebody has it as an address of the interface itself, not as a public one mapped to it."""
    sole: Integers
    """By address: its owner, -1 where it has several."""
    shared: Flags
    """By address: whether it has several owners."""
    shared_keys: Integers
    """Shared addresses once per VPC: VPC times the number of addresses plus the address, rising."""
    shared_owners: Integers
    """By the place in `shared_keys`: the owner in that VPC, -1 where there are several even there."""
    claims: Integers
    """Shared addresses once per owner: owner times the number of addresses plus the address, rising."""

    def in_vpc(self, vpc: Integers, address: Integers) -> Integers:
        """The only owner of each shared `address` in `vpc`, else -1."""
        return np.append(self.shared_owners, -1)[find(self.shared_keys, vpc * len(self.addresses) + address)]

    def claimed(self, owner: Integers, address: Integers) -> Flags:
        """Whether each shared `address` is one of `owner`'s."""
        return find(self.claims, owner * len(self.addresses) + address) >= 0


@dataclass(frozen=True)
class Snapshot:
    """Who owned what at one moment, whole.

    `owners` has one row an interface (columns as OWNERS, no interface twice), `addresses` one row an address of an
    owner (columns as ADDRESSES); `networks` holds the CIDR blocks of the VPCs; `taken` (UTC) is when EC2 was asked
    first.
    """

    owners: pl.DataFrame
    addresses: pl.DataFrame
    networks: tuple[str, ...]
    taken: datetime

    @cached_property
    def index(self) -> Index:
        """The look-ups, made at first use (about a second for 500,000 addresses).

        InventoryError where an address is none.
        """
        return _index(self)


def merge(snapshots: Sequence[Snapshot]) -> Snapshot:
    """Snapshots (at least one) of regions or accounts as one; the first row of an interface counts."""
    owners = pl.concat([snapshot.owners for snapshot in snapshots])
    owners = owners.unique("interface_id", keep="first", maintain_order=True)
    rows = owners.select("interface_id").with_row_index("owner")
    addresses = pl.concat([_by_interface(snapshot) for snapshot in snapshots])
    addresses = addresses.join(rows, on="interface_id", how="left", maintain_order="left").select(*ADDRESSES)
    return Snapshot(
        owners=owners,
        addresses=addresses.unique(maintain_order=True),
        networks=networks_of(network for snapshot in snapshots for network in snapshot.networks),
        taken=min(snapshot.taken for snapshot in snapshots),
    )


def networks_of(texts: Iterable[str]) -> tuple[str, ...]:
    """CIDR blocks without repeats, in an order that does not depend on the order they came in."""
    return tuple(sorted(set(texts)))


def _by_interface(snapshot: Snapshot) -> pl.DataFrame:
    """The snapshot's addresses with the interface's id in place of its row."""
    ids = snapshot.owners["interface_id"].gather(snapshot.addresses["owner"])
    return snapshot.addresses.drop("owner").with_columns(interface_id=ids)


def _index(snapshot: Snapshot) -> Index:
    interfaces = {text: row for row, text in enumerate(snapshot.owners["interface_id"].to_list())}
    vpcs = {text: code for code, text in enumerate(snapshot.owners["vpc_id"].drop_nulls().unique(maintain_order=True))}
    vpc_of = np.array([vpcs.get(text, -1) for text in snapshot.owners["vpc_id"].to_list()] + [-1], dtype=np.int64)
    addresses, position = np.unique(keys_of_texts(snapshot.addresses["address"]), return_inverse=True)
    owner = snapshot.addresses["owner"].to_numpy().astype(np.int64)

    owned = np.zeros(len(addresses) + 1, dtype=bool)
    owned[position[~snapshot.addresses["public"].to_numpy()]] = True
    _, sole = _only(position, owner)
    sole = np.append(sole, -1)
    shared = np.append(sole[:-1] < 0, np.False_)
    of_shared = shared[position]
    owner, position = owner[of_shared], position[of_shared]
    vpc = vpc_of[owner]
    shared_keys, shared_owners = _only((vpc * len(addresses) + position)[vpc >= 0], owner[vpc >= 0])
    accounts = snapshot.owners["account_id"].drop_nulls().unique(maintain_order=True).to_list()
    return Index(
        accounts={account: number for number, account in enumerate(accounts)},
        interfaces=interfaces,
        vpcs=vpcs,
        vpc_of=vpc_of,
        addresses=addresses,
        owned=owned,
        sole=sole,
        shared=shared,
        shared_keys=shared_keys,
        shared_owners=shared_owners,
        claims=np.unique(owner * len(addresses) + position),
    )


def _only(key: Integers, owner: Integers) -> tuple[Integers, Integers]:
    """The distinct keys, rising, and for each its one owner, -1 where it has several."""
    order = np.lexsort((owner, key))
    key, owner = key[order], owner[order]
    first = np.flatnonzero(np.append(np.ones(min(len(key), 1), dtype=bool), key[1:] != key[:-1]))
    last = np.append(first[1:], len(key))[: len(first)] - 1
    return key[first], np.where(owner[first] == owner[last], owner[first], -1)
