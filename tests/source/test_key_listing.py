"""Listing buckets that do not follow AWS's layout, against a real S3 interface: its own LastModified, its own order."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event

import pytest

from exporter.config import S3Source
from exporter.errors import SourceError, Stopped
from exporter.flow import Outcome, S3Object
from exporter.ledger import Ledger
from exporter.metrics import Metrics
from exporter.source.key_listing import KeyListing, Marker
from tests.source.bucket import Bucket
from tests.source.faulty import Fault, Proxy

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
FILE = "123456789012_vpcflowlogs_us-east-1_fl-0a1b2c3d_20261103T0905Z_abc.log.gz"

Found = Callable[[datetime], list[str]]


def today() -> date:
    return datetime.now(UTC).date()


def a_second_later() -> datetime:
    """A moment after everything that was stored so far, and not after what is stored next: S3 tells whole seconds."""
    time.sleep(1.01 - time.time() % 1)
    return datetime.now(UTC).replace(microsecond=0)


def listing(  # noqa: PLR0913, PLR0917 - what a listing is made of
    bucket: Bucket,
    metrics: Metrics,
    layout: str = "any",
    prefix: str = "",
    marker: Marker | None = None,
    page_size: int = 10,
) -> KeyListing:
    settings = S3Source.model_validate({"bucket": bucket.name, "layout": layout, "prefix": prefix})
    return KeyListing(bucket.client, settings, metrics, Event(), marker, page_size)


def everything(page: Sequence[S3Object]) -> Sequence[S3Object]:
    return page


def keys(source: KeyListing, since: datetime = LONG_AGO) -> list[str]:
    return [item.key for item in source.new_objects(since.date(), today(), since, everything)]


def asked(bucket: Bucket, metrics: Metrics, source: KeyListing, since: datetime) -> tuple[list[str], float]:
    """What one listing gives, and how many requests it takes."""
    before = metrics.value("list_requests_total", bucket=bucket.name)
    found = keys(source, since)
    return found, metrics.value("list_requests_total", bucket=bucket.name) - before


def old_keys(count: int) -> list[str]:
    return [f"2026/10/{number // 24 + 1:02}/{number % 24:02}/flows-{number}" for number in range(count)]


# Any keys -------------------------------------------------------------------------------------------------------------


def test_every_file_below_the_prefix_is_found_whatever_it_is_called(bucket: Bucket, metrics: Metrics) -> None:
    wanted = ["in/zebra.csv", "in/2026/11/03/09/part-1", "in/a b+c/ü.json.gz", f"in/{FILE}", "inside"]
    bucket.put(*wanted)
    bucket.put("in/", "in/2026/", "in/aws-logs-write-test", "in/x/aws-logs-write-test", "other/part-1")
    bucket.put("in/_SUCCESS", body=b"")
    assert sorted(keys(listing(bucket, metrics, prefix="in"))) == sorted(wanted)


def test_the_prefix_stands_as_it_is(bucket: Bucket, metrics: Metrics) -> None:
    bucket.put("copy/AWSLogs/a.gz", "AWSLogs/b.gz", "/c.gz")
    assert keys(listing(bucket, metrics, prefix="copy/AWSLogs/")) == ["copy/AWSLogs/a.gz"]
    assert keys(listing(bucket, metrics, prefix="/")) == ["/c.gz"]


def test_an_object_is_as_old_as_it_was_stored_whatever_its_name_says(bucket: Bucket, metrics: Metrics) -> None:
    bucket.put(f"2020/01/01/{FILE}", body=b"hello")
    stored = bucket.client.head_object(Bucket=bucket.name, Key=f"2020/01/01/{FILE}")["LastModified"]
    found = list(listing(bucket, metrics).new_objects(date(2020, 1, 1), today(), LONG_AGO, everything))
    assert found == [
        S3Object(
            bucket=bucket.name,
            key=f"2020/01/01/{FILE}",
            etag="5d41402abc4b2a76b9719d911017c592",  # the MD5 of hello
            size=5,
            time=stored,
            account="123456789012",
            region="us-east-1",
        )
    ]
    assert found[0].time.tzinfo is UTC


def test_only_what_was_stored_since_is_taken_wherever_its_key_stands(bucket: Bucket, metrics: Metrics) -> None:
    bucket.put("b", "d", "f")
    since = a_second_later()
    bucket.put("a", "c", "e", "g", "d")  # d is stored again
    assert sorted(keys(listing(bucket, metrics, page_size=2), since)) == ["a", "c", "d", "e", "g"]
    assert keys(listing(bucket, metrics), since + timedelta(days=1)) == []


def test_the_first_day_counts_where_the_start_is_earlier(bucket: Bucket, metrics: Metrics) -> None:
    bucket.put("a")
    source = listing(bucket, metrics)
    tomorrow = today() + timedelta(days=1)
    assert list(source.new_objects(tomorrow, tomorrow, LONG_AGO, everything)) == []
    assert [each.key for each in source.new_objects(today(), today(), LONG_AGO, everything)] == ["a"]


def test_each_page_is_asked_about_once_and_comes_by_time(bucket: Bucket, metrics: Metrics) -> None:
    bucket.put("b", *(f"c{number}" for number in range(4)))
    a_second_later()
    bucket.put("a")
    pages: list[list[str]] = []

    def unknown(page: Sequence[S3Object]) -> Sequence[S3Object]:
        pages.append([each.key for each in page])
        return page[-1:]

    source = listing(bucket, metrics, page_size=3)
    found = [each.key for each in source.new_objects(LONG_AGO.date(), today(), LONG_AGO, unknown)]
    assert pages == [["b", "c0", "a"], ["c1", "c2", "c3"]]
    assert found == ["a", "c3"]
    assert metrics.value("list_requests_total", bucket=bucket.name) == 2


def test_a_prefix_without_objects_is_warned_about(
    bucket: Bucket, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    bucket.put("right/a", "wrong/")
    assert keys(listing(bucket, metrics, prefix="wrong/")) == []
    assert caplog.messages == [
        f"there are no objects below s3://{bucket.name}/wrong/* (any); is that the bucket and the prefix?"
    ]


# Rising keys ----------------------------------------------------------------------------------------------------------


class Kept:
    """A marker in memory, and how often it was moved."""

    def __init__(self) -> None:
        self.moved: list[str] = []
        self.marker = Marker(lambda: self.moved[-1] if self.moved else None, self.moved.append)


def test_a_bucket_of_many_old_keys_costs_one_request_where_keys_rise(bucket: Bucket, metrics: Metrics) -> None:
    old = old_keys(95)
    bucket.put(*old)
    since = a_second_later()
    new = ["2026/11/03/09/flows-1", "2026/11/03/10/flows-2"]
    bucket.put(*new)
    kept = Kept()
    rising, any_order = listing(bucket, metrics, "ordered", marker=kept.marker), listing(bucket, metrics)

    assert asked(bucket, metrics, any_order, since) == (new, 10)
    assert asked(bucket, metrics, any_order, since) == (new, 10)
    assert asked(bucket, metrics, rising, since) == (new, 10)
    assert kept.moved == [old[-1]]
    assert asked(bucket, metrics, rising, since) == (new, 1)
    assert kept.moved == [old[-1]]


def test_late_keys_behind_the_marker_are_found_and_before_it_they_are_not(bucket: Bucket, metrics: Metrics) -> None:
    bucket.put("2026/11/01/08/a", "2026/11/01/09/a")
    since = a_second_later()
    bucket.put("2026/11/03/09/a")
    kept = Kept()
    source = listing(bucket, metrics, "ordered", marker=kept.marker)
    assert keys(source, since) == ["2026/11/03/09/a"]
    assert kept.moved == ["2026/11/01/09/a"]
    late = ["2026/11/01/09/b", "2026/11/02/23/a", "2026/11/03/08/a"]
    bucket.put(*late, "2026/11/01/08/b")
    assert sorted(keys(source, since)) == [*late, "2026/11/03/09/a"]


def test_the_marker_stays_before_the_first_key_that_may_still_count(bucket: Bucket, metrics: Metrics) -> None:
    bucket.put("a", "b", "d", "e", "f")
    since = a_second_later()
    bucket.put("c")
    kept = Kept()
    source = listing(bucket, metrics, "ordered", marker=kept.marker, page_size=2)
    assert keys(source, since) == ["c"]
    assert kept.moved == ["b"]
    assert keys(source, since) == ["c"]
    assert keys(source, since + timedelta(days=1)) == []  # the look-back has passed c
    assert kept.moved == ["b", "f"]
    assert asked(bucket, metrics, source, since + timedelta(days=1)) == ([], 1)


def test_without_an_old_key_there_is_no_marker(bucket: Bucket, metrics: Metrics) -> None:
    bucket.put("a", "b")
    kept = Kept()
    assert keys(listing(bucket, metrics, "ordered", marker=kept.marker)) == ["a", "b"]
    assert kept.moved == []


def test_a_trial_that_is_written_again_and_again_does_not_hold_the_marker(bucket: Bucket, metrics: Metrics) -> None:
    bucket.put("b", "c")
    since = a_second_later()
    bucket.put("aws-logs-write-test", "bb/", "d")
    kept = Kept()
    assert keys(listing(bucket, metrics, "ordered", marker=kept.marker), since) == ["d"]
    assert kept.moved == ["c"]


def test_the_marker_moves_only_after_a_whole_listing(bucket: Bucket, proxy: Proxy, metrics: Metrics) -> None:
    bucket.put("a", "b", "c")
    since = a_second_later()
    bucket.put("d")
    kept = Kept()
    settings = S3Source(bucket=bucket.name, layout="ordered")
    source = KeyListing(proxy.client(), settings, metrics, Event(), kept.marker, page_size=2)
    proxy.always = [Fault("continuation-token", refuse=(403, "AccessDenied"))]
    with pytest.raises(SourceError, match=r"could not list s3://.*AccessDenied.*allow s3:ListBucket on the bucket"):
        keys(source, since)
    assert kept.moved == []
    assert metrics.value("list_denied_total", bucket=bucket.name) == 1

    proxy.always = []
    for each in source.new_objects(since.date(), today(), since, everything):
        assert each.key == "d"
        break
    assert kept.moved == []
    assert keys(source, since) == ["d"]
    assert kept.moved == ["c"]


def test_a_stop_ends_a_listing(bucket: Bucket, metrics: Metrics) -> None:
    stop = Event()
    stop.set()
    source = KeyListing(bucket.client, S3Source(bucket=bucket.name, layout="any"), metrics, stop)
    with pytest.raises(Stopped):
        keys(source)


# Passes, with the ledger ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("layout", "requests"), [("ordered", [2, 1, 1]), ("any", [2, 2, 2])])
def test_passes_take_each_object_once_and_go_on_after_a_restart(
    bucket: Bucket, metrics: Metrics, tmp_path: Path, layout: str, requests: list[int]
) -> None:
    """What the daemon does; a moment inside the day stands for the floor, which is a day."""
    bucket.put(*old_keys(12))
    since = a_second_later()
    counted, taken = [], []
    for arriving in (["2026/11/03/09/a"], ["2026/11/03/10/b", "2026/11/02/10/late"], []):
        bucket.put(*arriving)
        with Ledger(tmp_path / "ledger.sqlite3") as ledger:
            place = f"s3://{bucket.name}/* ({layout})"
            marker = Marker(partial(ledger.marker, place), partial(ledger.move_marker, place))
            source = listing(bucket, metrics, layout, marker=marker if layout == "ordered" else None)
            assert source.source_id == place
            before = metrics.value("list_requests_total", bucket=bucket.name)
            for each in source.new_objects(since.date(), today(), since, ledger.unknown):
                ledger.begin(each)
                ledger.finish(Outcome(each, records=1))
                taken.append(each.key)
            counted.append(metrics.value("list_requests_total", bucket=bucket.name) - before)
            assert ledger.marker(place) == (old_keys(12)[-1] if layout == "ordered" else None)
    assert sorted(taken) == ["2026/11/02/10/late", "2026/11/03/09/a", "2026/11/03/10/b"]
    assert counted == requests
