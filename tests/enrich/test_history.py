"""Who owned what over time: a day in which addresses pass between owners, and the rules one by one."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from exporter.enrich.ends import enrich
from exporter.enrich.history import TABLES, History, NotLater, View, folded
from exporter.enrich.history_store import StoredHistory
from exporter.enrich.index import Kind
from exporter.enrich.inventory import ADDRESSES, OWNERS, Snapshot
from exporter.ledger import Ledger
from exporter.ledger_ownership import Ownership
from exporter.metrics import Metrics

from .day import DAY, EVERY, MIDNIGHT, Flow, World, records, timed

GAP = 900


def told(known: View | Snapshot, flows: list[Flow], *, full: bool) -> list[tuple[tuple[str, str | None] | None, ...]]:
    """The interface and instance that each record's ends get."""
    found = enrich(records(flows, full=full), known, Metrics())
    assert found.owners is not None
    owners = found.owners.select("interface_id", "instance_id").rows()
    ends = found.frame.select("source_owner", "destination_owner").rows()
    return [tuple(None if row is None else owners[row] for row in each) for each in ends]


def judged(world: World, *, seed: int, flows: int, current_owner: bool) -> Counter[str]:
    """How each end of a day's records was judged; files come between 2 and 40 minutes after their flows."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    files: dict[tuple[int, bool], list[Flow]] = {}
    for flow in world.flows(flows):
        files.setdefault((flow.end // 300, chance.random() < 0.5), []).append(flow)
    arrivals = sorted((slot * 300 + 300 + chance.randrange(120, 2400), slot, full) for slot, full in files)
    history, now, score = History.empty(), 0, Counter[str]()
    known: Any = history.view()
    for arrival, slot, full in arrivals:
        while now <= min(arrival, DAY + 3600):
            newest, now = world.snapshot(now), now + EVERY
            if current_owner:
                known = newest
            else:
                history, _ = history.after("us-east-1", newest, GAP)
                history, _ = history.seeing(known)
                known = history.view(known)
        for flow, ends in zip(files[slot, full], told(known, files[slot, full], full=full), strict=True):
            score.update(_judged(truth, said) for truth, said in zip(flow.truth, ends, strict=True))
    return score


def test_a_day_in_which_addresses_pass_between_owners() -> None:
    """Nobody is ever named wrongly, and most are named; the current owner would be wrong hundreds of times."""
    score = judged(World(1), seed=1, flows=3000, current_owner=False)
    assert score["wrong interface"] == score["wrong instance"] == 0, score
    assert score["right"] > 0.9 * (sum(score.values()) - score["outside"]), score
    naive = judged(World(1), seed=1, flows=3000, current_owner=True)
    assert naive["wrong interface"] + naive["wrong instance"] > 100, naive


def _judged(truth: tuple[str, str | None] | None, said: tuple[str, str | None] | None) -> str:
    if truth is None:
        return "outside" if said is None else "wrong interface"
    if said is None:
        return "unresolved"
    if said[0] != truth[0]:
        return "wrong interface"
    if said[1] is None:
        return "right" if truth[1] is None else "right, instance unresolved"
    return "right" if said[1] == truth[1] else "wrong instance"


def at(clock: str) -> int:
    """09:30:15 in seconds of the day."""
    hours, minutes, seconds = (int(part) for part in clock.split(":"))
    return hours * 3600 + minutes * 60 + seconds


def interface(  # noqa: PLR0913  what there is to say of one
    name: str,
    primary: str,
    *more: str,
    public: str | None = None,
    attached: str | None = None,
    instance: str | None = None,
    fixed: bool = True,
    vpc: str = "vpc-a",
) -> dict[str, Any]:
    """An interface as a snapshot shows it."""
    return {
        "owner": {
            "interface_id": name,
            "vpc_id": vpc,
            "instance_id": instance,
            "attached": int(MIDNIGHT.timestamp()) + at(attached) if attached else None,
            "fixed": fixed,
        },
        "addresses": [(primary, Kind.PRIMARY), *((each, Kind.OWN) for each in more)]
        + ([(public, Kind.PUBLIC)] if public else []),
    }


def shot(clock: str, *interfaces: dict[str, Any], links: tuple[tuple[str, str], ...] = ()) -> Snapshot:
    """A snapshot that was asked for then and answered within 5 seconds."""
    taken = MIDNIGHT + timedelta(seconds=at(clock))
    return Snapshot(
        pl.DataFrame([each["owner"] for each in interfaces], schema=OWNERS),
        pl.DataFrame(
            [
                (each["owner"]["vpc_id"], *address[:1], row, address[1])
                for row, each in enumerate(interfaces)
                for address in each["addresses"]
            ],
            schema=ADDRESSES,
            orient="row",
        ),
        (("vpc-a", "10.0.0.0/16"), ("vpc-b", "10.0.0.0/16"), ("vpc-c", "10.7.0.0/16"), ("vpc-d", "10.0.0.0/16")),
        taken,
        links=links,
        answered=taken + timedelta(seconds=4),
    )


WATCH = interface("watch", "10.0.0.99", attached="01:00:00", instance="i-watch")
STEADY = ("steady", "10.0.0.1")
TEN = shot(
    "10:00:00",
    WATCH,
    interface(*STEADY, "10.0.0.50", "2600:1f18::1", public="54.0.0.1", attached="09:00:00", instance="i-steady"),
    interface("gone", "10.0.0.2", attached="09:30:00", instance="i-gone"),
    interface("mover", "10.0.0.4", attached="09:00:00", instance="i-1", fixed=False),
)
FIVE_PAST = shot(
    "10:05:00",
    WATCH,
    interface(*STEADY, "10.0.0.50", "2600:1f18::1", public="54.0.0.1", attached="09:00:00", instance="i-steady"),
    interface("gone", "10.0.0.2", attached="09:30:00", instance="i-gone"),
    interface("mover", "10.0.0.4", attached="09:00:00", instance="i-1", fixed=False),
    interface("late", "10.0.0.3"),
)
TEN_PAST = shot(
    "10:10:00",
    WATCH,
    interface(*STEADY, "2600:1f18::1", attached="09:00:00", instance="i-steady"),
    interface("next", "10.0.0.2", "10.0.0.50", public="54.0.0.1", attached="10:07:00", instance="i-next"),
    interface("mover", "10.0.0.4", attached="10:06:00", instance="i-2", fixed=False),
    interface("late", "10.0.0.3"),
)
SERIES = folded([("us-east-1", each) for each in (TEN, FIVE_PAST, TEN_PAST)], GAP)

TO: dict[str, tuple[str, str, str, tuple[str, str | None] | None]] = {
    "an owner that is there throughout": ("10.0.0.1", "10:03:00", "10:04:00", ("steady", "i-steady")),
    "from when it was attached, long before the first snapshot": (
        "10.0.0.1",
        "09:01:00",
        "09:02:00",
        ("steady", "i-steady"),
    ),
    "a minute from its attachment the packet may be older": ("10.0.0.1", "09:00:59", "09:02:00", None),
    "before it was attached": ("10.0.0.2", "09:20:00", "09:20:10", None),
    "up to the last snapshot that shows it, less the lag": ("10.0.0.2", "10:04:00", "10:04:50", ("gone", "i-gone")),
    "after that, and before the next one was attached": ("10.0.0.2", "10:04:00", "10:04:51", None),
    "in the gap": ("10.0.0.2", "10:06:00", "10:06:10", None),
    "it ends in the next one's time, and may have begun before it": ("10.0.0.2", "10:07:59", "10:08:30", None),
    "in the next one's time": ("10.0.0.2", "10:08:00", "10:08:30", ("next", "i-next")),
    "over both": ("10.0.0.2", "10:03:00", "10:09:00", None),
    "after the newest snapshot": ("10.0.0.1", "10:09:30", "10:10:00", None),
    "no attachment: from the first snapshot that shows it": ("10.0.0.3", "10:06:05", "10:07:00", ("late", None)),
    "no attachment: not before": ("10.0.0.3", "10:06:04", "10:07:00", None),
    "a secondary address between two snapshots that show it": (
        "10.0.0.50",
        "10:02:00",
        "10:04:00",
        ("steady", "i-steady"),
    ),
    "a secondary address that passed on": ("10.0.0.50", "10:06:30", "10:07:00", None),
    "a secondary address that one snapshot shows": ("10.0.0.50", "10:09:30", "10:09:40", None),
    "a secondary address before the first snapshot": ("10.0.0.50", "09:30:00", "09:30:00", None),
    "a public address between two snapshots": ("54.0.0.1", "10:02:00", "10:04:00", ("steady", "i-steady")),
    "a public address that passed on": ("54.0.0.1", "10:06:30", "10:07:00", None),
    "IPv6 over three snapshots": ("2600:1f18::1", "10:02:00", "10:09:00", ("steady", "i-steady")),
    "the first instance of an interface that moved": ("10.0.0.4", "10:03:00", "10:04:00", ("mover", "i-1")),
    "the second one": ("10.0.0.4", "10:07:00", "10:09:00", ("mover", "i-2")),
    "between them the interface is sure, the instance is not": ("10.0.0.4", "10:05:00", "10:05:30", ("mover", None)),
    "nobody ever had it": ("10.0.0.77", "10:03:00", "10:04:00", None),
}


def named(known: View, columns: dict[str, list[str | None]], *times: tuple[int | None, int | None]) -> list[Any]:
    """The interface and instance at each destination."""
    found = enrich(timed(columns, times), known, Metrics())
    assert found.owners is not None
    owners = found.owners.select("interface_id", "instance_id").rows()
    return [None if row is None else owners[row] for row in found.frame["destination_owner"].to_list()]


def seen_by_watch(address: str) -> dict[str, list[str | None]]:
    return {"interface_id": ["watch"], "srcaddr": ["10.0.0.99"], "dstaddr": [address]}


@pytest.mark.parametrize(("address", "start", "end", "expected"), TO.values(), ids=TO)
def test_a_flow_is_attributed_as_of_its_own_time(
    address: str, start: str, end: str, expected: tuple[str, str | None] | None
) -> None:
    assert named(SERIES.view(), seen_by_watch(address), (at(start), at(end))) == [expected]


def test_an_interface_exists_while_it_reports() -> None:
    """Its records prove it, before and after snapshots show it, for other records of the batch and for later ones."""
    series = folded([("us-east-1", each) for each in (TEN, FIVE_PAST, TEN_PAST)], GAP)
    view = series.view()
    columns: dict[str, list[str | None]] = {
        "interface_id": ["watch", "gone"],
        "srcaddr": ["10.0.0.99", "10.0.0.2"],
        "dstaddr": ["10.0.0.2", "10.0.0.77"],
    }
    peer = (at("10:05:40"), at("10:05:50"))
    assert named(view, columns, peer, (at("10:05:00"), at("10:06:49"))) == [None, None], "up to 10:05:49 for sure"
    assert named(view, columns, peer, (at("10:05:00"), at("10:06:50"))) == [("gone", "i-gone"), None]
    assert named(view, seen_by_watch("10.0.0.2"), peer) == [("gone", "i-gone")], "it is remembered"
    assert named(view, seen_by_watch("10.0.0.2"), (at("10:07:30"), at("10:07:40"))) == [None], "but not longer"


def test_what_records_prove_goes_into_the_next_history_where_it_tells_more() -> None:
    series = folded([("us-east-1", each) for each in (TEN, FIVE_PAST)], GAP)
    view = series.view()
    columns: dict[str, list[str | None]] = {
        "interface_id": ["gone", "late"],
        "srcaddr": ["10.0.0.2", "10.0.0.3"],
        "dstaddr": ["10.0.0.77"] * 2,
    }
    named(view, columns, (at("10:03:00"), at("10:06:50")), (at("10:06:10"), at("10:06:50")))
    after, _ = series.after("us-east-1", TEN_PAST, GAP)
    after, changes = after.seeing(view)
    midnight = int(MIDNIGHT.timestamp())
    assert changes.rows["interface"].select("id", "since", "until").rows() == [
        ("gone", midnight + at("10:03:00"), midnight + at("10:05:50"))
    ], "`late` is in the newest snapshot, which tells more"
    assert named(after.view(), seen_by_watch("10.0.0.2"), (at("10:05:40"), at("10:05:50"))) == [("gone", "i-gone")]


def test_what_two_claim_at_once_is_nobodys_while_they_do() -> None:
    twin = shot("10:00:00", WATCH, interface("a", "10.0.0.5"), interface("b", "10.0.0.5"))
    later = shot("10:05:00", WATCH, interface("a", "10.0.0.5"), interface("b", "10.0.0.5"))
    alone = shot("10:10:00", WATCH, interface("a", "10.0.0.5"))
    series = folded([("us-east-1", each) for each in (twin, later, alone)], GAP)
    view = series.view()
    assert view.index.conflicts == 1
    assert named(view, seen_by_watch("10.0.0.5"), (at("10:02:00"), at("10:03:00"))) == [None]
    assert named(view, seen_by_watch("10.0.0.5"), (at("10:07:00"), at("10:08:00"))) == [("a", None)]
    own: dict[str, list[str | None]] = {"interface_id": ["b"], "srcaddr": ["10.0.0.99"], "dstaddr": ["10.0.0.5"]}
    assert named(view, own, (at("10:02:00"), at("10:03:00"))) == [("b", None)], "b reports it as its own"


def test_after_a_pause_only_what_cannot_have_changed_held_in_between() -> None:
    """An hour without an answer: the secondary address may have been elsewhere, the primary one may not."""
    there = interface("steady", "10.0.0.1", "10.0.0.50", attached="09:00:00", instance="i-steady")
    series = folded([("us-east-1", shot(clock, WATCH, there)) for clock in ("10:00:00", "10:05:00", "11:05:00")], GAP)
    view = series.view()
    for address, expected in (("10.0.0.1", [("steady", "i-steady")]), ("10.0.0.50", [None])):
        assert named(view, seen_by_watch(address), (at("10:30:00"), at("10:31:00"))) == expected
    assert named(view, seen_by_watch("10.0.0.50"), (at("10:02:00"), at("10:03:00"))) == [("steady", "i-steady")]


@pytest.mark.parametrize(
    ("clock", "expected"),
    [("10:12:00", ("steady", "i-steady")), ("10:15:59", None), ("10:22:00", ("next", "i-next"))],
    ids=["beside its owner", "within reach of both", "beside the next one"],
)
def test_what_may_be_assumed_reaches_as_far_as_nobody_else_is_known(
    clock: str, expected: tuple[str, str | None] | None
) -> None:
    """Steady has it for sure from 10:00:04 to 10:04:50, next from 10:30:04 to 10:34:50; 15 minutes are assumed."""
    first = interface("steady", "10.0.0.1", "10.0.0.50", attached="09:00:00", instance="i-steady")
    second = interface("next", "10.0.0.2", "10.0.0.50", attached="09:00:00", instance="i-next")
    series = folded(
        [("r", shot(clock, WATCH, first)) for clock in ("10:00:00", "10:05:00")]
        + [("r", shot(clock, WATCH, second)) for clock in ("10:30:00", "10:35:00")],
        GAP,
        assume=900,
    )
    view = series.view()
    assert named(view, seen_by_watch("10.0.0.50"), (at(clock), at(clock))) == [expected]


def test_a_snapshot_that_is_not_newer_is_refused() -> None:
    series = folded([("us-east-1", TEN)], GAP)
    for clock in ("10:00:00", "09:00:00"):
        with pytest.raises(NotLater, match="one of the clocks jumped"):
            series.after("us-east-1", shot(clock, WATCH), GAP)
    begun_anew, changes = series.without_scope("us-east-1")
    assert (begun_anew.holding.height, begun_anew.workload.height, begun_anew.interface.height) == (0, 0, 0)
    assert {name: len(numbers) for name, numbers in changes.gone.items()} == {
        "scope": 1,
        "interface": 4,
        "workload": 4,
        "holding": 7,
    }


def test_what_records_proved_stays_their_interfaces_where_the_history_begins_anew() -> None:
    """After a clock that jumped back the numbers are given out anew, in another order."""
    a, b = interface("a", "10.0.0.5"), interface("b", "10.0.0.6")
    before = folded([("r", shot("10:00:00", a, b))], GAP)
    view = before.view()
    own: dict[str, list[str | None]] = {"interface_id": ["a"], "srcaddr": ["10.0.0.5"], "dstaddr": ["10.0.0.77"]}
    named(view, own, (at("10:30:00"), at("10:35:00")))
    anew, _ = before.without_scope("r")
    anew, _ = anew.after("r", shot("09:00:00", b, a), GAP)
    anew, changes = anew.seeing(view)
    assert changes.rows["interface"]["id"].to_list() == ["a"]
    for address, expected in (("10.0.0.5", [("a", None)]), ("10.0.0.6", [None])):
        assert named(anew.view(), seen_by_watch(address), (at("10:31:00"), at("10:32:00"))) == expected


PREFIXES = (
    interface("pods", "10.0.0.8", "10.0.1.16/28", "2600:1f18:0:1:a::/80", attached="09:00:00", instance="i-node"),
    interface("other", "10.0.0.9", "10.0.1.32/28", attached="09:00:00", instance="i-other"),
)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.1.15", None),
        ("10.0.1.16", ("pods", "i-node")),
        ("10.0.1.31", ("pods", "i-node")),
        ("10.0.1.32", ("other", "i-other")),
        ("2600:1f18:0:1:a::1", ("pods", "i-node")),
        ("2600:1f18:0:1:a:ffff:ffff:ffff", ("pods", "i-node")),
        ("2600:1f18:0:1:b::1", None),
    ],
)
def test_an_address_within_a_delegated_prefix(address: str, expected: tuple[str, str | None] | None) -> None:
    series = folded([("r", shot(clock, WATCH, *PREFIXES)) for clock in ("10:00:00", "10:05:00")], GAP)
    view = series.view()
    assert named(view, seen_by_watch(address), (at("10:02:00"), at("10:03:00"))) == [expected]


def test_an_address_that_was_single_and_is_in_a_prefix_later() -> None:
    single = interface("single", "10.0.0.7", "10.0.1.20", attached="09:00:00", instance="i-single")
    earlier = [("r", shot(clock, WATCH, single)) for clock in ("10:00:00", "10:05:00")]
    later = [("r", shot(clock, WATCH, *PREFIXES)) for clock in ("10:10:00", "10:15:00")]
    series = folded([*earlier, *later], GAP)
    view = series.view()
    assert named(view, seen_by_watch("10.0.1.20"), (at("10:02:00"), at("10:03:00"))) == [("single", "i-single")]
    assert named(view, seen_by_watch("10.0.1.20"), (at("10:12:00"), at("10:13:00"))) == [("pods", "i-node")]


OVERLAPS = (
    WATCH,
    interface("node", "10.7.1.1", "100.64.1.16/28", vpc="vpc-d"),
    interface("single", "10.7.0.61", "100.64.1.20", "100.64.9.9", vpc="vpc-c"),
    interface("alone", "10.9.1.1", "100.64.2.20", vpc="vpc-b"),
    interface("prefix", "10.9.1.2", "100.64.2.16/28", "100.64.3.16/28", vpc="vpc-b"),
    interface("in-b", "10.0.0.60", vpc="vpc-b"),
    interface("in-c", "10.7.0.60", vpc="vpc-c"),
    interface("in-d", "10.0.0.60", vpc="vpc-d"),
    interface("c-twin-b", "10.9.0.1", vpc="vpc-b"),
    interface("c-twin-d", "10.9.0.1", vpc="vpc-d"),
    interface("only-d", "10.9.0.9", "10.0.0.61", vpc="vpc-d"),
    interface("lonely", "192.168.0.1", "10.7.0.77", vpc="vpc-e"),
    interface("from-c", "10.7.0.99", vpc="vpc-c"),
)
LINKS = (("pcx-1", "vpc-a"), ("pcx-1", "vpc-c"), ("tgw-1", "vpc-c"), ("tgw-1", "vpc-b"))
REACHED: dict[str, tuple[str | None, str, str | None, str]] = {
    "a peered VPC": ("watch", "10.7.0.60", "in-c", "reachable"),
    "in a's own range nobody else's address counts": ("watch", "10.0.0.60", None, "ambiguous"),
    "two VPCs have it, one is attached to the same transit gateway": ("from-c", "10.9.0.1", "c-twin-b", "reachable"),
    "two VPCs have it, neither is reached": ("watch", "10.9.0.1", None, "ambiguous"),
    "one VPC in all has it": ("watch", "10.9.0.9", "only-d", "unique"),
    "single in the peered VPC, in a prefix in a strange one": ("watch", "100.64.1.20", "single", "reachable"),
    "the same from where neither is reached: two places": ("lonely", "100.64.1.20", None, "ambiguous"),
    "single, and in a prefix of another interface of the same VPC": ("lonely", "100.64.2.20", "alone", "unique"),
    "in a prefix of the only VPC": ("lonely", "100.64.3.20", "prefix", "unique"),
    "in the ranges of three VPCs, the record's place unknown": (None, "10.0.0.60", None, "ambiguous"),
    "in the ranges of three VPCs, one has it, the record's place unknown": (None, "10.0.0.61", None, "ambiguous"),
    "in the ranges of another VPC than the one that has it": (None, "10.7.0.77", None, "ambiguous"),
    "in no VPC's ranges, one has it, the record's place unknown": (None, "10.9.0.9", "only-d", "unique"),
    "nobody has it": ("watch", "10.8.0.1", None, "unknown"),
    "in the own VPC": ("from-c", "10.7.0.60", "in-c", "own_vpc"),
}


@pytest.mark.parametrize(("reporter", "address", "expected", "how"), REACHED.values(), ids=REACHED)
def test_overlapping_private_ranges(reporter: str | None, address: str, expected: str | None, how: str) -> None:
    series = folded([("r", shot(clock, *OVERLAPS, links=LINKS)) for clock in ("10:00:00", "10:05:00")], GAP)
    view = series.view()
    columns: dict[str, list[str | None]] = {"interface_id": [reporter], "srcaddr": [None], "dstaddr": [address]}
    metrics = Metrics()
    found = enrich(timed(columns, [(at("10:02:00"), at("10:03:00"))]), view, metrics)
    (row,) = found.frame["destination_owner"].to_list()
    assert (None if row is None else view.owners["interface_id"][row]) == expected
    assert metrics.value("ends_total", end="destination", resolved=how) == 1


def test_a_link_says_nothing_of_the_time_before_it_was_seen() -> None:
    """Vpc-a was peered with c, and is with b: a late flow of before is nobody's, and one of a scope that is ill too."""
    moved = (("pcx-2", "vpc-a"), ("pcx-2", "vpc-b"))
    both = (interface("in-b", "10.9.0.1", vpc="vpc-b"), interface("in-c", "10.9.0.1", vpc="vpc-c"))
    series = folded(
        [("r", shot(clock, WATCH, *both, links=LINKS[:2])) for clock in ("10:00:00", "10:05:00")]
        + [("r", shot(clock, WATCH, *both, links=moved)) for clock in ("10:10:00", "10:15:00")],
        GAP,
    )
    view = series.view()
    for start, expected in (("10:02:00", None), ("10:08:00", None), ("10:12:00", ("in-b", None))):
        assert named(view, seen_by_watch("10.9.0.1"), (at(start), at(start))) == [expected]
    far = shot("11:30:00", interface("far", "10.7.5.1", vpc="vpc-c"))
    later, _ = series.after("other", far, GAP)
    assert named(later.view(), seen_by_watch("10.9.0.1"), (at("10:12:00"), at("10:12:00"))) == [None]


