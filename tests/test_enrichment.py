"""The steps of enrichment as configured, and what is kept fresh for them: at the start, again, and in `status`."""

import json
from pathlib import Path
from time import monotonic

import pytest
from typer.testing import CliRunner

from exporter import wiring
from exporter.__main__ import app
from exporter.config import Config, parse
from exporter.daemon import Stops
from exporter.enrichment import NAMES_EVERY, PLACES_EVERY
from exporter.errors import ConfigError
from tests.lists.mmdb_files import MAXMIND_ASN, write

HEAD = """
source: {{s3: [{{bucket: flow-logs}}]}}
aws: {{region: us-east-1}}
output: {{files: {{folder: {folder}/out}}}}
state: {{folder: {folder}/state}}
"""
LISTS = """
enrich:
  ec2: {{enabled: false}}
  geoip: {{databases: [{folder}/asn.mmdb]}}
  aws_ranges: {{location: {folder}/ranges.json, refresh_every: 2d}}
  threats: {{feeds: [{{name: drop, location: {folder}/drop.txt, refresh_every: 30m}}]}}
"""


def configured(folder: Path, text: str) -> Config:
    whole = (HEAD + text).format(folder=folder)
    (folder / "config.yaml").write_text(whole)
    return parse(whole, "c.yaml", {})


def names(config: Config) -> list[str]:
    """What each step is called by its own module."""
    with wiring.program(config, Stops()) as program:
        steps = program.enrichment.steps
    return [getattr(getattr(step, "func", step), "__name__", type(step).__name__) for step in steps]


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """A folder with a database, AWS's ranges and a threat list."""
    write(tmp_path / "asn.mmdb", {"93.184.0.0/16": MAXMIND_ASN})
    prefix = {"ip_prefix": "52.216.0.0/15", "region": "us-east-1", "service": "S3"}
    (tmp_path / "ranges.json").write_text(json.dumps({"prefixes": [prefix], "ipv6_prefixes": []}))
    (tmp_path / "drop.txt").write_text("198.52.100.0/24\n")
    return tmp_path


PRICES = "nat_processing: 1, cross_zone: 1, inter_region: 1, internet_egress: 1, transit_gateway: 1, endpoint: 1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["enriched", "with_clients", "Reporters"]),
        ("enrich: {{client_server: false}}", ["enriched", "Reporters"]),
        ("enrich: {{reporter: false, client_server: false}}", ["enriched"]),
        (LISTS, ["enriched", "Places", "AwsRanges", "Threats", "with_clients", "Reporters"]),
        (
            f"enrich: {{{{cost: {{{{prices: [{{{{region: us-east-1, date: 2026-01-01, {PRICES}}}}}]}}}}}}}}",
            ["enriched", "with_clients", "Reporters", "Costs"],
        ),
    ],
)
def test_the_steps_that_a_configuration_wants_in_their_order(text: str, expected: list[str], lists: Path) -> None:
    assert names(configured(lists, text)) == expected


def test_everything_that_is_kept_fresh_has_its_time(lists: Path) -> None:
    config = configured(lists, LISTS + "filter: {{own_traffic: drop}}\n")
    with wiring.program(config, Stops()) as program:
        every = {each.name: each.every for each in program.enrichment.fresh}
    assert every == {
        "places": PLACES_EVERY,
        "AWS ranges": config.enrich.aws_ranges.refresh_every,
        "drop": config.enrich.threats.feeds[0].refresh_every,
        "own traffic": NAMES_EVERY,
    }


def troubles(folder: Path) -> list[tuple[str, str]]:
    """The feeds that `status` says cannot be read."""
    result = CliRunner().invoke(app, ["status", "--config", str(folder / "config.yaml"), "--json"])
    assert result.exit_code == 0
    found = json.loads(result.stdout)["troubles"]
    return [(each["what"], each["reason"]) for each in found if each["scope"] == "feeds"]


