"""Two replicas on one queue, one killed in the middle: each document is there once, and both worked."""

from pathlib import Path

from tests.delivery.objects import REGION
from tests.delivery.replicas import Queue, share
from tests.delivery.stream import compare
from tests.delivery.world import Settings, world
from tests.services.aws import Aws
from tests.services.elasticsearch import Cluster


def test_two_replicas_and_one_is_killed(aws: Aws, elasticsearch: Cluster, tmp_path: Path, seed: int) -> None:
    queue = Queue.make(aws.client("sqs", REGION), f"flow-logs-{seed}")
    with world(aws, elasticsearch, tmp_path, Settings(queue=queue.url)) as made:
        made.bucket.put(12, 4_000, seed)
        queue.tell(made.bucket)
        shared = share(made, queue, 2, 150)
        verdict = compare(made.search, made.stream, made.bucket.expected)
    print(shared, verdict)  # noqa: T201
    assert verdict.exact, verdict
    assert min(shared.done) >= 1
    assert shared.abandoned >= 1
    assert queue.left() == 0
