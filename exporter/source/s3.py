"""Flow-log objects in a bucket: which are new, and their bytes.

The bucket is never listed whole: accounts and regions are found by delimiter, and below each region only the days
asked for.  Requests and memory depend on the days and on what is new, not on the bucket's age.

The client must not retry by itself, see `calls`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from threading import Event
from typing import TYPE_CHECKING, TypeVar

from exporter.config import S3Source
from exporter.errors import ObjectGone, Overwritten, SourceError
from exporter.flow import ByteStream, S3Object
from exporter.metrics import Metrics
from exporter.source.calls import Calls, Denied
from exporter.source.keys import Layout, day_prefix, days, is_flow_log, is_organization, layout_of, parse_key
from exporter.source.pages import Pages, Unknown

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef, GetObjectRequestTypeDef, HeadObjectOutputTypeDef

log = logging.getLogger(__name__)
T = TypeVar("T")

READ_NEEDS = "s3:GetObject on the object and, if it is encrypted with a KMS key, kms:Decrypt on that key"


@dataclass(frozen=True, slots=True)
class _Region:
    """The folder of one account and region, and how days lie below it."""

    folder: str
    layout: Layout


class S3Listing:
    """Finds what is new in one bucket below one prefix, in AWS's layouts."""

    def __init__(
        self, client: S3Client, settings: S3Source, metrics: Metrics, stop: Event, page_size: int = 1000
    ) -> None:
        self._bucket = settings.bucket
        self._root = settings.root
        self._pages = Pages(client, settings.bucket, metrics, stop, page_size)
        self.source_id = settings.source_id
        """Under which the ledger remembers this source."""

    def new_objects(self, first: date, last: date, start: datetime, unknown: Unknown) -> Iterator[S3Object]:
        """What `unknown` leaves of the objects of the days `first` to `last` (UTC) that are not older than `start`.

        Day by day, and within a page of a listing (at most 1,000) by time; one page stands in memory.  A folder that
        may not be listed does not stop the others: it is logged and counted at once, and after the last object
        SourceError says which folders those are, so that nobody takes the pass for a whole one.  Any other failure is
        retried by policy and then raised where it stands.  Stopped where the program stops.
        """
        denied: dict[str, SourceError] = {}
        regions = list(self._regions(denied))
        if not regions and not denied:
            log.warning("there are no flow logs below %s; is that the bucket and the prefix?", self.source_id)
        for day in days(max(first, start.astimezone(UTC).date()), last):
            for region in regions:
                if region.folder not in denied:
                    prefix = day_prefix(region.folder, region.layout, day)
                    for page in self._allowed(self._objects(prefix, start), region.folder, denied):
                        yield from unknown(page)
        if denied:
            raise SourceError("; ".join(str(error) for error in denied.values()))

    def _regions(self, denied: dict[str, SourceError]) -> Iterator[_Region]:
        """The folders of all regions of all accounts, in both layouts."""
        for account, layout in self._accounts(self._root, denied):
            service = f"{account}{layout.service}"
            for folder in self._allowed(self._folders(service), service, denied):
                yield _Region(folder, layout)

    def _accounts(self, parent: str, denied: dict[str, SourceError]) -> Iterator[tuple[str, Layout]]:
        """The folders of all accounts below `parent`, those of organizations' folders included."""
        for folder in self._allowed(self._folders(parent), parent, denied):
            name = folder.removeprefix(parent)
            if layout := layout_of(name):
                yield folder, layout
            elif is_organization(name):
                yield from self._accounts(folder, denied)

    def _folders(self, parent: str) -> Iterator[str]:
        for page in self._pages.below(parent, delimiter="/"):
            yield from (folder["Prefix"] for folder in page.get("CommonPrefixes", ()))

    def _objects(self, prefix: str, start: datetime) -> Iterator[list[S3Object]]:
        """Each page's flow-log objects that are not older than `start`, by time."""
        for page in self._pages.below(prefix):
            found = (
                parse_key(self._bucket, item["Key"], item["ETag"], item["Size"], item["LastModified"])
                for item in page.get("Contents", ())
                if is_flow_log(item["Key"])
            )
            if taken := [item for item in found if item.time >= start]:
                yield sorted(taken, key=lambda item: item.time)

    def _allowed(self, results: Iterator[T], folder: str, denied: dict[str, SourceError]) -> Iterator[T]:
        """`results`, ended early where they may not be had; `denied` then knows why."""
        try:
            yield from results
        except Denied as error:
            denied[folder] = error
            log.warning("%s; the other folders go on", error)


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
