"""A bucket of one's own for each test."""

import itertools
from collections.abc import Iterator
from threading import Event

import pytest

from exporter.metrics import Metrics
from tests.services.aws import Aws
from tests.source.bucket import Bucket
from tests.source.faulty import Proxy, faulty
from tests.source.queues import MadeQueue, make_queue

_numbers = itertools.count(1)


@pytest.fixture
def bucket(aws: Aws) -> Iterator[Bucket]:
    """Empty at first; everything it held is forgotten with the server."""
    client = aws.client("s3")
    made = Bucket(f"source-{next(_numbers)}", client)
    client.create_bucket(Bucket=made.name)
    yield made
    client.close()


@pytest.fixture
def proxy(aws: Aws) -> Iterator[Proxy]:
    """A way to the same server that fails when told to."""
    with faulty(aws.url) as running:
        yield running


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def stop() -> Event:
    return Event()


@pytest.fixture
def made(aws: Aws) -> Iterator[MadeQueue]:
    """A queue with a dead-letter queue, both empty at first."""
    queue = make_queue(aws, f"flow-logs-{next(_numbers)}")
    yield queue
    queue.client.close()
