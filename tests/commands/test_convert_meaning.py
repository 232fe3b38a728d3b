"""`convert --config`: all that a configuration adds and leaves out, tried on a file, with nothing else running."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from exporter.__main__ import app
from exporter.enrich import snapshot_file
from exporter.errors import ConfigError
from tests.ecs.cases import Interface, snapshot
from tests.lists.mmdb_files import write

HEADER = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action "
    "log-status tcp-flags flow-direction traffic-path pkt-srcaddr pkt-dstaddr az-id region"
)
OWN, FAR, S3, BAD = "10.0.0.5", "93.184.216.34", "52.216.0.9", "198.52.100.66"


def line(ends: str, ports: str, flags: int, way: str, size: int = 1 << 30) -> str:
    """A record of TCP; `way` is its direction and its traffic path."""
    source, target = ends.split()
    return (
        f"5 123456789012 eni-a {source} {target} {ports} 6 10 {size} 1769860800 1769860860 ACCEPT OK {flags} "
        f"{way} {source} {target} use1-az1 us-east-1"
    )


LINES = (
    HEADER,
    line(f"{OWN} {FAR}", "40000 443", 3, "egress 8"),
    line(f"{FAR} {OWN}", "443 40000", 19, "ingress -"),
    line(f"{OWN} {S3}", "40001 443", 2, "egress 8"),
    line(f"{BAD} {OWN}", "50000 22", 2, "ingress -"),
    line(f"{OWN} {FAR}", "40002 8080", 0, "egress 8", 40),
    "5 123456789012 eni-a - - - - - - - 1769860800 1769860860 - NODATA - - - - - use1-az1 us-east-1",
)
CITY = {
    "country": {"iso_code": "US", "names": {"en": "United States"}},
    "city": {"names": {"en": "Norwell"}},
    "location": {"latitude": 42.15, "longitude": -70.82},
}
ASN = {"autonomous_system_number": 15133, "autonomous_system_organization": "Edgecast"}
CONFIG = """
source: {{s3: [{{bucket: flow-logs}}]}}
output: {{namespace: tried, files: {{folder: {folder}/out}}}}
state: {{folder: {folder}/state}}
enrich:
  geoip: {{databases: [{folder}/city.mmdb, {folder}/asn.mmdb]}}
  aws_ranges: {{location: {folder}/ip-ranges.json}}
  threats:
    feeds: [{{name: drop, location: {folder}/drop.txt, provider: Us}}]
  cost:
    prices:
      - region: us-east-1
        date: 2026-01-01
        nat_processing: 0.045
        cross_zone: 0.01
        inter_region: 0.02
        internet_egress: 0.09
        transit_gateway: 0.02
        endpoint: 0.01
