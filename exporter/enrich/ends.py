"""A batch and what is known of addresses to a batch whose records know both their ends, as of the flow's time.

Who an end is, the first of these that tells; else nobody, for nothing is guessed:

1. who had its address in the end's VPC (a transit gateway's record names one for each end; else the record's own
   vpc-id, else the reporting interface's), or who had it in the world where it is unique there;
2. the reporting interface, where the address is one of its own;
3. the reporting interface, where flow-direction says that it is this end (egress: the source, ingress: the
   destination, which is how AWS defines it) and the other end's address is not its own;
4. who had the address in the one VPC that the end's VPC reaches (by a peering or a transit gateway) and where it is
   known;
5. who had the address in the one place of the whole inventory where it is known; of an address that is not unique in
   the world, not where the record names for the end a VPC, or without one an account, that the inventory does not
   know, nor where a transit gateway's names neither: the place may have the same ranges.

4 and 5 are not asked where the address lies in the ranges of the end's own VPC: it was somebody's there.

"Had" is for sure, and all through the flow: from LATE before its start to its end.  An interface that reports a flow
exists while it does, and its primary address is its own for as long as it exists: so a batch's own records tell who
stood at the other ends of its other records.

A transit gateway's record has no reporting interface, and so neither 2 nor 3: tgw-src-eni and tgw-dst-eni are the
gateway's own, in the VPCs of the ends, and its flow-direction is seen from there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import numpy as np
import polars as pl

from exporter.addresses import Flags, Integers, Keys, find, keys_of
from exporter.enrich.index import ALWAYS, NEVER, Index
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


LATE = 60
"""Seconds by which AWS may note a packet later than it was sent, says its description of `start` and `end`."""

LONGEST = 3600
"""Seconds of a record that proves something: AWS aggregates ten minutes at most, and what says more is odd."""

RESOLVED = ("own_vpc", "public", "interface", "reachable", "unique")
"""By what an end became known: the rules above, the first one's two halves apart."""

NOT_THEN, AMBIGUOUS, UNKNOWN = "not_then", "ambiguous", "unknown"
"""Why an end stayed unknown: its owners are known at other times only; it may be several, or none that is known;
nobody was ever seen there."""


class Known(Protocol):
    """What is known of who owned what."""

    @property
    def owners(self) -> pl.DataFrame:
        """Columns as inventory.OWNERS, one row for what stood behind an interface for a while."""
        ...  # pragma: no cover

    @property
    def index(self) -> Index:
        """The look-ups; its rows are rows of `owners`."""
        ...  # pragma: no cover


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the end of every record is: its VPC, -1 unknown; `foreign` where the inventory surely lacks the place."""

    vpc: Integers
    foreign: Flags


@dataclass(frozen=True, slots=True)
class _Asked:
    """One end of every record, as it is looked up; `anywhere` where its owner may be in any VPC."""

    present: Flags
    address: Integers
    """Position in the batch's addresses; their number where there is none."""
    vpc: Integers
    anywhere: Flags
    reporter: Integers
    first: Integers
    last: Integers

    def at(self, rows: Integers) -> "_Asked":
        """The same of some of the records."""
        return _Asked(
            self.present[rows],
            self.address[rows],
            self.vpc[rows],
            self.anywhere[rows],
            self.reporter[rows],
            self.first[rows],
            self.last[rows],
        )


@dataclass(frozen=True, slots=True)
class _End:
    """What is known of one end of every record, rule by rule: interfaces, -1 nobody."""

    present: Flags
    in_vpc: Integers
    public: Flags
    """Whether `in_vpc` is known by an address that is unique in the world."""
    own: Flags
    """Whether the address is the reporting interface's."""
    reachable: Integers
    unique: Integers
    slot: Integers
    here: Flags
    """Whether it is known, at some time, in the end's own VPC or in the world."""
    place: Integers
    """Else the one VPC where it is known that the end's reaches, or the only one."""
    reached: Flags
    other_times: Flags
    """Whether the place is clear, and its owners are known at other times only."""


