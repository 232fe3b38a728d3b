"""Listing and reading, against a real S3 interface; failures on a real socket."""

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Event, Timer

import pytest

from exporter.config import S3Source
from exporter.errors import Incomplete, ObjectGone, SourceError, Stopped
from exporter.flow import ByteStream, Outcome, S3Object
from exporter.ledger import Ledger
from exporter.metrics import Metrics
from exporter.source.chosen import Chosen
from exporter.source.past_days import PastDays
from exporter.source.s3 import S3Listing, S3Objects
from tests.source.bucket import Bucket, hive, plain
from tests.source.faulty import Fault, Proxy

A, B, C = "111111111111", "222222222222", "333333333333"
EAST, WEST = "us-east-1", "us-west-2"
DAY = date(2026, 11, 3)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def everything(page: Sequence[S3Object]) -> Sequence[S3Object]:
    return page


def listing(bucket: Bucket, metrics: Metrics, prefix: str = "", page_size: int = 1000) -> S3Listing:
    settings = S3Source(bucket=bucket.name, prefix=prefix)
    return S3Listing(bucket.client, settings, metrics, Event(), page_size)


def keys(objects: Iterator[S3Object]) -> list[str]:
    return [item.key for item in objects]


# Listing --------------------------------------------------------------------------------------------------------------


def test_accounts_regions_and_days_of_both_layouts_are_found_and_nothing_else(bucket: Bucket, metrics: Metrics) -> None:
    wanted_before = [plain(A, EAST, "20261102T2355"), hive(C, EAST, "20261102T0000")]
    wanted_today = [
        plain(A, EAST, "20261103T0000"),
        plain(A, WEST, "20261103T0905", hourly=True),
        plain(B, EAST, "20261103T0910"),
        hive(C, EAST, "20261103T0915", hourly=True),
        hive(A, WEST, "20261103T0920"),
        plain(B, EAST, "20261103T0925").replace("AWSLogs/", "AWSLogs/o-a1b2c3d4e5/"),
    ]
    unwanted = [
        plain(A, EAST, "20261101T2355"),  # the day before the first
        plain(A, EAST, "20261104T0000"),  # the day after the last
        f"other/{plain(A, EAST, '20261103T0905')}",  # below another prefix
        plain(A, EAST, "20261103T0905").replace("vpcflowlogs", "CloudTrail"),
        f"AWSLogs/{A}/vpcflowlogs/{EAST}/2026/11/03/",  # a folder marker
        f"AWSLogs/{A}/vpcflowlogs/{EAST}/2026/11/03/athena.csv",
        "AWSLogs/readme.txt",
    ]
    bucket.put(*wanted_before, *wanted_today, *unwanted)

    found = list(listing(bucket, metrics).new_objects(DAY - timedelta(days=1), DAY, LONG_AGO, everything))

    assert {item.key for item in found[:2]} == set(wanted_before)
    assert {item.key for item in found[2:]} == set(wanted_today)
    assert len(found) == 8
    assert {(item.account, item.region) for item in found} == {
        *((A, EAST), (A, WEST), (B, EAST), (C, EAST)),
    }
    assert {item.bucket for item in found} == {bucket.name}
    # The root, the organization; 3 plain accounts, 2 hive accounts; 6 regions on each of 2 days.
    assert metrics.value("list_requests_total", bucket=bucket.name) == 2 + 5 + 12


def test_an_object_is_listed_as_it_is_stored(bucket: Bucket, metrics: Metrics) -> None:
    key = plain(A, EAST, "20261103T0905")
    bucket.put(key, body=b"hello")
    assert list(listing(bucket, metrics).new_objects(DAY, DAY, LONG_AGO, everything)) == [
        S3Object(
            bucket=bucket.name,
            key=key,
            etag="5d41402abc4b2a76b9719d911017c592",  # the MD5 of hello
            size=5,
            time=datetime(2026, 11, 3, 9, 5, tzinfo=UTC),
            account=A,
            region=EAST,
        )
    ]


