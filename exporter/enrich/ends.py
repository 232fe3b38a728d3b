"""A batch and a snapshot to a batch whose records know both their ends.

Who an end is, the first of these that tells; else nobody, for nothing is guessed:

1. the only owner of its address in the end's VPC (a transit gateway's record names one for each end; else the
   record's own vpc-id, else the reporting interface's);
2. the reporting interface, where the address is one of its own;
3. the reporting interface, where flow-direction says that it is this end (egress: the source, ingress: the
   destination, which is how AWS defines it) and the other end's address is not its own;
4. the only owner of the address in the whole inventory; of an address that is not unique in the world, not where the
   record names for the end a VPC, or without one an account, that the inventory does not know, nor where a transit
   gateway's names neither: the place may have the same ranges.

A transit gateway's record has no reporting interface, and so neither 2 nor 3: tgw-src-eni and tgw-dst-eni are the
gateway's own, in the VPCs of the ends, and its flow-direction is seen from there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from exporter.enrich.addresses import Flags, Integers, find, keys_of
from exporter.enrich.inventory import Index, Snapshot
from exporter.enrich.locality import locality
from exporter.flow import Batch
from exporter.metrics import Metrics

ENDS: dict[str, str] = {"source": "srcaddr", "destination": "dstaddr"}
"""Each end, and the column with its address."""

VPCS: dict[str, tuple[str, ...]] = {
    "source": ("tgw_src_vpc_id", "vpc_id"),
    "destination": ("tgw_dst_vpc_id", "vpc_id"),
}
"""Each end, and the columns that may name its VPC: the first that does counts."""

ACCOUNTS: dict[str, tuple[str, ...]] = {
    "source": ("tgw_src_vpc_account_id", "account_id"),
    "destination": ("tgw_dst_vpc_account_id", "account_id"),
}
"""The same for its account."""

GATEWAY = (
    "tgw_id",
    "tgw_attachment_id",
    "tgw_src_vpc_id",
    "tgw_dst_vpc_id",
    "tgw_src_vpc_account_id",
    "tgw_dst_vpc_account_id",
)
"""Columns of which a transit gateway's record has some; its account-id is the gateway's owner, and no end's."""

REPORTING: dict[str, str] = {"source": "egress", "destination": "ingress"}
"""The flow-direction of records in which an end is the reporting interface."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the end of every record is: its VPC, -1 unknown; `foreign` where the inventory surely lacks the place."""

    vpc: Integers
    foreign: Flags


@dataclass(frozen=True, slots=True)
class _Addresses:
    """One end's address of every record, as the index counts them; `anywhere` where its owner may be in any VPC."""

    present: Flags
    known: Integers
    anywhere: Flags


@dataclass(frozen=True, slots=True)
class _End:
    """One end of every record: owners are rows, -1 nobody; `own` where the address is the reporting interface's."""

    present: Flags
    in_vpc: Integers
    anywhere: Integers
    own: Flags


