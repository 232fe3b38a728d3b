"""Replicas that share a queue: who did how much, and what becomes of the work of one that is killed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from tests.delivery.daemon import Daemon, DaemonError, total
from tests.delivery.objects import ACCOUNT, REGION, Bucket
from tests.delivery.world import VISIBILITY, World


@dataclass(slots=True)
class Queue:
    """A queue of the test's SQS, and how it is filled as S3 would."""

    client: Any
    url: str

    @classmethod
    def make(cls, client: Any, name: str) -> Queue:  # noqa: ANN401 - as Aws.client
        """A new one."""
        attributes = {"VisibilityTimeout": str(VISIBILITY)}
        return cls(client, client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])

    def tell(self, bucket: Bucket) -> None:
        """A notification for each object of the bucket, in the form that S3 sends by itself."""
        for page in bucket.client.get_paginator("list_objects_v2").paginate(Bucket=bucket.name):
            for item in page["Contents"]:
                self.client.send_message(
                    QueueUrl=self.url, MessageBody=json.dumps({"Records": [_record(bucket, item)]})
                )

    def left(self) -> int:
        """Messages that are there still, those under way with them."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        found = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=list(names))["Attributes"]
        return sum(int(found[name]) for name in names)


def _record(bucket: Bucket, item: dict[str, Any]) -> dict[str, Any]:
    stored = {"key": item["Key"].replace("=", "%3D"), "size": item["Size"], "eTag": item["ETag"].strip('"')}
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": f"{item['LastModified']:%Y-%m-%dT%H:%M:%S.000Z}",
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": ACCOUNT},
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": bucket.name}, "object": {**stored, "sequencer": "00"}},
    }


@dataclass(frozen=True, slots=True)
class Shared:
    """Objects done by each replica, the one that was killed first; how many that had under way; seconds in all."""

    done: tuple[int, ...]
    abandoned: int
    seconds: float

    def table(self) -> list[tuple[str, str]]:
        """For people."""
        killed, *others = self.done
        return [
            ("objects done by the replica that was killed", f"{killed}, and {self.abandoned} under way"),
            ("objects done by the others", ", ".join(map(str, others))),
            ("time", f"{self.seconds:.0f} s"),
        ]


def share(world: World, queue: Queue, replicas: int, seconds: float, say: Callable[[str], None] = print) -> Shared:
    """So many replicas on one queue, the first killed once it has done an object and has another under way."""
    began = time.monotonic()
    with ExitStack() as stack:
        daemons = [stack.enter_context(world.daemon(f"replica{number}")) for number in range(replicas)]
        first, *others = daemons
        first.wait(lambda: _done(first) > 0 and _under_way(first) > 0, seconds, "an object done and one under way")
        killed, abandoned = _done(first), _under_way(first)
        first.kill()
        world.roll_over()  # what is sent again would be there twice
        say(f"killed one of {replicas} replicas: {killed} objects done, {abandoned} under way")
        left = seconds - (time.monotonic() - began)
        others[0].wait(lambda: _empty(queue, others), left, "the queue is empty")
        done = (killed, *map(_done, others))
        for each in others:
            each.terminate()
    return Shared(done, abandoned, time.monotonic() - began)


def _empty(queue: Queue, others: list[Daemon]) -> bool:
    time.sleep(0.2)
    if dead := [each for each in others if not each.alive]:
        raise DaemonError(f"a replica ended by itself:\n{dead[0].tail()}")
    return queue.left() == 0 and not any(map(_under_way, others))


def _done(daemon: Daemon) -> int:
    return int(total(daemon.metrics(), "vpcflow_objects_total", outcome="done"))


def _under_way(daemon: Daemon) -> int:
    return int(total(daemon.metrics(), "vpcflow_objects_in_flight"))
