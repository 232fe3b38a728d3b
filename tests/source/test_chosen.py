"""What a back-fill takes: by time, account, region and flow log."""

from datetime import UTC, datetime, timedelta

import pytest

from exporter.flow import S3Object
from exporter.source.chosen import Chosen
from exporter.source.keys import parse_key
from tests.source.bucket import hive, plain

A, B = "111111111111", "222222222222"
EAST, WEST = "us-east-1", "us-west-2"
FIRST = datetime(2026, 11, 3, 9, 0, tzinfo=UTC)
BEFORE = FIRST + timedelta(hours=1)
LOG = "fl-0a1b2c3d"


def found(key: str) -> S3Object:
    return parse_key("b", key, "e", 1, FIRST)


def chosen(accounts: str = "", regions: str = "", flow_logs: str = "") -> Chosen:
    return Chosen(FIRST, BEFORE, *(frozenset(filter(None, [each])) for each in (accounts, regions, flow_logs)))


@pytest.mark.parametrize(
    ("wanted", "key", "taken"),
    [
        (chosen(), plain(A, EAST, "20261103T0855"), False),
        (chosen(), plain(A, EAST, "20261103T0900"), True),
        (chosen(), plain(A, EAST, "20261103T0955"), True),
        (chosen(), plain(A, EAST, "20261103T1000"), False),
        (chosen(), "any/thing.gz", True),
        (chosen(accounts=A), plain(A, EAST, "20261103T0900"), True),
        (chosen(accounts=A), hive(A, EAST, "20261103T0900"), True),
        (chosen(accounts=A), plain(B, EAST, "20261103T0900"), False),
        (chosen(accounts=A), "any/thing.gz", False),
        (chosen(regions=EAST), plain(A, EAST, "20261103T0900"), True),
        (chosen(regions=EAST), plain(A, WEST, "20261103T0900"), False),
        (chosen(flow_logs=LOG), plain(A, EAST, "20261103T0900", log=LOG), True),
        (chosen(flow_logs=LOG), plain(A, EAST, "20261103T0900", log=f"{LOG}4"), False),
        (chosen(A, EAST, LOG), plain(A, WEST, "20261103T0900", log=LOG), False),
    ],
)
def test_an_object_is_taken(wanted: Chosen, key: str, *, taken: bool) -> None:
    assert wanted.takes(found(key)) is taken


@pytest.mark.parametrize(
    ("wanted", "folder", "has"),
    [
        (chosen(), f"{A}/", True),
        (chosen(accounts=A), f"{A}/", True),
        (chosen(accounts=A), f"aws-account-id={A}/", True),
        (chosen(accounts=A), f"{B}/", False),
        (chosen(regions=EAST), f"{A}/", True),
    ],
)
def test_an_accounts_folder_is_looked_into(wanted: Chosen, folder: str, *, has: bool) -> None:
    assert wanted.has_account(folder) is has


@pytest.mark.parametrize(
    ("wanted", "folder", "has"),
    [
        (chosen(), f"{EAST}/", True),
        (chosen(regions=EAST), f"{EAST}/", True),
        (chosen(regions=EAST), f"aws-region={EAST}/", True),
        (chosen(regions=EAST), f"{WEST}/", False),
        (chosen(accounts=A), f"{WEST}/", True),
    ],
)
def test_a_regions_folder_is_looked_into(wanted: Chosen, folder: str, *, has: bool) -> None:
    assert wanted.has_region(folder) is has
