"""A small history written down by hand, and a ledger that holds it.

Two accounts were asked three times each, five minutes apart.  In vpc-a `web` was there throughout; `gone` ended and
`next` got its address; `moves` went from one instance to another; `twin-1` and `twin-2` claim one address at once.
vpc-b is peered with it, vpc-c is not, and both have 10.9.0.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from exporter.enrich.history import History
from exporter.enrich.history_store import StoredHistory
from exporter.enrich.index import Kind
from exporter.enrich.inventory import ADDRESSES, OWNERS, Snapshot
from exporter.ledger import Ledger

FIRST, SECOND = "111111111111", "222222222222"
MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
GAP = 900


def clock(text: str) -> timedelta:
    """09:30:15 as time since midnight."""
    hours, minutes, seconds = (int(part) for part in text.split(":"))
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface as an answer shows it; the first address is its primary one."""

    id: str
    addresses: tuple[str, ...]
    vpc: str = "vpc-a"
    public: tuple[str, ...] = ()
    attached: str | None = "08:00:00"
    instance: str | None = None
    resource: tuple[str, str] | None = None
    cluster: str | None = None
    fixed: bool = True
    account: str = FIRST


def snapshot(
    taken: datetime, midnight: datetime, *interfaces: Interface, networks: Mapping[str, str], links: tuple[str, ...]
) -> Snapshot:
    """An answer that took four seconds; `links` are the VPCs that one peering joins."""
    owners = [
        {
            "interface_id": each.id,
            "interface_type": "interface",
            "account_id": each.account,
            "region": "eu-west-1" if each.account == FIRST else "us-east-1",
            "vpc_id": each.vpc,
            "instance_id": each.instance,
            "resource_type": each.resource[0] if each.resource else None,
            "resource_name": each.resource[1] if each.resource else None,
            "cluster_name": each.cluster,
            "tags": f'{{"team":"{each.id}"}}',
            "attached": int((midnight + clock(each.attached)).timestamp()) if each.attached else None,
            "fixed": each.fixed,
        }
        for each in interfaces
    ]
    addresses = [
        (each.vpc, text, row, kind.value)
        for row, each in enumerate(interfaces)
        for kind, texts in (
            (Kind.PRIMARY, each.addresses[:1]),
            (Kind.OWN, each.addresses[1:]),
            (Kind.PUBLIC, each.public),
        )
        for text in texts
    ]
    return Snapshot(
        pl.DataFrame([{name: owner.get(name) for name in OWNERS} for owner in owners], schema=OWNERS),
        pl.DataFrame(addresses, schema=ADDRESSES, orient="row"),
        tuple(sorted(networks.items())),
        taken,
        links=tuple(("pcx-1", vpc) for vpc in links),
        answered=taken + timedelta(seconds=4),
    )


def eu(midnight: datetime, time: str, *more: Interface) -> Snapshot:
    """An answer of the first account."""
    web = Interface("web", ("10.0.0.1", "10.0.0.50", "10.0.1.16/28"), public=("54.0.0.1",), instance="i-web")
    twins = (Interface("twin-1", ("10.0.0.5",)), Interface("twin-2", ("10.0.0.5",)))
    return snapshot(
        midnight + clock(time), midnight, web, *twins, *more, networks={"vpc-a": "10.0.0.0/16"}, links=("vpc-a",)
    )


def us(midnight: datetime, time: str) -> Snapshot:
    """An answer of the second account."""
    there = (
        Interface("peer", ("10.9.0.1",), "vpc-b", account=SECOND, resource=("lambda", "orders"), cluster="shop"),
        Interface("far", ("10.9.0.1", "10.9.0.9", "10.0.0.77"), "vpc-c", account=SECOND, attached=None, fixed=False),
    )
    networks = {"vpc-b": "10.9.0.0/16", "vpc-c": "10.9.0.0/16"}
    return snapshot(midnight + clock(time), midnight, *there, networks=networks, links=("vpc-b",))


def answers(midnight: datetime = MIDNIGHT) -> list[tuple[str, Snapshot]]:
    """All of them, each with its scope's name."""
    gone = Interface("gone", ("10.0.0.2",), instance="i-gone", attached="09:30:00")
    before = Interface("moves", ("10.0.0.4",), instance="i-1", attached="09:00:00", fixed=False)
    after = Interface("moves", ("10.0.0.4",), instance="i-2", attached="10:06:00", fixed=False)
    following = Interface("next", ("10.0.0.2", "10.0.0.60"), instance="i-next", attached="10:07:00")
    return [
        (f"{FIRST} eu-west-1", eu(midnight, "10:00:00", gone, before)),
        (f"{SECOND} us-east-1", us(midnight, "10:00:30")),
        (f"{FIRST} eu-west-1", eu(midnight, "10:05:00", gone, before)),
        (f"{SECOND} us-east-1", us(midnight, "10:05:30")),
        (f"{FIRST} eu-west-1", eu(midnight, "10:10:00", following, after)),
    ]


def fill(path: Path, midnight: datetime = MIDNIGHT) -> None:
    """Writes the history into the ledger `path`, as a daemon does, and closes it."""
    with Ledger(path) as ledger:
        store, history = StoredHistory(ledger), History.empty()
        for name, answer in answers(midnight):
            history, changes = history.after(name, answer, GAP)
            store.write(changes)


def owners(path: Path) -> dict[str, Any]:
    """The ledger's history as plain rows, to compare."""
    with Ledger(path, read_only=True) as ledger:
        return {table: list(ledger.rows(table)) for table in ("scope", "interface", "workload", "holding")}