def test_a_prefix_with_a_blank_and_a_plus_is_listed(bucket: Bucket, metrics: Metrics) -> None:
    key = f"flow logs/a+b/{plain(A, EAST, '20261103T0905')}"
    bucket.put(key, plain(B, EAST, "20261103T0905"))
    source = listing(bucket, metrics, prefix="flow logs/a+b")
    assert keys(source.new_objects(DAY, DAY, LONG_AGO, everything)) == [key]
    assert source.source_id == f"s3://{bucket.name}/flow logs/a+b/AWSLogs/"


def test_a_day_of_many_pages_is_listed_whole_and_each_page_asked_about_once(bucket: Bucket, metrics: Metrics) -> None:
    stored = [plain(A, EAST, "20261103T0905", log=f"fl-{number:04}") for number in range(250)]
    bucket.put(*stored)
    asked: list[int] = []

    def unknown(page: Sequence[S3Object]) -> Sequence[S3Object]:
        asked.append(len(page))
        return page[:1]

    found = keys(listing(bucket, metrics, page_size=100).new_objects(DAY, DAY, LONG_AGO, unknown))

    assert asked == [100, 100, 50]
    assert found == [stored[0], stored[100], stored[200]]
    assert metrics.value("list_requests_total", bucket=bucket.name) == 1 + 1 + 3


def test_folders_of_many_pages_are_all_found(bucket: Bucket, metrics: Metrics) -> None:
    stored = [plain(f"{number:012}", EAST, "20261103T0905") for number in range(1, 6)]
    bucket.put(*stored)
    assert keys(listing(bucket, metrics, page_size=2).new_objects(DAY, DAY, LONG_AGO, everything)) == stored


def test_a_page_comes_by_time_whatever_the_flow_logs_are_called(bucket: Bucket, metrics: Metrics) -> None:
    early, late = plain(A, EAST, "20261103T0900", log="fl-b"), plain(A, EAST, "20261103T0910", log="fl-a")
    bucket.put(late, early)
    assert keys(listing(bucket, metrics).new_objects(DAY, DAY, LONG_AGO, everything)) == [early, late]


def test_objects_before_the_start_are_not_taken_and_days_before_it_not_listed(bucket: Bucket, metrics: Metrics) -> None:
    bucket.put(*(plain(A, EAST, stamp) for stamp in ("20261102T2355", "20261103T0900", "20261103T0905")))
    start = datetime(2026, 11, 3, 9, 5, tzinfo=UTC)
    found = keys(listing(bucket, metrics).new_objects(date(2026, 10, 1), DAY, start, everything))
    assert found == [plain(A, EAST, "20261103T0905")]
    assert metrics.value("list_requests_total", bucket=bucket.name) == 3


def test_a_prefix_without_flow_logs_is_warned_about(
    bucket: Bucket, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    assert keys(listing(bucket, metrics, prefix="wrong").new_objects(DAY, DAY, LONG_AGO, everything)) == []
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        f"there are no flow logs below s3://{bucket.name}/wrong/AWSLogs/; is that the bucket and the prefix?"
    ]


