"""What rules do to records: their order, exceptions, dry runs and samples; and what is no rule."""

from typing import Any

import polars as pl
import pytest

from exporter.errors import ConfigError, Fault
from exporter.flow import Batch
from tests.ecs.cases import V2, batches

from .cases import filtering, kept, rates, rule

LINES = (
    "10.0.1.5 10.0.2.9 40000 53 17 1 70 ACCEPT OK",
    "10.0.1.5 10.0.2.9 40000 53 6 5 900 ACCEPT OK",
    "10.0.1.5 93.184.216.34 40001 443 6 9 5000 ACCEPT OK",
    "93.184.216.34 10.0.1.5 443 40001 6 9 7000 ACCEPT OK",
    "203.0.113.7 10.0.1.5 50000 22 6 1 40 REJECT OK",
    "- - - - - - - - NODATA",
    "- - - - - - - - SKIPDATA",
)
"""Rows 1 to 7 of the object."""


@pytest.fixture
def batch() -> Batch:
    lines = []
    for line in LINES:
        *flow, action, status = line.split()
        lines.append(f"2 012345678901 eni-web {' '.join(flow)} 1769860800 1769860860 {action} {status}")
    (found,) = batches(V2, *lines)
    return found


DNS = {"destination.port": "53", "network.transport": "udp"}
WEB = {"related.ip": "93.184.216.34"}
REJECTED = {"event.outcome": "failure"}
ANY = {"log.offset": "*"}


@pytest.mark.parametrize(
    ("rules", "rows", "counts"),
    [
        ([rule("dns", "drop", DNS)], [2, 3, 4, 5, 6, 7], {("dns", "dropped"): 1}),
        (
            [rule("dns", "drop", {"destination.port": ["53", "22"]}), rule("web", "drop", WEB)],
            [6, 7],
            {("dns", "dropped"): 3, ("web", "dropped"): 2},
        ),
        # The first that fits decides.
        (
            [rule("rejected", "keep", REJECTED), rule("any", "drop", ANY), rule("none left", "drop", ANY)],
            [5],
            {("any", "dropped"): 6},
        ),
        ([rule("any", "drop", ANY), rule("rejected", "keep", REJECTED)], [], {("any", "dropped"): 7}),
        # An exception holds where all of it does.
        (
            [rule("tcp", "drop", {"network.transport": "tcp"}, unless=REJECTED)],
            [1, 5, 6, 7],
            {("tcp", "dropped"): 3},
        ),
        (
            [
                rule(
                    "tcp", "drop", {"network.transport": "tcp"}, unless={"source.port": "443", "network.bytes": ">6000"}
                )
            ],
            [1, 4, 6, 7],
            {("tcp", "dropped"): 3},
        ),
        # A record without the field fits nothing but the field's absence.
        ([rule("others", "drop", {"network.bytes": ">=0"})], [6, 7], {("others", "dropped"): 5}),
        ([rule("silent", "drop", {"network.bytes": "-"})], [1, 2, 3, 4, 5], {("silent", "dropped"): 2}),
        (
            [rule("all", "drop", {"network.bytes": "-"}, unless={"event.outcome": "*"})],
            [1, 2, 3, 4, 5],
            {("all", "dropped"): 2},
        ),
        # A field that these records do not have at all.
        ([rule("vpc", "drop", {"aws.vpcflow.next_hop_vpc_id": "*"})], [1, 2, 3, 4, 5, 6, 7], {}),
        ([rule("vpc", "drop", {"aws.vpcflow.next_hop_vpc_id": "-"})], [], {("vpc", "dropped"): 7}),
        # On a dry run a rule only counts, and those behind it decide as if it were not there …
        (
            [rule("dns", "drop", DNS, dry_run=True), rule("tcp or udp", "drop", {"destination.port": "53"})],
            [3, 4, 5, 6, 7],
            {("dns", "would drop"): 1, ("tcp or udp", "dropped"): 2},
        ),
        (
            [rule("rejected", "keep", REJECTED, dry_run=True), rule("any", "drop", ANY)],
            [],
            {("any", "dropped"): 7},
        ),
        # … but what it counts is what would be, were no rule on a dry run.
        (
            [
                rule("rejected", "keep", REJECTED, dry_run=True),
                rule("tcp", "drop", {"network.transport": "tcp"}, dry_run=True),
                rule("any", "drop", ANY, dry_run=True),
            ],
            [1, 2, 3, 4, 5, 6, 7],
            {("tcp", "would drop"): 3, ("any", "would drop"): 3},
        ),
        # What is decided is no dry run's any more.
        (
            [rule("dns", "drop", DNS), rule("any", "drop", ANY, dry_run=True)],
            [2, 3, 4, 5, 6, 7],
            {("dns", "dropped"): 1, ("any", "would drop"): 6},
        ),
    ],
)
def test_what_rules_do(
    batch: Batch, rules: list[dict[str, Any]], rows: list[int], counts: dict[tuple[str, str], int]
) -> None:
    assert kept(filtering(*rules), batch) == (rows, counts)


def test_what_is_kept_is_safe_when_another_rule_is_switched_on(batch: Batch) -> None:
    """All rules were on a dry run; then the second one alone is taken off it."""
    keep = rule("kept", "keep", {"event.outcome": "failure"})
    rejected = batch.frame.filter(pl.col("action") == "REJECT")["row"].to_list()
    assert rejected
    drop = rule("all", "drop", {"network.packets": ["*", "-"]}, dry_run=False)
    rows, _ = kept(filtering(keep, drop, dry_run=True), batch)
    assert rows == rejected


