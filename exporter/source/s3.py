"""Flow-log objects in a bucket: which are new, and their bytes.

The bucket is never listed whole: accounts and regions are found by delimiter, and below each region only the days
asked for.  Requests and memory depend on the days and on what is new, not on the bucket's age.

The client must not retry by itself, see `calls`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING, TypeVar

from exporter.config import S3Source
from exporter.errors import Incomplete, ObjectGone, Overwritten, SourceError
from exporter.flow import ByteStream, S3Object
from exporter.metrics import Metrics
from exporter.source.calls import Calls, Denied
from exporter.source.chosen import Chosen
from exporter.source.keys import Layout, day_prefix, days, is_flow_log, is_organization, layout_of, parse_key
from exporter.source.pages import Pages, Unknown
from exporter.source.past_days import PastDays

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import (
        GetObjectOutputTypeDef,
        GetObjectRequestTypeDef,
        HeadObjectOutputTypeDef,
        ListObjectsV2OutputTypeDef,
    )

log = logging.getLogger(__name__)
T = TypeVar("T")

_A_MOMENT = timedelta(microseconds=1)

_NONE_BEHIND: Mapping[str, date] = {}

READ_NEEDS = "s3:GetObject on the object and, if it is encrypted with a KMS key, kms:Decrypt on that key"


@dataclass(frozen=True, slots=True)
class _Region:
    """The folder of one account and region, and how days lie below it."""

    folder: str
    layout: Layout


class _Denied:
    """The folders of one walk that may not be listed, each with why; `told` where each is logged at once too."""

    def __init__(self, *, told: bool) -> None:
        self._told = told
        self.faults: dict[str, str] = {}

    def allowed(self, results: Iterator[T], folder: str) -> Iterator[T]:
        """`results`, ended early where they may not be had."""
        try:
            yield from results
        except Denied as error:
            self.faults[folder] = str(error)
            if self._told:
                log.warning("%s; the other folders go on", error)

    def check(self) -> None:
        """Raises Incomplete where there were any."""
        if self.faults:
            raise Incomplete(self.faults)


class S3Listing:
    """Finds what is new, or of a range of time, in one bucket below one prefix, in AWS's layouts."""

    def __init__(  # noqa: PLR0913, PLR0917 - clients, settings and services are passed in
        self,
        client: S3Client,
        settings: S3Source,
        metrics: Metrics,
        stop: Event,
        page_size: int = 1000,
        past: PastDays | None = None,
    ) -> None:
        self._bucket = settings.bucket
        self._root = settings.root
        self._pages = Pages(client, settings.bucket, metrics, stop, page_size)
        self._past = past or PastDays(timedelta(), settings.lookback)
        self.source_id = settings.source_id
        """Under which the ledger remembers this source."""

    def new_objects(
        self,
        first: date,
        last: date,
        start: datetime,
        unknown: Unknown,
        behind: Mapping[str, date] = _NONE_BEHIND,
    ) -> Iterator[S3Object]:
        """What `unknown` leaves of the objects of the days `first` to `last` (UTC) that are not older than `start`.

        Below the folders that are `behind`, of the days from those on.  Day by day, and within a page of a listing (at
        most 1,000) by time; one page stands in memory.  A day before `last` that was listed a moment ago is left out,
        see PastDays.  A folder that may not be listed does not stop the others: it is logged and counted at once, and
        after the last object Incomplete says which folders those are, so that nobody takes the pass for a whole one.
        Any other failure is retried by policy and then raised where it stands.  Stopped where the program stops.
        """
        denied = _Denied(told=True)
        regions = list(self._regions(denied))
        if not regions and not denied.faults:
            log.warning("there are no flow logs below %s; is that the bucket and the prefix?", self.source_id)
        since = start.astimezone(UTC).date()
        firsts = {region.folder: max(since, _first_of(region.folder, first, behind)) for region in regions}
        earliest = min(firsts.values(), default=first)
        self._past.begin(earliest)
        for day in days(earliest, last):
            for region in regions:
                wanted = day >= firsts[region.folder] and self._past.due(region.folder, day, last)
                if wanted and region.folder not in denied.faults:
                    yield from self._new_of_day(region, day, start, unknown, denied)
        denied.check()

    def _new_of_day(
        self, region: _Region, day: date, start: datetime, unknown: Unknown, denied: _Denied
    ) -> Iterator[S3Object]:
        begun, prefix = self._past.now(), day_prefix(region.folder, region.layout, day)
        for page in denied.allowed(self._objects(self._pages.below(prefix)), region.folder):
            yield from unknown([item for item in page if item.time >= start])
        if region.folder not in denied.faults:
            self._past.listed(region.folder, day, begun)

    def chosen(self, chosen: Chosen, unknown: Unknown, *, told: bool = True) -> Iterator[S3Object]:
        """What `unknown` leaves of the objects that are chosen: region by region, and there about by time.

        All keys of a region from the first day on are one listing, 1,000 a request, that ends behind the last day:
        ten years of a quiet region are a few requests, not one for each day.  Folders of other accounts and regions are
        not listed.  Errors as in `new_objects`; folders that may not be listed are logged only where they are `told`.
        """
        denied = _Denied(told=told)
        for region in self._regions(denied, chosen):
            for page in denied.allowed(self._objects(self._between(region, chosen)), region.folder):
                yield from unknown([item for item in page if chosen.takes(item)])
        denied.check()

    def _between(self, region: _Region, chosen: Chosen) -> Iterator[ListObjectsV2OutputTypeDef]:
        """The pages of a region's days that have chosen objects; the last one may reach beyond."""
        first, last = (time.astimezone(UTC).date() for time in (chosen.first, chosen.before - _A_MOMENT))
        begin, end = (day_prefix(region.folder, region.layout, day) for day in (first, last + timedelta(days=1)))
        for page in self._pages.below(region.folder, after=begin):
            yield page
            contents = page.get("Contents", ())
            if contents and contents[-1]["Key"] >= end:
                return

    def _regions(self, denied: _Denied, chosen: Chosen | None = None) -> Iterator[_Region]:
        """The folders of all regions of all accounts, or of the chosen ones, in both layouts."""
        for account, layout in self._accounts(self._root, denied, chosen):
            service = f"{account}{layout.service}"
            for folder in denied.allowed(self._folders(service), service):
                if chosen is None or chosen.has_region(folder.removeprefix(service)):
                    yield _Region(folder, layout)

    def _accounts(self, parent: str, denied: _Denied, chosen: Chosen | None) -> Iterator[tuple[str, Layout]]:
        """The folders of accounts below `parent`, those of organizations' folders included."""
        for folder in denied.allowed(self._folders(parent), parent):
            name = folder.removeprefix(parent)
            if layout := layout_of(name):
                if chosen is None or chosen.has_account(name):
                    yield folder, layout
            elif is_organization(name):
                yield from self._accounts(folder, denied, chosen)

    def _folders(self, parent: str) -> Iterator[str]:
        for page in self._pages.below(parent, delimiter="/"):
            yield from (folder["Prefix"] for folder in page.get("CommonPrefixes", ()))

    def _objects(self, pages: Iterator[ListObjectsV2OutputTypeDef]) -> Iterator[list[S3Object]]:
        """Each page's flow-log objects by time."""
        for page in pages:
            found = [
                parse_key(self._bucket, item["Key"], item["ETag"], item["Size"], item["LastModified"])
                for item in page.get("Contents", ())
                if is_flow_log(item["Key"])
            ]
            yield sorted(found, key=lambda item: item.time)