def test_an_interface_that_outlives_its_instance() -> None:
    """It is attached as the first one of two instances, one after the other: neither is the other's."""
    times = ("10:00:00", "10:05:00")
    first = [
        shot(clock, WATCH, interface("kept", "10.0.0.7", attached="09:00:00", instance="i-1", fixed=False))
        for clock in times
    ]
    view = folded([("r", each) for each in first], GAP).view()
    own: dict[str, list[str | None]] = {"interface_id": ["kept"], "srcaddr": ["10.0.0.77"], "dstaddr": ["10.0.0.7"]}
    assert named(view, own, (at("10:20:00"), at("10:21:00"))) == [("kept", None)]
    second = [shot("10:30:00", WATCH, interface("kept", "10.0.0.7", attached="10:15:00", instance="i-2"))]
    view = folded([("r", each) for each in (first + second)[2:]], GAP).view()
    assert named(view, own, (at("10:10:00"), at("10:11:00"))) == [("kept", None)], "before it was attached"
    assert named(view, own, (at("10:16:00"), at("10:21:00"))) == [("kept", "i-2")]


def test_names_are_those_of_the_newest_answer() -> None:
    """Also of an interface that one answer lacked."""
    web = interface("web", "10.0.0.5", attached="09:00:00", instance="i-1")

    def shown(clock: str, name: str, *there: dict[str, Any]) -> Snapshot:
        made = shot(clock, WATCH, *there)
        return replace(made, owners=made.owners.with_columns(instance_name=pl.lit(name)))

    answers = [shown("10:00:00", "old", web), shown("10:05:00", "old"), shown("10:10:00", "new", web)]
    view = folded([("r", each) for each in answers], GAP).view()
    found = enrich(timed(seen_by_watch("10.0.0.5"), [(at("10:02:00"), at("10:03:00"))]), view, Metrics())
    (row,) = found.frame["destination_owner"].to_list()
    assert view.owners["instance_name"][row] == "new"