def enrich(batch: Batch, known: Known | None, metrics: Metrics, internal: tuple[str, ...] = ()) -> Batch:
    """The batch with the `locality` of each address, and what is known of its ends; `internal` networks are inside.

    That is: the UInt32 columns `reporter`, `source_owner` and `destination_owner`, rows of `owners` (now those of
    `known`), null where nobody is known; `reporter_public` (Boolean), whether the reporting interface has, or had, a
    public address; and `flow_direction`, where the record has none, from the reporting interface's own addresses: null
    where they are at both ends or at neither.  Where nothing is known these are left as they are.  Number, order and
    all other values of the records stay.  Every end that has an address is counted.
    """
    codes = {end: _codes(batch.frame, column) for end, column in ENDS.items()}
    if known is None:
        for end, column in codes.items():
            metrics.add("ends_total", len(column) - column.null_count(), end=end, resolved=UNKNOWN)
        return batch.with_about(locality(batch.addresses, internal).alias("locality"))
    index, keys = known.index, keys_of(batch.addresses)
    slots = index.slots(keys)
    owned = np.logical_or.reduce([index.owned[slot] for slot in slots])
    names = locality(batch.addresses, index.networks + internal, owned)
    _, reporter = _looked_up(batch.frame, _existing(batch.frame, ("interface_id",)), index.interfaces)
    first, last = window(batch.frame)
    _learn(index, codes, reporter, first + LATE, last - LATE)
    places = _places(batch.frame, index, reporter)
    ends: dict[str, _End] = {}
    for end, column in codes.items():
        address = column.fill_null(len(keys)).to_numpy()
        place = places[end]
        asked = _Asked(address < len(keys), address, place.vpc, ~place.foreign, reporter, first, last)
        ends[end] = _end(index, asked, keys, slots)
    flows = {end: _flows(batch.frame, direction) for end, direction in REPORTING.items()}
    interfaces = {
        end: _settled(ends[end], ends[other], reporter, flows[end], partial(metrics.add, "ends_total", end=end))
        for end, other in (("source", "destination"), ("destination", "source"))
    }
    frame = batch.frame.with_columns(
        _rows("reporter", index.rows(reporter, first, last)),
        pl.Series("reporter_public", index.public[reporter]),
        *(_rows(f"{end}_owner", index.rows(interface, first, last)) for end, interface in interfaces.items()),
        *_direction(batch.frame, ends["source"], ends["destination"]),
    ).rechunk()  # columns cut alike: whatever looks at several of them costs less
    return replace(batch, frame=frame, owners=known.owners).with_about(names.alias("locality"))


def window(frame: pl.DataFrame) -> tuple[Integers, Integers]:
    """From when to when the packets of each record went, in seconds; all times where it does not say.

    A record that tells only one of its two times has it for both.
    """
    first, last = np.full(frame.height, ALWAYS), np.full(frame.height, NEVER - 1)
    for name in _existing(frame, ("start", "end")):
        seconds = frame[name].dt.epoch("s")
        first = np.minimum(first, seconds.fill_null(ALWAYS).to_numpy())
        last = np.maximum(last, seconds.fill_null(NEVER - 1).to_numpy())
    silent = last < NEVER
    return np.where(silent, NEVER, np.maximum(first - LATE, NEVER)), np.where(silent, ALWAYS, np.minimum(last, ALWAYS))


def latest(frame: pl.DataFrame) -> datetime | None:
    """When the last packet of all records went; None where none tells."""
    told = [name for name in ("start", "end") if name in frame.columns]
    moments = [moment for name in told if isinstance(moment := frame[name].max(), datetime)]
    return max(moments).replace(tzinfo=UTC) if moments else None


def _learn(index: Index, codes: Mapping[str, pl.Series], reporter: Integers, first: Integers, last: Integers) -> None:
    """An interface that reports a flow exists then: the records tell from when to when, interface by interface."""
    sound = (
        (reporter >= 0)
        & (last - first <= LONGEST)
        & np.logical_and.reduce([codes[end].is_not_null().to_numpy() for end in ENDS])
    )
    seen = (
        pl.DataFrame({"interface": reporter, "first": first, "last": last})
        .filter(pl.Series(sound))
        .group_by("interface")
        .agg(pl.col("first").min(), pl.col("last").max())
    )
    index.extend(*(seen[name].to_numpy() for name in ("interface", "first", "last")))


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


def _end(index: Index, asked: _Asked, keys: Keys, slots: list[Integers]) -> _End:
    """What the index knows of one end: by its address, and where that tells nobody, by the prefix that it lies in."""
    single, *prefixes = [np.append(slot, -1) for slot in slots]
    found = _by_slot(index, asked, keys, single[asked.address])
    for slot in prefixes:
        rows = np.flatnonzero((slot[asked.address] >= 0) & (found.in_vpc < 0) & ~found.own)
        if len(rows):
            part = _by_slot(index, asked.at(rows), keys, slot[asked.address[rows]])
            for whole, values in zip(_arrays(found), _together(found, part, rows), strict=True):
                whole[rows] = values
    return found


