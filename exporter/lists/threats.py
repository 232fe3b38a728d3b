"""Which records have an address that a threat list marks, as ECS tells it: threat.enrichments."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import polars as pl

from exporter.addresses import Flags, Integers, Keys, keys_of
from exporter.flow import Batch
from exporter.lists.indicator_index import SPECIAL, Indicators
from exporter.lists.indicator_values import LATEST
from exporter.lists.threat_text import Shown, array_of, enrichment, indicator_of
from exporter.metrics import Metrics

FIELDS: dict[str, str] = {
    "srcaddr": "source.ip",
    "dstaddr": "destination.ip",
    "pkt_srcaddr": "aws.vpcflow.pkt_srcaddr",
    "pkt_dstaddr": "aws.vpcflow.pkt_dstaddr",
}
"""Columns whose addresses are looked up, in this order, and the field of the document that has each."""

MOST_SHOWN = 20_000
"""Indicators of a list whose text is kept, some 400 bytes each."""

MOST_OF_AN_ADDRESS = 5
"""Enrichments that an address has at most: a record has no more than four times as many."""


class ThreatList(Protocol):
    """A list that is kept fresh."""

    @property
    def name(self) -> str:
        """What `threat_feeds` has for it."""
        ...  # pragma: no cover

    @property
    def current(self) -> Indicators:
        """What is in use now."""
        ...  # pragma: no cover


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Pairs of an address and an indicator of it, those of an address together and the one to show first first."""

    address: Integers
    feed: Integers
    entry: Integers
    since: Integers
    until: Integers

    def of(self, address: int, moment: int) -> list[tuple[int, int]]:
        """Feed and entry of each indicator that the address has at this time."""
        part = slice(*np.searchsorted(self.address, [address, address + 1]).tolist())
        holds = (self.since[part] <= moment) & (moment < self.until[part])
        return list(zip(self.feed[part][holds].tolist(), self.entry[part][holds].tolist(), strict=True))


class Threats:
    """Marks records by lists of addresses and networks.

    Adds the columns `threats`, a JSON array of ECS's threat.enrichments, and `threat_feeds`, a JSON array of the names
    of all lists that mark the record, in order; both null for other records, and absent where they would be null
    throughout.  An indicator counts for a flow that ended while it held (from its start to just before its end), or
    for one that tells no time where it holds now: so a late record is judged by what held then.

    Of an address that stands in several fields the first one is told.  Of one with many indicators the surest are
    shown, then the newest, then those of the smallest network, at most MOST_OF_AN_ADDRESS.  Addresses that nobody has
    on the internet (`indicator_index.SPECIAL`) are never marked.

    Costs a search per distinct address and list where nothing matches.  Any thread may call.
    """

    def __init__(self, feeds: Sequence[ThreatList], metrics: Metrics, clock: Callable[[], float] = time.time) -> None:
        self._feeds = tuple(feeds)
        self._metrics = metrics
        self._clock = clock

    def __call__(self, batch: Batch) -> Batch:
        """The batch with its records marked."""
        lists = [feed.current for feed in self._feeds]
        marked = _marked(keys_of(batch.addresses), lists)
        if marked is None:
            return batch
        codes = _codes(batch.frame, marked)
        rows = np.flatnonzero((codes < len(marked)).any(axis=1))
        if not len(rows):
            return batch
        candidates = _candidates(batch, marked, lists)
        moments = _moments(batch.frame, int(self._clock()))[rows]
        slots, representative = _slots(candidates, moments)
        distinct, which = np.unique(np.column_stack([codes[rows], slots]), axis=0, return_inverse=True)
        shown = _Shown(batch, candidates, [feed.name for feed in self._feeds], lists)
        told = [shown.told(row[:-1], representative[row[-1]]) for row in distinct.tolist()]
        return self._with(batch, rows, which.reshape(-1), told)

    def _with(
        self, batch: Batch, rows: Integers, which: Integers, told: Sequence[tuple[str, tuple[str, ...]]]
    ) -> Batch:
        """The batch with what is told of each distinct kind of record at the rows that are of it."""
        counts = np.bincount(which, minlength=len(told)).tolist()
        for feed in self._feeds:
            number = sum(many for many, (_, names) in zip(counts, told, strict=True) if feed.name in names)
            if number:
                self._metrics.add("threats_total", number, feed=feed.name)
        if not any(names for _, names in told):
            return batch
        place = np.full(batch.frame.height, len(told), dtype=np.uint32)
        place[rows] = which
        columns = {
            "threats": [text if names else None for text, names in told],
            "threat_feeds": [array_of(names) if names else None for _, names in told],
        }
        series = [pl.Series(name, [*values, None], dtype=pl.String).gather(place) for name, values in columns.items()]
        return replace(batch, frame=batch.frame.with_columns(series))