def test_a_pause_adds_no_rows_for_what_was_never_sure() -> None:
    """One answer an hour, as `once` by a timer gives: what may come and go is never sure, and one row is kept of it."""
    there = interface("steady", "10.0.0.1", "10.0.0.50", public="54.0.0.1", attached="01:00:00", instance="i-steady")
    series = folded([("r", shot(f"{hour:02}:00:00", there)) for hour in range(2, 20)], GAP)
    assert series.holding.height == 3
    assert series.workload.height == 1


def test_what_a_record_proves_goes_before_what_is_assumed() -> None:
    first = interface("a", "10.0.0.5")
    second = interface("b", "10.0.0.5")
    series = folded(
        [("r", shot(clock, WATCH, first)) for clock in ("10:00:00", "10:05:00")]
        + [("r", shot(clock, WATCH, second)) for clock in ("11:00:00", "11:05:00")],
        GAP,
        assume=1200,
    )
    view = series.view()
    assert named(view, seen_by_watch("10.0.0.5"), (at("10:20:00"), at("10:21:00"))) == [("a", None)], "as is assumed"
    own: dict[str, list[str | None]] = {"interface_id": ["b"], "srcaddr": ["10.0.0.77"], "dstaddr": ["10.0.0.5"]}
    assert named(view, own, (at("10:20:00"), at("10:23:00"))) == [("b", None)]
    assert named(view, seen_by_watch("10.0.0.5"), (at("10:21:30"), at("10:21:40"))) == [("b", None)]
    assert named(view, seen_by_watch("10.0.0.5"), (at("10:06:30"), at("10:07:00"))) == [("a", None)]


