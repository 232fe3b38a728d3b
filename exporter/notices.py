"""What a queue's messages are and say: the values that travel from `source/sqs.py` to `consumer.py`."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Notified:
    """An object that a message says was stored; what the message does not tell is None, and S3 has to be asked.

    `etag` has no quotes; `size` is in bytes; `time` (UTC) is the notification's; `region` is the bucket's, as whoever
    wrote the message says, so no more than a hint.
    """

    bucket: str
    key: str
    etag: str | None
    size: int | None
    time: datetime | None
    region: str | None = None

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class Notice:
    """What a message says: objects to be done, and how many events there is nothing to do for.

    `foreign` says why it, or a part of it, is none of ours, with the body's shape; None where all of it is.
    """

    objects: tuple[Notified, ...] = ()
    passed_over: int = 0
    is_test: bool = False
    foreign: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A message as received: `receipt` stands for this receiving of it, the `receives`-th by anybody, about."""

    id: str
    receipt: str
    receives: int
    notice: Notice
