"""Which interfaces report their flows, and so which records tell of a flow that another record tells of too.

A flow within the network passes two interfaces, and where both report it, a sum over all records counts it twice.
Which interfaces report is learned from their records: an interface with a flow log reports at least every ten minutes,
be it NODATA.  So a record's mark does not depend on which of the two files comes first, but for the first ones of an
interface: what its partners told before was told by one alone, as far as was known then.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from threading import Lock
from time import time

import numpy as np
import polars as pl

from exporter.addresses import Flags, Integers
from exporter.flow import ENDS, REPORTING, Batch

SLACK = 6 * 3600
"""Seconds before the first record of an interface and after its last one in which it is taken to report, too: files
come late and in any order, and a flow log that was deleted stops for good."""

WRITTEN_EVERY = 3600
"""Seconds by which an interface's last record moves on before that is written down."""

LONGEST = 3600
"""Seconds of a record that proves something: AWS aggregates ten minutes at most."""

AHEAD = 86_400
"""Seconds by which a record's end may lie ahead of this machine's clock."""

MOST = 1_000_000
"""Interfaces that are remembered; where there are more, those go that have been silent longest."""

GATEWAYS = ("nat_gateway", "natGateway", "transit_gateway")
"""Types of interfaces that pass packets on with an address of their own, and what is behind them where no type says so.
Source: the AWS guide's "Flow log record examples", traffic through a NAT gateway and through a transit gateway."""

RESOURCES = ("nat_gateway", "transit_gateway_attachment")

Times = dict[str, tuple[int, int]]
"""By interface id: seconds since 1970 of its first and of its last record."""

_CODE = {name: code for code, name in enumerate(REPORTING)}


