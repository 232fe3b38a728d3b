"""A made-up day of a network in which addresses pass between owners, and what is right to say of its flows.

Time is in seconds of the day.  The truth is drawn first: who had what from when to when.  What the program gets is made
from it with everything that AWS does to it: answers that lag behind, times that are noted late, files that come late
and in no order.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import polars as pl

from exporter.enrich.index import Kind
from exporter.enrich.inventory import ADDRESSES, OWNERS, Snapshot
from exporter.flow import Batch

from .cases import batch

MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
DAY = 24 * 3600
VPCS = {"vpc-a": "10.0.0.", "vpc-b": "10.0.0.", "vpc-c": "10.7.0."}
"""The first two have the same range; a and c are peered."""
EVERY = 300
OUTSIDE = "93.184.216.34"


@dataclass(slots=True)
class Held:
    """An address for a while."""

    address: str
    since: int
    until: int
    kind: Kind


@dataclass(slots=True)
class Life:
    """An interface from its making to its end, and its instances: each from when to when."""

    id: str
    vpc: str
    begin: int
    end: int
    fixed: bool
    instances: list[tuple[str, int, int]]
    held: list[Held] = field(default_factory=list)

    def address(self, first: int, last: int, kinds: tuple[Kind, ...]) -> list[str]:
        """Addresses that it had all through a time."""
        return [each.address for each in self.held if each.kind in kinds and each.since <= first and last < each.until]

    def instance(self, first: int, last: int) -> str | None:
        """Its instance all through a time."""
        return next((name for name, begin, end in self.instances if begin <= first and last < end), None)


@dataclass(frozen=True, slots=True)
class Flow:
    """A record, and the truth: the interface and the instance at each end, None for outside."""

    noted: int
    end: int
    reporter: str
    vpc: str
    source: str
    destination: str
    direction: str
    truth: tuple[tuple[str, str | None] | None, tuple[str, str | None] | None]


class World:
    """The truth of one day."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self.lives = [life for vpc in VPCS for last in range(1, 41) for life in self._one_address(vpc, last)]
        self._floating()

    def _one_address(self, vpc: str, last: int) -> Iterator[Life]:
        """The interfaces whose primary address it was, one after another, often within seconds."""
        chance, now, number = self.chance, self.chance.randrange(-7200, 1200), 0
        while now < DAY:
            lasts = chance.choice((90, 240, 600, 1800, 7200, 40_000))
            end = now + int(lasts * (0.5 + chance.random()))
            name = f"eni-{vpc[-1]}-{last}-{number}"
            fixed = chance.random() < 0.7
            attached = now + chance.randrange(20)
            instances = [(f"i-{name}-0", attached, end)]
            if not fixed and end - attached > 1200:  # moves to another instance
                middle = attached + (end - attached) // 2
                instances = [(f"i-{name}-0", attached, middle), (f"i-{name}-1", middle + 15, end)]
            held = [Held(f"{VPCS[vpc]}{last}", now, end, Kind.PRIMARY)]
            yield Life(name, vpc, now, end, fixed, instances, held)
            now, number = end + chance.choice((1, 5, 30, 120, 900)), number + 1

    def _floating(self) -> None:
        """Secondary and public addresses that go from interface to interface."""
        pools: list[tuple[Kind, str | None, str]] = [
            (Kind.OWN, vpc, f"{VPCS[vpc]}{last}") for vpc in VPCS for last in range(200, 210)
        ]
        pools += [(Kind.PUBLIC, None, f"54.0.0.{last}") for last in range(20)]
        for kind, vpc, address in pools:
            now = self.chance.randrange(600)
            while now < DAY:
                owners = [life for life in self.lives if vpc in (None, life.vpc) and life.begin <= now < life.end - 30]
                if owners:
                    owner = self.chance.choice(owners)
                    until = min(owner.end, now + self.chance.choice((120, 900, 3600, 20_000)))
                    owner.held.append(Held(address, now, until, kind))
                    now = until
                now += self.chance.choice((1, 10, 60, 600))

    def snapshot(self, now: int) -> Snapshot:
        """What EC2 answers, from 1 s after the asking: some of it is up to 8 s old."""
        seen = [(life, now - self.chance.randrange(9)) for life in self.lives]
        there = [(life, at) for life, at in seen if life.begin <= at < life.end]
        owners, addresses = [], []
        for row, (life, at) in enumerate(there):
            instance = next(((name, begin) for name, begin, end in life.instances if begin <= at < end), None)
            owners.append(
                {
                    "interface_id": life.id,
                    "vpc_id": life.vpc,
                    "instance_id": instance[0] if instance else None,
                    "attached": int((MIDNIGHT + timedelta(seconds=instance[1])).timestamp()) if instance else None,
                    "fixed": life.fixed and instance is not None,
                }
            )
            addresses += [
                (life.vpc, each.address, row, each.kind) for each in life.held if each.since <= at < each.until
            ]
        self.chance.shuffle(addresses)
        return Snapshot(
            pl.DataFrame(owners, schema=OWNERS),
            pl.DataFrame(addresses, schema=ADDRESSES, orient="row"),
            tuple((vpc, f"{start}0/24") for vpc, start in VPCS.items()),
            MIDNIGHT + timedelta(seconds=now),
            links=(("pcx-1", "vpc-a"), ("pcx-1", "vpc-c")),
            answered=MIDNIGHT + timedelta(seconds=now + 4),
        )

    def flows(self, count: int) -> Iterator[Flow]:
        """Traffic within a VPC, to the peered one, to public addresses and outside; every record of both ends."""
        while count:
            first = self.chance.randrange(DAY - 700)
            last = first + self.chance.choice((0, 3, 50, 500))
            alive = [life for life in self.lives if life.begin + 20 <= first and last < life.end]
            if len(alive) > 1 and (records := list(self._records(alive, first, last))):
                yield from records
                count -= 1

    def _records(self, alive: list[Life], first: int, last: int) -> Iterator[Flow]:
        here, there = self.chance.sample(alive, 2)
        near = {"vpc-a": ("vpc-a", "vpc-c"), "vpc-b": ("vpc-b",), "vpc-c": ("vpc-c", "vpc-a")}[here.vpc]
        ways = [Kind.PUBLIC] + ([Kind.PRIMARY, Kind.PRIMARY, Kind.OWN] if there.vpc in near else [])
        addresses = there.address(first, last, (self.chance.choice(ways),))
        own = here.address(first, last, (Kind.PRIMARY,))[0]
        noted, end = first + self.chance.randrange(61), last + self.chance.randrange(61)
        truth = (here.id, here.instance(first, last)), (there.id, there.instance(first, last))
        if not addresses:
            yield Flow(noted, max(noted, end), here.id, here.vpc, own, OUTSIDE, "egress", (truth[0], None))
            return
        to = self.chance.choice(addresses)
        yield Flow(noted, max(noted, end), here.id, here.vpc, own, to, "egress", truth)
        if there.vpc in near and to.startswith("10."):  # the other interface notes its own, primary address
            noted, end = first + self.chance.randrange(61), last + self.chance.randrange(61)
            primary = there.address(first, last, (Kind.PRIMARY,))[0]
            yield Flow(noted, max(noted, end), there.id, there.vpc, own, primary, "ingress", truth)


def records(flows: Sequence[Flow], *, full: bool) -> Batch:
    """A file's records: with the fields of version 2, or in full with VPC and direction."""
    columns: dict[str, list[str | None]] = {
        "interface_id": [flow.reporter for flow in flows],
        "srcaddr": [flow.source for flow in flows],
        "dstaddr": [flow.destination for flow in flows],
    }
    if full:
        columns["vpc_id"] = [flow.vpc for flow in flows]
        columns["flow_direction"] = [flow.direction for flow in flows]
    return timed(columns, [(flow.noted, flow.end) for flow in flows])


def timed(columns: Mapping[str, Sequence[str | None]], times: Sequence[tuple[int | None, int | None]]) -> Batch:
    """A batch with start and end, in seconds of the day."""
    made = batch(columns)
    moments = {
        name: pl.Series(
            name,
            [each and (MIDNIGHT + timedelta(seconds=each)).replace(tzinfo=None) for each in column],
            pl.Datetime("us"),
        )
        for name, column in zip(("start", "end"), zip(*times, strict=True), strict=True)
    }
    return replace(made, frame=made.frame.with_columns(**moments))