def test_a_folder_that_is_denied_does_not_stop_the_others_and_is_told_at_the_end(
    bucket: Bucket, proxy: Proxy, metrics: Metrics
) -> None:
    bucket.put(*(plain(account, EAST, "20261103T0905") for account in (A, B, C)))
    bucket.put(*(plain(account, EAST, "20261102T0905") for account in (A, B, C)))
    proxy.always = [
        Fault(f"{A}%2Fvpcflowlogs%2Fus-east-1%2F2026", refuse=(403, "AccessDenied")),
        Fault(f"{B}%2Fvpcflowlogs%2F&", refuse=(403, "AccessDenied")),
    ]
    source = S3Listing(proxy.client(), S3Source(bucket=bucket.name), metrics, Event())
    found: list[str] = []

    with pytest.raises(SourceError) as raised:
        collect(source.new_objects(date(2026, 11, 2), DAY, LONG_AGO, everything), found)

    assert found == [plain(C, EAST, "20261102T0905"), plain(C, EAST, "20261103T0905")]
    told = str(raised.value)
    assert f"could not list s3://{bucket.name}/AWSLogs/{B}/vpcflowlogs/: AccessDenied: as told" in told
    assert f"could not list s3://{bucket.name}/AWSLogs/{A}/vpcflowlogs/us-east-1/2026/11/02/: AccessDenied" in told
    assert told.count("allow s3:ListBucket on the bucket") == 2
    assert metrics.value("list_denied_total", bucket=bucket.name) == 2
    assert metrics.value("retries_total", policy="source") == 0


@pytest.mark.parametrize("above", ["", f"{A}/vpcflowlogs/", f"{A}/vpcflowlogs/{EAST}/"])
def test_what_was_left_behind_is_listed_from_its_own_day(above: str, bucket: Bucket, metrics: Metrics) -> None:
    """Of other folders only the days asked for are."""
    stamps = ("20261030T0905", "20261101T0905", "20261103T0905")
    bucket.put(*(plain(account, EAST, stamp) for account in (A, B) for stamp in stamps))
    behind = {f"AWSLogs/{above}": date(2026, 11, 1)}
    found = keys(listing(bucket, metrics).new_objects(DAY, DAY, LONG_AGO, everything, behind))
    others = [plain(B, EAST, "20261101T0905")] if not above else []
    today = [plain(account, EAST, "20261103T0905") for account in (A, B)]
    assert found == [plain(A, EAST, "20261101T0905"), *others, *today]
    # The root; two accounts; three days of A's region, and one or three of B's.
    assert metrics.value("list_requests_total", bucket=bucket.name) == 1 + 2 + 3 + (1 if above else 3)


def collect(objects: Iterator[S3Object], found: list[str]) -> None:
    """Keeps what comes before an error."""
    for item in objects:
        found.append(item.key)  # noqa: PERF401  an error must leave what was found


def test_a_bucket_that_does_not_exist_is_told_at_once(bucket: Bucket, metrics: Metrics) -> None:
    source = S3Listing(bucket.client, S3Source(bucket="no-such-bucket"), metrics, Event())
    with pytest.raises(SourceError, match=r"NoSuchBucket.*check the bucket's name in the configuration"):
        list(source.new_objects(DAY, DAY, LONG_AGO, everything))
    assert metrics.value("list_requests_total", bucket="no-such-bucket") == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault("list-type", refuse=(503, "SlowDown")),
        Fault("list-type", refuse=(500, "InternalError")),
        Fault("list-type", cut=40),
        Fault("list-type", cut=40, stall=True),
    ],
    ids=["throttled", "their fault", "cut", "stalled"],
)
def test_a_listing_that_fails_is_asked_for_again(bucket: Bucket, proxy: Proxy, metrics: Metrics, fault: Fault) -> None:
    bucket.put(plain(A, EAST, "20261103T0905"))
    proxy.faults = [fault]
    source = S3Listing(proxy.client(), S3Source(bucket=bucket.name), metrics, Event())
    assert keys(source.new_objects(DAY, DAY, LONG_AGO, everything)) == [plain(A, EAST, "20261103T0905")]
    assert metrics.value("retries_total", policy="source") == 1
    assert metrics.value("list_requests_total", bucket=bucket.name) == 4