class Reporters:
    """Marks each record with whose view of its flow it is; any thread may call.

    `known` is what was learned before, as it was given to `keep`.
    """

    def __init__(
        self,
        known: Iterable[tuple[str, int, int]] = (),
        keep: Callable[[Times], object] = lambda _: None,
        clock: Callable[[], float] = time,
    ) -> None:
        self._times: Times = {name: (first, last) for name, first, last in known}
        self._written = {name: last for name, (_, last) in self._times.items()}
        self._fresh: set[str] = set()
        self._keep = keep
        self._clock = clock
        self._lock = Lock()
        self._numbered: tuple[pl.DataFrame, Integers] | None = None

    def __call__(self, batch: Batch) -> Batch:
        """The batch with the column `reporting`, for its records with both addresses.

        Both report a flow where the other end's interface is known and reports about then, too.  A packet that is
        rejected on its way out reaches nobody else.  What an interface on the packets' way tells is a copy of what an
        end tells: a NAT gateway on its inner side and a transit gateway's interface, which show the packets' true ends
        beside their own address; an appliance, which stands where neither address is its own; a transit gateway's own
        records.  So is what an interface tells that the inventory does not know, where the other end reports: that one
        does not know who stands here, and counts for both.
        """
        self._learn(batch)
        if batch.owners is None or "flow_direction" not in batch.frame.columns or not batch.frame.height:
            return replace(batch, frame=batch.frame.with_columns(_of_flows(batch.frame, _ONLY)))
        return replace(batch, frame=batch.frame.with_columns(self._marked(batch.frame, batch.owners)))

    def keep(self) -> None:
        """Gives to `keep` what was learned since the last time."""
        with self._lock:
            fresh = {name: self._times[name] for name in self._fresh if name in self._times}
        if fresh:
            self._keep(fresh)
        with self._lock:
            self._written |= {name: last for name, (_, last) in fresh.items()}
            self._fresh -= fresh.keys()

    def _learn(self, batch: Batch) -> None:
        """Notes which interfaces report, and when; asks for each by its number, where the inventory has one."""
        frame, names = batch.frame, [name for name in ("start", "end") if name in batch.frame.columns]
        if "interface_id" not in frame.columns or not names:
            return
        times = frame.select("interface_id", first=pl.min_horizontal(names), last=pl.max_horizontal(names))
        times = times.filter((pl.col("last") - pl.col("first")).dt.total_seconds() <= LONGEST)
        if batch.owners is None or "reporter" not in frame.columns or times.height < frame.height:
            self._note_all(_spans(times, "interface_id"))
            return
        known = _spans(times.with_columns(frame["reporter"]).drop("interface_id"), "reporter")
        self._note_all(known.with_columns(interface_id=batch.owners["interface_id"].gather(known["reporter"])))
        if frame["reporter"].null_count():
            self._note_all(_spans(times.filter(frame["reporter"].is_null()), "interface_id"))

    def _note_all(self, spans: pl.DataFrame) -> None:
        latest = self._clock() + AHEAD
        with self._lock:
            for name, first, last in spans.select("interface_id", "first", "last").iter_rows():
                if last <= latest:
                    self._note(name, first, last)
            if len(self._times) > MOST:
                self._times = dict(sorted(self._times.items(), key=lambda each: each[1][1])[MOST // 10 :])

    def _note(self, name: str, first: int, last: int) -> None:
        """What was seen of an interface; after a long silence it begins anew, and what is far older tells nothing."""
        begun, ended = self._times.get(name, (first, last))
        if last < begun - 2 * SLACK:
            return
        began_anew = first > ended + 2 * SLACK
        self._times[name] = (first, last) if began_anew else (min(first, begun), max(last, ended))
        if name not in self._written or began_anew or last > self._written[name] + WRITTEN_EVERY or first < begun:
            self._fresh.add(name)

    def _marked(self, frame: pl.DataFrame, owners: pl.DataFrame) -> pl.Series:
        egress, ingress = (_are(frame["flow_direction"], name) for name in ("egress", "ingress"))
        end = np.where(egress, 0, np.where(ingress, 1, -1))
        source, destination = (_rows(frame, f"{name}_owner") for name in ENDS)
        moment, numbers = _moments(frame), self._interfaces(owners)
        reports = [self._report(each, owners, moment) for each in (source, destination)]
        theirs = np.where(egress, reports[1], ingress & reports[0])
        both = theirs & (end >= 0)
        if "action" in frame.columns:
            both &= ~(egress & _are(frame["action"], "REJECT"))
        me, own = _rows(frame, "reporter"), np.where(egress, source, np.where(ingress, destination, -1))
        copies = both & (_shows_others(frame, owners, me) | (me < 0))
        passes_on = (me >= 0) & (own >= 0) & (numbers[me] != numbers[own])
        copies |= passes_on & (reports[0] | reports[1])
        if "tgw_id" in frame.columns:
            gateway = frame["tgw_id"].is_not_null().to_numpy()
            copies = np.where(gateway, egress | reports[0] | reports[1], copies)
            both &= ~gateway
        code = np.where(copies, _CODE["copy"], np.where(both, end, _CODE["only"]))
        return _of_flows(frame, pl.Series(code, dtype=pl.UInt8))

    def _report(self, owner: Integers, owners: pl.DataFrame, moment: Integers | None) -> Flags:
        """Whether the interface of each row of owners (-1 nobody) reported something about the time of the record."""
        distinct = np.flatnonzero(np.bincount(owner + 1, minlength=owners.height + 1)[1:])
        first, last = np.ones(owners.height + 1, dtype=np.int64), np.zeros(owners.height + 1, dtype=np.int64)
        for row, name in zip(distinct.tolist(), owners["interface_id"].gather(distinct).to_list(), strict=True):
            if (times := self._times.get(name)) is not None:
                first[row], last[row] = times[0] - SLACK, times[1] + SLACK
        if moment is None:
            return (first <= last)[owner]
        reports: Flags = (first[owner] <= moment) & (moment <= last[owner])
        return reports

    def _interfaces(self, owners: pl.DataFrame) -> Integers:
        """A number for the interface of each row of owners; the last ones are kept, for many batches have these."""
        kept = self._numbered
        if kept is None or kept[0] is not owners:
            numbers = owners["interface_id"].rank("dense").cast(pl.Int64).fill_null(0).to_numpy()
            kept = self._numbered = owners, np.append(numbers, -1)
        return kept[1]


def _moments(frame: pl.DataFrame) -> Integers | None:
    """When each record ended, else began; None where no record tells."""
    told = next((name for name in ("end", "start") if name in frame.columns), None)
    return frame[told].dt.epoch("s").fill_null(-1).to_numpy() if told else None


def _spans(times: pl.DataFrame, key: str) -> pl.DataFrame:
    """The seconds of the first and of the last record of each value of a column."""
    seen = times.drop_nulls().group_by(key).agg(pl.col("first").min(), pl.col("last").max())
    return seen.with_columns(pl.col("first", "last").dt.epoch("s"))


def _are(column: pl.Series, text: str) -> Flags:
    """Which values are this text."""
    flags: Flags = (column == text).fill_null(value=False).to_numpy()
    return flags


def _of_flows(frame: pl.DataFrame, code: pl.Series) -> pl.Series:
    """The column `reporting`: the code where there is a flow."""
    if not {"srcaddr", "dstaddr"} <= set(frame.columns):
        return pl.Series("reporting", [None], dtype=pl.UInt8).new_from_index(0, frame.height)
    flows = pl.all_horizontal(pl.col("srcaddr", "dstaddr").is_not_null())
    return frame.select(reporting=pl.when(flows).then(pl.lit(code))).to_series()


_ONLY = pl.Series([_CODE["only"]], dtype=pl.UInt8)


def _rows(frame: pl.DataFrame, name: str) -> Integers:
    """A column's rows of owners, -1 nobody."""
    if name not in frame.columns:
        return np.full(frame.height, -1, dtype=np.int64)
    return frame[name].cast(pl.Int64).fill_null(-1).to_numpy()


def _shows_others(frame: pl.DataFrame, owners: pl.DataFrame, me: Integers) -> Flags:
    """Which records are a gateway's of packets that have another end than the gateway on its own side.

    Of records that do not tell the packets' ends, all of a gateway's are taken for such.
    """
    is_gateway = owners["interface_type"].is_in(GATEWAYS) | owners["resource_type"].is_in(RESOURCES)
    flags = np.append(is_gateway.fill_null(value=False).to_numpy(), np.False_)
    own = flags[me]
    pairs = [(name, f"pkt_{name}") for name in ("srcaddr", "dstaddr") if f"pkt_{name}" in frame.columns]
    if not pairs or not own.any():
        return own
    apart = [(frame[shown].to_physical() != frame[true].to_physical()).fill_null(value=False) for shown, true in pairs]
    others: Flags = own & np.logical_or.reduce([each.to_numpy() for each in apart])
    return others
