"""What the configuration says of what a flow means: whole sections, and faults with their places."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from exporter.config import Config, Cost, Enrich, Filter, FilterRule, Prices, ThreatFeed, parse
from exporter.errors import ConfigError
from exporter.option_types import Location

HEAD = "source: {s3: [{bucket: flow-logs}]}\noutput: {files: {folder: out}}\nstate: {folder: state}\n"


def parsed(text: str) -> Config:
    return parse(HEAD + text, "c.yaml", {"TOKEN": "s3cret"})


def faults_of(text: str) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as found:
        parsed(text)
    return [(fault.path, fault.problem) for fault in found.value.faults]


def test_nothing_is_read_from_outside_unless_it_is_named() -> None:
    enrich = parsed("").enrich
    assert enrich == Enrich()
    assert (enrich.geoip.databases, enrich.aws_ranges.location, enrich.threats.feeds, enrich.cost.prices) == (
        (),
        None,
        (),
        (),
    )
    assert (enrich.client_server, enrich.reporter) == (True, True), "these need nothing but the records"


def test_filters_only_count_at_first() -> None:
    assert parsed("").filter == Filter(dry_run=True, nodata="keep", own_traffic="keep", own_addresses=(), rules=())


def test_everything_at_once() -> None:
    config = parsed("""
