"""What a key tells, for keys as AWS writes them and as people copy them."""

from datetime import UTC, date, datetime

import pytest

from exporter.flow import S3Object
from exporter.source.keys import (
    HIVE,
    PLAIN,
    day_prefix,
    days,
    flow_log_of,
    is_file,
    is_flow_log,
    is_organization,
    layout_of,
    parse_key,
)

FILE = "123456789012_vpcflowlogs_us-east-1_fl-0a1b2c3d4e5f60718_20261103T0905Z_1f2e3d4c.log.gz"
PLAIN_FOLDER = "AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/11/03/"
HIVE_FOLDER = (
    "AWSLogs/aws-account-id=123456789012/aws-service=vpcflowlogs/aws-region=us-east-1/year=2026/month=11/day=03/"
)
NAMED = datetime(2026, 11, 3, 9, 5, tzinfo=UTC)
STORED = datetime(2026, 11, 3, 9, 14, 7, tzinfo=UTC)


def at(day: int, hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, second, tzinfo=UTC)


@pytest.mark.parametrize(
    "key",
    [
        PLAIN_FOLDER + FILE,
        PLAIN_FOLDER + "09/" + FILE,
        HIVE_FOLDER + FILE,
        HIVE_FOLDER + "hour=09/" + FILE,
        "network/flow logs/" + PLAIN_FOLDER + FILE,
        "network/" + HIVE_FOLDER + FILE,
        "network/" + PLAIN_FOLDER + "09/" + FILE,
        "network/" + HIVE_FOLDER + "hour=09/" + FILE,
        "AWSLogs/o-a1b2c3d4e5/123456789012/vpcflowlogs/us-east-1/2026/11/03/" + FILE,
        "network/AWSLogs/o-a1b2c3d4e5/123456789012/vpcflowlogs/us-east-1/2026/11/03/09/" + FILE,
        HIVE_FOLDER.replace("AWSLogs/", "AWSLogs/o-a1b2c3d4e5/") + FILE,
        PLAIN_FOLDER + FILE.removesuffix(".gz"),
        PLAIN_FOLDER + FILE.replace(".gz", ".parquet"),
        "copied/123456789012/vpcflowlogs/us-east-1/2026/11/03/" + FILE,
    ],
    ids=[
        *("plain", "plain hourly", "hive", "hive hourly", "prefix", "hive prefix"),
        *("prefix hourly", "hive prefix hourly", "organization", "prefix organization hourly", "hive organization"),
        *("not compressed", "parquet", "copied"),
    ],
)
def test_a_key_of_any_layout_tells_account_region_and_time(key: str) -> None:
    assert parse_key("logs", key, '"0f1e"', 4711, STORED) == S3Object(
        bucket="logs", key=key, etag="0f1e", size=4711, time=NAMED, account="123456789012", region="us-east-1"
    )
    assert is_flow_log(key)


@pytest.mark.parametrize(
    ("key", "stored", "time"),
    [
        pytest.param(PLAIN_FOLDER + "part-1.log.gz", at(3, 9, 14, 7), at(3, 9, 14, 7), id="stored within the day"),
        pytest.param(PLAIN_FOLDER + "part-1.log.gz", at(5, 1), at(3, 23, 59, 59), id="stored two days later"),
        pytest.param(PLAIN_FOLDER + "part-1.log.gz", at(2, 1), at(3, 0), id="stored by a clock that is slow"),
        pytest.param(PLAIN_FOLDER + "09/part-1.log.gz", at(3, 14), at(3, 9, 59, 59), id="stored hours later"),
        pytest.param(HIVE_FOLDER + "hour=09/part-1.log", at(3, 8), at(3, 9), id="hive, stored too early"),
        pytest.param(PLAIN_FOLDER + "x_20261399T0905Z_y.log.gz", at(3, 9, 14), at(3, 9, 14), id="no such month"),
        pytest.param(PLAIN_FOLDER + "x_920261103T0905Z_y.log.gz", at(3, 9, 14), at(3, 9, 14), id="nine digits"),
        pytest.param(PLAIN_FOLDER + "x_20261103T0905Zulu.log.gz", at(3, 9, 14), at(3, 9, 14), id="a longer word"),
        pytest.param(
            "AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/02/30/a.log.gz", at(3, 9), at(3, 9), id="no such day"
        ),
        pytest.param("elsewhere/vpcflowlogs/a.log.gz", at(3, 9), at(3, 9), id="an unknown layout"),
    ],
)
def test_a_name_without_a_time_leaves_the_moment_it_was_stored_within_its_folder(
    key: str, stored: datetime, time: datetime
) -> None:
    assert parse_key("logs", key, "e", 1, stored).time == time


@pytest.mark.parametrize(
    "key",
    [
        FILE,
        "elsewhere/vpcflowlogs/" + FILE,
        "by-team/2020/01/02/" + FILE,
        "by-team/" + FILE.replace(".gz", ".parquet"),
        "by-team/copy-of-" + FILE,
    ],
    ids=["no folder", "an unknown layout", "dates of one's own", "parquet", "a longer name"],
)
def test_where_the_folders_tell_nothing_the_name_does(key: str) -> None:
    found = parse_key("logs", key, "e", 1, STORED)
    assert (found.account, found.region, found.time) == ("123456789012", "us-east-1", NAMED)


