"""A snapshot of who owns which interface and address at one moment."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from exporter.addresses import cidrs_of_texts
from exporter.enrich.index import ALWAYS, KIND_CODES, NEVER, Claims, Index, Versions, indexed

OWNERS: dict[str, Any] = {
    "interface_id": pl.String,
    "interface_type": pl.String,
    "account_id": pl.String,
    "account_name": pl.String,
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
    "cluster_name": pl.String,
    "tags": pl.String,
    "attached": pl.Int64,
    "fixed": pl.Boolean,
}
"""The columns of `Snapshot.owners`.

`availability_zone` is the zone id (use1-az1), the same in every account; `tags` is the text of a JSON object of the
chosen tags, null where the owner has none of them.  `attached` is when the interface was attached to what it is
attached to, in seconds since 1970, null where EC2 does not tell; `fixed` says that it cannot be attached to anything
else for as long as it exists.
"""

ADDRESSES: dict[str, Any] = {
    "vpc_id": pl.String,
    "address": pl.String,
    "owner": pl.UInt32,
    "kind": pl.String,
}
"""The columns of `Snapshot.addresses`: `address` is one or a delegated prefix (10.0.1.16/28), `kind` a Kind."""


@dataclass(frozen=True)
class Snapshot:
    """Who owned what at one moment, whole.

    `owners` has one row an interface (columns as OWNERS, no interface twice), `addresses` one row an address of an
    owner (columns as ADDRESSES); `networks` holds the CIDR blocks of VPCs, each with its VPC's id ("" unknown);
    `links` what joins VPCs (a peering, a transit gateway), each with a VPC that it joins: VPCs with a link in common
    reach each other.  `taken` (UTC) is when EC2 was asked first, `answered` when it had answered all of it.
    """

    owners: pl.DataFrame
    addresses: pl.DataFrame
    networks: tuple[tuple[str, str], ...]
    taken: datetime
    links: tuple[tuple[str, str], ...] = ()
    answered: datetime | None = None

    @cached_property
    def index(self) -> Index:
        """The look-ups, made at first use (about a second for 500,000 addresses): what it says holds at all times.

        InventoryError where an address is none.
        """
        vpcs = codes(self.owners["vpc_id"])
        vpc_of = np.array([vpcs.get(text, -1) for text in self.owners["vpc_id"].to_list()], dtype=np.int64)
        owner = self.addresses["owner"].to_numpy().astype(np.int64)
        keys, bits = cidrs_of_texts(self.addresses["address"])
        rows, height = np.arange(self.owners.height), self.addresses.height
        return indexed(
            interfaces=self.owners["interface_id"].to_list(),
            accounts=codes(self.owners["account_id"]),
            vpcs=vpcs,
            vpc_of=vpc_of,
            claims=Claims(
                keys,
                bits,
                owner,
                self.addresses["kind"].replace_strict(KIND_CODES, return_dtype=pl.Int64).to_numpy(),
                np.full(height, NEVER),
                np.full(height, ALWAYS),
            ),
            versions=Versions(rows, rows, np.full(len(rows), NEVER), np.full(len(rows), ALWAYS), rows),
            networks=self.networks,
            links=self.links,
        )


def codes(texts: pl.Series) -> dict[str, int]:
    """A number for each distinct text."""
    return {text: number for number, text in enumerate(texts.drop_nulls().unique(maintain_order=True).to_list())}


def pairs_of(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Pairs of texts without repeats, in an order that does not depend on the order they came in."""
    return tuple(sorted(set(pairs)))