def enrich(batch: Batch, snapshot: Snapshot | None, metrics: Metrics) -> Batch:
    """The batch with `source_locality` and `destination_locality` (String), and what the snapshot knows.

    That is: the UInt32 columns `reporter`, `source_owner` and `destination_owner`, rows of `owners` (now the
    snapshot's), null where nobody is known; and `flow_direction`, where the record has none, from the reporting
    interface's own addresses: null where they are at both ends or at neither.  Without a snapshot these are left as
    they are.  Number, order and all other values of the records stay.  Every end that has an address is counted.
    """
    codes = {end: _codes(batch.frame, column) for end, column in ENDS.items()}
    if snapshot is None:
        names = locality(batch.addresses)
        _count(codes, {}, metrics)
        return replace(batch, frame=batch.frame.with_columns(_gathered(names, codes)))
    index = snapshot.index
    position = find(index.addresses, keys_of(batch.addresses))
    names = locality(batch.addresses, snapshot.networks, index.owned[position])
    _, reporter = _looked_up(batch.frame, _existing(batch.frame, ("interface_id",)), index.interfaces)
    places = _places(batch.frame, index, reporter)
    unique = np.zeros(len(position) + 1, dtype=bool)
    if any(place.foreign.any() for place in places.values()):
        unique[:-1] = (locality(batch.addresses) == "external").fill_null(value=False).to_numpy()
    known = np.append(position, -1)
    ends: dict[str, _End] = {}
    for end, column in codes.items():
        code = column.fill_null(len(position)).to_numpy()
        at = _Addresses(code < len(position), known[code], unique[code] | ~places[end].foreign)
        ends[end] = _end(index, at, places[end].vpc, reporter)
    owners = _owners(batch.frame, ends, reporter)
    _count(codes, owners, metrics)
    frame = batch.frame.with_columns(
        _rows("reporter", reporter),
        *(_rows(f"{end}_owner", owner) for end, owner in owners.items()),
        *_direction(batch.frame, ends["source"], ends["destination"]),
        *_gathered(names, codes),
    )
    return replace(batch, frame=frame, owners=snapshot.owners)


def _codes(frame: pl.DataFrame, column: str) -> pl.Series:
    """An address column's places in the batch's addresses (UInt32); all null where the records have no such field."""
    if column in frame.columns:
        return frame[column].to_physical().cast(pl.UInt32)
    return pl.Series([None], dtype=pl.UInt32).new_from_index(0, frame.height)


def _places(frame: pl.DataFrame, index: Index, reporter: Integers) -> dict[str, _Place]:
    """Where each end of every record is; looked up once where both ends are told by the same columns."""
    columns = {end: (_existing(frame, VPCS[end]), _existing(frame, ACCOUNTS[end])) for end in ENDS}
    found = {telling: _place(frame, *telling, index, reporter) for telling in set(columns.values())}
    return {end: found[telling] for end, telling in columns.items()}


