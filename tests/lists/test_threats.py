"""Records with addresses of threat lists: whole enrichments, and all matches that a slow search finds."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from exporter.config import ThreatFeed
from exporter.flow import Batch
from exporter.lists.indicator_index import Indicators
from exporter.lists.indicators import read_indicators
from exporter.lists.threats import Threats
from exporter.metrics import Metrics
from tests.enrich.cases import batch

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Listed:
    """A feed as far as Threats knows it."""

    name: str
    current: Indicators


Make = Callable[..., Listed]


@pytest.fixture
def feed(tmp_path: Path) -> Make:
    """Makes a feed of a list's text."""

    def make(name: str, text: str, provider: str | None = None) -> Listed:
        path = tmp_path / name
        path.write_text(text)
        given = ThreatFeed(name=name, location="/lists/list", provider=provider)  # type: ignore[arg-type]  # read by its type
        return Listed(name, read_indicators(path, given).value)

    return make


def flows(*ends: tuple[str | None, str | None], more: Mapping[str, Sequence[str | None]] | None = None) -> Batch:
    columns = {"srcaddr": [source for source, _ in ends], "dstaddr": [destination for _, destination in ends]}
    return batch(columns | dict(more or {}))


def at(made: Batch, **columns: Sequence[str | None]) -> Batch:
    """The same with times."""
    series = [
        pl.Series(name, [None if text is None else datetime.fromisoformat(text) for text in texts], pl.Datetime("us"))
        for name, texts in columns.items()
    ]
    return replace(made, frame=made.frame.with_columns(series))


def told(made: Batch) -> list[tuple[Any, Any]]:
    """Enrichments and lists of each record."""
    columns = (made.frame[name].to_list() for name in ("threats", "threat_feeds"))
    return [tuple(text and json.loads(text) for text in texts) for texts in zip(*columns, strict=True)]


def feeds_of(made: Batch) -> list[Any]:
    if "threats" not in made.frame.columns:
        return [None] * made.frame.height
    assert made.frame["threats"].is_null().to_list() == made.frame["threat_feeds"].is_null().to_list()
    return [text and json.loads(text) for text in made.frame["threat_feeds"].to_list()]


def match(indicator: Mapping[str, Any], atomic: str, field: str, **more: str) -> dict[str, Any]:
    return {
        "indicator": indicator,
        "matched": {"atomic": atomic, "field": field, "type": "indicator_match_rule", **more},
    }


STIX = json.dumps(
    {
        "type": "bundle",
        "id": "bundle--1",
        "objects": [
            {
                "type": "indicator",
                "id": "indicator--1",
                "created": "2026-01-01T00:00:00Z",
                "modified": "2026-01-02T00:00:00Z",
                "created_by_ref": "identity--1",
                "name": "Botnet",
                "pattern": "[ipv4-addr:value = '9.9.9.0/24']",
                "pattern_type": "stix",
                "valid_from": "2026-01-01T00:00:00Z",
                "valid_until": "2026-02-01T00:00:00Z",
                "confidence": 70,
                "object_marking_refs": ["x", "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"],
                "external_references": [{"source_name": "y", "url": "https://example.com/1"}],
            },
            {
                "type": "indicator",
                "id": "indicator--2",
                "created_by_ref": "identity--2",
                "pattern": "[ipv6-addr:value = '2A00:0:0::5']",
                "valid_from": "2026-01-01T00:00:00Z",
                "confidence": 0,
                "object_marking_refs": ["marking-definition--own"],
            },
            {"type": "identity", "id": "identity--1", "name": 'CERT "Example"'},
            {"type": "marking-definition", "id": "marking-definition--own", "definition": {"tlp": "amber"}},
        ],
    }
)
CSV = (
    "ip,port,first_seen,last_seen,malware,confidence,tlp\n9.9.9.9,443,2026-01-03,2026-01-04T01:02:03Z,Emotet,low,RED\n"
)

