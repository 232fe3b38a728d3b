"""Messages of a real queue interface: received, hidden, shown, deleted; and notifications as moto's S3 and SNS send."""

import json
import time
from threading import Event

import pytest

from exporter.errors import SourceError
from exporter.metrics import Metrics
from exporter.notices import Notice
from exporter.source.calls import Absent, Denied
from exporter.source.notified import NotifiedObjects
from exporter.source.sqs import Queue
from tests.services.aws import Aws
from tests.source.bucket import Bucket, hive, plain
from tests.source.queues import MadeQueue, refuse
from tests.source.test_notifications import TEST_EVENT

KEY = plain("123456789012", "us-east-1", "20261103T0905")


@pytest.fixture
def queue(made: MadeQueue, metrics: Metrics, stop: Event) -> Queue:
    return Queue(made.client, made.settings(), metrics, stop)


def test_a_message_is_received_hidden_shown_again_and_deleted(made: MadeQueue, queue: Queue) -> None:
    made.send(TEST_EVENT)
    (message,) = queue.receive(10, 1)
    assert (message.receives, message.notice) == (1, Notice(is_test=True))
    assert (made.visible(), made.hidden()) == (0, 1)

    assert queue.release(message.receipt, 0) is None
    (again,) = queue.receive(10, 1)
    assert (again.id, again.receives) == (message.id, 2)

    queue.delete(again.receipt)
    assert (made.visible(), made.hidden()) == (0, 0)


def test_no_more_are_received_than_asked_for(made: MadeQueue, queue: Queue) -> None:
    made.send(*["x"] * 4)
    assert len(queue.receive(3, 1)) == 3
    assert made.visible() == 1


def test_the_visibility_is_the_configured_one_until_it_is_extended(
    made: MadeQueue, metrics: Metrics, stop: Event
) -> None:
    queue = Queue(made.client, made.settings(visibility=1), metrics, stop)
    made.send("kept", "shown")
    kept, _ = queue.receive(2, 1)
    assert queue.extend({kept.receipt: 60}) == {}
    time.sleep(1.2)
    assert (made.visible(), made.hidden()) == (1, 1)


def test_many_are_extended_ten_at_a_time_and_those_that_failed_are_told(made: MadeQueue, queue: Queue) -> None:
    made.send(*["x"] * 12)
    receipts = [message.receipt for _ in range(2) for message in queue.receive(10, 1)]
    assert len(receipts) == 12
    failed = queue.extend({"unknown": 60, **dict.fromkeys(receipts, 60)})
    assert failed == {"unknown": "ReceiptHandleIsInvalid: The input receipt handle is invalid."}


def test_a_call_that_fails_tells_of_its_own_ten_and_the_others_go_on(made: MadeQueue, queue: Queue) -> None:
    made.send(*["x"] * 12)
    receipts = [message.receipt for _ in range(2) for message in queue.receive(10, 1)]
    refuse(made.client, "ChangeMessageVisibilityBatch", "AccessDenied", status=403)
    failed = queue.extend(dict.fromkeys(receipts, 60))
    assert list(failed) == receipts[:10]
    assert "sqs:ChangeMessageVisibility" in failed[receipts[0]]


@pytest.mark.parametrize("code", ["RequestThrottled", "ThrottlingException", "KmsThrottled"])
def test_a_throttled_receive_is_tried_again(made: MadeQueue, queue: Queue, metrics: Metrics, code: str) -> None:
    made.send("x")
    refuse(made.client, "ReceiveMessage", code)
    assert len(queue.receive(10, 1)) == 1
    assert metrics.value("retries_total", policy="source") == 1


def test_what_is_denied_is_told_with_what_to_allow(made: MadeQueue, queue: Queue, metrics: Metrics) -> None:
    refuse(made.client, "ReceiveMessage", "AccessDenied", status=403)
    with pytest.raises(
        Denied, match=r"could not receive from the queue flow-logs-\d+: AccessDenied: as told; allow"
    ) as e:
        queue.receive(10, 1)
    for permission in ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "kms:Decrypt"):
        assert permission in str(e.value)
    assert metrics.value("retries_total", policy="source") == 0


def test_a_delete_goes_out_even_where_the_program_stops(made: MadeQueue, queue: Queue, stop: Event) -> None:
    made.send("x")
    (message,) = queue.receive(10, 1)
    stop.set()
    queue.delete(message.receipt)
    assert (made.visible(), made.hidden()) == (0, 0)


# At the start ---------------------------------------------------------------------------------------------------------