def test_a_record_that_is_dropped_without_a_rule_is_counted_once(batch: Batch) -> None:
    silent = batch.frame.filter(pl.col("log_status") == "NODATA").height
    lost = batch.frame.filter(pl.col("log_status") == "SKIPDATA").height
    dry = rule("silent", "drop", {"event.outcome": "-"}, dry_run=True)
    _, counts = kept(filtering(dry, nodata="drop"), batch)
    assert counts == {("nodata", "dropped"): silent, **({("silent", "would drop"): lost} if lost else {})}


def test_without_a_word_a_rule_is_on_a_dry_run(batch: Batch) -> None:
    given = [rule("dns", "drop", DNS), rule("web", "drop", WEB, dry_run="false")]
    expected = ([1, 2, 5, 6, 7], {("dns", "would drop"): 1, ("web", "dropped"): 2})
    assert kept(filtering(*given, dry_run="true"), batch) == expected


def test_nodata_is_dropped_whatever_the_rules_are_and_lost_data_stays(batch: Batch) -> None:
    every = rule("every", "keep", ANY)
    found = filtering(every, nodata="drop", dry_run="true")
    assert kept(found, batch) == ([1, 2, 3, 4, 5, 7], {("nodata", "dropped"): 1})
    others = filtering(rule("silent", "drop", {"event.outcome": "-"}), nodata="drop")
    assert kept(others, batch) == ([1, 2, 3, 4, 5], {("nodata", "dropped"): 1, ("silent", "dropped"): 1})


def test_nothing_to_do_costs_nothing(batch: Batch) -> None:
    out, counts = filtering(own_traffic="drop").apply(batch)
    assert (out is batch, counts) == (True, {})
    out, counts = filtering(rule("none", "drop", {"destination.port": "1"})).apply(batch)
    assert (out is batch, counts) == (True, {})
    empty = batch.without(range(10))
    assert filtering(rule("any", "drop", ANY), nodata="drop").apply(empty) == (empty, {})


def test_a_sample_says_its_rate_and_is_the_same_each_time() -> None:
    line = "2 012345678901 eni-web 10.0.1.5 10.0.2.9 {} 443 6 1 40 1769860800 1769860860 ACCEPT OK"
    (batch,) = batches(V2, *(line.format(number) for number in range(1, 2001)))
    thin = rule("thin", "sample", {"source.port": ">1000"}, rate="0.25")
    thinner = rule("thinner", "sample", {"source.port": "<=500"}, rate="0.5")
    out, counts = filtering(thin, thinner).apply(batch)
    told = dict(zip(out.frame["srcport"].to_list(), rates(out), strict=True))
    assert {rate for port, rate in told.items() if port > 1000} == {0.25}
    assert {rate for port, rate in told.items() if port <= 500} == {0.5}
    assert [told[port] for port in range(501, 1001)] == [None] * 500
    sampled = {port for port in told if port > 1000}
    assert 180 < len(sampled) < 320
    assert counts == {
        ("thin", "sampled out"): 1000 - len(sampled),
        ("thinner", "sampled out"): 1000 + len(sampled) - len(told),
    }
    half = batch.without(range(1, 1501))
    assert set(kept(filtering(thin), half)[0]) == {port for port in sampled if port > 1500}
    dry, counts = filtering(thin, dry_run="true").apply(batch)
    assert (dry is batch, counts) == (True, {("thin", "would drop"): 1000 - len(sampled)})


def test_all_values_of_what_is_kept_stay(batch: Batch) -> None:
    out, _ = filtering(rule("dns", "drop", DNS)).apply(batch)
    assert out.frame.equals(batch.frame.filter(pl.col("row") != 1))
    assert (out.addresses, out.owners, out.about) == (batch.addresses, batch.owners, batch.about)


# What is no rule ------------------------------------------------------------------------------------------------------


def test_all_faults_of_all_rules_are_told_at_once() -> None:
    given = [
        rule("nodata", "drop", {"destination.prot": "443"}),
        rule("b", "sample", {"destination.port": ["443", "https"], "source.ip": "10.0.0.1/8"}),
        rule("c", "drop", {"event.start": "2026"}, unless={"event.action": "accept"}, rate="0.5"),
        rule("d", "sample", ANY, rate="1"),
        rule("own_traffic", "keep", {"event.action": "REJECT"}),
    ]
    with pytest.raises(ConfigError) as raised:
        filtering(*given)
    part = "expected the part of the records to keep, above 0 and below 1"
    assert raised.value.faults == (
        Fault("filter.rules[0].name", "expected another name: filter.nodata is counted under this one"),
        Fault("filter.rules[0].where.destination.prot", "no such field in documents; did you mean destination.port?"),
        Fault(
            "filter.rules[1].where.destination.port",
            "expected a whole number of at most 9223372036854775807, or a range such as 1000-2000, <1024, <=1024, "
            ">1024 or >=1024",
        ),
        Fault(
            "filter.rules[1].where.source.ip",
            "expected an address or a network such as 10.0.0.0/8 or fd00::/8, no bits set behind its length",
        ),
        Fault("filter.rules[1].rate", part),
        Fault("filter.rules[2].where.event.start", "cannot be filtered on: a time is nothing to filter on"),
        Fault("filter.rules[2].unless.event.action", "expected ACCEPT or REJECT, as these are written"),
        Fault("filter.rules[2].rate", "expected none: only action sample has one, and this is drop"),
        Fault("filter.rules[3].rate", part),
        Fault("filter.rules[4].name", "expected another name: filter.own_traffic is counted under this one"),
    )
