"""Objects that messages name: what S3 is asked, and what is gone."""

from dataclasses import replace
from threading import Event
from typing import Any

import pytest

from exporter.errors import ObjectGone, SourceError
from exporter.flow import S3Object
from exporter.metrics import Metrics
from exporter.notices import Notified
from exporter.source.notified import NotifiedObjects
from tests.source.bucket import Bucket, plain

KEY = plain("123456789012", "us-east-1", "20261103T0905")


@pytest.fixture
def stored(bucket: Bucket) -> S3Object:
    bucket.put(KEY)
    return bucket.object(KEY)


def told(source: S3Object, **changes: Any) -> Notified:  # noqa: ANN401 - any field's value
    return replace(Notified(source.bucket, source.key, source.etag, source.size, source.time, "eu-west-1"), **changes)


class Asked(NotifiedObjects):
    """Writes down whose client was asked for, and each request."""

    def __init__(self, bucket: Bucket, metrics: Metrics) -> None:
        self.clients: list[tuple[str, str | None]] = []
        self.requests: list[str] = []
        bucket.client.meta.events.register("before-call.s3", lambda model, **_: self.requests.append(model.name))

        def client_of(name: str, region: str | None) -> Any:  # noqa: ANN401 - a boto3 client
            self.clients.append((name, region))
            return bucket.client

        super().__init__(client_of, metrics, Event())


def test_where_all_is_told_nothing_is_asked(bucket: Bucket, stored: S3Object, metrics: Metrics) -> None:
    named = Asked(bucket, metrics)
    assert named.object_of(told(stored)) == stored
    assert (named.clients, named.requests) == ([(bucket.name, "eu-west-1")], [])


@pytest.mark.parametrize("unknown", ["etag", "size", "time"])
def test_what_is_not_told_is_asked_once(bucket: Bucket, stored: S3Object, metrics: Metrics, unknown: str) -> None:
    named = Asked(bucket, metrics)
    assert named.object_of(told(stored, **{unknown: None})) == stored
    assert named.requests == ["GetObject"]


@pytest.mark.parametrize("changes", [{"key": "none", "size": None}, {"etag": "0" * 32, "size": None}])
def test_what_is_gone_or_overwritten_is_no_object_any_more(
    bucket: Bucket, stored: S3Object, metrics: Metrics, changes: dict[str, Any]
) -> None:
    with pytest.raises(ObjectGone):
        Asked(bucket, metrics).object_of(told(stored, **changes))


def test_a_bucket_that_is_not_there_is_no_object_that_is_gone(
    bucket: Bucket, stored: S3Object, metrics: Metrics
) -> None:
    named = Asked(bucket, metrics)
    with pytest.raises(SourceError, match="NoSuchBucket") as raised:
        named.object_of(told(stored, bucket=f"{bucket.name}-none", size=None))
    assert not isinstance(raised.value, ObjectGone)
    assert not named.is_gone(replace(stored, bucket=f"{bucket.name}-none"), None)


def test_only_a_version_that_is_no_longer_there_is_gone(bucket: Bucket, stored: S3Object, metrics: Metrics) -> None:
    named = Asked(bucket, metrics)
    assert not named.is_gone(stored, "eu-west-1")
    bucket.put(KEY, body=b"another")
    assert named.is_gone(stored, "eu-west-1")
    bucket.client.delete_object(Bucket=bucket.name, Key=KEY)
    assert named.is_gone(stored, "eu-west-1")