def test_what_cannot_be_read_any_more_is_told_until_it_can_be(lists: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with wiring.program(configured(lists, LISTS), Stops()) as program:
        program.prepare()
        assert troubles(lists) == []
        (lists / "drop.txt").write_text("<html>maintenance</html>")
        (lists / "asn.mmdb").write_bytes(b"no database")
        for each in program.enrichment.fresh:
            program.freshen(each)
        assert troubles(lists) == [], "nothing is due yet"
        monkeypatch.setattr("exporter.enrichment.monotonic", lambda: monotonic() + 86_400)
        for each in program.enrichment.fresh:
            program.freshen(each)
        told = troubles(lists)
        assert [what for what, _ in told] == ["asn.mmdb", "drop"]
        assert "web page" in dict(told)["drop"]
        assert program.metrics.value("feed_reads_total", feed="drop", outcome="failed") == 1
        assert program.metrics.value("feed_reads_total", feed="asn.mmdb", outcome="failed") == 1
        (lists / "drop.txt").write_text("198.52.100.0/24\n198.52.101.0/24\n")
        write(lists / "asn.mmdb", {"93.184.0.0/16": MAXMIND_ASN})
        monkeypatch.undo()
        for each in program.enrichment.fresh:
            program.freshen(each)
        assert troubles(lists) == [], "what failed is tried again, whatever its time"
        assert program.metrics.value("feed_entries", feed="drop") == 2


def test_a_start_with_the_last_good_copy_is_told_too(lists: Path) -> None:
    """And one without any is refused, with all that is missing."""
    config = configured(lists, LISTS)
    with wiring.program(config, Stops()) as program:
        program.prepare()
    (lists / "drop.txt").unlink()
    with wiring.program(config, Stops()) as program:
        program.prepare()
        assert [what for what, _ in troubles(lists)] == ["drop"]
    (lists / "state" / "feeds" / "drop").rename(lists / "gone")
    (lists / "asn.mmdb").unlink()
    with wiring.program(config, Stops()) as program, pytest.raises(ConfigError) as found:
        program.prepare()
    assert [fault.path for fault in found.value.faults] == [
        "enrich.geoip.databases[0]",
        "enrich.threats.feeds[0].location",
    ]


RULES = """
filter:
  rules:
    - {{name: a, action: drop, where: {{source.geo.country_iso_code: US, destination.port: 22}}}}
    - name: b
      action: drop
      where: {{source.port: 22}}
      unless: {{threat.feed.name: "*", aws.vpcflow.cost.kind: "-"}}
    - {{name: c, action: drop, where: {{server.port: 22, aws.vpcflow.reporter: source}}}}
"""


def test_a_rule_on_a_field_that_no_document_will_have_is_a_fault_at_the_start(tmp_path: Path) -> None:
    off = "enrich: {{client_server: false, reporter: false}}" + RULES
    with pytest.raises(ConfigError) as found, wiring.program(configured(tmp_path, off), Stops()):
        pass
    told = {fault.path: fault.problem for fault in found.value.faults}
    only = "documents have it only with {}, which is off"
    assert told == {
        "filter.rules[0].where.source.geo.country_iso_code": only.format("enrich.geoip.databases"),
        "filter.rules[1].unless.threat.feed.name": only.format("enrich.threats.feeds"),
        "filter.rules[1].unless.aws.vpcflow.cost.kind": only.format("enrich.cost.prices"),
        "filter.rules[2].where.server.port": only.format("enrich.client_server"),
        "filter.rules[2].where.aws.vpcflow.reporter": only.format("enrich.reporter"),
    }


def test_a_rule_on_fields_that_are_on_is_none(lists: Path) -> None:
    where = "{{source.as.number: 1, threat.feed.name: drop, client.port: 1}}"
    rule = f"filter: {{{{rules: [{{{{name: a, action: drop, where: {where}}}}}]}}}}"
    assert len(names(configured(lists, LISTS + rule))) == 6


def test_a_rule_on_a_field_that_does_not_exist_is_a_fault_at_the_start(tmp_path: Path) -> None:
    text = "filter: {{rules: [{{name: a, action: drop, where: {{source.prot: 22}}}}]}}"
    with pytest.raises(ConfigError) as found, wiring.program(configured(tmp_path, text), Stops()):
        pass
    assert [fault.path for fault in found.value.faults] == ["filter.rules[0].where.source.prot"]