def test_the_folders_are_believed_before_the_name() -> None:
    key = "AWSLogs/210987654321/vpcflowlogs/eu-west-1/2026/11/03/" + FILE
    found = parse_key("logs", key, "e", 1, STORED)
    assert (found.account, found.region, found.time) == ("210987654321", "eu-west-1", NAMED)


@pytest.mark.parametrize(
    "name",
    [
        "2026/11/03/09/flows-1-2026-11-03-09-05-00-0a1b2c3d",
        FILE.replace("vpcflowlogs", "CloudTrail"),
        FILE.replace("123456789012", "1123456789012"),
        FILE.replace("us-east-1", "us_east_1"),
        FILE.replace("us-east-1", "evil.example.com"),
        FILE.replace("_fl-", "_xx-"),
    ],
)
def test_a_name_that_is_not_as_aws_gives_it_tells_nothing(name: str) -> None:
    found = parse_key("logs", f"elsewhere/{name}", "e", 1, STORED)
    assert (found.account, found.region) == (None, None)


def test_files_of_transit_gateways_lie_and_are_called_as_those_of_vpcs() -> None:
    """The key of a transit gateway's flow log, of the AWS guide's "Transit Gateway Flow Logs files"."""
    key = (
        "AWSLogs/123456789012/vpcflowlogs/us-east-1/2022/01/02/"
        "123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20220102T0505Z_fe123456.log.gz"
    )
    found = parse_key("logs", key, "e", 1, STORED)
    assert is_flow_log(key)
    assert (found.account, found.region) == ("123456789012", "us-east-1")
    assert found.time == datetime(2022, 1, 2, 5, 5, tzinfo=UTC)
    assert flow_log_of(key) == "fl-1234abcd"


@pytest.mark.parametrize(
    ("key", "flow_log"),
    [
        (PLAIN_FOLDER + FILE, "fl-0a1b2c3d4e5f60718"),
        (FILE.replace(".gz", ".parquet"), "fl-0a1b2c3d4e5f60718"),
        ("exports/fl-1234abcd.log.gz", "fl-1234abcd"),
        ("exports/fl-1234abcd/000000.gz", None),
        ("exports/my-fl-12345678x.gz", None),
        ("exports/shelfl-12345678.gz", None),
        ("exports/fl-123.gz", None),
        ("exports/fl-0123456789abcdef01.gz", None),
        ("exports/flows.gz", None),
    ],
)
def test_the_flow_log_that_a_files_name_tells(key: str, flow_log: str | None) -> None:
    assert flow_log_of(key) == flow_log


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("2026/11/03/part", True),
        ("a.csv", True),
        ("exports/aws-logs-write-test.gz", True),
        ("2026/11/", False),
        ("exports/aws-logs-write-test", False),
        ("aws-logs-write-test", False),
    ],
)
def test_what_may_be_a_file_in_a_layout_of_ones_own(key: str, *, expected: bool) -> None:
    assert is_file(key) is expected


def test_a_time_of_another_zone_is_told_in_utc() -> None:
    stored = datetime.fromisoformat("2026-11-03T10:14:00+01:00")
    assert parse_key("logs", "a/vpcflowlogs/b.log", "e", 1, stored).time.isoformat() == "2026-11-03T09:14:00+00:00"


@pytest.mark.parametrize(
    "key",
    [
        PLAIN_FOLDER,
        HIVE_FOLDER + "hour=09/",
        PLAIN_FOLDER + "_SUCCESS",
        PLAIN_FOLDER + FILE + ".tmp",
        PLAIN_FOLDER + "results.csv",
        "AWSLogs/123456789012/CloudTrail/us-east-1/2026/11/03/123456789012_CloudTrail_us-east-1_x.json.gz",
        "AWSLogs/123456789012/elasticloadbalancing/us-east-1/2026/11/03/a.log.gz",
    ],
)
def test_what_is_no_flow_log(key: str) -> None:
    assert not is_flow_log(key)


def test_folders_of_accounts_and_organizations() -> None:
    assert layout_of("123456789012/") is PLAIN
    assert layout_of("aws-account-id=123456789012/") is HIVE
    assert [layout_of(name) for name in ("12345678901/", "1234567890123/", "o-a1b2c3d4e5/", "S3Logs/")] == [None] * 4
    assert is_organization("o-a1b2c3d4e5/")
    assert not is_organization("o-short/")
    assert not is_organization("123456789012/")


def test_days_are_prefixes_in_both_layouts() -> None:
    assert list(days(date(2026, 2, 27), date(2026, 3, 1))) == [
        date(2026, 2, 27),
        date(2026, 2, 28),
        date(2026, 3, 1),
    ]
    assert list(days(date(2026, 3, 1), date(2026, 2, 27))) == []
    assert day_prefix("AWSLogs/1/vpcflowlogs/r/", PLAIN, date(2026, 3, 1)) == "AWSLogs/1/vpcflowlogs/r/2026/03/01/"
    assert day_prefix("A/aws-region=r/", HIVE, date(2026, 3, 1)) == "A/aws-region=r/year=2026/month=03/day=01/"
