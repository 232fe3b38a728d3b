"""Why an address is whose it is at a moment: the rules of ends.py one by one, each with what it finds."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from exporter.addresses import Keys
from exporter.enrich.ends import AMBIGUOUS, LATE, NOT_THEN, RESOLVED, UNKNOWN, Known, enrich
from exporter.enrich.index import ALWAYS, NEVER, Index
from exporter.enrich.remembered import Span, spans_of, text_of
from exporter.flow import Addresses, Batch, S3Object
from exporter.metrics import Metrics

TOLD = 3
"""Owners at other times that are told, those nearest to the moment."""

_SOURCE = S3Object("", "", "", 0, datetime.fromtimestamp(0, UTC))


@dataclass(frozen=True, slots=True)
class Asked:
    """An end: its address as a key and as text, the moment of the flow in seconds, what the record names."""

    key: Keys
    text: str
    second: int
    vpc: str | None = None
    interface: str | None = None
    """The reporting one."""


@dataclass(frozen=True, slots=True)
class Explained:
    """Each rule's word with what it finds, the word that counts, and the row of owners, None for nobody."""

    findings: tuple[tuple[str, str], ...]
    resolved: str
    owner: Mapping[str, Any] | None


def explain(known: Known, asked: Asked) -> Explained:
    """The verdict is that of `enrich`, on a record of this end alone; the findings are told from the same tables.

    `vpc` and `interface` have to be known.  Flow-direction is not asked.
    """
    metrics = Metrics()
    batch = enrich(_record(asked), known, metrics)
    (resolved,) = [
        how
        for how in (*RESOLVED, NOT_THEN, AMBIGUOUS, UNKNOWN)
        if metrics.value("ends_total", end="destination", resolved=how)
    ]
    row = batch.frame["destination_owner"].item()
    owner = None if row is None else known.owners.row(row, named=True)
    return Explained(tuple(_Reasons(known.index, asked).told()), resolved, owner)


def moment(second: int) -> str:
    """A time as people read it."""
    if second <= NEVER or second >= ALWAYS:
        return "ever"
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _record(asked: Asked) -> Batch:
    """A record whose destination is the address, and that tells nothing of its source."""
    time = datetime.fromtimestamp(asked.second, UTC).replace(tzinfo=None)
    named = {"vpc_id": asked.vpc, "interface_id": asked.interface}
    frame = pl.DataFrame(
        [
            pl.Series("row", [1], dtype=pl.UInt32),
            pl.Series("dstaddr", [asked.text], dtype=pl.Categorical(pl.Categories.random())),
            *(pl.Series(name, [time], dtype=pl.Datetime("us")) for name in ("start", "end")),
            *(pl.Series(name, [value], dtype=pl.String) for name, value in named.items() if value),
        ]
    )
    words = np.frombuffer(asked.key.tobytes(), dtype=">u4").astype(np.uint32).reshape(1, 4)
    is_ipv4 = ":" not in asked.text
    if is_ipv4:
        words = np.array([[words[0, 3], 0, 0, 0]], dtype=np.uint32)
    family = np.array([4 if is_ipv4 else 6], dtype=np.uint8)
    return Batch(_SOURCE, frame, Addresses(pl.Series([asked.text]), family, words), plain=True)


