"""Wherever an object lies: account and region of a record that lacks them are its key's."""

from datetime import UTC, datetime

import pytest

from exporter.source.keys import parse_key
from tests.ecs.paths import Paths, ends, locality, ports

from .objects import Case, check
from .records import HEADER, SSH, SSH_PATHS, lines

MODIFIED = datetime(2026, 1, 31, 12, 9, 30, tzinfo=UTC)
NAME = "012345678901_vpcflowlogs_eu-central-1_fl-0123456789abcdef0_20260131T1205Z_5d41402a.log.gz"
PLACE = {"cloud.account.id": "012345678901", "cloud.region": "eu-central-1"}

SHORT = lines("srcaddr dstaddr srcport dstport", "10.0.1.5 10.0.2.9 40000 443", "- - - -")
"""Neither account nor region nor time."""
FLOW: Paths = {**ends("10.0.1.5", "10.0.2.9"), **locality("internal", "internal"), **ports(40_000, 443)}

KEYS: dict[str, tuple[str, str, Paths]] = {
    "plain": (
        f"AWSLogs/012345678901/vpcflowlogs/eu-central-1/2026/01/31/{NAME}",
        "2026-01-31T12:05:00.000Z",
        PLACE,
    ),
    "plain and hourly": (
        f"AWSLogs/012345678901/vpcflowlogs/eu-central-1/2026/01/31/12/{NAME}",
        "2026-01-31T12:05:00.000Z",
        PLACE,
    ),
    "hive": (
        (
            "AWSLogs/aws-account-id=012345678901/aws-service=vpcflowlogs/aws-region=eu-central-1/year=2026/month=01/"
            f"day=31/{NAME}"
        ),
        "2026-01-31T12:05:00.000Z",
        PLACE,
    ),
    "hive and hourly, below a prefix": (
        (
            "central/logs/AWSLogs/aws-account-id=012345678901/aws-service=vpcflowlogs/aws-region=eu-central-1/"
            f"year=2026/month=01/day=31/hour=12/{NAME}"
        ),
        "2026-01-31T12:05:00.000Z",
        PLACE,
    ),
    "of an organization, below a prefix": (
        f"central/AWSLogs/o-abcdefghij/012345678901/vpcflowlogs/eu-central-1/2026/01/31/{NAME}",
        "2026-01-31T12:05:00.000Z",
        PLACE,
    ),
    "a bucket of another layout, AWS's file name": (f"collected/{NAME}", "2026-01-31T12:05:00.000Z", PLACE),
    "a bucket of another layout and another name": ("firehose/2026/01/31/12/flows-1", "2026-01-31T12:09:30.000Z", {}),
}
"""Key, the time of a record without one, and what the key tells of it."""


@pytest.mark.parametrize(("key", "time", "place"), KEYS.values(), ids=KEYS)
def test_what_the_key_tells(key: str, time: str, place: Paths) -> None:
    source = parse_key("flow-logs", key, '"9e107d9d"', 4711, MODIFIED)
    rest = {**place, "@timestamp": time}
    check(Case(SHORT, {1: {**FLOW, **rest}, 2: rest}, source=source))


def test_a_records_own_account_and_region_count_more_than_the_keys() -> None:
    key, _, _ = KEYS["plain"]
    source = parse_key("flow-logs", key, '"9e107d9d"', 4711, MODIFIED)
    check(
        Case(
            lines(f"{HEADER} region", f"{SSH} ap-south-1"),
            {1: {**SSH_PATHS, "cloud.region": "ap-south-1"}},
            source=source,
        )
    )
