"""The pages of a bucket's listing, asked for one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import Event
from typing import TYPE_CHECKING

from exporter.flow import S3Object
from exporter.metrics import Metrics
from exporter.source.calls import Calls, Denied

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef, ListObjectsV2RequestTypeDef

Unknown = Callable[[Sequence[S3Object]], Sequence[S3Object]]
"""Which of a page's objects still have to be done; the ledger's `unknown`."""

LIST_NEEDS = "s3:ListBucket on the bucket"


class Pages:
    """Lists a bucket, `size` keys a request; the client must not retry by itself, see `calls`."""

    def __init__(self, client: S3Client, bucket: str, metrics: Metrics, stop: Event, size: int) -> None:
        self._client = client
        self._bucket = bucket
        self._calls = Calls(metrics, stop)
        self._metrics = metrics
        self._size = size

    def below(self, prefix: str, *, delimiter: str = "", after: str = "") -> Iterator[ListObjectsV2OutputTypeDef]:
        """The pages of all keys that begin with `prefix` and stand behind `after`, in the order of the keys' bytes.

        One page stands in memory.  SourceError where a page cannot be had after all: Denied, which is counted, where
        it must be allowed first.  Stopped where the program stops.
        """
        request: ListObjectsV2RequestTypeDef = {
            "Bucket": self._bucket,
            "Prefix": prefix,
            "Delimiter": delimiter,
            "MaxKeys": self._size,
        }
        if after:
            request["StartAfter"] = after
        while True:
            page = self._page(request)
            yield page
            if not page["IsTruncated"]:
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def _page(self, request: ListObjectsV2RequestTypeDef) -> ListObjectsV2OutputTypeDef:
        def ask() -> ListObjectsV2OutputTypeDef:
            self._metrics.add("list_requests_total", bucket=self._bucket)
            return self._client.list_objects_v2(**request)

        try:
            return self._calls.repeat(ask, f"list s3://{self._bucket}/{request.get('Prefix', '')}", LIST_NEEDS)
        except Denied:
            self._metrics.add("list_denied_total", bucket=self._bucket)
            raise
