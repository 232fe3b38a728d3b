"""What a history holds of one address, and of each scope: for people to read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

import numpy as np
import polars as pl

from exporter.addresses import Keys, find, joined
from exporter.enrich.history import LAG, OF_FILE, History, View
from exporter.enrich.index import SINGLE, Index, Kind, masked

KINDS = {kind.code: kind.value for kind in Kind}

_IPV4 = bytes(10) + b"\xff\xff"
"""How the keys of IPv4 addresses begin."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A scope: its name, when it was last asked, how many interfaces and addresses it showed then."""

    name: str
    taken: datetime
    interfaces: int
    addresses: int


@dataclass(frozen=True, slots=True)
class Span:
    """A time in seconds, both ends included, in which an interface (-1: several) surely had something in a place."""

    vpc: int
    interface: int
    since: int
    until: int


@dataclass(frozen=True, slots=True)
class Had:
    """An interface that had an address, `address` as it had it: the address itself, or a prefix around it.

    `since` and `until` in seconds say for when that is sure, None for no time; `lasts` says that EC2's newest answer
    shows it.  `seen` is when answers showed it first and last, `beside` who else was seen with it in between.
    """

    interface: str
    vpc: str | None
    address: str
    kind: str
    since: int | None
    until: int | None
    lasts: bool
    seen: tuple[int, int]
    beside: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Behind:
    """What stood behind an interface: a row of owners; times as in Had, None where only what never changes is sure."""

    interface: str
    owner: Mapping[str, Any]
    since: int | None
    until: int | None
    lasts: bool


def answered(history: History) -> list[Answered]:
    """Every scope, by its name."""
    live = pl.col("last").is_null()
    addresses = history.holding.filter(live)
    interfaces = pl.concat(
        [table.filter(live).select("scope", "interface") for table in (history.workload, history.holding)]
    )
    counted = [dict(table.group_by("scope").len().iter_rows()) for table in (interfaces.unique(), addresses)]
    return [
        Answered(name, datetime.fromtimestamp(taken, UTC), *(each.get(number, 0) for each in counted))
        for number, name, taken in history.scope.sort("name").select("number", "name", "taken").iter_rows()
    ]


def newest(history: History, key: Keys) -> int | None:
    """Up to when the newest answer proves anything: of the scopes that show the address now, else of all.

    Imported files count only where nobody else answered; None before the first answer.
    """
    shown = _holdings(history, key).filter(pl.col("last").is_null())["scope"]
    for scopes in (
        history.scope.filter(~OF_FILE & pl.col("number").is_in(shown.implode())),
        history.scope.filter(~OF_FILE),
        history.scope,
    ):
        if scopes.height:
            return int(scopes.select(pl.col("taken").max()).item()) - LAG
    return None


def had(history: History, view: View, key: Keys) -> list[Had]:
    """Who had the address of `key` (one element), in the order of time; what is sure for no time stands last."""
    found = list[Had]()
    slots = {bits: slot for (bits, _, _), slot in zip(view.index.tables, view.index.slots(key), strict=True)}
    rows = _seen(history, key)
    for row in rows:
        number = view.index.interfaces[row["id"]]
        spans = [each for each in spans_of(view.index, int(slots[row["bits"]][0])) if each.interface == number]
        address = text_of(masked(key, row["bits"]).tobytes(), row["bits"])
        beside = sorted({each["id"] for each in rows if _meet(row, each)})
        ends: list[tuple[int | None, int | None]] = [(each.since, each.until) for each in spans]
        for place, (since, until) in enumerate(ends or [(None, None)]):
            lasts = row["lasts"] and place == len(ends or [0]) - 1
            seen = row["first"], row["seen_last"]
            found.append(
                Had(row["id"], row["vpc"], address, KINDS[row["kind"]], since, until, lasts, seen, tuple(beside))
            )
    return sorted(found, key=lambda each: (each.since is None, each.since or each.seen[0], each.interface))


def behind(history: History, view: View, interface: str) -> Iterator[Behind]:
    """What stood behind an interface, in the order of time."""
    number = view.index.interfaces[interface]
    imported = history.scope.filter(OF_FILE)["number"]
    live = history.workload.filter(pl.col("last").is_null() & ~pl.col("scope").is_in(imported.implode()))
    lasting = set(live.filter(interface_id=interface).select("instance_id", "attached").iter_rows())
    versions = view.index.versions
    place = int(find(versions.keys, np.array([number]))[0])
    intervals = range(versions.first[place], versions.first[place + 1]) if place >= 0 else range(0)
    if not intervals:
        yield Behind(interface, view.owners.row(int(view.index.bare[number]), named=True), None, None, lasts=False)
    for each in intervals:
        owner = view.owners.row(int(versions.value[each]), named=True)
        lasts = (owner["instance_id"], owner["attached"]) in lasting
        yield Behind(interface, owner, int(versions.since[each]), int(versions.until[each]), lasts)


def spans_of(index: Index, slot: int) -> Iterator[Span]:
    """Who surely had an address or prefix when, in each place; nothing for the slot -1."""
    if slot >= 0:
        low, high = np.searchsorted(index.held.keys, index.place_key(np.array([slot, slot + 1]), 0))
        for place in range(low, high):
            vpc = int(index.vpc_at(index.held.keys[place : place + 1])[0])
            for each in range(index.held.first[place], index.held.first[place + 1]):
                interface, since, until = (
                    int(array[each]) for array in (index.held.value, index.held.since, index.held.until)
                )
                yield Span(vpc, interface, since, until)


def text_of(key: bytes, bits: int) -> str:
    """The text of a key of 16 bytes; with its length where it is a prefix.  An IPv4 one is told as such."""
    address = ip_address(key[12:] if key[:12] == _IPV4 else key)
    return str(address) if bits == SINGLE else f"{address}/{bits - SINGLE + address.max_prefixlen}"


def _holdings(history: History, key: Keys) -> pl.DataFrame:
    """The rows of `holding` that are of the address or of a prefix around it."""
    parts = [history.holding.clear()]
    for bits in history.holding["bits"].unique().to_list():
        part = history.holding.filter(bits=bits)
        keys = joined(part["high"].to_numpy(), part["low"].to_numpy())
        parts.append(part.filter(pl.Series(masked(keys, bits) == masked(key, bits))))
    return pl.concat(parts)


def _seen(history: History, key: Keys) -> list[dict[str, Any]]:
    """By interface, prefix and kind: when answers showed it, and whether EC2's newest does."""
    scopes = history.scope.select(scope="number", taken="taken", name="name")
    interfaces = history.interface.select("id", "vpc", interface="number")
    lasts = pl.col("last").is_null() & ~OF_FILE
    return (
        _holdings(history, key)
        .join(scopes, on="scope", how="left", maintain_order="left")
        .join(interfaces, on="interface", how="left", maintain_order="left")
        .group_by("id", "vpc", "bits", "kind", maintain_order=True)
        .agg(pl.col("first").min(), seen_last=pl.coalesce("last", "taken").max(), lasts=lasts.any())
        .to_dicts()
    )


def _meet(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two were seen with one thing in one VPC at overlapping times."""
    same = all(one[name] == other[name] for name in ("vpc", "bits"))
    apart = one["seen_last"] < other["first"] or other["seen_last"] < one["first"]
    return same and not apart and one["id"] != other["id"]
