"""A queue on the test's SQS with a dead-letter queue of its own, and the settings that lead to it."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config

from exporter.config import SqsSource
from tests.services.aws import REGION, Aws


@dataclass(frozen=True, slots=True)
class MadeQueue:
    """A queue, its dead-letter queue, and a client for both."""

    client: Any
    url: str
    dead: str

    @property
    def arn(self) -> str:
        """Its ARN."""
        return str(self._attribute(self.url, "QueueArn"))

    def send(self, *bodies: str) -> None:
        """One message each."""
        for body in bodies:
            self.client.send_message(QueueUrl=self.url, MessageBody=body)

    def visible(self) -> int:
        """How many messages could be received now."""
        return int(self._attribute(self.url, "ApproximateNumberOfMessages"))

    def hidden(self) -> int:
        """How many messages are received and not deleted."""
        return int(self._attribute(self.url, "ApproximateNumberOfMessagesNotVisible"))

    def given_up(self) -> int:
        """How many messages are in the dead-letter queue; moto moves one there when it would be received again."""
        return int(self._attribute(self.dead, "ApproximateNumberOfMessages"))

    def receive_and_show(self, times: int) -> None:
        """Receives what there is so often, as another program would that stops at once."""
        for _ in range(times):
            self.client.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, VisibilityTimeout=0)

    def settings(self, visibility: float = 300, **options: object) -> SqsSource:
        """Of a source; the visibility may be shorter than a configuration's may."""
        made = SqsSource.model_validate({"queue_url": self.url, **options})
        return made.model_copy(update={"visibility": timedelta(seconds=visibility)})

    def _attribute(self, url: str, name: str) -> Any:  # noqa: ANN401 - boto3's answer
        return self.client.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name]


def make_queue(aws: Aws, name: str, receives: int = 3) -> MadeQueue:
    """A queue whose messages are given up after so many receives."""
    client = own_client(aws)
    dead = client.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": receives})
    made = client.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy})
    return MadeQueue(client, made["QueueUrl"], dead)


def own_client(aws: Aws) -> Any:  # noqa: ANN401 - boto3's client
    """A client as the program's own: it does not retry."""
    session: Any = boto3.Session()
    return session.client(
        "sqs",
        region_name=REGION,
        endpoint_url=aws.url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(proxies={}, retries={"total_max_attempts": 1}, read_timeout=30),
    )


def refuse(client: Any, operation: str, code: str, times: int = 1, status: int = 400) -> None:  # noqa: ANN401 - boto3's
    """The next calls of an operation get this answer instead of moto's, which neither throttles nor denies."""
    left = [times]

    def answer(request: Any, **_: object) -> AWSResponse | None:  # noqa: ANN401 - botocore's request
        if not left[0]:
            return None
        left[0] -= 1
        text = json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": "as told"}).encode()
        return AWSResponse(request.url, status, HTTPHeaders(), _Raw(text))

    client.meta.events.register_first(f"before-send.sqs.{operation}", answer)


class _Raw:
    """A body as urllib3 gives it."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    def stream(self, **_: object) -> list[bytes]:
        return [self._text]
