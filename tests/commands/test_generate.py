"""`generate` as a user calls it: what lies in the folder or the bucket afterwards, and what it says."""

import gzip
import json
import re
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer
from typer.testing import CliRunner, Result

from exporter.commands.generate import generate, time_range
from exporter.commands.network_inventory import network_of, snapshot_of
from exporter.enrich.inventory import ADDRESSES, OWNERS, Snapshot
from exporter.enrich.snapshot_file import load
from exporter.simulate.incidents import INCIDENTS
from exporter.simulate.plan import plausible
from tests.services.aws import Aws

app = typer.Typer()
app.command()(generate)

RANGE = ("--from", "2026-03-01T09:00Z", "--hours", "0.25")


def run(*options: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, options, env={"TERMINAL_WIDTH": "200", "COLUMNS": "200", **(env or {})})


def said(result: Result) -> str:
    """Standard error without the frame that Typer draws around faults."""
    return re.sub(r"[\s│]+", " ", result.stderr)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_same_options_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert run("--to", str(tmp_path / name), "--records", "500", "--incident", "all", *RANGE).exit_code == 0
    run("--to", str(tmp_path / "c"), "--records", "500", "--incident", "all", *RANGE, "--seed", "2")
    first, second, other = (files(tmp_path / name) for name in "abc")
    assert first == second
    assert len(first) == 3
    assert first.values() != other.values()


def test_the_end_is_one_line_of_what_was_written(tmp_path: Path) -> None:
    result = run("--to", str(tmp_path), "--records", "1234", *RANGE)
    size = sum(map(len, files(tmp_path).values()))
    assert result.stdout == ""
    assert re.fullmatch(rf"3 objects, 1,234 records, {size:,} bytes in \d+\.\d s\n", result.stderr)


