"""Which interfaces report their flows, and so which records tell of a flow that another record tells of too.

A flow within the network passes two interfaces, and where both report it, a sum over all records counts it twice.
Which interfaces report is learned from their records: an interface with a flow log reports at least every ten minutes,
be it NODATA.  So a record's mark does not depend on which of the two files comes first, but for the very first ones.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from threading import Lock

import numpy as np
import polars as pl

from exporter.addresses import Flags, Integers
from exporter.flow import ENDS, REPORTING, Batch

SLACK = 6 * 3600
"""Seconds before the first record of an interface and after its last one in which it is taken to report, too: files
come late and in any order, and a flow log that was deleted stops for good."""

MOST = 1_000_000
"""Interfaces that are remembered; where there are more, those go that have been silent longest."""

GATEWAYS = ("nat_gateway", "natGateway")
"""Types of interfaces that pass packets on with an address of their own."""

Times = dict[str, tuple[int, int]]
"""By interface id: seconds since 1970 of its first and of its last record."""

_CODE = {name: code for code, name in enumerate(REPORTING)}


class Reporters:
    """Marks each record with whose view of its flow it is; any thread may call.

    `known` is what was learned before, as `learned` gave it.
    """

    def __init__(
        self, known: Iterable[tuple[str, int, int]] = (), keep: Callable[[Times], object] = lambda _: None
    ) -> None:
        self._times: Times = {name: (first, last) for name, first, last in known}
        self._fresh: set[str] = set()
        self._keep = keep
        self._lock = Lock()

    def __call__(self, batch: Batch) -> Batch:
        """The batch with the column `reporting`, for its records with both addresses.

        Both report a flow where the other end's interface is known and reports about then, too.  A packet that is
        rejected on its way out reaches nobody else.  A NAT gateway passes on what the interface on its inner side
        reports with the same packets' ends: that view of it is a copy, too.
        """
        self._learn(batch)
        if batch.owners is None or "flow_direction" not in batch.frame.columns or not batch.frame.height:
            return replace(batch, frame=batch.frame.with_columns(_of_flows(batch.frame, _ONLY)))
        return replace(batch, frame=batch.frame.with_columns(self._marked(batch.frame, batch.owners)))

    def keep(self) -> None:
        """Gives to `keep` what was learned since the last time."""
        with self._lock:
            fresh = {name: self._times[name] for name in self._fresh if name in self._times}
            self._fresh.clear()
        if fresh:
            self._keep(fresh)

    def _learn(self, batch: Batch) -> None:
        """Notes which interfaces report, and when; asks for each by its number, where the inventory has one."""
        frame, names = batch.frame, [name for name in ("start", "end") if name in batch.frame.columns]
        if "interface_id" not in frame.columns or not names:
            return
        times = frame.select("interface_id", first=pl.min_horizontal(names), last=pl.max_horizontal(names))
        if batch.owners is None or "reporter" not in frame.columns:
            self._note_all(_spans(times, "interface_id"))
            return
        known = _spans(times.with_columns(frame["reporter"]).drop("interface_id"), "reporter")
        self._note_all(known.with_columns(interface_id=batch.owners["interface_id"].gather(known["reporter"])))
        if frame["reporter"].null_count():
            self._note_all(_spans(times.filter(frame["reporter"].is_null()), "interface_id"))

    def _note_all(self, spans: pl.DataFrame) -> None:
        with self._lock:
            for name, first, last in spans.select("interface_id", "first", "last").iter_rows():
                self._note(name, first, last)

    def _note(self, name: str, first: int, last: int) -> None:
        """What was seen of an interface, where it goes well beyond what is known: that is written down."""
        before = self._times.get(name)
        if before is None or first < before[0] - SLACK // 2 or last > before[1] + SLACK // 2:
            begun, ended = before or (first, last)
            self._times[name] = min(first, begun), max(last, ended)
            self._fresh.add(name)
            if len(self._times) > MOST:
                self._times = dict(sorted(self._times.items(), key=lambda each: each[1][1])[MOST // 10 :])

    def _marked(self, frame: pl.DataFrame, owners: pl.DataFrame) -> pl.Series:
        egress, ingress = (_are(frame["flow_direction"], name) for name in ("egress", "ingress"))
        end = np.where(egress, 0, np.where(ingress, 1, -1))
        source, destination = (frame[f"{name}_owner"].cast(pl.Int64).fill_null(-1).to_numpy() for name in ENDS)
        both = (end >= 0) & self._report(np.where(end == 0, destination, source), owners, frame)
        if "action" in frame.columns:
            both &= ~(egress & _are(frame["action"], "REJECT"))
        code = np.where(both, np.where(_inner(frame, owners), _CODE["gateway"], end), _CODE["only"])
        return _of_flows(frame, pl.Series(code, dtype=pl.UInt8))

    def _report(self, owner: Integers, owners: pl.DataFrame, frame: pl.DataFrame) -> Flags:
        """Whether the interface of each row of owners (-1 nobody) reported something about the time of the record."""
        distinct, place = np.unique(owner, return_inverse=True)
        names = owners["interface_id"].gather(np.maximum(distinct, 0)).to_list()
        times = [
            self._times.get(name) if row >= 0 else None for row, name in zip(distinct.tolist(), names, strict=True)
        ]
        first = np.array([each[0] - SLACK if each else 1 for each in times], dtype=np.int64)
        last = np.array([each[1] + SLACK if each else 0 for each in times], dtype=np.int64)
        told = next((name for name in ("end", "start") if name in frame.columns), None)
        if told is None:
            return (first <= last)[place]
        moment = frame[told].dt.epoch("s").fill_null(-1).to_numpy()
        reports: Flags = (first[place] <= moment) & (moment <= last[place])
        return reports


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


def _inner(frame: pl.DataFrame, owners: pl.DataFrame) -> Flags:
    """Which records are a NAT gateway's of packets that have another end than the gateway on its own side.

    Of records that do not tell the packets' ends, all of a gateway's are taken for such.
    """
    is_gateway = owners["interface_type"].is_in(GATEWAYS) | (owners["resource_type"] == "nat_gateway")
    own = is_gateway.fill_null(value=False).gather(frame["reporter"]).fill_null(value=False).to_numpy()
    pairs = [(name, f"pkt_{name}") for name in ("srcaddr", "dstaddr") if f"pkt_{name}" in frame.columns]
    if not pairs or not own.any():
        return own
    apart = [(frame[shown].to_physical() != frame[true].to_physical()).fill_null(value=False) for shown, true in pairs]
    inner: Flags = own & np.logical_or.reduce([flags.to_numpy() for flags in apart])
    return inner