def test_a_queue_with_a_dead_letter_queue_is_as_it_should_be(queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    queue.check()
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("policy", "warning"),
    [
        ("", "has no RedrivePolicy: a message that cannot be done comes again until it expires"),
        ("1", "gives a message up after maxReceiveCount 1"),
        ("2", "gives a message up after maxReceiveCount 2"),
    ],
)
def test_a_poor_queue_is_told(
    made: MadeQueue, queue: Queue, caplog: pytest.LogCaptureFixture, policy: str, warning: str
) -> None:
    arn = made.arn + "-dead"
    value = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": int(policy)}) if policy else ""
    made.client.set_queue_attributes(QueueUrl=made.url, Attributes={"RedrivePolicy": value})
    queue.check()
    (message,) = caplog.messages
    assert message.startswith(f"the queue {queue.name} {warning}")


def test_a_queue_that_does_not_exist(made: MadeQueue, metrics: Metrics, stop: Event) -> None:
    settings = made.settings().model_copy(update={"queue_url": f"{made.url}-none"})
    queue = Queue(made.client, settings, metrics, stop)
    for call in (queue.check, lambda: queue.receive(1, 1), lambda: queue.delete("x")):
        with pytest.raises(
            Absent, match=r"does not exist.*; check the queue's URL, and that its region is the one asked"
        ):
            call()


def test_a_fifo_queue_is_refused(made: MadeQueue, metrics: Metrics, stop: Event) -> None:
    settings = made.settings().model_copy(update={"queue_url": f"{made.url}.fifo"})
    with pytest.raises(SourceError, match=r"FIFO, .*; expected a standard queue"):
        Queue(made.client, settings, metrics, stop).check()


def test_a_queue_that_may_not_be_looked_at_is_used_all_the_same(
    made: MadeQueue, queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    refuse(made.client, "GetQueueAttributes", "AccessDenied", status=403)
    queue.check()
    (message,) = caplog.messages
    assert "allow sqs:GetQueueAttributes on the queue" in message


# From S3 to an object -------------------------------------------------------------------------------------------------


def notify(bucket: Bucket, aws: Aws, made: MadeQueue, way: str) -> None:
    """Notifications of the bucket to the queue, straight or through a topic."""
    configuration: dict[str, object]
    if way == "straight":
        configuration = {"QueueConfigurations": [{"QueueArn": made.arn, "Events": ["s3:ObjectCreated:*"]}]}
    else:
        client = aws.client("sns")
        topic = client.create_topic(Name=f"{bucket.name}-topic")["TopicArn"]
        raw = {"RawMessageDelivery": str(way == "raw").lower()}
        client.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=made.arn, Attributes=raw)
        client.close()
        configuration = {"TopicConfigurations": [{"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}]}
    bucket.client.put_bucket_notification_configuration(Bucket=bucket.name, NotificationConfiguration=configuration)


@pytest.mark.parametrize("way", ["straight", "enveloped", "raw"])
def test_a_stored_object_arrives_as_a_listing_would_find_it(
    aws: Aws, bucket: Bucket, made: MadeQueue, metrics: Metrics, way: str
) -> None:
    stop = Event()
    key = f"flow logs/ü+%/{hive('123456789012', 'us-east-1', '20261103T0905')}"
    queue = Queue(made.client, made.settings(buckets=bucket.name, prefix="flow logs/ü+%"), metrics, stop)
    notify(bucket, aws, made, way)
    bucket.put(key)

    messages = [message.notice for _ in range(2) for message in queue.receive(10, 1)]

    assert Notice(is_test=True) in messages
    (notified,) = (each for notice in messages for each in notice.objects)
    assert notified.region == "us-east-1"
    named = NotifiedObjects(lambda *_: bucket.client, metrics, stop)
    assert named.object_of(notified) == bucket.object(key)
    assert [notice.foreign for notice in messages if notice.foreign] == []


def test_an_object_that_moto_stored_elsewhere_is_none_of_ours(
    aws: Aws, bucket: Bucket, made: MadeQueue, metrics: Metrics, stop: Event
) -> None:
    notify(bucket, aws, made, "straight")
    bucket.put("AWSLogs/CloudTrail/x.gz", f"other/{KEY}")
    queue = Queue(made.client, made.settings(), metrics, stop)
    notices = [message.notice for _ in range(2) for message in queue.receive(10, 1)]
    assert sum(len(notice.objects) for notice in notices) == 0
    assert sum(notice.foreign is not None for notice in notices) == 2
