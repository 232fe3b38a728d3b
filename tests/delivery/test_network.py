"""A network that fails before Elasticsearch and before S3, and a server that is away: the end is the same."""

import time
from pathlib import Path

from tests.delivery.daemon import total
from tests.delivery.stream import compare
from tests.delivery.world import rolling_over, world
from tests.services.aws import Aws
from tests.services.elasticsearch import Cluster
from tests.services.proxy import Kind, Plan, proxy

BEFORE_ELASTICSEARCH = {
    Kind.HEALTHY: 85,
    Kind.DELAY: 2,
    Kind.SLOW: 1,
    Kind.RESET: 1,
    Kind.RESET_LATE: 2,
    Kind.CUT_REQUEST: 1,
    Kind.CUT_ANSWER: 2,
    Kind.STALL: 1,
    Kind.TRUNCATED: 2,
    Kind.TOO_MANY: 1,
    Kind.BAD_GATEWAY: 1,
    Kind.UNAVAILABLE: 1,
}
"""Of 100 requests: fifteen do not pass as they should; the program sends more than a hundred."""

BEFORE_S3 = {
    Kind.HEALTHY: 5,
    Kind.DELAY: 1,
    Kind.SLOW: 1,
    Kind.RESET: 1,
    Kind.RESET_LATE: 1,
    Kind.CUT_ANSWER: 3,
    Kind.STALL: 1,
    Kind.TOO_MANY: 1,
    Kind.BAD_GATEWAY: 1,
    Kind.UNAVAILABLE: 1,
}
"""Of 16 requests: S3 never calls a part of its answer the whole, so nothing is `truncated` here."""

MEMORY = 512 * 1024 * 1024


def test_before_elasticsearch(aws: Aws, elasticsearch: Cluster, tmp_path: Path, seed: int) -> None:
    plan = Plan(seed, BEFORE_ELASTICSEARCH, delay=0.3, stall=6)
    with (
        proxy(elasticsearch.url, plan) as way,
        world(aws, elasticsearch, tmp_path, elasticsearch_url=way.url) as made,
    ):
        made.bucket.put(3, 10_000, seed)
        with made.daemon() as daemon, rolling_over(made, 2) as rolled:
            made.finish(daemon, 180)
        verdict = compare(made.search, made.stream, made.bucket.expected)
        letters = (tmp_path / "state" / "dead-letters.ndjson").exists()
    print(dict(way.done), verdict)  # noqa: T201
    assert verdict.exact, verdict
    assert len(rolled) >= 2
    assert set(way.done) == set(BEFORE_ELASTICSEARCH)
    assert way.faults() >= 15
    assert not letters


def test_answers_are_lost_and_the_stream_rolls_over_before_the_next_attempt(
    aws: Aws, elasticsearch: Cluster, tmp_path: Path, seed: int
) -> None:
    """What the server took is not sent again, though nobody heard of it, and the new write index does not know it."""
    plan = Plan(seed, {Kind.RESET_LATE: 1})
    with (
        proxy(elasticsearch.url, plan) as way,
        world(aws, elasticsearch, tmp_path, elasticsearch_url=way.url) as made,
    ):
        way.mode = "healthy"
        made.bucket.put(2, 10_000, seed)
        with made.daemon() as daemon:
            daemon.wait(lambda: daemon.documents() > 2_000, 60, "2,000 documents")
            way.mode = "faulty"
            time.sleep(1)
            way.mode = "away"
            time.sleep(1)
            assert made.roll_over()
            way.mode = "healthy"
            made.finish(daemon, 120)
        verdict = compare(made.search, made.stream, made.bucket.expected)
    print(dict(way.done), verdict)  # noqa: T201
    assert verdict.exact, verdict
    assert way.done[Kind.RESET_LATE] >= 1


def test_before_s3(aws: Aws, elasticsearch: Cluster, tmp_path: Path, seed: int) -> None:
    plan = Plan(seed, BEFORE_S3, speaks="s3", delay=0.3, stall=1)
    with proxy(aws.url, plan) as way, world(aws, elasticsearch, tmp_path, aws_url=way.url) as made:
        made.bucket.put(12, 3_000, seed)
        with made.daemon() as daemon:
            made.finish(daemon, 180)
        verdict = compare(made.search, made.stream, made.bucket.expected)
    print(dict(way.done), verdict)  # noqa: T201
    assert verdict.exact, verdict
    assert set(way.done) == set(BEFORE_S3)
    assert way.faults() >= 10


def test_elasticsearch_is_away_for_a_while(aws: Aws, elasticsearch: Cluster, tmp_path: Path, seed: int) -> None:
    healthy = Plan(seed, {Kind.HEALTHY: 1})
    with (
        proxy(elasticsearch.url, healthy) as way,
        world(aws, elasticsearch, tmp_path, elasticsearch_url=way.url) as made,
        made.daemon() as daemon,
    ):
        made.bucket.put(4, 20_000, seed)
        daemon.wait(lambda: daemon.documents() > 5_000, 60, "5,000 documents")
        way.mode = "away"
        time.sleep(1)
        before = daemon.metrics()
        time.sleep(9)
        after = daemon.metrics()
        way.mode = "healthy"
        made.wait_for_all(daemon, 120)
        largest, objects = daemon.memory()[1], daemon.metrics()
        daemon.terminate()
        verdict = compare(made.search, made.stream, made.bucket.expected)
    print(f"{largest / 1e6:.0f} MB at most", verdict)  # noqa: T201
    assert verdict.exact, verdict
    assert total(before, "vpcflow_documents_total") == total(after, "vpcflow_documents_total")
    assert total(after, "vpcflow_retries_total", policy="output") > 0
    assert total(after, "vpcflow_records_total") < 80_000  # what is read meanwhile is bounded, too
    assert total(objects, "vpcflow_objects_total") == total(objects, "vpcflow_objects_total", outcome="done") == 4
    assert largest < MEMORY