def test_a_stop_ends_a_listing(bucket: Bucket, proxy: Proxy, metrics: Metrics, stop: Event) -> None:
    proxy.always = [Fault("", refuse=(503, "SlowDown"))]
    source = S3Listing(proxy.client(), S3Source(bucket=bucket.name), metrics, stop)
    timer = Timer(0.3, stop.set)
    timer.start()
    with pytest.raises(Stopped):
        list(source.new_objects(DAY, DAY, LONG_AGO, everything))
    timer.join()
    asked = len(proxy.seen)
    with pytest.raises(Stopped):
        list(source.new_objects(DAY, DAY, LONG_AGO, everything))
    assert len(proxy.seen) == asked


# A range of time ------------------------------------------------------------------------------------------------------


def test_the_chosen_objects_of_both_layouts_are_found_and_other_folders_not_listed(
    bucket: Bucket, metrics: Metrics
) -> None:
    wanted = [
        plain(A, EAST, "20261031T2355"),
        plain(A, EAST, "20261102T0000", hourly=True),
        plain(A, EAST, "20261103T0855"),
        hive(A, EAST, "20261101T0000"),
        hive(A, EAST, "20261103T0850", hourly=True),
    ]
    unwanted = [
        plain(A, EAST, "20261031T2350"),
        plain(A, EAST, "20261103T0900"),
        plain(A, EAST, "20261104T0000"),
        plain(A, WEST, "20261102T0000"),
        plain(B, EAST, "20261102T0000"),
        hive(A, EAST, "20261030T0000"),
    ]
    bucket.put(*wanted, *unwanted)
    first, before = datetime(2026, 10, 31, 23, 55, tzinfo=UTC), datetime(2026, 11, 3, 9, tzinfo=UTC)
    chosen = Chosen(first, before, frozenset({A}), frozenset({EAST}))
    assert sorted(keys(listing(bucket, metrics).chosen(chosen, everything))) == sorted(wanted)
    # The accounts, the regions of one in two layouts, and one page of each of its two folders of the region.
    assert metrics.value("list_requests_total", bucket=bucket.name) == 1 + 2 + 2


def test_a_range_ends_behind_its_last_day_however_many_pages_follow(bucket: Bucket, metrics: Metrics) -> None:
    stamps = [f"202611{day:02}T{hour:02}00" for day in range(1, 11) for hour in (0, 6, 12, 18)]
    bucket.put(*(plain(A, EAST, stamp) for stamp in stamps))
    chosen = Chosen(datetime(2026, 11, 3, tzinfo=UTC), datetime(2026, 11, 4, tzinfo=UTC))
    found = keys(listing(bucket, metrics, page_size=3).chosen(chosen, everything))
    assert found == [plain(A, EAST, stamp) for stamp in stamps[8:12]]
    # The account, the region, and pages of three keys from the 3rd on until one is of the 4th.
    assert metrics.value("list_requests_total", bucket=bucket.name) == 1 + 1 + 2


@pytest.mark.parametrize("told", [True, False])
def test_a_denied_folder_of_a_range_is_named_and_logged_only_where_it_is_to_be_told(
    bucket: Bucket, proxy: Proxy, metrics: Metrics, caplog: pytest.LogCaptureFixture, *, told: bool
) -> None:
    bucket.put(*(plain(account, EAST, "20261103T0905") for account in (A, B)))
    proxy.always = [Fault(f"{A}%2Fvpcflowlogs%2F&", refuse=(403, "AccessDenied"))]
    source = S3Listing(proxy.client(), S3Source(bucket=bucket.name), metrics, Event())
    chosen = Chosen(datetime(2026, 11, 3, tzinfo=UTC), datetime(2026, 11, 4, tzinfo=UTC))
    found: list[str] = []
    with pytest.raises(Incomplete) as raised:
        collect(source.chosen(chosen, everything, told=told), found)
    assert found == [plain(B, EAST, "20261103T0905")]
    assert list(raised.value.faults) == [f"AWSLogs/{A}/vpcflowlogs/"]
    assert len(caplog.records) == (1 if told else 0)


# Passes, with the ledger ----------------------------------------------------------------------------------------------