def _first_of(folder: str, first: date, behind: Mapping[str, date]) -> date:
    """The first day to list below a folder: it, or one above it, may be behind."""
    return min([first, *(day for above, day in behind.items() if folder.startswith(above))])


class S3Objects:
    """Reads objects."""

    def __init__(self, client: S3Client, metrics: Metrics, stop: Event) -> None:
        self._client = client
        self._metrics = metrics
        self._calls = Calls(metrics, stop)

    @contextmanager
    def open(self, source: S3Object) -> Iterator[ByteStream]:
        """The object's stored bytes, exactly the version that was listed; asked for at the first read.

        A body that breaks off is taken up where it broke, by policy.  Reading raises ObjectGone where that version no
        longer exists (Overwritten where another one does), else SourceError; Stopped where the program stops during a
        wait.
        """
        stream = _ObjectStream(self._client, source, self._calls, self._metrics)
        try:
            yield stream
        finally:
            stream.close()


class _ObjectStream:
    """A ByteStream that survives its connection."""

    def __init__(self, client: S3Client, source: S3Object, calls: Calls, metrics: Metrics) -> None:
        self._client = client
        self._source = source
        self._calls = calls
        self._metrics = metrics
        self._body: StreamingBody | None = None
        self._position = 0
        self._size: int | None = None

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; empty at the end."""
        try:
            data = self._calls.repeat(lambda: self._attempt(size), f"read {self._source}", READ_NEEDS)
        except ObjectGone as error:
            raise self._overwritten(error) from error
        self._position += len(data)
        self._metrics.add("object_bytes_total", len(data))
        return data

    def _overwritten(self, error: ObjectGone) -> ObjectGone:
        """The error with what lies there instead, where something does: no listing may come by it again."""
        bucket, key = self._source.bucket, self._source.key

        def look() -> HeadObjectOutputTypeDef:
            return self._client.head_object(Bucket=bucket, Key=key)

        try:
            head = self._calls.repeat(look, f"look at {self._source}", READ_NEEDS)
        except SourceError:
            return error
        now = parse_key(bucket, key, head["ETag"], head["ContentLength"], head["LastModified"])
        return error if now.etag == self._source.etag else Overwritten(str(error), now)

    def close(self) -> None:
        """Gives back the connection."""
        if self._body is not None:
            self._body.close()
            self._body = None

    def _attempt(self, size: int) -> bytes:
        if self._body is None and self._position == self._size:
            return b""  # the connection broke after the last byte; a range from there on would be refused
        try:
            self._body = self._body or self._request()
            return self._body.read(size)
        except BaseException:
            self.close()
            raise

    def _request(self) -> StreamingBody:
        request: GetObjectRequestTypeDef = {"Bucket": self._source.bucket, "Key": self._source.key}
        request["IfMatch"] = f'"{self._source.etag}"'
        if self._position:
            request["Range"] = f"bytes={self._position}-"
        answer = self._client.get_object(**request)
        if self._position and not _starts_at(answer, self._position):
            answer["Body"].close()
            raise SourceError(
                f"could not read {self._source}: asked for the bytes from {self._position:,} on, "
                f"got {answer.get('ContentRange', 'all of them')}; S3 answers ranges, what stands between does not"
            )
        self._size = self._position + answer["ContentLength"]
        return answer["Body"]


def _starts_at(answer: GetObjectOutputTypeDef, position: int) -> bool:
    return answer.get("ContentRange", "").startswith(f"bytes {position}-")
