"""Objects that a message names: which they are, where the message does not tell all of it, and whether they are there.

S3 is asked by a GET whose body is not read: the answer to a HEAD has no text, and so does not say whether it is the
object or the whole bucket that is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import TYPE_CHECKING

from exporter.errors import ObjectGone, SourceError
from exporter.flow import S3Object
from exporter.metrics import Metrics
from exporter.notices import Notified
from exporter.source.calls import Calls
from exporter.source.keys import parse_key
from exporter.source.s3 import READ_NEEDS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef


class NotifiedObjects:
    """Makes objects of what messages name; `client_of` gives a bucket's client by its name and perhaps its region."""

    def __init__(self, client_of: Callable[[str, str | None], S3Client], metrics: Metrics, stop: Event) -> None:
        self._client_of = client_of
        self._calls = Calls(metrics, stop)

    def object_of(self, notified: Notified) -> S3Object:
        """The object as it was stored; asked of S3 only where the message leaves something open.

        Raises ObjectGone where it no longer exists, else SourceError; Stopped where the program stops.
        """
        bucket, key = notified.bucket, notified.key
        client = self._client_of(bucket, notified.region)
        if notified.etag is not None and notified.size is not None and notified.time is not None:
            return parse_key(bucket, key, notified.etag, notified.size, notified.time)
        found = self._calls.repeat(lambda: _look(client, bucket, key, notified.etag), f"look at {notified}", READ_NEEDS)
        return parse_key(bucket, key, found["ETag"], found["ContentLength"], found["LastModified"])

    def is_gone(self, source: S3Object, region: str | None) -> bool:
        """Whether just this version of it no longer exists; asked once.  No where that cannot be told."""
        client = self._client_of(source.bucket, region)
        try:
            self._calls.once(
                lambda: _look(client, source.bucket, source.key, source.etag), f"look at {source}", READ_NEEDS
            )
        except ObjectGone:
            return True
        except SourceError:
            return False
        return False


def _look(client: S3Client, bucket: str, key: str, etag: str | None) -> GetObjectOutputTypeDef:
    """What S3 says of an object, or of one version of it."""
    answer = (
        client.get_object(Bucket=bucket, Key=key)
        if etag is None
        else client.get_object(Bucket=bucket, Key=key, IfMatch=f'"{etag}"')
    )
    answer["Body"].close()
    return answer