BOTNET = {
    "type": "ipv4-addr",
    "name": "9.9.9.0/24",
    "provider": 'CERT "Example"',
    "confidence": "High",
    "description": "Botnet",
    "reference": "https://example.com/1",
    "first_seen": "2026-01-01T00:00:00Z",
    "modified_at": "2026-01-02T00:00:00Z",
    "marking": {"tlp": "AMBER+STRICT", "tlp_version": "2.0"},
}
EMOTET = {
    "type": "ipv4-addr",
    "ip": "9.9.9.9",
    "name": "9.9.9.9",
    "provider": "csv",
    "confidence": "Low",
    "description": "Emotet",
    "port": 443,
    "first_seen": "2026-01-03T00:00:00Z",
    "last_seen": "2026-01-04T01:02:03Z",
    "marking": {"tlp": "RED"},
}
SIX = {
    "type": "ipv6-addr",
    "ip": "2a00::5",
    "name": "2a00::5",
    "provider": "Team",
    "confidence": "None",
    "first_seen": "2026-01-01T00:00:00Z",
    "marking": {"tlp": "AMBER"},
}


def test_whole_enrichments(feed: Make) -> None:
    metrics = Metrics()
    feeds = [feed("stix", STIX, provider="Team"), feed("csv", CSV), feed("other", "8.8.8.8\n")]
    made = Threats(feeds, metrics, lambda: NOW)(
        flows(
            ("9.9.9.9", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.2"),
            ("10.0.0.1", "2a00::5"),
            (None, None),
            ("9.9.9.8", "9.9.9.9"),
        )
    )
    nearer = [match(BOTNET, "9.9.9.9", "source.ip", id="indicator--1"), match(EMOTET, "9.9.9.9", "source.ip")]
    assert told(made) == [
        (nearer, ["csv", "stix"]),
        (None, None),
        ([match(SIX, "2a00::5", "destination.ip", id="indicator--2")], ["stix"]),
        (None, None),
        (
            [
                match(BOTNET, "9.9.9.8", "source.ip", id="indicator--1"),
                match(BOTNET, "9.9.9.9", "destination.ip", id="indicator--1"),
                match(EMOTET, "9.9.9.9", "destination.ip"),
            ],
            ["csv", "stix"],
        ),
    ]
    assert [metrics.value("threats_total", feed=name) for name in ("stix", "csv", "other")] == [3, 2, 0]


def test_the_packets_own_ends_are_told_where_they_are_others(feed: Make) -> None:
    made = Threats([feed("a", "9.9.9.9\n9.9.9.8\n")], Metrics(), lambda: NOW)(
        flows(
            ("10.0.0.1", "9.9.9.9"),
            ("10.0.0.1", "10.0.0.2"),
            ("9.9.9.9", "10.0.0.2"),
            more={
                "pkt_srcaddr": ["10.0.0.1", "9.9.9.8", "9.9.9.9"],
                "pkt_dstaddr": ["9.9.9.9", "9.9.9.9", "9.9.9.9"],
            },
        )
    )
    fields = [[(each["matched"]["atomic"], each["matched"]["field"]) for each in found] for found, _ in told(made)]
    assert fields == [
        [("9.9.9.9", "destination.ip")],
        [("9.9.9.8", "aws.vpcflow.pkt_srcaddr"), ("9.9.9.9", "aws.vpcflow.pkt_dstaddr")],
        [("9.9.9.9", "source.ip")],
    ]


def test_a_batch_without_a_match_stays_the_same(feed: Make) -> None:
    metrics = Metrics()
    threats = Threats([feed("a", "9.9.9.9\n9.8.0.0/16\n"), feed("b", "192.0.0.0/8\n2a00::/19\n")], metrics, lambda: NOW)
    given = flows(("9.9.9.8", "10.0.0.1"), ("192.168.0.1", None))
    assert threats(given) is given
    assert metrics.value("threats_total", feed="a") == metrics.value("threats_total", feed="b") == 0


def test_what_else_a_batch_has_stays(feed: Make) -> None:
    given = flows(("9.9.9.9", "10.0.0.1"), ("10.0.0.1", "10.0.0.2"))
    made = Threats([feed("a", "9.9.9.9\n")], Metrics(), lambda: NOW)(given)
    assert made.frame.drop("threats", "threat_feeds").equals(given.frame)
    assert made.addresses is given.addresses


def test_no_feeds_no_records_and_addresses_that_no_record_has(feed: Make) -> None:
    given = flows(("9.9.9.9", "10.0.0.1"))
    assert Threats([], Metrics())(given) is given
    threats = Threats([feed("a", "9.9.9.9\n")], Metrics())
    empty = replace(given, frame=given.frame.clear())
    assert threats(empty) is empty
    none = flows((None, None))
    assert threats(none) is none


ENDS = {
    "2026-01-09T23:59:59": None,
    "2026-01-10T00:00:00": ["a"],
    "2026-01-19T23:59:59": ["a"],
    "2026-01-20T00:00:00": None,
}


@pytest.mark.parametrize(("end", "expected"), ENDS.items())
def test_an_indicator_holds_from_its_start_to_just_before_its_end(
    feed: Make, end: str, expected: list[str] | None
) -> None:
    text = "ip,valid_from,valid_until\n9.9.9.9,2026-01-10T00:00:00Z,2026-01-20T00:00:00Z\n"
    metrics = Metrics()
    threats = Threats([feed("a", text)], metrics, lambda: NOW)
    made = at(flows(("9.9.9.9", "10.0.0.1")), start=["2026-01-15T00:00:00"], end=[end])
    assert feeds_of(threats(made)) == [expected]
    assert metrics.value("threats_total", feed="a") == (0 if expected is None else 1)


def test_records_of_one_batch_are_judged_each_by_its_own_time(feed: Make) -> None:
    text = "ip,valid_from,valid_until\n9.9.9.9,2026-01-10T00:00:00Z,2026-01-20T00:00:00Z\n"
    threats = Threats([feed("a", text), feed("b", "9.9.9.8\n")], Metrics(), lambda: NOW)
    ends = [*ENDS, None, None, None]
    starts = [None, None, None, None, "2026-01-15T00:00:00", None, None]
    made = at(flows(*[("9.9.9.9", "10.0.0.1")] * 6, ("9.9.9.8", "9.9.9.9")), end=ends, start=starts)
    assert feeds_of(threats(made)) == [*ENDS.values(), ["a"], None, ["b"]]
    early = Threats([feed("a", text)], Metrics(), lambda: NOW - 14 * 24 * 3600)
    assert feeds_of(early(made)) == [*ENDS.values(), ["a"], ["a"], ["a"]]


def test_the_surest_then_the_newest_then_the_smallest_are_shown(feed: Make) -> None:
    rows = [
        ("9.9.9.9", "10", "2026-01-09"),
        ("9.9.9.0/24", "50", "2026-01-01"),
        ("9.9.9.9", "50", "2026-01-01"),
        ("9.9.0.0/16", "90", "2026-01-01"),
        ("9.9.9.9", "", "2026-01-09"),
        ("9.9.8.0/23", "50", "2026-01-02"),
        ("9.9.9.9", "10", "2026-01-08"),
        ("9.9.9.9", "10", "2026-01-09"),
    ]
    text = "ip,confidence,first_seen\n" + "\n".join(map(",".join, rows))
    made = Threats([feed("a", text), feed("b", "9.9.9.9\n")], Metrics(), lambda: NOW)(flows(("9.9.9.9", None)))
    ((found, names),) = told(made)
    shown = [
        (each["indicator"]["name"], each["indicator"].get("confidence"), each["indicator"]["first_seen"][:10])
        for each in found
    ]
    assert shown == [
        ("9.9.0.0/16", "High", "2026-01-01"),
        ("9.9.8.0/23", "Medium", "2026-01-02"),
        ("9.9.9.9", "Medium", "2026-01-01"),
        ("9.9.9.0/24", "Medium", "2026-01-01"),
        ("9.9.9.9", "Low", "2026-01-09"),
    ]
    assert names == ["a", "b"]


def test_a_wide_network_marks_no_private_address(feed: Make) -> None:
    made = Threats([feed("a", "192.0.0.0/8\n172.0.0.0/8\n")], Metrics(), lambda: NOW)(
        flows(("192.168.0.1", "192.167.0.1"), ("172.16.0.1", "172.31.0.1"))
    )
    assert [found and [each["matched"]["atomic"] for each in found] for found, _ in told(made)] == [
        ["192.167.0.1"],
        None,
    ]


def test_lists_change_while_records_go_through(feed: Make) -> None:
    """Each batch is judged by one version of the list, whole."""

    class Changing:
        def __init__(self, versions: Sequence[Indicators]) -> None:
            self.name = "a"
            self.versions = versions
            self.asked = 0

        @property
        def current(self) -> Indicators:
            self.asked += 1
            return self.versions[self.asked % 2]

    versions = [feed("a", "9.9.9.9\n9.9.9.8\n").current, feed("a", "\n".join(f"8.8.8.{n}" for n in range(9))).current]
    threats = Threats([Changing(versions)], Metrics(), lambda: NOW)
    given = flows(("9.9.9.9", "9.9.9.8"), ("8.8.8.1", "8.8.8.2"))
    wrong: list[list[Any]] = []

    def work() -> None:
        for _ in range(50):
            found = feeds_of(threats(given))
            if found not in ([["a"], None], [None, ["a"]]):
                wrong.append(found)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


NEAR = st.tuples(st.sampled_from(["9.9.9.", "9.9.8.", "8.8.8."]), st.integers(0, 255)).map(
    lambda pair: f"{pair[0]}{pair[1]}"
)
NEAR_SIX = st.integers(0, 2**16 - 1).map(lambda number: f"2a00::{number:x}")
ADDRESS = NEAR | NEAR_SIX


@st.composite
def networks(draw: st.DrawFn) -> str:
    address = draw(ADDRESS)
    longest = 128 if ":" in address else 32
    return f"{address}/{longest - draw(st.integers(0, 12))}" if draw(st.booleans()) else address


WINDOWS = st.tuples(st.integers(0, 9), st.integers(1, 9)).map(lambda pair: (pair[0], pair[0] + pair[1]))
ENTRY = st.tuples(networks(), WINDOWS)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    lists=st.lists(st.lists(ENTRY, min_size=1, max_size=12), min_size=1, max_size=3),
    records=st.lists(st.tuples(*[st.none() | ADDRESS] * 4, st.integers(0, 20)), min_size=1, max_size=12),
)
def test_all_matches_are_those_of_a_slow_search(
    feed: Make, lists: list[list[tuple[str, tuple[int, int]]]], records: list[tuple[Any, ...]]
) -> None:
    base = 1_767_000_000
    feeds = [
        feed(
            f"list {number}",
            "ip,valid_from,valid_until\n"
            + "\n".join(f"{text},{base + since},{base + until}" for text, (since, until) in entries),
        )
        for number, entries in enumerate(lists)
    ]
    columns = ("srcaddr", "dstaddr", "pkt_srcaddr", "pkt_dstaddr")
    made = batch({name: [record[place] for record in records] for place, name in enumerate(columns)})
    ends = pl.Series("end", [(base + record[4]) * 1_000_000 for record in records]).cast(pl.Datetime("us"))
    made = Threats(feeds, Metrics(), lambda: NOW)(replace(made, frame=made.frame.with_columns(ends)))
    expected = [
        sorted(
            f"list {number}"
            for number, entries in enumerate(lists)
            if any(
                text is not None and ip_address(text) in ip_network(listed, strict=False) and since <= record[4] < until
                for text in record[:4]
                for listed, (since, until) in entries
            )
        )
        or None
        for record in records
    ]
    assert feeds_of(made) == expected


def test_no_field_but_ecs_has_it(feed: Make) -> None:
    """threat.enrichments.* of ECS 9.4, as far as it can be told of addresses."""
    known = {
        *("indicator.type", "indicator.ip", "indicator.name", "indicator.provider", "indicator.confidence"),
        *("indicator.description", "indicator.reference", "indicator.port", "indicator.first_seen"),
        *("indicator.last_seen", "indicator.modified_at", "indicator.marking.tlp", "indicator.marking.tlp_version"),
        *("matched.atomic", "matched.field", "matched.id", "matched.type"),
    }
    made = Threats([feed("stix", STIX), feed("csv", CSV)], Metrics(), lambda: NOW)(flows(("9.9.9.9", "2a00::5")))

    def paths(value: Mapping[str, Any], prefix: str = "") -> set[str]:
        inner = [
            paths(each, f"{prefix}{name}.") if isinstance(each, dict) else {f"{prefix}{name}"}
            for name, each in value.items()
        ]
        return set().union(*inner)

    ((found, _),) = told(made)
    assert set().union(*map(paths, found)) == known