class _Reasons:
    """What the rules find in an index for one end."""

    def __init__(self, index: Index, asked: Asked) -> None:
        self._index = index
        self._asked = asked
        self._names = {number: text for text, number in index.interfaces.items()}
        self._vpcs = {number: text for text, number in index.vpcs.items()} | {index.world: "the world"}
        self._reporter = -1 if asked.interface is None else index.interfaces[asked.interface]
        self._vpc = int(index.vpc_of[self._reporter]) if asked.vpc is None else index.vpcs[asked.vpc]
        self._slots = [int(slot[0]) for slot in index.slots(asked.key) if slot[0] >= 0]

    def told(self) -> Iterator[tuple[str, str]]:
        """Each rule's word and what it finds, in their order."""
        index = self._index
        yield "own_vpc", self._in_vpc()
        yield "public", self._in(index.world, "no public address that is known, and no IPv6 one")
        yield "interface", self._own()
        refusal = self._not_asked()
        yield "reachable", refusal or self._near()
        yield "unique", refusal or self._only()

    def _in_vpc(self) -> str:
        if self._vpc < 0:
            return "not asked: it is not known in which VPC the end is"
        return self._in(self._vpc, f"nobody was ever seen with it in {self._vpcs[self._vpc]}")

    def _in(self, vpc: int, nobody: str) -> str:
        """Who had it in a place."""
        told = [self._at(slot, vpc) for slot in self._slots if vpc in self._places(slot)]
        return "; ".join(told) or nobody

    def _at(self, slot: int, vpc: int) -> str:
        """Who had what the slot stands for in a place where somebody claimed it."""
        spans = [each for each in spans_of(self._index, slot) if each.vpc == vpc]
        label, where = self._label(slot), "" if vpc == self._index.world else f" in {self._vpcs.get(vpc, 'no VPC')}"
        if there := self._all_through(spans):
            if there.interface < 0:
                return f"{label}{where} was {self._told(there)}, and so it is nobody's"
            if self._reporter >= 0 and int(self._index.primary[self._reporter]) == slot:
                return f"it is {self._asked.interface}'s primary address, which goes before all else"
            return f"{label}{where} was {self._told(there)}"
        if not spans:
            return f"{label}{where} was seen, but is surely nobody's at any time"
        near = sorted(spans, key=lambda each: max(each.since - self._asked.second, self._first - each.until))[:TOLD]
        more = f", and {len(spans) - TOLD} times more" if len(spans) > TOLD else ""
        others = ", ".join(self._told(each) for each in sorted(near, key=lambda each: each.since))
        return f"{label}{where} is surely nobody's then; at other times it was {others}{more}"

    def _own(self) -> str:
        """Whether it is the reporting interface's."""
        asked = self._asked
        if self._reporter < 0:
            return "not asked: no reporting interface is named"
        primary = int(self._index.primary[self._reporter])
        if primary in self._slots and primary >= 0:
            return f"it is {asked.interface}'s primary address, its own for as long as it exists"
        for slot in self._slots:
            if own := self._all_through(
                [each for each in spans_of(self._index, slot) if each.interface == self._reporter]
            ):
                return f"{self._label(slot)} was {self._told(own)}"
        return f"it is not known as {asked.interface}'s then; only a record's flow-direction may tell"

    def _not_asked(self) -> str:
        """Why other VPCs are not asked; nothing where they are."""
        index = self._index
        for vpc in (self._vpc, index.world):
            if any(vpc in self._places(slot) for slot in self._slots):
                return f"not asked: it is known in {self._vpcs[vpc]}"
        if self._vpc >= 0 and index.inside(self._vpc, self._asked.key)[0]:
            return f"not asked: it lies in the ranges of {self._vpcs[self._vpc]}, so it was somebody's there"
        return ""

    def _near(self) -> str:
        """Who had it in the one VPC that the end's reaches."""
        if self._vpc < 0:
            return "not asked: it is not known in which VPC the end is"
        own, reach = self._vpcs[self._vpc], np.flatnonzero(self._index.reach(self._vpc))
        reached = ", ".join(sorted(self._vpcs[vpc] for vpc in reach.tolist())) or "none that is known"
        places = self._reached()
        if len(places) == 1 and self._first < self._index.linked:
            told = f"it is known only since {moment(self._index.linked)} that {own} reaches it"
            return f"known in {self._vpcs[places.pop()]}, but {told}"
        if len(places) == 1:
            return self._in(places.pop(), "")
        found = "several of them have it" if places else "nobody was ever seen with it there"
        return f"{own} reaches {reached}: {found}"

    def _reached(self) -> set[int]:
        """The VPCs where somebody was seen with it that the end's VPC reaches."""
        reach = np.flatnonzero(self._index.reach(self._vpc)) if self._vpc >= 0 else np.empty(0)
        return {vpc for slot in self._slots for vpc in self._places(slot) if vpc in reach}

    def _only(self) -> str:
        """Who had it in the one place of all."""
        places = sorted({vpc for slot in self._slots for vpc in self._places(slot)})
        if len(self._reached()) == 1:
            return "not asked: the one VPC that is reached counts"
        if (
            len(places) == 1
            and self._index.covered(self._asked.key)[0] > self._index.inside(places[0], self._asked.key)[0]
        ):
            known = self._vpcs.get(places[0], "no VPC")
            return f"known in {known}, but it lies in another VPC's ranges: it may be somebody's there"
        if len(places) == 1:
            return self._in(places[0], "")
        if not places:
            return "nobody was ever seen with it anywhere"
        return f"it may be in several places: {', '.join(self._vpcs.get(vpc, 'no VPC') for vpc in places)}"

    @property
    def _first(self) -> int:
        return self._asked.second - LATE

    def _places(self, slot: int) -> list[int]:
        """The VPCs in which somebody was seen with it at some time."""
        index = self._index
        low, high = np.searchsorted(index.places, index.place_key(np.array([slot, slot + 1]), 0))
        found: list[int] = index.vpc_at(index.places[low:high]).tolist()
        return found

    def _all_through(self, spans: Iterable[Span]) -> Span | None:
        """The one that the flow lies in."""
        return next((each for each in spans if each.since <= self._first and self._asked.second <= each.until), None)

    def _told(self, span: Span) -> str:
        return f"{self._names.get(span.interface, 'more than one')}'s from {moment(span.since)} to {moment(span.until)}"

    def _label(self, slot: int) -> str:
        """What the slot stands for: it itself, or a prefix."""
        bits, table, start = next(each for each in reversed(self._index.tables) if each[2] <= slot)
        place = slot - start
        return text_of(table[place : place + 1].tobytes(), bits)
