"""The messages that a consumer holds: their objects are under way, and nobody else shall receive them meanwhile."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import Protocol

from exporter.metrics import Metrics
from exporter.notices import Message

log = logging.getLogger(__name__)

LONGEST = 12 * 60 * 60
"""Seconds for which SQS lets a message stay hidden after it was received, however often that is extended."""

MARGIN = 60
"""Seconds before that at which it ends here: the two clocks began at different moments."""


class Visibility(Protocol):
    """A queue, as far as its messages are hidden or not."""

    name: str
    visibility: int

    def extend(self, seconds: dict[str, int]) -> dict[str, str]:
        """Hides each, by its receipt, for so many seconds from now on; those that failed, each with why."""
        ...  # pragma: no cover

    def release(self, receipt: str, seconds: int) -> str | None:
        """Lets it be received again in so many seconds; why that failed, where it did."""
        ...  # pragma: no cover


@dataclass(slots=True)
class Hold:
    """A message that is held, since when, by the clock, and whether it is hidden still as far as this can be told."""

    message: Message
    since: float
    hidden: bool = True


@dataclass(slots=True)
class Held:
    """All messages of one queue that are held, by any number of threads.

    `keep` is to be called every `every` seconds; `clock` counts seconds from any moment.
    """

    queue: Visibility
    metrics: Metrics
    clock: Callable[[], float] = monotonic
    _holds: dict[str, Hold] = field(default_factory=dict)
    _changing: Lock = field(default_factory=Lock)
    _hiding: Lock = field(default_factory=Lock)

    @property
    def every(self) -> float:
        """A third of the visibility: two extensions may fail before a message appears."""
        return self.queue.visibility / 3

    def __len__(self) -> int:
        return len(self._holds)

    def take(self, message: Message) -> Hold | None:
        """Holds a message; None where it is held already and came again: the newer receipt counts from then on."""
        now = self.clock()
        with self._changing:
            if hold := self._holds.get(message.id):
                hold.message, hold.since, hold.hidden = message, now, True
                return None
            self._holds[message.id] = hold = Hold(message, now)
        self.metrics.add("messages_in_flight")
        return hold

    def drop(self, hold: Hold) -> None:
        """It is held no longer, and will not be extended any more; may be called again."""
        with self._changing:
            dropped = self._holds.get(hold.message.id) is hold
            if dropped:
                del self._holds[hold.message.id]
        if dropped:
            self.metrics.add("messages_in_flight", -1)

    def release(self, hold: Hold, seconds: int) -> None:
        """Holds it no longer, and lets it be received again in so many seconds."""
        self.drop(hold)
        with self._hiding:  # an extension that is under way would hide it again
            why = self.queue.release(hold.message.receipt, max(0, min(seconds, int(self._left(hold)))))
        if why:
            self._fault("release", [why])

    def keep(self) -> None:
        """Hides all messages for the whole visibility from now on; lets go of what SQS will not hide any longer."""
        with self._hiding:
            with self._changing:
                seconds = dict(self._seconds())
            failed = self.queue.extend(seconds) if seconds else {}
        if failed:
            self._fault("extend", list(failed.values()))

    def _seconds(self) -> Iterator[tuple[str, int]]:
        for hold in self._holds.values():
            left = self._left(hold)
            if left > self.every:
                yield hold.message.receipt, int(min(self.queue.visibility, left))
            elif hold.hidden:
                hold.hidden = False
                self.metrics.add("messages_total", outcome="let go")
                log.warning(
                    "message %s of the queue %s is under way for %.0f h, longer than SQS keeps a message hidden: it is "
                    "received again, here or by another replica; nothing is lost, and what both send is there once "
                    "unless the data stream rolls over meanwhile",
                    *(hold.message.id, self.queue.name, (self.clock() - hold.since) / 3600),
                )

    def _left(self, hold: Hold) -> float:
        return LONGEST - MARGIN - (self.clock() - hold.since)

    def _fault(self, call: str, why: list[str]) -> None:
        """Messages that could not be hidden or shown: they come again sooner or later than was meant."""
        self.metrics.add("queue_faults_total", len(why), call=call)
        log.warning("%d messages of the queue %s: could not %s: %s", len(why), self.queue.name, call, why[0])