def _existing(frame: pl.DataFrame, columns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(column for column in columns if column in frame.columns)


def _place(
    frame: pl.DataFrame, vpcs: tuple[str, ...], accounts: tuple[str, ...], index: Index, reporter: Integers
) -> _Place:
    """Where an end is by the columns that exist, else by the reporting interface."""
    named, vpc = _looked_up(frame, vpcs, index.vpcs)
    vpc = np.where(named, vpc, index.vpc_of[reporter])
    if (vpc >= 0).all():
        return _Place(vpc, np.zeros(frame.height, dtype=bool))
    owned, account = _looked_up(frame, accounts, index.accounts)
    nowhere = _are_there(frame, GATEWAY) & ~_are_there(frame, tuple(name for name in accounts if name in GATEWAY))
    return _Place(vpc, (vpc < 0) & (named | nowhere | (owned & (account < 0))))


def _are_there(frame: pl.DataFrame, columns: tuple[str, ...]) -> Flags:
    """Which records have a value in one of the columns."""
    existing = _existing(frame, columns)
    if not existing:
        return np.zeros(frame.height, dtype=bool)
    return frame.select(pl.any_horizontal(pl.col(existing).is_not_null())).to_series().to_numpy()


def _looked_up(frame: pl.DataFrame, columns: tuple[str, ...], table: Mapping[str, int]) -> tuple[Flags, Integers]:
    """Which records have a text in one of the columns, and what the table has for the first one's, else -1.

    Asks once per distinct text.
    """
    if not columns:
        return np.zeros(frame.height, dtype=bool), np.full(frame.height, -1, dtype=np.int64)
    kind = pl.Categorical(pl.Categories.random())
    # The codes' meaning lives only as long as a column that has them.
    first = frame[columns[0]] if len(columns) == 1 else frame.select(pl.coalesce(columns)).to_series()
    texts = first.cast(kind)
    codes = texts.to_physical().cast(pl.UInt32)
    highest = codes.max()
    distinct = pl.Series(range(highest + 1 if isinstance(highest, int) else 0), dtype=pl.UInt32)
    found = [table.get(text, -1) for text in distinct.cat.to(kind).cast(pl.String).to_list()]
    numbers = np.take(np.array([*found, -1], dtype=np.int64), codes.fill_null(len(found)).to_numpy())
    return texts.is_not_null().to_numpy(), numbers


def _end(index: Index, at: _Addresses, vpc: Integers, reporter: Integers) -> _End:
    """What the index knows of one end's address."""
    address = at.known
    sole = index.sole[address]
    in_vpc = np.where((index.vpc_of[sole] == vpc) & (vpc >= 0), sole, -1)
    own = (sole == reporter) & (reporter >= 0)
    shared = np.flatnonzero(index.shared[address])
    if len(shared):
        in_vpc[shared] = index.in_vpc(vpc[shared], address[shared])
        own[shared] = index.claimed(reporter[shared], address[shared])
    return _End(at.present, in_vpc, np.where(at.anywhere, sole, -1), own)


def _owners(frame: pl.DataFrame, ends: Mapping[str, _End], reporter: Integers) -> dict[str, Integers]:
    """The owner of each end by the rules above; -1 nobody."""
    source, destination = ends["source"], ends["destination"]
    return {
        "source": _owner(source, destination, reporter, _flows(frame, REPORTING["source"])),
        "destination": _owner(destination, source, reporter, _flows(frame, REPORTING["destination"])),
    }


def _owner(end: _End, other: _End, reporter: Integers, reporting: Flags) -> Integers:
    """The owner of one end; `reporting` marks the records whose flow-direction says that it is the reporter."""
    by_reporter = end.own | (reporting & end.present & ~other.own)
    rest = np.where(by_reporter & (reporter >= 0), reporter, end.anywhere)
    return np.where(end.in_vpc >= 0, end.in_vpc, rest)


def _flows(frame: pl.DataFrame, direction: str) -> Flags:
    """Which records say that they flow in this direction."""
    if "flow_direction" not in frame.columns:
        return np.zeros(frame.height, dtype=bool)
    return (frame["flow_direction"] == direction).fill_null(value=False).to_numpy()


def _direction(frame: pl.DataFrame, source: _End, destination: _End) -> list[pl.Expr]:
    """The column flow_direction with its gaps filled from the reporting interface's own addresses."""
    given = "flow_direction" in frame.columns
    if given and not frame["flow_direction"].null_count():
        return []
    both = source.present & destination.present
    told = (
        pl.when(pl.lit(pl.Series(both & source.own & ~destination.own)))
        .then(pl.lit(REPORTING["source"]))
        .when(pl.lit(pl.Series(both & destination.own & ~source.own)))
        .then(pl.lit(REPORTING["destination"]))
    )
    return [pl.coalesce("flow_direction", told) if given else told.alias("flow_direction")]


def _gathered(names: pl.Series, codes: Mapping[str, pl.Series]) -> list[pl.Series]:
    """A locality per distinct address to a column an end."""
    return [names.gather(column).alias(f"{end}_locality") for end, column in codes.items()]


def _rows(name: str, owner: Integers) -> pl.Series:
    """Rows of owners as a column; nobody (-1) does not fit into UInt32 and so becomes null."""
    return pl.Series(name, owner).cast(pl.UInt32, strict=False)


def _count(codes: Mapping[str, pl.Series], owners: Mapping[str, Integers], metrics: Metrics) -> None:
    """Counts the ends that have an address by whether somebody is known there."""
    for end, column in codes.items():
        resolved = int((owners[end] >= 0).sum()) if end in owners else 0
        metrics.add("ends_total", resolved, end=end, resolved="yes")
        metrics.add("ends_total", len(column) - column.null_count() - resolved, end=end, resolved="no")