def _together(single: _End, prefix: _End, rows: Integers) -> tuple[Integers | Flags, ...]:
    """What a single address and the prefix around it tell together of some records, by the same rules.

    The prefix counts alone where it tells the end's own VPC, or nobody ever had the single address.  Where both are
    known elsewhere only, these are two places.
    """
    alone = (prefix.in_vpc >= 0) | prefix.own | (single.slot[rows] < 0)
    here = single.here[rows] | prefix.here
    ours, theirs = single.reached[rows], prefix.reached
    same = (single.place[rows] == prefix.place) & (prefix.place >= 0)
    counts = ~here & (same | (ours ^ theirs)), ~here & same & ~ours & ~theirs
    first = single.reachable[rows], single.unique[rows]
    reachable = np.where(ours & (~same | (first[0] >= 0)), first[0], prefix.reachable)
    unique = np.where(first[1] >= 0, first[1], prefix.unique)
    known = np.where(counts[0], reachable, -1), np.where(counts[1], unique, -1)
    late = here | ((counts[0] | counts[1]) & (known[0] < 0) & (known[1] < 0))
    return (
        prefix.in_vpc,
        prefix.public,
        prefix.own,
        np.where(alone, prefix.reachable, known[0]),
        np.where(alone, prefix.unique, known[1]),
        prefix.slot,
        np.where(alone, prefix.here, here),
        prefix.place,
        theirs,
        np.where(alone, prefix.other_times, late),
    )


def _arrays(end: _End) -> tuple[Integers | Flags, ...]:
    return (
        end.in_vpc,
        end.public,
        end.own,
        end.reachable,
        end.unique,
        end.slot,
        end.here,
        end.place,
        end.reached,
        end.other_times,
    )


def _by_slot(index: Index, asked: _Asked, keys: Keys, slot: Integers) -> _End:
    """What the index knows of one end by one slot of each address; most have had one owner, in one VPC."""
    lone, held = index.lone[slot], index.held
    sure = (held.since[lone] <= asked.first) & (asked.last <= held.until[lone])
    owner = np.where(sure, held.value[lone], -1)
    at = index.held_vpc[lone]
    public = (lone >= 0) & (at == index.world)
    here = public | ((at == asked.vpc) & (asked.vpc >= 0))
    nobody = np.full(len(slot), -1, dtype=np.int64)
    primary = (slot >= 0) & (asked.reporter >= 0) & (index.primary[asked.reporter] == slot)
    end = _End(
        present=asked.present,
        in_vpc=np.where(here, np.where(primary & (owner >= 0), asked.reporter, owner), -1),
        public=public,
        own=primary | ((owner == asked.reporter) & (owner >= 0)),
        reachable=nobody,
        unique=nobody.copy(),
        slot=slot.copy(),
        here=here.copy(),
        place=nobody.copy(),
        reached=np.zeros(len(slot), dtype=bool),
        other_times=here & (owner < 0),
    )
    elsewhere = np.flatnonzero((lone >= 0) & ~here & asked.anywhere)
    shared = np.flatnonzero(index.shared[slot])
    if len(shared):
        _shared(index, asked.at(shared), slot[shared], shared, end)
        elsewhere = np.append(
            elsewhere, shared[(end.in_vpc[shared] < 0) & ~end.other_times[shared] & asked.anywhere[shared]]
        )
    if len(elsewhere):
        _elsewhere(index, asked.at(elsewhere), keys, elsewhere, end)
    return end


def _shared(index: Index, asked: _Asked, slot: Integers, rows: Integers, end: _End) -> None:
    """The end's own VPC and the world, for addresses that have had several owners; written into `end` at `rows`."""
    here, world = index.place_key(slot, asked.vpc), index.place_key(slot, index.world)
    own = index.own.at(index.own_key(asked.reporter, slot), asked.first, asked.last)
    in_vpc, public = (index.held.at(key, asked.first, asked.last) for key in (here, world))
    primary = end.own[rows] & ((public >= 0) | (in_vpc >= 0))  # what it reports of itself goes before what is assumed
    end.in_vpc[rows] = np.where(primary, asked.reporter, np.where(public >= 0, public, in_vpc))
    end.public[rows] = public >= 0
    end.own[rows] |= own >= 0
    claimed = [find(index.places, key) >= 0 for key in (here, world)]
    end.here[rows] = claimed[0] | claimed[1]
    end.other_times[rows] = end.here[rows] & (public < 0) & (in_vpc < 0)


