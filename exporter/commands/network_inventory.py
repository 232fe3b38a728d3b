"""Between the generator's network and an inventory: the one place that knows both."""

import json
from datetime import datetime
from typing import cast

import polars as pl

from exporter.enrich.answers import tags_text
from exporter.enrich.inventory import ADDRESSES, OWNERS, Snapshot, networks_of
from exporter.simulate.network import Network, OwnerRow


def snapshot_of(network: Network, taken: datetime) -> Snapshot:
    """The network as an inventory of it would be, with all its tags."""
    rows = network.rows()
    owners = [{**row, "tags": tags_text(row["tags"]) if row["tags"] else None} for row in rows]
    addresses = [
        (row["vpc_id"], address, owner, public)
        for owner, row in enumerate(rows)
        for public, texts in ((False, row["addresses"]), (True, row["public_addresses"]))
        for address in texts
    ]
    cidrs = [cidr for vpc in network.vpcs for cidr in (vpc.cidr, vpc.cidr6) if cidr]
    return Snapshot(
        owners=pl.DataFrame([{key: owner[key] for key in OWNERS} for owner in owners], schema=OWNERS),
        addresses=pl.DataFrame(addresses, schema=ADDRESSES, orient="row"),
        networks=networks_of(cidrs),
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


def _rows(snapshot: Snapshot) -> list[OwnerRow]:
    found: tuple[dict[int, list[str]], ...] = ({}, {})
    for address, owner, public in snapshot.addresses.select("address", "owner", "public").iter_rows():
        found[public].setdefault(owner, []).append(address)
    return [
        cast(
            "OwnerRow",
            {
                **row,
                "tags": json.loads(row["tags"] or "{}"),
                "security_group_ids": row["security_group_ids"] or [],
                "security_group_names": row["security_group_names"] or [],
                "addresses": found[False].get(owner, []),
                "public_addresses": found[True].get(owner, []),
            },
        )
        for owner, row in enumerate(snapshot.owners.to_dicts())
    ]