def test_two_accounts_that_see_one_interface_tell_it_once() -> None:
    """A subnet that is shared: its owner and the interface's owner both list it; the latter knows what it is."""
    ours = shot("10:00:00", WATCH, interface("shared", "10.0.0.5", attached="09:00:00", instance="i-1"))
    account = {"account_id": pl.lit("222222222222")}
    named_ours = replace(ours, owners=ours.owners.with_columns(**account, instance_name=pl.lit("ours")))
    theirs = replace(ours, owners=ours.owners.with_columns(**account), taken=ours.taken + timedelta(seconds=60))
    for order in ((0, 1), (1, 0)):
        both = [("222222222222 r", named_ours), ("111111111111 r", theirs)]
        series = folded([both[each] for each in order], GAP)
        view = series.view()
        assert view.index.conflicts == 0
        ten = int(ours.taken.timestamp())
        row = view.index.rows(*(np.array([each]) for each in (view.index.interfaces["shared"], ten, ten)))
        assert view.owners["instance_name"][int(row[0])] == "ours"


def test_what_is_gone_is_forgotten_after_a_while_and_what_is_there_is_not() -> None:
    moment = MIDNIGHT + timedelta(seconds=at("10:05:01"))
    kept, changes = SERIES.since(moment)
    assert set(kept.interface["id"]) == {"watch", "steady", "next", "mover", "late"}
    assert {name: len(numbers) for name, numbers in changes.gone.items()} == {
        "interface": 1,
        "workload": 2,
        "holding": 3,
    }
    before, nothing = SERIES.since(moment - timedelta(seconds=1))
    assert set(before.interface["id"]) == {"watch", "steady", "gone", "next", "mover", "late"}
    assert not nothing.gone
    empty, _ = SERIES.since(MIDNIGHT + timedelta(days=1))
    assert [getattr(empty, name).height for name in TABLES] == [0, 0, 0, 0]