def one_pass(source: S3Listing, ledger: Ledger, now: datetime) -> list[str]:
    """What a poll does, with nothing done to the objects."""
    start = ledger.first_seen(source.source_id, now)
    first = ledger.floor(source.source_id) or start.date()
    done = []
    for item in source.new_objects(first, now.date(), start, ledger.unknown):
        ledger.begin(item)
        ledger.finish(Outcome(item, records=1))
        done.append(item.key)
    ledger.raise_floor(source.source_id, (now - timedelta(days=2)).date())
    ledger.prune(item_bucket(source), ledger.floor(source.source_id) or start.date())
    return done


def item_bucket(source: S3Listing) -> str:
    return source.source_id.removeprefix("s3://").partition("/")[0]


def test_passes_find_what_is_new_late_and_missed_and_nothing_twice(
    bucket: Bucket, metrics: Metrics, tmp_path: Path
) -> None:
    source = listing(bucket, metrics)
    path = tmp_path / "ledger.sqlite"
    bucket.put(plain(A, EAST, "20261103T0900"))  # before the first pass: not wanted, now or later

    with Ledger(path) as ledger:
        assert one_pass(source, ledger, datetime(2026, 11, 3, 9, 3, tzinfo=UTC)) == []
        bucket.put(plain(A, EAST, "20261103T0905"))
        assert one_pass(source, ledger, datetime(2026, 11, 3, 9, 12, tzinfo=UTC)) == [plain(A, EAST, "20261103T0905")]
        assert one_pass(source, ledger, datetime(2026, 11, 3, 9, 13, tzinfo=UTC)) == []

    # The daemon is down for nine days, longer than the look-back.
    missed = [plain(A, EAST, f"202611{day:02}T1200") for day in range(3, 13)]
    bucket.put(*missed)
    with Ledger(path) as ledger:
        assert one_pass(source, ledger, datetime(2026, 11, 12, 13, tzinfo=UTC)) == missed
        assert ledger.floor(source.source_id) == date(2026, 11, 10)
        assert ledger.summary().objects == {"done": 3}  # of the 10th, 11th and 12th: what is older is forgotten

        late = [plain(B, WEST, "20261110T0000"), plain(A, EAST, "20261111T0100", log="fl-2")]
        bucket.put(*late, plain(A, EAST, "20261109T2355"))  # the last one is later than the look-back allows
        assert one_pass(source, ledger, datetime(2026, 11, 12, 13, 1, tzinfo=UTC)) == late
        assert one_pass(source, ledger, datetime(2026, 11, 12, 13, 2, tzinfo=UTC)) == []


def test_a_past_day_whose_listing_broke_off_is_listed_again_at_the_next_pass(
    bucket: Bucket, proxy: Proxy, metrics: Metrics, tmp_path: Path
) -> None:
    now, settings = datetime(2026, 11, 3, 13, tzinfo=UTC), S3Source(bucket=bucket.name)
    past = PastDays(timedelta(hours=1), settings.lookback, lambda: now)
    source = S3Listing(proxy.client(), settings, metrics, Event(), past=past)
    path = tmp_path / "ledger.sqlite"
    late = [plain(A, EAST, "20261101T0905"), plain(A, EAST, "20261102T0905")]
    with Ledger(path) as ledger:
        ledger.first_seen(source.source_id, LONG_AGO)
        ledger.raise_floor(source.source_id, date(2026, 11, 1))
        bucket.put(plain(A, EAST, "20261103T0905"))
        proxy.faults = [Fault("2026%2F11%2F02", refuse=(403, "AccessDenied"))]
        with pytest.raises(Incomplete):
            one_pass(source, ledger, now)
        bucket.put(*late)
        assert one_pass(source, ledger, now) == [late[1], plain(A, EAST, "20261103T0905")]  # the 1st was listed whole
        before = metrics.value("list_requests_total", bucket=bucket.name)
        assert one_pass(source, ledger, now) == []
        assert metrics.value("list_requests_total", bucket=bucket.name) - before == 2 + 1  # folders, and today
        now += timedelta(hours=1)
        assert one_pass(source, ledger, now) == [late[0]]