def _elsewhere(index: Index, asked: _Asked, keys: Keys, rows: Integers, end: _End) -> None:
    """Other VPCs that the end's reaches, and the only one there is; written into `end` at `rows`.

    Asked once per distinct address and VPC of the end.
    """
    slot = end.slot[rows]
    _, first, pair = np.unique(asked.vpc * len(index.lone) + slot, return_index=True, return_inverse=True)
    vpc, slot_of, address = asked.vpc[first], slot[first], asked.address[first]
    place, reached = _one_place(index, vpc, slot_of, keys[address])
    found = index.held.at(place[pair], asked.first, asked.last)
    end.reachable[rows] = np.where(reached[pair] & (asked.first >= index.linked), found, -1)
    end.unique[rows] = np.where(reached[pair], -1, found)
    end.place[rows] = np.where(place >= 0, index.vpc_at(place), -1)[pair]
    end.reached[rows] = reached[pair]
    end.other_times[rows] |= (place[pair] >= 0) & (found < 0)


def _one_place(index: Index, vpc: Integers, slot: Integers, keys: Keys) -> tuple[Integers, Flags]:
    """The one place of each slot that `vpc` reaches, else the only one there is; and whether it is reached.

    -1 for none or several, and where the address lies in the ranges of `vpc` itself.  It is no only one where it lies
    in the ranges of another VPC: it may be somebody's there who is not known.
    """
    first = np.searchsorted(index.places, index.place_key(slot, 0))
    count = np.searchsorted(index.places, index.place_key(slot + 1, 0)) - first
    place, reached = np.full(len(slot), -1, dtype=np.int64), np.zeros(len(slot), dtype=bool)
    only = np.flatnonzero(count == 1)
    place[only] = _alone(index, index.places[first[only]], keys[only])
    for each in np.unique(vpc[vpc >= 0]).tolist():  # the VPCs of one file's records, some
        rows = np.flatnonzero(vpc == each)
        near = _near(index, each, first[rows], count[rows])
        outside = ~index.inside(each, keys[rows])
        place[rows] = np.where(outside, np.where(near >= 0, near, place[rows]), -1)
        reached[rows] = outside & (near >= 0)
    return place, reached


def _alone(index: Index, place: Integers, keys: Keys) -> Integers:
    """The places of addresses that lie in the ranges of no other VPC; -1 for the others."""
    others, vpcs = index.covered(keys), index.vpc_at(place)
    for each in np.unique(vpcs).tolist():
        rows = np.flatnonzero(vpcs == each)
        others[rows] -= index.inside(each, keys[rows])
    return np.where(others > 0, -1, place)


def _near(index: Index, vpc: int, first: Integers, count: Integers) -> Integers:
    """Of each run of `count` places from `first` on the one that lies in a VPC that `vpc` reaches; -1 none, several."""
    run = np.repeat(np.arange(len(first)), count)
    places = np.arange(len(run)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
    fits = np.flatnonzero(index.reach(vpc)[index.vpc_at(index.places[places])])
    near = np.full(len(first), -1, dtype=np.int64)
    near[run[fits]] = index.places[places[fits]]
    near[np.bincount(run[fits], minlength=len(first)) != 1] = -1
    return near


def _settled(end: _End, other: _End, reporter: Integers, reporting: Flags, count: Callable[..., None]) -> Integers:
    """The interface at one end by the rules above, counted; `reporting` marks records that flow as this end's do."""
    by_reporter = (end.own | (reporting & end.present & ~other.own)) & (reporter >= 0)
    rules = (
        np.where(end.public, -1, end.in_vpc),
        np.where(end.public, end.in_vpc, -1),
        np.where(by_reporter, reporter, -1),
        end.reachable,
        end.unique,
    )
    settled = np.full(len(reporter), -1, dtype=np.int64)
    for resolved, interface in zip(RESOLVED, rules, strict=True):
        first = (settled < 0) & (interface >= 0)
        settled = np.where(first, interface, settled)
        count(int(np.count_nonzero(first)), resolved=resolved)
    open_ = end.present & (settled < 0)
    reasons = {
        NOT_THEN: open_ & end.other_times,
        AMBIGUOUS: open_ & ~end.other_times & (end.slot >= 0),
        UNKNOWN: open_ & ~end.other_times & (end.slot < 0),
    }
    for resolved, which in reasons.items():
        count(int(np.count_nonzero(which)), resolved=resolved)
    return settled


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


def _rows(name: str, owner: Integers) -> pl.Series:
    """Rows of owners as a column; nobody (-1) does not fit into UInt32 and so becomes null."""
    return pl.Series(name, owner).cast(pl.UInt32, strict=False)