enrich:
  internal_networks: 203.0.113.0/24, 2001:db8::/32, 198.51.100.7
  client_server: no
  reporter: off
  geoip: {databases: [/data/city.mmdb, asn.mmdb]}
  aws_ranges: {location: s3://lists/ip-ranges.json, refresh_every: 6h}
  threats:
    feeds:
      - {name: drop, location: "https://lists.example.com/drop.txt?key=1", refresh_every: 30m, expire_after: 30d}
      - {name: own list, location: lists/own.csv, format: csv, column: dst_ip, provider: Us}
      - {name: paid, location: "https://lists.example.com/stix", authorization: "Bearer ${TOKEN}"}
  cost:
    prices:
      - region: us-east-1
        date: 2026-11-01
        nat_processing: 0.045
        cross_zone: 0.01
        inter_region: 0.02
        internet_egress: 0.09
        transit_gateway: 0.02
        endpoint: 0
filter:
  dry_run: false
  nodata: drop
  own_traffic: drop
  own_addresses: 10.0.4.7
  rules:
    - name: health
      action: sample
      where: {destination.port: [80, "1000-2000"], source.ip: 10.0.0.0/8}
      unless: {event.action: REJECT}
      rate: 0.1
      dry_run: true
""")
    enrich, drop = config.enrich, config.enrich.threats.feeds[0]
    assert enrich.internal_networks == ("203.0.113.0/24", "2001:db8::/32", "198.51.100.7/32")
    assert (enrich.client_server, enrich.reporter) == (False, False)
    assert enrich.geoip.databases == (Path("/data/city.mmdb"), Path("asn.mmdb"))
    assert enrich.aws_ranges.location is not None
    assert enrich.aws_ranges.location.s3 == ("lists", "ip-ranges.json")
    assert drop == ThreatFeed(
        name="drop",
        location=Location("https://lists.example.com/drop.txt?key=1"),
        format="auto",
        refresh_every=timedelta(minutes=30),
        expire_after=timedelta(days=30),
    )
    assert str(drop.location) == "https://lists.example.com/drop.txt", "a query may hold a key"
    assert (enrich.threats.feeds[1].column, enrich.threats.feeds[1].location.path) == ("dst_ip", Path("lists/own.csv"))
    authorization = enrich.threats.feeds[2].authorization
    assert authorization is not None
    assert authorization.get_secret_value() == "Bearer s3cret"
    assert "s3cret" not in repr(config)
    assert enrich.cost == Cost(
        prices=(
            Prices(
                region="us-east-1",
                date=date(2026, 11, 1),
                nat_processing=0.045,
                cross_zone=0.01,
                inter_region=0.02,
                internet_egress=0.09,
                transit_gateway=0.02,
                endpoint=0.0,
            ),
        )
    )
    assert config.filter == Filter(
        dry_run=False,
        nodata="drop",
        own_traffic="drop",
        own_addresses=("10.0.4.7/32",),
        rules=(
            FilterRule(
                name="health",
                action="sample",
                where={"destination.port": ("80", "1000-2000"), "source.ip": ("10.0.0.0/8",)},
                unless={"event.action": ("REJECT",)},
                rate=0.1,
                dry_run=True,
            ),
        ),
    )


def test_where_a_thing_lies() -> None:
    kinds = {
        "lists/a.txt": (Path("lists/a.txt"), None, None),
        "s3://bucket/a/b?c": (None, ("bucket", "a/b?c"), None),
        "https://x.example/a": (None, None, "https://x.example/a"),
        "http://127.0.0.1:8080/a": (None, None, "http://127.0.0.1:8080/a"),
    }
    found = {text: Location(text) for text in kinds}
    assert {text: (each.path, each.s3, each.url) for text, each in found.items()} == kinds


NETWORK = (
    "expected a network such as 10.0.0.0/8 or fd00::/8, with no bits set behind its length, or an address; given: {}"
)
CONDITIONS = "expected fields of documents, each with a value or a list of values; given: {}"
NAME = "expected a name: 1 to 64 letters, digits, blanks and . _ -; given: {}"
LOCATION = "expected a file's path, s3://BUCKET/KEY, or an address such as https://lists.example.com/addresses.txt"
FEED = "enrich: {{threats: {{feeds: [{{name: a, location: {}}}]}}}}"
RULE = "filter: {{rules: [{{name: a, action: drop, where: {}}}]}}"
WHOLE = "nat_processing: 1, cross_zone: 1, inter_region: 1, internet_egress: 1, transit_gateway: 1"


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("enrich: {internal_networks: 10.0.0.1/8}", [("enrich.internal_networks[0]", NETWORK.format("'10.0.0.1/8'"))]),
        ("enrich: {geoip: {databases: ['']}}", [("enrich.geoip.databases[0]", "expected a path; given: ''")]),
        (FEED.format("s3://bucket"), [("enrich.threats.feeds[0].location", "expected s3://BUCKET/KEY")]),
        (
            FEED.format("http://lists.example.com/a"),
            [
                (
                    "enrich.threats.feeds[0].location",
                    "expected https: over http anybody on the way could change what is read",
                )
            ],
        ),
        (
            FEED.format("https://me:pw@lists.example.com/a"),
            [("enrich.threats.feeds[0].location", f"{LOCATION}; an address has no user in it")],
        ),
        (FEED.format("ftp://x/a"), [("enrich.threats.feeds[0].location", f"{LOCATION}; an address has no user in it")]),
        (
            "enrich: {threats: {feeds: [{name: '', location: a}]}}",
            [("enrich.threats.feeds[0].name", NAME.format("''"))],
        ),
        (
            "enrich: {threats: {feeds: [{name: AWS ranges, location: a}]}}",
            [
                (
                    "enrich.threats.feeds[0].name",
                    "the name of something else that is kept fresh: give it another one",
                )
            ],
        ),
        (
            "enrich: {threats: {feeds: [{name: a, location: a}, {name: a, location: b}]}}",
            [("enrich.threats.feeds[1]", "the same name as enrich.threats.feeds[0]: leave one out")],
        ),
        (
            "enrich: {threats: {feeds: [{name: a, location: a, format: plain, column: x, authorization: t}]}}",
            [
                ("enrich.threats.feeds[0].column", "only csv has columns: leave it out, or set format: csv"),
                (
                    "enrich.threats.feeds[0].authorization",
                    "only an address is asked with an authorization: leave it out",
                ),
            ],
        ),
        (
            f"enrich: {{cost: {{prices: [{{region: us-east-1, date: 2026-11-01, {WHOLE}}}]}}}}",
            [("enrich.cost.prices[0].endpoint", "missing: it has no default")],
        ),
        (
            f"enrich: {{cost: {{prices: [{{region: us-east-1, date: November, {WHOLE}, endpoint: -1}}]}}}}",
            [
                ("enrich.cost.prices[0].date", "expected a day such as 2026-03-01; given: 'November'"),
                ("enrich.cost.prices[0].endpoint", "expected a number from 0 to 1000 such as 0.05; given: '-1'"),
            ],
        ),
        (
            (
                f"enrich: {{cost: {{prices: [{{region: us-east-1, date: 2026-11-01, {WHOLE}, endpoint: 1}}, "
                f"{{region: us-east-1, date: 2026-12-01, {WHOLE}, endpoint: 1}}, "
                f"{{region: us-east-1, date: 2026-11-01, {WHOLE}, endpoint: 2}}]}}}}"
            ),
            [("enrich.cost.prices[2]", "the same region and date as enrich.cost.prices[0]: leave one out")],
        ),
        (RULE.format("{}"), [("filter.rules[0].where", CONDITIONS.format("a section"))]),
        (RULE.format("all"), [("filter.rules[0].where", CONDITIONS.format("'all'"))]),
        (RULE.format("{source.port: {gt: 5}}"), [("filter.rules[0].where", CONDITIONS.format("a section"))]),
        (
            "filter: {rules: [{name: a, action: drop}]}",
            [("filter.rules[0].where", "missing: it has no default")],
        ),
        (
            "filter: {rules: [{name: a, action: sample, rate: 2, where: {a: b}}]}",
            [("filter.rules[0].rate", "expected a number from 0.000001 to 1 such as 0.05; given: '2'")],
        ),
        (
            "filter: {rules: [{name: a, action: drop, where: {a: b}}, {name: a, action: keep, where: {a: b}}]}",
            [("filter.rules[1]", "the same name as filter.rules[0]: leave one out")],
        ),
    ],
)
def test_what_a_section_needs(text: str, faults: list[tuple[str, str]]) -> None:
    assert faults_of(text) == faults