def test_an_object_stored_again_is_another_object(bucket: Bucket, metrics: Metrics, tmp_path: Path) -> None:
    source, key, now = listing(bucket, metrics), plain(A, EAST, "20261103T0905"), datetime(2026, 11, 3, 9, tzinfo=UTC)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        bucket.put(key, body=b"first")
        assert one_pass(source, ledger, now) == [key]
        bucket.put(key, body=b"second")
        assert one_pass(source, ledger, now) == [key]
        assert one_pass(source, ledger, now) == []


# Reading --------------------------------------------------------------------------------------------------------------

KEY = plain(A, EAST, "20261103T0905")
BODY = bytes(range(256)) * 4096
"""1 MiB in which a byte tells whether it stands at the right place."""


@pytest.fixture
def stored(bucket: Bucket) -> S3Object:
    """BODY under KEY, as it was listed."""
    bucket.put(KEY, body=BODY)
    return bucket.object(KEY)


def exhaust(stream: ByteStream) -> None:
    while stream.read(65_536):
        pass


def read(objects: S3Objects, source: S3Object, size: int = 65_536) -> bytes:
    with objects.open(source) as stream:
        parts = []
        while part := stream.read(size):
            assert len(part) <= size
            parts.append(part)
        assert stream.read(size) == b""
    return b"".join(parts)


def test_an_object_is_read_whole(bucket: Bucket, metrics: Metrics, stop: Event) -> None:
    bucket.put(KEY, body=BODY)
    assert read(S3Objects(bucket.client, metrics, stop), bucket.object(KEY)) == BODY
    assert metrics.value("object_bytes_total") == 1_048_576
    assert metrics.value("retries_total", policy="source") == 0


def test_an_empty_object_is_read(bucket: Bucket, metrics: Metrics, stop: Event) -> None:
    bucket.put(KEY, body=b"")
    assert read(S3Objects(bucket.client, metrics, stop), bucket.object(KEY)) == b""


@pytest.mark.parametrize("gone", [False, True], ids=["overwritten", "deleted"])
def test_an_object_that_is_no_longer_what_was_listed_is_gone(
    bucket: Bucket, metrics: Metrics, stop: Event, *, gone: bool
) -> None:
    bucket.put(KEY, body=BODY)
    listed = bucket.object(KEY)
    if gone:
        bucket.client.delete_object(Bucket=bucket.name, Key=KEY)
    else:
        bucket.put(KEY, body=BODY[::-1])
    what = (
        "it was deleted after it was listed (NoSuchKey)"
        if gone
        else "it was overwritten after it was listed; the next pass takes its new version (PreconditionFailed)"
    )
    with pytest.raises(ObjectGone) as raised:
        read(S3Objects(bucket.client, metrics, stop), listed)
    assert str(raised.value) == f"could not read s3://{bucket.name}/{KEY}: {what}"
    assert getattr(raised.value, "now", None) == (None if gone else bucket.object(KEY))
    assert metrics.value("retries_total", policy="source") == 0