filter:
  dry_run: false
  nodata: drop
  rules:
    - {{name: small, action: drop, where: {{network.bytes: "<100"}}}}
    - {{name: tried, action: drop, dry_run: true, where: {{source.geo.country_iso_code: US}}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """All that the configuration names, the file, and an inventory of one interface."""
    write(tmp_path / "city.mmdb", {"93.184.216.0/24": CITY})
    write(tmp_path / "asn.mmdb", {"93.184.0.0/16": ASN})
    prefix = {"ip_prefix": "52.216.0.0/15", "region": "us-east-1", "service": "S3"}
    (tmp_path / "ip-ranges.json").write_text(json.dumps({"prefixes": [prefix], "ipv6_prefixes": []}))
    (tmp_path / "drop.txt").write_text("; a list\n198.52.100.0/24\n")
    (tmp_path / "flows.log").write_text("\n".join((*LINES, "")))
    (tmp_path / "config.yaml").write_text(CONFIG.format(folder=tmp_path))
    owner = {"interface_id": "eni-a", "region": "us-east-1", "availability_zone": "use1-az1", "vpc_id": "vpc-main"}
    snapshot_file.save(snapshot(Interface(owner, (OWN,), ("54.93.1.2",))), tmp_path / "inventory.json")
    return tmp_path


def run(folder: Path, *more: str) -> Result:
    inventory, config = str(folder / "inventory.json"), str(folder / "config.yaml")
    return CliRunner().invoke(
        app, ["convert", str(folder / "flows.log"), "--inventory", inventory, "--config", config, *more]
    )


def documents(result: Result) -> dict[int, dict[str, Any]]:
    return {each["log"]["offset"]: each for each in map(json.loads, result.stdout.splitlines())}


PLACE = {
    "geo": {
        "city_name": "Norwell",
        "country_iso_code": "US",
        "country_name": "United States",
        "location": {"lat": 42.15, "lon": -70.82},
    },
    "as": {"number": 15133, "organization": {"name": "Edgecast"}},
}


def test_everything_on_one_file(folder: Path) -> None:
    result = run(folder)
    assert result.exit_code == 0
    found = documents(result)
    assert sorted(found) == [1, 2, 3, 4], "NODATA and the small one are dropped"
    assert {each["data_stream"]["namespace"] for each in found.values()} == {"tried"}

    request, answer, to_s3, attack = (found[row] for row in (1, 2, 3, 4))
    assert {name: request["destination"][name] for name in ("geo", "as", "locality")} == {
        **PLACE,
        "locality": "external",
    }
    assert request["source"].keys() & {"geo", "as"} == set()
    gigabyte = {"bytes": 1 << 30, "packets": 10}
    client, server = {"address": OWN, "ip": OWN, "port": 40_000}, {"address": FAR, "ip": FAR, "port": 443}
    assert (request["client"], request["server"]) == ({**client, **gigabyte}, server)
    assert (answer["client"], answer["server"]) == (client, {**server, **gigabyte})
    assert request["network"]["protocol"] == answer["network"]["protocol"] == "https"
    assert request["aws"]["vpcflow"]["client_rule"] == answer["aws"]["vpcflow"]["client_rule"] == "tcp_flags"
    assert request["aws"]["vpcflow"]["reporter"] == ["source", "destination"], "nobody else tells of it"
    assert request["aws"]["vpcflow"]["cost"] == {"kind": "internet_egress", "usd": 0.09}
    assert "cost" not in answer["aws"]["vpcflow"]

    assert to_s3["aws"]["vpcflow"]["pkt_dst_service"] == "S3"
    assert to_s3["cloud"]["target"] == {"region": "us-east-1", "service": {"name": "S3"}}
    assert "cost" not in to_s3["aws"]["vpcflow"], "S3 of the same region is free"

    assert attack["threat"]["feed"] == {"name": ["drop"]}
    (enrichment,) = attack["threat"]["enrichments"]
    assert enrichment["matched"]["field"] == "source.ip"
    assert enrichment["matched"]["atomic"] == BAD
    assert enrichment["indicator"]["provider"] == "Us"
    assert [row for row, each in found.items() if "threat" in each] == [4]


def test_what_the_filter_did_is_told_on_standard_error(folder: Path) -> None:
    assert sorted(run(folder).stderr.splitlines()) == [
        "filter: nodata: 1 record dropped",
        "filter: small: 1 record dropped",
        "filter: tried: 1 record would drop",
    ]


def test_nothing_is_kept_of_it(folder: Path) -> None:
    before = {path.name for path in folder.iterdir()}
    assert run(folder).exit_code == 0
    assert {path.name for path in folder.iterdir()} == before


def test_a_namespace_that_is_given_counts(folder: Path) -> None:
    found = documents(run(folder, "--namespace", "other"))
    assert {each["data_stream"]["namespace"] for each in found.values()} == {"other"}


def test_everything_that_cannot_be_had_is_told_at_once(folder: Path) -> None:
    (folder / "city.mmdb").write_bytes(b"no database")
    (folder / "asn.mmdb").unlink()
    (folder / "ip-ranges.json").write_text("<!DOCTYPE html><html>not found</html>")
    (folder / "drop.txt").write_text("# nothing today\n")
    result = run(folder)
    assert isinstance(result.exception, ConfigError)
    assert result.stdout == ""
    assert [fault.path for fault in result.exception.faults] == [
        "enrich.geoip.databases[0]",
        "enrich.geoip.databases[1]",
        "enrich.aws_ranges.location",
        "enrich.threats.feeds[0].location",
    ]
    assert "that is a web page" in result.exception.faults[2].problem


def test_a_rule_on_a_field_that_does_not_exist(folder: Path) -> None:
    text = (folder / "config.yaml").read_text().replace("network.bytes", "network.byte")
    (folder / "config.yaml").write_text(text)
    result = run(folder)
    assert isinstance(result.exception, ConfigError)
    assert [(fault.path, fault.problem) for fault in result.exception.faults] == [
        ("filter.rules[0].where.network.byte", "no such field in documents; did you mean network.bytes?")
    ]
