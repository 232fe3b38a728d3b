"""Between the generator's network and an inventory: the one place that knows both."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import cast

import polars as pl

from exporter.enrich.answers import tags_text
from exporter.enrich.index import Kind
from exporter.enrich.inventory import ADDRESSES, OWNERS, Snapshot, pairs_of
from exporter.enrich.managed import MANAGED
from exporter.simulate.network import Network, OwnerRow

_SERVICES = frozenset(row.resource_type for row in MANAGED if not row.on_instance)
"""Types of what AWS's services make for themselves and do not hand on."""


def snapshot_of(network: Network, taken: datetime) -> Snapshot:
    """The network as an inventory of it would be, with all its tags; what joins its VPCs is not told."""
    rows = network.rows()
    fixed = _fixed(rows)
    owners = [
        {**dict.fromkeys(OWNERS), **row, "tags": tags_text(row["tags"]) if row["tags"] else None, "fixed": certain}
        for row, certain in zip(rows, fixed, strict=True)
    ]
    addresses = [
        (row["vpc_id"], address, owner, kind.value)
        for owner, row in enumerate(rows)
        for kind, texts in (
            (Kind.PRIMARY, row["addresses"][:1]),
            (Kind.OWN, row["addresses"][1:]),
            (Kind.PUBLIC, row["public_addresses"]),
        )
        for address in texts
    ]
    networks = ((vpc.id, cidr) for vpc in network.vpcs for cidr in (vpc.cidr, vpc.cidr6) if cidr)
    return Snapshot(
        owners=pl.DataFrame([{key: owner[key] for key in OWNERS} for owner in owners], schema=OWNERS),
        addresses=pl.DataFrame(addresses, schema=ADDRESSES, orient="row"),
        networks=pairs_of(networks),
        taken=taken,
    )


def network_of(snapshot: Snapshot, account: str | None, region: str | None) -> Network:
    """The interfaces of an account and a region, the first interface's where not named; ValueError where none are.

    Only interfaces with a private IPv4 address, a VPC and a subnet count: of others nothing could be logged.
    """
    rows = _rows(snapshot)
    first = next(iter(rows), None)
    account = account or (first["account_id"] if first else "")
    region = region or (first["region"] if first else "")
    network = Network.of(
        account, region, (row for row in rows if (row["account_id"], row["region"]) == (account, region))
    )
    if not network.interfaces:
        raise ValueError(f"the inventory has no interface of account {account} in {region} that could log traffic")
    return network


def _fixed(rows: Sequence[OwnerRow]) -> list[bool]:
    """Whether each interface stays what it is: a service's, and an instance's only one, which is its primary."""
    of_instance = Counter(row["instance_id"] for row in rows)
    return [
        of_instance[row["instance_id"]] == 1 if row["instance_id"] else row["resource_type"] in _SERVICES
        for row in rows
    ]


def _rows(snapshot: Snapshot) -> list[OwnerRow]:
    """Prefixes are left out: which of their addresses are in use is not known."""
    found: dict[Kind, dict[int, list[str]]] = {kind: {} for kind in Kind}
    for address, owner, kind in snapshot.addresses.select("address", "owner", "kind").iter_rows():
        if "/" not in address:
            found[Kind(kind)].setdefault(owner, []).append(address)
    return [
        cast(
            "OwnerRow",
            {
                **row,
                "tags": json.loads(row["tags"] or "{}"),
                "security_group_ids": row["security_group_ids"] or [],
                "security_group_names": row["security_group_names"] or [],
                "addresses": [*found[Kind.PRIMARY].get(owner, []), *found[Kind.OWN].get(owner, [])],
                "public_addresses": found[Kind.PUBLIC].get(owner, []),
            },
        )
        for owner, row in enumerate(snapshot.owners.to_dicts())
    ]