class _Shown:
    """What is shown of the addresses of a batch; each is made once."""

    def __init__(
        self, batch: Batch, candidates: _Candidates, names: Sequence[str], lists: Sequence[Indicators]
    ) -> None:
        self._addresses = batch.addresses.text.to_list()
        self._candidates = candidates
        self._names = names
        self._lists = lists
        self._known: dict[tuple[int, int], tuple[list[Shown], set[str]]] = {}

    def told(self, addresses: Sequence[int], moment: int) -> tuple[str, tuple[str, ...]]:
        """The enrichments, and the lists, of a record with these addresses (one for each of FIELDS) at a time."""
        texts, names = list[str](), set[str]()
        for field, address in zip(FIELDS.values(), addresses, strict=True):
            if address < len(self._addresses):
                shown, feeds = self._of(address, moment)
                atomic = self._addresses[address]
                texts.extend(enrichment(each, atomic, field) for each in shown)
                names |= feeds
        return f"[{','.join(texts)}]", tuple(sorted(names))

    def _of(self, address: int, moment: int) -> tuple[list[Shown], set[str]]:
        known = self._known.get((address, moment))
        if known is None:
            found = self._candidates.of(address, moment)
            shown: dict[Shown, None] = {}
            for feed, entry in found:
                shown[self._told(feed, entry)] = None
                if len(shown) == MOST_OF_AN_ADDRESS:
                    break
            known = self._known[address, moment] = list(shown), {self._names[feed] for feed, _ in found}
        return known

    def _told(self, feed: int, entry: int) -> Shown:
        """What is shown of an indicator; a list keeps what was made of it for the batches that come."""
        indicators = self._lists[feed]
        made = indicators.shown.get(entry)
        if made is None:
            if len(indicators.shown) >= MOST_SHOWN:
                indicators.shown.clear()
            made = indicators.shown[entry] = indicator_of(indicators, entry, self._names[feed])
        return made


def _marked(keys: Keys, lists: Sequence[Indicators]) -> Flags | None:
    """Which of the addresses stand in a list, at whatever time; None where none does."""
    if not len(keys) or not any(map(len, lists)):
        return None
    order = np.argsort(keys)
    ordered = keys[order]
    found = np.logical_or.reduce([each.marks(ordered) for each in lists])
    found[found] = SPECIAL.which(ordered[found]) < 0
    if not found.any():
        return None
    marked = np.zeros(len(keys), dtype=bool)
    marked[order[found]] = True
    return marked


def _codes(frame: pl.DataFrame, marked: Flags) -> Integers:
    """Of each record and each of FIELDS the place of its address among the batch's.

    Where the address is not marked, not there, or told of in an earlier field, that is the number of addresses.
    """
    nobody = len(marked)
    flags = np.append(marked, values=False)
    codes = np.full((frame.height, len(FIELDS)), nobody, dtype=np.int64)
    for number, column in enumerate(FIELDS):
        if column in frame.columns:
            code = frame[column].to_physical().cast(pl.UInt32).fill_null(nobody).to_numpy()
            counts = flags[code]
            for earlier in range(number):
                counts &= codes[:, earlier] != code
            codes[:, number] = np.where(counts, code, nobody)
    return codes


def _candidates(batch: Batch, marked: Flags, lists: Sequence[Indicators]) -> _Candidates:
    """All that the lists have of the marked addresses."""
    places = np.flatnonzero(marked)
    keys = keys_of(batch.addresses)[places]
    parts = []
    for number, each in enumerate(lists):
        which, entry = each.entries(keys)
        columns = each.columns
        parts.append(
            [
                places[which],
                np.full(len(entry), number),
                entry,
                *(
                    column[entry].astype(np.int64)
                    for column in (columns.since, columns.until, columns.confidence, columns.newest, columns.bits)
                ),
            ]
        )
    address, feed, entry, since, until, confidence, newest, bits = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    order = np.lexsort((entry, feed, -bits, -newest, -confidence, address))
    return _Candidates(*(column[order] for column in (address, feed, entry, since, until)))


def _moments(frame: pl.DataFrame, now: int) -> Integers:
    """When each flow ended, else began, else now, in seconds that indicators can have."""
    told = [frame[name].dt.epoch("s") for name in ("end", "start") if name in frame.columns]
    if not told:
        return np.full(frame.height, now)
    first, *others = told
    for other in others:
        first = first.zip_with(first.is_not_null(), other)
    return first.fill_null(now).to_numpy().clip(0, LATEST - 1).astype(np.int64)


def _slots(candidates: _Candidates, moments: Integers) -> tuple[Integers, list[int]]:
    """Times between which nothing begins or ends to hold: of each record which one it is in, and a moment of each."""
    edges = np.unique(np.concatenate([candidates.since, candidates.until]))
    first = int(moments.min())
    edges = edges[(edges > first) & (edges <= moments.max())]
    return np.searchsorted(edges, moments, side="right"), [first, *edges.tolist()]
