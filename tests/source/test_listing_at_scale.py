"""What a pass costs: the same over ten thousand old keys and over ten million of them."""

import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from threading import Event
from typing import Any

import pytest

from exporter.config import S3Source
from exporter.flow import S3Object
from exporter.metrics import Metrics
from exporter.source.chosen import Chosen
from exporter.source.past_days import EVERY, PastDays
from exporter.source.s3 import S3Listing
from tests.source.bucket import Bucket
from tests.source.simulated import FlowLogKeys, SimulatedS3, key_of

ACCOUNTS, FILES = 20, 25
REGIONS = ("ap-southeast-2", "eu-central-1", "eu-west-1", "us-east-1", "us-west-2")
TODAY = date(2026, 11, 3)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
FOLDERS = 1 + ACCOUNTS
"""Requests that find the accounts, and the regions of each."""

FEW, MANY = 4, 4_000
"""Days before the look-back: 10 thousand and 10 million keys."""


def bucket_of(days: int) -> SimulatedS3:
    """So many old days, then the two of the look-back and today."""
    return SimulatedS3(FlowLogKeys(ACCOUNTS, REGIONS, TODAY - timedelta(days=days + 2), days + 3, FILES))


def late_key(day: date) -> str:
    return key_of(7, "eu-west-1", day, 3, FILES).replace("fl-0a1b2c3d", "fl-99999999")


@dataclass(slots=True)
class Clock:
    """Stands until it is moved."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


def listing_of(client: SimulatedS3, clock: Clock) -> S3Listing:
    settings, made = S3Source(bucket="logs"), client  # the one call that a listing makes is there
    past = PastDays(EVERY, settings.lookback, clock)
    return S3Listing(made, settings, Metrics(), Event(), past=past)  # type: ignore[arg-type]


def one_pass(listing: S3Listing, known: set[str]) -> list[str]:
    """What a poll asks for, with a look-back of two days, and a ledger that knows all but what was told as new."""

    def unknown(page: Sequence[S3Object]) -> list[S3Object]:
        return [item for item in page if "fl-99999999" in item.key and item.key not in known]

    found = [item.key for item in listing.new_objects(TODAY - timedelta(days=2), TODAY, LONG_AGO, unknown)]
    known.update(found)
    return found


def peak_of(call: Callable[[], object]) -> int:
    """The most bytes that stood in memory at once."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"MaxKeys": 3},
        {"Prefix": "AWSLogs/", "Delimiter": "/"},
        {"Prefix": "AWSLogs/", "Delimiter": "/", "MaxKeys": 1},
        {"Prefix": "AWSLogs/000000000001/vpcflowlogs/", "Delimiter": "/", "MaxKeys": 1},
        {"Prefix": "AWSLogs/000000000002/vpcflowlogs/us-east-1/2026/11/02/", "MaxKeys": 2},
        {"Prefix": "AWSLogs/000000000002/", "StartAfter": "AWSLogs/000000000002/vpcflowlogs/us-east-1/2026/11/02/"},
        {"Prefix": "AWSLogs/000000000001/", "StartAfter": key_of(0, "us-east-1", TODAY, 1, 3), "MaxKeys": 2},
        {"Prefix": "AWSLogs/000000000002/", "StartAfter": "AWSLogs/000000000001/"},
        {"Prefix": "AWSLogs/", "StartAfter": "B"},
        {"Prefix": "AWSLogs/000000000009/", "Delimiter": "/"},
    ],
    ids=lambda request: ", ".join(f"{name} {value}" for name, value in request.items()) or "everything",
)
def test_the_simulated_bucket_answers_as_a_real_one(bucket: Bucket, request_: dict[str, Any]) -> None:
    keys = FlowLogKeys(2, ("eu-west-1", "us-east-1"), TODAY - timedelta(days=1), 2, 3)
    late = ["AWSLogs/readme.txt", late_key(TODAY)]
    bucket.put(*keys, *late)
    simulated = SimulatedS3(keys, late)
    assert list(keys) == sorted(keys)
    assert pages(simulated, Bucket="b", **request_) == pages(bucket.client, Bucket=bucket.name, **request_)


def pages(client: Any, **request: Any) -> list[tuple[list[str], list[str], bool]]:  # noqa: ANN401 - either client
    """Keys, folders, and whether there are more, page by page."""
    told = []
    while True:
        answer = client.list_objects_v2(**request)
        folders = [folder["Prefix"] for folder in answer.get("CommonPrefixes", ())]
        told.append(([item["Key"] for item in answer.get("Contents", ())], folders, answer["IsTruncated"]))
        if not answer["IsTruncated"]:
            return told
        request["ContinuationToken"] = answer["NextContinuationToken"]


def test_a_pass_costs_the_same_however_many_old_keys_there_are() -> None:
    peaks = []
    for days in (FEW, MANY):
        client, clock, known = bucket_of(days), Clock(datetime(2026, 11, 3, 12, tzinfo=UTC)), set[str]()
        listing = listing_of(client, clock)
        peaks.append(peak_of(lambda listing=listing, known=known: one_pass(listing, known)))  # type: ignore[misc]
        whole = client.requests
        clock.now += timedelta(minutes=1)
        one_pass(listing, known)
        regions = ACCOUNTS * len(REGIONS)
        assert (whole, client.requests - whole) == (FOLDERS + 3 * regions, FOLDERS + regions)

    assert [len(bucket_of(days).keys) for days in (FEW, MANY)] == [7 * 2_500, 4_003 * 2_500]
    assert max(peaks) < 1_000_000
    assert abs(peaks[1] - peaks[0]) < 100_000


def test_late_objects_are_found_within_the_look_back_and_past_days_are_not_listed_at_each_pass() -> None:
    client, clock, known = bucket_of(MANY), Clock(datetime(2026, 11, 3, 12, tzinfo=UTC)), set[str]()
    listing = listing_of(client, clock)
    assert one_pass(listing, known) == []
    days = [TODAY - timedelta(days=number) for number in range(4)]
    client.late = [late_key(day) for day in days]

    clock.now += timedelta(minutes=1)
    assert one_pass(listing, known) == [late_key(TODAY)]
    clock.now += EVERY - timedelta(minutes=1)
    assert one_pass(listing, known) == [late_key(days[2]), late_key(days[1])]  # the oldest is beyond the look-back
    clock.now += EVERY
    assert one_pass(listing, known) == []


def test_a_back_fill_lists_a_thousand_keys_a_request_and_only_what_is_chosen() -> None:
    client = bucket_of(MANY)
    chosen = Chosen(
        datetime(2020, 1, 1, tzinfo=UTC),
        datetime(2021, 1, 1, tzinfo=UTC),
        frozenset({"000000000003"}),
        frozenset({"eu-west-1", "us-east-1"}),
    )
    taken = 0

    def unknown(page: Sequence[S3Object]) -> Sequence[S3Object]:
        nonlocal taken
        taken += len(page)
        return ()

    listing = listing_of(client, Clock(LONG_AGO))
    peak = peak_of(lambda: list(listing.chosen(chosen, unknown)))
    assert taken == 2 * 366 * FILES  # 2020 had 366 days
    assert client.requests == 1 + 1 + 2 * 10  # accounts, regions of one account, 9,150 keys of each region
    assert peak < 3_000_000  # a page