def test_into_a_bucket_under_hive_keys_by_the_hour(aws: Aws) -> None:
    client: Any = aws.client("s3", region="eu-west-1")
    client.create_bucket(Bucket="generated", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    options = ("--layout", "hive", "--hourly", "--account", "210987654321", "--region", "eu-west-1", "--fields", "v2")
    result = run(
        *("--to", "s3://generated/some/logs/", "--endpoint-url", aws.url, "--records", "300", *RANGE, *options),
        env=aws.environment("eu-west-1"),
    )
    assert result.exit_code == 0, result.output
    keys = [each["Key"] for each in client.list_objects_v2(Bucket="generated")["Contents"]]
    folder = (
        "some/logs/AWSLogs/aws-account-id=210987654321/aws-service=vpcflowlogs/aws-region=eu-west-1/"
        "year=2026/month=03/day=01/hour=09/"
    )
    assert len(keys) == 3
    assert all(key.startswith(folder) for key in keys)
    text = gzip.decompress(client.get_object(Bucket="generated", Key=keys[0])["Body"].read()).decode()
    assert text.startswith("version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes ")
    assert text.splitlines()[1].startswith("2 210987654321 eni-")


def test_a_format_of_ones_own_in_plain_text(tmp_path: Path) -> None:
    run(
        "--to", str(tmp_path), "--records", "50", *RANGE, "--format", "end ${srcaddr} interface-id", "--gzip-level", "0"
    )
    texts = [data.decode().splitlines() for data in files(tmp_path).values()]
    assert {lines[0] for lines in texts} == {"end srcaddr interface-id"}
    assert sum(len(lines) - 1 for lines in texts) == 50
    assert all(re.fullmatch(r"\d{10} [\d.a-f:-]+ eni-0[0-9a-f]{16}", line) for lines in texts for line in lines[1:])


def test_parquet(tmp_path: Path) -> None:
    options = ("--records", "200", *RANGE, "--container", "parquet", "--fields", "v3")
    assert run("--to", str(tmp_path / "a"), *options).exit_code == 0
    run("--to", str(tmp_path / "b"), *options)
    run("--to", str(tmp_path / "large"), *options, "--gzip-level", "0")
    first, again, large = (files(tmp_path / name) for name in ("a", "b", "large"))
    assert first == again
    assert len(first) == 3
    assert all(name.endswith(".log.parquet") for name in first)
    frames = [pl.read_parquet(BytesIO(data)) for data in first.values()]
    assert [(frame.columns[0], frame.columns[-1], frame.width) for frame in frames] == [
        ("version", "pkt_dstaddr", 21)
    ] * 3
    assert sum(frame.height for frame in frames) == 200
    assert {version for frame in frames for version in frame["version"]} == {3}
    assert sum(map(len, large.values())) > sum(map(len, first.values()))


def test_an_inventory_written_and_read_makes_the_same_traffic(tmp_path: Path) -> None:
    saved, usual = str(tmp_path / "inventory.json"), ("--records", "400", "--incident", "all", *RANGE)
    run("--to", str(tmp_path / "a"), "--write-inventory", saved, *usual)
    result = run("--to", str(tmp_path / "b"), "--inventory", saved, *usual)
    assert result.exit_code == 0, result.output
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_the_inventory_is_the_network(tmp_path: Path) -> None:
    run("--to", str(tmp_path), "--write-inventory", str(tmp_path / "i.json"), "--records", "0", "--seed", "6", *RANGE)
    snapshot, network = load(tmp_path / "i.json"), plausible(6)
    assert snapshot.taken == datetime(2026, 3, 1, 9, tzinfo=UTC)
    production, staging, shared = (vpc.id for vpc in network.vpcs)
    assert set(snapshot.networks) == {
        (production, "10.0.0.0/16"),
        (production, "2600:1f18:4000:a00::/56"),
        (staging, "10.0.0.0/16"),
        (shared, "10.8.0.0/16"),
    }
    assert snapshot.owners["interface_id"].to_list() == [interface.id for interface in network.interfaces]
    alb = snapshot.owners.row(0, named=True)
    assert alb["resource_type"] == "application_load_balancer"
    assert alb["resource_name"] == "storefront"
    assert alb["availability_zone"] == "use1-az1"
    assert alb["security_group_names"] == ["production-alb"]
    assert json.loads(alb["tags"]) == {"Name": "storefront", "Team": "storefront", "Environment": "production"}
    own = network.interfaces[0]
    assert snapshot.addresses.filter(owner=0).select("vpc_id", "address", "kind").rows() == [
        (own.subnet.vpc.id, own.address, "primary"),
        (own.subnet.vpc.id, own.ipv6[0], "own"),
        (own.subnet.vpc.id, own.public, "public"),
    ]
    assert snapshot.owners["fixed"].all()
    unknown = ("account_name", "cluster_name", "attached")
    assert [snapshot.owners[name].null_count() for name in unknown] == [len(network.interfaces)] * 3


def test_what_stays_as_it_is_for_as_long_as_it_exists() -> None:
    """A service's interface, and an instance's only one; which of two is the primary one is not known here."""
    shared = {"account_id": "1", "region": "r", "vpc_id": "vpc-a", "subnet_id": "subnet-a"}
    interfaces = [
        ("eni-balancer", None, "application_load_balancer"),
        ("eni-one", "i-one", "instance"),
        ("eni-first", "i-two", "instance"),
        ("eni-second", "i-two", "instance"),
        ("eni-free", None, "interface"),
        ("eni-pods", None, "eks_node"),
    ]
    given = Snapshot(
        pl.DataFrame(
            [shared | {"interface_id": id_, "instance_id": on, "resource_type": kind} for id_, on, kind in interfaces],
            schema=OWNERS,
        ),
        pl.DataFrame([("vpc-a", f"10.0.0.{row}", row, "primary") for row in range(6)], schema=ADDRESSES, orient="row"),
        (),
        datetime(2026, 3, 1, tzinfo=UTC),
    )
    made = snapshot_of(network_of(given, None, None), given.taken)
    assert made.owners.select("interface_id", "fixed").rows() == [
        ("eni-balancer", True),
        ("eni-one", True),
        ("eni-first", False),
        ("eni-second", False),
        ("eni-free", False),
        ("eni-pods", False),
    ]


def test_traffic_is_of_the_primary_address_and_of_no_prefix() -> None:
    owner = {"interface_id": "eni-a", "account_id": "1", "region": "r", "vpc_id": "vpc-a", "subnet_id": "subnet-a"}
    addresses = [
        ("vpc-a", "10.0.1.16/28", 0, "own"),
        ("vpc-a", "10.0.0.6", 0, "own"),
        ("vpc-a", "54.0.0.5", 0, "public"),
        ("vpc-a", "10.0.0.5", 0, "primary"),
    ]
    given = Snapshot(
        pl.DataFrame([owner], schema=OWNERS),
        pl.DataFrame(addresses, schema=ADDRESSES, orient="row"),
        (),
        datetime(2026, 3, 1, tzinfo=UTC),
    )
    (made,) = network_of(given, None, None).interfaces
    assert (made.address, made.secondary, made.public) == ("10.0.0.5", ("10.0.0.6",), "54.0.0.5")


def test_only_interfaces_of_the_account_and_region_asked_for_make_traffic() -> None:
    snapshot = snapshot_of(plausible(1, account="111111111111"), datetime(2026, 3, 1, tzinfo=UTC))
    assert network_of(snapshot, None, None).account == "111111111111"
    with pytest.raises(ValueError, match="no interface of account 222222222222 in us-east-1"):
        network_of(snapshot, "222222222222", None)


def test_the_incidents_are_listed_and_nothing_else_is_done() -> None:
    result = run("--list-incidents")
    assert (result.exit_code, result.stderr) == (0, "")
    assert [line.split()[0] for line in result.stdout.splitlines()] == [incident.name for incident in INCIDENTS]


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (("--incident", "flood"), "there is no incident flood"),
        (("--from", "yesterday"), "'yesterday' is no time: expected one as 2026-01-31T12:00:00Z"),
        (("--from", "2026-03-01", "--to-time", "2026-03-01"), "the time range is empty"),
        (("--format", "bytes flavour"), "not the name of a flow-log field: flavour"),
        (("--interfaces", "7"), "a network has 80 to 40000 interfaces, not 7"),
    ],
)
def test_what_cannot_be_asked_for_is_said(options: tuple[str, ...], fault: str, tmp_path: Path) -> None:
    result = run("--to", str(tmp_path / "none"), *options)
    assert result.exit_code == 2
    assert fault in said(result)
    assert not (tmp_path / "none").exists()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path, aws: Aws) -> None:
    (tmp_path / "file").write_text("in the way")
    result = run("--to", str(tmp_path / "file"), "--records", "10", *RANGE)
    assert (result.exit_code, "Not a directory" in result.stderr) == (1, True)
    missing = run(
        "--to", "s3://no-such-bucket", "--endpoint-url", aws.url, "--records", "10", *RANGE, env=aws.environment()
    )
    assert (missing.exit_code, "NoSuchBucket" in missing.stderr) == (1, True)
    absent = run("--to", str(tmp_path / "x"), "--inventory", str(tmp_path / "absent.json"), *RANGE)
    assert (absent.exit_code, "absent.json: cannot be read" in absent.stderr) == (1, True)


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOON = 1_772_366_400


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, (NOON - 7_200, NOON)),
        ("2026-03-01T10:00:00", None, (NOON - 7_200, NOON)),
        ("2026-03-01T12:00:00+02:00", None, (NOON - 7_200, NOON)),
        (None, "2026-03-01T11:00Z", (NOON - 10_800, NOON - 3_600)),
        ("2026-03-01", "2026-03-02", (NOON - 43_200, NOON + 43_200)),
    ],
)
def test_time_ranges(start: str | None, end: str | None, expected: tuple[int, int]) -> None:
    assert time_range(start, end, 2, NOW) == expected