def resolutions(history: History) -> list[Any]:
    """Everything that can be asked of the series above."""
    columns: dict[str, list[str | None]] = {
        "interface_id": ["watch"] * len(TO),
        "srcaddr": ["10.0.0.99"] * len(TO),
        "dstaddr": [address for address, *_ in TO.values()],
    }
    return named(history.view(), columns, *((at(start), at(end)) for _, start, end, _ in TO.values()))


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(6)))
def test_the_order_of_snapshots_does_not_count(order: list[int]) -> None:
    other = [shot(clock, interface("far", "10.7.0.1", vpc="vpc-c")) for clock in ("10:01:00", "10:06:00", "10:11:00")]
    series = [("us-east-1", each) for each in (TEN, FIVE_PAST, TEN_PAST)] + [("eu-west-1", each) for each in other]
    assert resolutions(folded([series[each] for each in order], GAP)) == [expected for *_, expected in TO.values()]


def test_a_history_outlasts_the_program(tmp_path: Path) -> None:
    """Written change by change, as the daemon does, and read again: the same tables, the same answers."""
    history = History.empty()
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        store = StoredHistory(ledger)
        for each in (TEN, FIVE_PAST, TEN_PAST):
            history, changes = history.after("us-east-1", each, GAP)
            store.write(changes)
        history, changes = history.since(MIDNIGHT + timedelta(seconds=at("09:00:00")))
        store.write(changes)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        again = StoredHistory(ledger).load()
    for name in TABLES:
        assert_frame_equal(getattr(again, name), getattr(history, name).sort("number"))
    assert resolutions(again) == [expected for *_, expected in TO.values()]
    beside = StoredHistory(Ownership(tmp_path / "ledger.sqlite")).load()
    assert resolutions(beside) == resolutions(again)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["watch", "gone", "steady", "nobody", None]),
            st.sampled_from([address for address, *_ in TO.values()] + [None]),
            st.sampled_from([address for address, *_ in TO.values()] + [None]),
            st.one_of(st.none(), st.integers(1, DAY)),
            st.one_of(st.none(), st.integers(1, DAY)),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_the_records_own_values_stay(
    rows: list[tuple[str | None, str | None, str | None, int | None, int | None]],
) -> None:
    names = ("interface_id", "srcaddr", "dstaddr")
    interfaces, sources, destinations, starts, ends = zip(*rows, strict=True)
    columns = dict(zip(names, (interfaces, sources, destinations), strict=True))
    before = timed(columns, list(zip(starts, ends, strict=True)))
    after = enrich(before, SERIES.view(), Metrics())
    assert_frame_equal(after.frame.select(before.frame.columns), before.frame)
