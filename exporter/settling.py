"""What becomes of a message once all its objects have ended: it is deleted, left, or shown again."""

import logging
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from enum import IntEnum
from threading import Event, Lock
from typing import Protocol

from exporter.errors import ExporterError
from exporter.flow import S3Object
from exporter.held import Held, Hold
from exporter.ledger import State
from exporter.metrics import Metrics
from exporter.notices import Message, Notified

log = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 30, 15 * 60
"""Seconds after which an undone message is shown again: twice as long each time that it was received."""


class Deletes(Protocol):
    """A queue, as far as messages leave it."""

    name: str

    def delete(self, receipt: str) -> None:
        """The message is done with; raises SourceError where that could not be said."""
        ...  # pragma: no cover


class Objects(Protocol):
    """Makes objects of what messages name, as `source/notified.py` does."""

    def object_of(self, notified: Notified) -> S3Object:
        """Raises ObjectGone where it no longer exists, else SourceError."""
        ...  # pragma: no cover

    def is_gone(self, source: S3Object, region: str | None) -> bool:
        """Whether this version of it no longer exists."""
        ...  # pragma: no cover


class Fate(IntEnum):
    """What becomes of a message: the highest of what its parts ask for."""

    DONE = 0
    FOREIGN = 1
    LEFT = 2
    UNDONE = 3
    STOPPED = 4


@dataclass(slots=True)
class Work:
    """A held message with its objects; `open` are those under way, and one for whoever hands them over."""

    hold: Hold
    fate: Fate
    open: int = 1
    objects: list[tuple[S3Object, str | None, Future[State]]] = field(default_factory=list)
    _changing: Lock = field(default_factory=Lock)

    def asks_for(self, fate: Fate) -> None:
        """A part of the message that asks for this."""
        self.fate = max(self.fate, fate)

    def begin(self, source: S3Object, region: str | None, future: Future[State]) -> None:
        """One more object of it is under way."""
        with self._changing:
            self.open += 1
        self.objects.append((source, region, future))

    def is_over_by(self) -> bool:
        """One less is open; whether it was the last."""
        with self._changing:
            self.open -= 1
            return self.open == 0


class Settler:
    """Settles messages of one queue.

    What was under way at a stop is shown again after `outlast` seconds, when no request to the output can be at work
    any more.  `undealt` counts those that were not deleted, `undone_in_a_row` those that ended undone since the last
    other end.
    """

    def __init__(  # noqa: PLR0913 - what it works with is passed in
        self, queue: Deletes, objects: Objects, held: Held, *, metrics: Metrics, stop: Event, outlast: int = 0
    ) -> None:
        self._outlast = outlast
        self._queue = queue
        self._objects = objects
        self._held = held
        self._metrics = metrics
        self._stop = stop
        self._adding = Lock()
        self.undealt = 0
        self.undone_in_a_row = 0

    def settle(self, work: Work) -> None:
        """All its objects have ended; afterwards it is held no longer."""
        message = work.hold.message
        try:
            fate = max([work.fate, *(self._fate_of(*each) for each in work.objects)])
            self.undone_in_a_row = self.undone_in_a_row + 1 if fate is Fate.UNDONE else 0
            if fate is Fate.DONE:
                self.delete(message, "done")
                return
            if fate is Fate.LEFT:
                log.warning(
                    "message %s of the queue %s, received %d times, is left for its dead-letter queue: not all of its "
                    "objects could be done, see above",
                    *(message.id, self._queue.name, message.receives),
                )
            elif fate in (Fate.UNDONE, Fate.STOPPED):
                begun = any(not future.cancelled() for _, _, future in work.objects)
                later = min(FIRST_WAIT * 2 ** min(message.receives - 1, 20), LONGEST_WAIT)
                soonest = self._outlast if begun else 0
                self._held.release(work.hold, max(later, soonest) if fate is Fate.UNDONE else soonest)
            self.ended(fate.name.lower())
        finally:
            self._held.drop(work.hold)

    def delete(self, message: Message, outcome: str) -> None:
        """Nothing is left to do for it; where that cannot be said it comes again, and is deleted then."""
        try:
            self._queue.delete(message.receipt)
        except ExporterError as error:
            self._metrics.add("queue_faults_total", call="delete")
            log.warning("message %s comes again, though nothing is left to do for it: %s", message.id, error)
            self.ended("not deleted")
        else:
            self._metrics.add("messages_total", outcome=outcome)

    def ended(self, outcome: str) -> None:
        """A message ended in another way than by being deleted."""
        self._metrics.add("messages_total", outcome=outcome)
        with self._adding:
            self.undealt += 1

    def _fate_of(self, source: S3Object, region: str | None, future: Future[State]) -> Fate:
        """What one object's end asks for."""
        try:
            state = future.result()
        except CancelledError:
            return Fate.STOPPED
        except ExporterError:  # the ledger could not be written, which the workers have said
            return Fate.UNDONE
        if state is State.DONE:
            return Fate.DONE
        if state is State.SET_ASIDE:
            return Fate.DONE if self._objects.is_gone(source, region) else Fate.LEFT
        if state in (State.DAMAGED, State.FAILED):
            return Fate.LEFT
        return Fate.STOPPED if self._stop.is_set() else Fate.UNDONE