@pytest.mark.parametrize(
    ("faults", "ranges"),
    [
        pytest.param([Fault(KEY, cut=300_001)], [None, 300_001], id="breaks off"),
        pytest.param([Fault(KEY, cut=0)], [None, None], id="breaks off before its first byte"),
        pytest.param([Fault(KEY, cut=1_048_575)], [None, 1_048_575], id="lacks the last byte"),
        pytest.param([Fault(KEY, cut=70_000, stall=True)], [None, 65_536], id="stalls"),
        pytest.param(
            [Fault(KEY, cut=70_000), Fault(KEY, cut=70_000), Fault(KEY, cut=10)],
            [None, 70_000, 140_000, 140_010],
            id="breaks off again and again",
        ),
        pytest.param([Fault(KEY, refuse=(503, "SlowDown"))], [None, None], id="throttled at first"),
        pytest.param(
            [Fault(KEY, cut=70_000), Fault(KEY, refuse=(500, "InternalError"))],
            [None, 70_000, 70_000],
            id="breaks off and is then refused",
        ),
    ],
)
def test_a_body_that_breaks_off_is_taken_up_where_it_broke(
    stored: S3Object, proxy: Proxy, metrics: Metrics, faults: list[Fault], ranges: list[int | None]
) -> None:
    proxy.faults = list(faults)
    assert read(S3Objects(proxy.client(), metrics, Event()), stored) == BODY
    assert [part for _, part in proxy.seen] == [None if at is None else f"bytes={at}-" for at in ranges]
    assert proxy.faults == []
    assert metrics.value("retries_total", policy="source") == len(faults)
    assert metrics.value("object_bytes_total") == 1_048_576


def test_a_body_whose_connection_breaks_after_its_last_byte_is_whole(
    bucket: Bucket, proxy: Proxy, metrics: Metrics, stop: Event
) -> None:
    bucket.put(KEY, body=BODY)
    proxy.faults = [Fault(KEY, cut=1_048_576)]
    assert read(S3Objects(proxy.client(), metrics, stop), bucket.object(KEY)) == BODY
    assert len(proxy.seen) == 1


def test_an_object_overwritten_while_it_is_read_is_gone(
    bucket: Bucket, proxy: Proxy, metrics: Metrics, stop: Event
) -> None:
    bucket.put(KEY, body=BODY)
    proxy.faults = [Fault(KEY, cut=300_000)]
    with S3Objects(proxy.client(), metrics, stop).open(bucket.object(KEY)) as stream:
        assert stream.read(65_536) == BODY[:65_536]
        bucket.put(KEY, body=BODY[::-1])
        with pytest.raises(ObjectGone, match="overwritten"):
            exhaust(stream)


def test_a_range_that_is_not_heard_is_never_taken_for_the_rest(
    bucket: Bucket, proxy: Proxy, metrics: Metrics, stop: Event
) -> None:
    bucket.put(KEY, body=BODY)
    proxy.faults = [Fault(KEY, cut=70_000), Fault(KEY, deaf=True)]
    with pytest.raises(SourceError, match=r"asked for the bytes from 70,000 on, got all of them"):
        read(S3Objects(proxy.client(), metrics, stop), bucket.object(KEY))


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (403, "AccessDenied", "allow s3:GetObject on the object and, if it is encrypted .* kms:Decrypt on that key"),
        (403, "InvalidObjectState", "restore it first"),
        (403, "InvalidAccessKeyId", "check the credentials"),
        (400, "ExpiredToken", "give new ones"),
        (400, "KMS.DisabledException", "$"),
    ],
)
def test_a_refusal_is_told_with_what_to_do_and_not_repeated(
    stored: S3Object, proxy: Proxy, status: int, code: str, advice: str
) -> None:
    proxy.always = [Fault(KEY, refuse=(status, code))]
    with pytest.raises(SourceError, match=f"could not read {stored}: {code}: as told.*{advice}") as error:
        read(S3Objects(proxy.client(), Metrics(), Event()), stored)
    assert not isinstance(error.value, ObjectGone)
    assert len(proxy.seen) == 1


def test_a_stop_ends_the_wait_for_an_object(bucket: Bucket, proxy: Proxy, metrics: Metrics, stop: Event) -> None:
    bucket.put(KEY, body=BODY)
    proxy.always = [Fault(KEY, refuse=(503, "SlowDown"))]
    timer = Timer(0.3, stop.set)
    timer.start()
    with pytest.raises(Stopped):
        read(S3Objects(proxy.client(), metrics, stop), bucket.object(KEY))
    timer.join()
    assert metrics.value("object_bytes_total") == 0
