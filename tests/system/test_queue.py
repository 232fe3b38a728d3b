"""A bucket that is listed and a queue that tells of it: each object is indexed once, whoever finds it first."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote_plus

import pytest

from tests.services.aws import Aws
from tests.system.world import REGION, V2, World, hive_key, plain_key, text

GOOD = (
    "2 123456789012 eni-1 10.0.0.10 10.0.0.{} 40000 443 6 5 400 1767614400 1767614459 ACCEPT OK",
    "2 123456789012 eni-1 10.0.0.10 10.0.0.{} 40001 443 6 6 500 1767614400 1767614459 REJECT OK",
)
BAD = "2 123456789012 eni-1 10.0.0.999 10.0.0.1 40000 443 6 5 400 1767614400 1767614459 ACCEPT OK"
DAY = "2026/01/05"


@pytest.fixture
def queued(world: World, aws: Aws) -> Iterator[World]:
    """The world with a queue as a second source, and its templates."""
    client = aws.client("sqs", REGION)
    url = client.create_queue(QueueName=f"flow-logs-{world.namespace}")["QueueUrl"]
    made = replace(world, queue=url)
    made.command("setup")
    yield made
    client.delete_queue(QueueUrl=url)


def stored(world: World, aws: Aws, key: str, *lines: str) -> dict[str, Any]:
    """The object's part of S3's record of it."""
    world.put(key, text(V2, *lines))
    head = aws.client("s3", REGION).head_object(Bucket=world.bucket, Key=key)
    return {"key": quote_plus(key, safe="/"), "size": head["ContentLength"], "eTag": head["ETag"].strip('"')}


def from_s3(world: World, *objects: dict[str, Any]) -> dict[str, Any]:
    records = [
        {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": REGION,
            "eventTime": "2026-01-05T12:10:00.000Z",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": world.bucket}, "object": each},
        }
        for each in objects
    ]
    return {"Records": records}


def from_event_bridge(world: World, key: str, told: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": "0",
        "source": "aws.s3",
        "detail-type": "Object Created",
        "region": REGION,
        "time": "2026-01-05T12:10:00Z",
        "detail": {
            "bucket": {"name": world.bucket},
            "object": {"key": key, "size": told["size"], "etag": told["eTag"]},
        },
    }


def test_what_a_listing_and_a_queue_both_find_is_indexed_once(queued: World, aws: Aws) -> None:
    keys = [plain_key("123456789012", REGION, DAY, f"20260105T12{minute:02}Z_{minute}") for minute in (0, 5, 10)]
    keys.append(hive_key("123456789012", REGION, DAY, "20260105T1215Z_15"))
    told = [
        stored(queued, aws, key, *(line.format(number) for line in GOOD)) for number, key in enumerate(keys, start=1)
    ]
    bodies: list[dict[str, Any]] = [
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": queued.bucket},
        from_s3(queued, told[0], told[1]),
        from_s3(queued, told[0]),  # at least once
        {"Type": "Notification", "Message": json.dumps(from_s3(queued, told[2]))},
        from_event_bridge(queued, keys[3], told[3]),
    ]
    client = aws.client("sqs", REGION)
    for body in bodies:
        client.send_message(QueueUrl=queued.queue, MessageBody=json.dumps(body))
    assert "4 objects, 8 records: 8 indexed, 0 there already" in queued.command("once")
    found = sorted((document["aws.s3.object.key"], document["log.offset"]) for document in queued.documents().values())
    assert found == [(key, row) for key in sorted(keys) for row in (1, 2)]
    assert left(aws, queued) == (0, 0)
    assert "0 objects, 0 records" in queued.command("once")


def test_what_only_the_queue_tells_of_and_what_is_none_of_ours(queued: World, aws: Aws) -> None:
    """An object older than the listing begins, with a bad line; and a message of somebody else's."""
    key = plain_key("123456789012", REGION, "2025/12/01", "20251201T1200Z_0")
    told = stored(queued, aws, key, GOOD[0].format(1), BAD)
    client = aws.client("sqs", REGION)
    client.send_message(QueueUrl=queued.queue, MessageBody=json.dumps(from_s3(queued, told)))
    client.send_message(QueueUrl=queued.queue, MessageBody=json.dumps({"source": "aws.ec2", "detail": {"state": "up"}}))
    said = queued.command("once", status=1)
    assert "1 objects, 1 records: 1 indexed, 0 there already, 1 dead letters" in said
    assert "; 1 messages left in their queues" in said
    assert "none of ours" in said or "left for its dead-letter queue" in said
    assert left(aws, queued) == (0, 1)  # hidden until it is received again
    assert queued.dead_letters() == []  # they are in a data stream, which all replicas share
    listed = queued.command("dead-letters", "list", "--json")
    (letter,) = [json.loads(line) for line in listed.splitlines() if line.startswith("{")]
    assert (letter["row"], letter["key"] if "key" in letter else letter["object"]["key"]) == (2, key)
    queued.command("status")


def left(aws: Aws, world: World) -> tuple[int, int]:
    """Messages in the queue: to be received, and hidden."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = aws.client("sqs", REGION).get_queue_attributes(QueueUrl=world.queue, AttributeNames=names)["Attributes"]
    return int(found[names[0]]), int(found[names[1]])
