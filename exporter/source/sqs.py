"""One queue of SQS: its messages, how long they stay hidden, and their end.

The client must not retry by itself, see `calls`, and has to wait for an answer longer than `LONG_POLL`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from threading import Event
from typing import TYPE_CHECKING, Any

from exporter.config import SqsSource
from exporter.errors import SourceError, Stopped
from exporter.metrics import Metrics
from exporter.notices import Message
from exporter.source.calls import Calls, Denied
from exporter.source.notifications import Wanted, read_body

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

log = logging.getLogger(__name__)

BATCH = 10
"""Messages a request may name at most."""

LONG_POLL = 20
"""Seconds that SQS waits at most for a first message."""

FEWEST_RECEIVES = 3
"""Below it a message may reach the dead-letter queue because programs were stopped, without anything being wrong."""

PERMISSIONS = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility")
LOOK_PERMISSION = "sqs:GetQueueAttributes"
QUEUE_NEEDS = f"{', '.join(PERMISSIONS[:-1])} and {PERMISSIONS[-1]} on the queue"
LOOK_NEEDS = f"{LOOK_PERMISSION} on the queue"
NEEDS_KEY = " and, if it is encrypted with a KMS key, kms:Decrypt on that key"


class Queue:
    """The messages of one queue; usable by any number of threads.

    Where a call fails it raises SourceError: Denied and Absent (no such queue) where an operator has to do something.
    `stop` ends waits between attempts, not a request under way: at a stop a receive takes up to `LONG_POLL` seconds.
    """

    def __init__(self, client: SQSClient, settings: SqsSource, metrics: Metrics, stop: Event) -> None:
        self._client = client
        self._url = settings.queue_url
        self._wanted = Wanted(frozenset(settings.buckets), settings.root, flow_logs=settings.layout == "aws")
        self._calls = Calls(metrics, stop)
        self.visibility = int(settings.visibility.total_seconds())
        """Seconds for which a message stays hidden once it is received."""
        self.name = settings.queue_url.rstrip("/").rpartition("/")[2]

    def check(self) -> None:
        """Looks at the queue before its first message: raises Absent where there is none, SourceError for FIFO.

        What makes it a poor queue is logged: without a dead-letter queue of its own, poison comes again for ever.
        """
        if self.name.endswith(".fifo"):
            raise SourceError(
                f"the queue {self.name} is FIFO, in which messages wait for one another; expected a standard queue"
            )
        try:
            attributes = self._calls.repeat(
                lambda: self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=["RedrivePolicy"]),
                *(f"look at the queue {self.name}", LOOK_NEEDS),
            ).get("Attributes", {})
        except Denied as error:
            log.warning("whether the queue %s has a dead-letter queue is not known: %s", self.name, error)
            return
        receives = _most_receives(attributes.get("RedrivePolicy", ""))
        if receives is None:
            log.warning(
                "the queue %s has no RedrivePolicy: a message that cannot be done comes again until it expires; "
                "give the queue a dead-letter queue",
                self.name,
            )
        elif receives < FEWEST_RECEIVES:
            log.warning(
                "the queue %s gives a message up after maxReceiveCount %d, and each stop of this program may use one; "
                "set at least %d, better 10",
                *(self.name, receives, FEWEST_RECEIVES),
            )

    def receive(self, most: int, wait: int = LONG_POLL) -> list[Message]:
        """At most `most` messages (10 at the most), now hidden for `visibility`; waits `wait` seconds for a first."""
        answer = self._calls.repeat(
            lambda: self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=min(most, BATCH),
                WaitTimeSeconds=wait,
                VisibilityTimeout=self.visibility,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            ),
            *(f"receive from the queue {self.name}", QUEUE_NEEDS + NEEDS_KEY),
        )
        return [self._message(each) for each in answer.get("Messages", ())]

    def extend(self, seconds: Mapping[str, int]) -> dict[str, str]:
        """Hides each message, by its receipt, for so many seconds from now on; those that failed, each with why.

        Not repeated: who extends does so again long before a message appears.  Raises nothing.
        """
        failed = dict[str, str]()
        receipts = list(seconds)
        for start in range(0, len(receipts), BATCH):
            some = receipts[start : start + BATCH]
            try:
                failed.update(self._hide({receipt: seconds[receipt] for receipt in some}))
            except SourceError as error:
                failed |= dict.fromkeys(some, str(error))
        return failed

    def release(self, receipt: str, seconds: int) -> str | None:
        """Lets a message be received again, by anybody, in so many seconds; why that failed, where it did."""
        return self.extend({receipt: seconds}).get(receipt)

    def delete(self, receipt: str) -> None:
        """The message is done with."""

        def call() -> None:
            self._client.delete_message(QueueUrl=self._url, ReceiptHandle=receipt)

        what = f"delete a message of the queue {self.name}"
        try:
            self._calls.repeat(call, what, QUEUE_NEEDS)
        except Stopped:  # no time to try again, but what is done has to be said
            self._calls.once(call, what, QUEUE_NEEDS)

    def _message(self, message: MessageTypeDef) -> Message:
        """Its receives are counted by SQS; without a number it is taken as one that was received before."""
        count = message.get("Attributes", {}).get("ApproximateReceiveCount", "")
        receives = int(count) if count.isdecimal() and len(count) < len("1000000000") else 2
        notice = read_body(message.get("Body", ""), self._wanted)
        return Message(message.get("MessageId", ""), message.get("ReceiptHandle", ""), receives, notice)

    def _hide(self, seconds: Mapping[str, int]) -> Iterator[tuple[str, str]]:
        """One request's worth; receipts that failed with why."""
        receipts = list(seconds)
        answer = self._calls.once(
            lambda: self._client.change_message_visibility_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": receipt, "VisibilityTimeout": seconds[receipt]}
                    for index, receipt in enumerate(receipts)
                ],
            ),
            *(f"change how long messages of the queue {self.name} are hidden", QUEUE_NEEDS),
        )
        return (
            (receipts[int(entry["Id"])], f"{entry['Code']}: {entry.get('Message', '')}".rstrip(": "))
            for entry in answer.get("Failed", ())
        )


def _most_receives(policy: str) -> int | None:
    """How often a message is received before it goes to the dead-letter queue; None where there is none."""
    try:
        read: Any = json.loads(policy)
        return int(read["maxReceiveCount"])
    except (ValueError, TypeError, KeyError):
        return None
