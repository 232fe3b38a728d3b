"""Takes messages of one queue, gives their objects to the workers, and deletes a message when all of it is done.

    received ──> held, hidden, extended ──> done         all its objects are done, or gone from S3: deleted
      │                                ├──> not deleted  the same, but SQS could not be told: it comes again
      │                                ├──> foreign      some of it is none of ours: left for the queue's own
      │                                ├──> left         damaged, failed, unreadable: dead-letter queue
      │                                ├──> undone       shown again after a growing wait
      │                                └──> stopped      shown again for another replica, at once if nothing was sent
      ├──> test event, nothing to do    deleted
      └──> foreign                      left

A message is received again until it is deleted or its receives are over; what the ledger knows to be done is not done
again then.  `held.py` keeps messages hidden meanwhile, `settling.py` decides what becomes of them.
"""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from typing import Protocol

from exporter.daemon import Stops
from exporter.errors import ExporterError, ObjectGone, SourceError, Stopped
from exporter.flow import S3Object
from exporter.held import Held, Visibility
from exporter.ledger import State
from exporter.metrics import Metrics
from exporter.notices import Message, Notified
from exporter.settling import Deletes, Fate, Objects, Settler, Work

log = logging.getLogger(__name__)

MOST, LONG_POLL = 10, 20
"""Messages of one receive, and seconds that it waits: SQS's bounds."""

DRAIN_POLL = 1
"""Seconds after which a queue without a message counts as empty; with any wait SQS asks all of its servers."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a queue that has a fault is asked again."""

UNDONE_IN_A_ROW = 3
"""Messages after which `drain` gives up."""

LAST_SECOND = 1.0
"""At a stop a receive under way is not waited for any longer; what it brings nevertheless is shown again at once."""

_FIRST_POLL = 1
"""Seconds of a receive that shows whether the queue answers: until it does, the program may not be ready."""

_LOOK_SECONDS = 0.2
_TOLD_FOREIGN = 1000


class Queue(Visibility, Deletes, Protocol):
    """The queue, as `source/sqs.py` has it."""

    def check(self) -> None:
        """Raises SourceError where it cannot be used."""
        ...  # pragma: no cover

    def receive(self, most: int, wait: int) -> Sequence[Message]:
        """At most so many messages; waits so many seconds for a first."""
        ...  # pragma: no cover


class Workers(Protocol):
    """Whoever does objects, as `workers.py` has them."""

    @property
    def room(self) -> int:
        """How many objects more would be taken without a wait."""
        ...  # pragma: no cover

    def submit(self, source: S3Object, *, again: bool = False) -> Future[State]:
        """Hands an object over; `again` where documents of it may be out.  Stopped where none is taken any more."""
        ...  # pragma: no cover


class Consumer:
    """Consumes one queue: `run` until the program stops, or `drain` until it is empty; only one of them at a time.

    `tell` hears, when that changes, why the queue cannot be used, or None where it can.  For `outlast` see Settler.
    """

    def __init__(  # noqa: PLR0913 - what it works with is passed in
        self,
        queue: Queue,
        objects: Objects,
        workers: Workers,
        *,
        metrics: Metrics,
        stops: Stops,
        tell: Callable[[str | None], object] = lambda _: None,
        outlast: int = 0,
    ) -> None:
        self._queue = queue
        self._objects = objects
        self._workers = workers
        self._metrics = metrics
        self._stop = stops.soon
        self._tell = tell
        self._held = Held(queue, metrics)
        self._settler = Settler(queue, objects, self._held, metrics=metrics, stop=stops.soon, outlast=outlast)
        self._over = SimpleQueue[Work | None]()
        self._checked = False
        self._fault: str | None = ""
        self._foreign = set[str]()

    def run(self) -> None:
        """Takes messages until the program stops; returns when none is held any more.

        A queue that cannot be used is tried again with growing waits, and told once for each kind of fault.
        """
        pause = FIRST_PAUSE
        with self._threads():
            while not self._stop.is_set():
                try:
                    self._turn(LONG_POLL)
                except Stopped:
                    break
                except SourceError as error:
                    self._faulty(error)
                    self._stop.wait(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)
                else:
                    pause = FIRST_PAUSE

    def drain(self) -> int:
        """Takes messages until a receive brings none; how many were not deleted, once none is held any more.

        Where one after another ends undone, the rest is left to a later time.

        Raises SourceError where the queue cannot be asked.
        """
        before = self._settler.undealt
        with self._threads():
            try:
                while not self._stop.is_set() and self._turn(DRAIN_POLL) != 0:
                    if self._settler.undone_in_a_row >= UNDONE_IN_A_ROW:
                        log.error("the queue %s is left: one message after another ends undone", self._queue.name)
                        break
            except Stopped:
                log.info("stopped before the queue %s was empty", self._queue.name)
        return self._settler.undealt - before

    def _turn(self, wait: int) -> int | None:
        """One receive, and its messages' objects to the workers; how many messages, or None where it is too soon."""
        room = self._room()
        if room == 0:
            self._stop.wait(_LOOK_SECONDS)
            return None
        messages = self._received(room, wait if self._fault is None else _FIRST_POLL)
        for work in [work for message in messages if (work := self._accepted(message))]:  # all held before one waits
            self._hand_over_all(work)
        self._well()
        return len(messages)

    def _room(self) -> int:
        """How many messages to ask for.

        One where the workers are full and none is held: it then waits for its turn beside what listings find.  One at a
        time, too, while messages end undone, for each receive uses up one of a message's: an output that refuses
        must not drive the whole queue into its dead-letter queue.
        """
        if self._settler.undone_in_a_row:
            pause = min(FIRST_PAUSE * 2 ** min(self._settler.undone_in_a_row, 20), LONGEST_PAUSE)
            if len(self._held) or self._stop.wait(pause):
                return 0
            return 1
        room = min(MOST, self._workers.room)
        return room if room > 0 or len(self._held) else 1

    def _received(self, most: int, wait: int) -> Sequence[Message]:
        """What the queue gives; Stopped at most `LAST_SECOND` after a stop, whatever the queue does."""
        answer = SimpleQueue[Sequence[Message] | BaseException]()
        leaving, left = Lock(), Event()

        def receive() -> None:
            given = self._asked(most, wait)
            with leaving:
                if not left.is_set():
                    answer.put(given)
                    return
            for message in given if not isinstance(given, BaseException) else ():
                self._queue.release(message.receipt, 0)

        Thread(target=receive, name=f"receive {self._queue.name}", daemon=True).start()
        while not self._stop.is_set():
            try:
                return _given(answer.get(timeout=_LOOK_SECONDS))
            except Empty:
                pass
        try:
            return _given(answer.get(timeout=LAST_SECOND))
        except Empty:
            with leaving:
                left.set()
        try:
            return _given(answer.get_nowait())
        except Empty:
            raise Stopped("stopped while a receive was under way") from None

    def _asked(self, most: int, wait: int) -> Sequence[Message] | BaseException:
        """What the queue answers, looked at before its first message."""
        try:
            if not self._checked:
                self._queue.check()
                self._checked = True
            return self._queue.receive(most, wait)
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            return error

    def _accepted(self, message: Message) -> Work | None:
        """A message to where it belongs; held, where it names objects."""
        notice = message.notice
        if notice.foreign:
            self._tell_foreign(message, notice.foreign)
        if not notice.objects:
            if notice.foreign:
                self._settler.ended("foreign")
            else:
                self._settler.delete(message, "test event" if notice.is_test else "nothing to do")
            return None
        hold = self._held.take(message)
        return None if hold is None else Work(hold, Fate.FOREIGN if notice.foreign else Fate.DONE)

    def _hand_over_all(self, work: Work) -> None:
        try:
            for notified in work.hold.message.notice.objects:
                self._hand_over(notified, work)
        finally:
            self._one_over(work)

    def _hand_over(self, notified: Notified, work: Work) -> None:
        """One object to the workers, always as if somebody had had it before.

        A receive count tells of this message alone, but S3 may send two of one object, to two replicas.
        """
        try:
            source = self._objects.object_of(notified)
            future = self._workers.submit(source, again=True)
        except ObjectGone as error:
            log.info("nothing is left to do for %s: %s", notified, error)
        except Stopped:
            work.asks_for(Fate.STOPPED)
        except ExporterError as error:
            log.warning("%s is left undone: %s", notified, error)
            work.asks_for(Fate.UNDONE)
        except Exception:
            log.exception("%s met a fault of this program; please report it", notified)
            work.asks_for(Fate.UNDONE)
        else:
            work.begin(source, notified.region, future)
            future.add_done_callback(lambda _: self._one_over(work))

    def _one_over(self, work: Work) -> None:
        """In whichever thread an object ended: nothing here waits."""
        if work.is_over_by():
            self._over.put(work)

    @contextmanager
    def _threads(self) -> Iterator[None]:
        """One that extends what is held, one that settles what is over; at the end all that is held is waited for."""
        ended = Event()
        keeper = Thread(target=self._keep, args=(ended,), name=f"hold {self._queue.name}", daemon=True)
        settler = Thread(target=self._settle, name=f"settle {self._queue.name}", daemon=True)
        keeper.start()
        settler.start()
        try:
            yield
        finally:
            while len(self._held):
                ended.wait(_LOOK_SECONDS)
            self._over.put(None)
            settler.join()
            ended.set()
            keeper.join()

    def _keep(self, ended: Event) -> None:
        while not ended.wait(self._held.every):
            try:
                self._held.keep()
            except Exception:
                log.exception("holding messages of %s met a fault of this program; please report it", self._queue.name)

    def _settle(self) -> None:
        while work := self._over.get():
            try:
                self._settler.settle(work)
            except Exception:
                log.exception("a message of %s met a fault of this program; please report it", self._queue.name)

    def _tell_foreign(self, message: Message, why: str) -> None:
        """Each kind once."""
        if why not in self._foreign and len(self._foreign) < _TOLD_FOREIGN:
            self._foreign.add(why)
            log.warning(
                "message %s of the queue %s is left for its dead-letter queue: %s; more of this kind are only counted",
                *(message.id, self._queue.name, why),
            )

    def _faulty(self, error: SourceError) -> None:
        """Told once until it changes: what differs from time to time in a text is numbers."""
        self._metrics.add("queue_faults_total", call="receive")
        kind = re.sub(r"0x[0-9a-f]+|[0-9]+", "", str(error))
        if kind != self._fault:
            self._fault = kind
            log.error("%s; it is tried again, and the other sources go on", error)
            self._tell(str(error))

    def _well(self) -> None:
        if self._fault:
            log.info("the queue %s answers again", self._queue.name)
        if self._fault is not None:
            self._tell(None)
            self._fault = None


def _given(answer: Sequence[Message] | BaseException) -> Sequence[Message]:
    if isinstance(answer, BaseException):
        raise answer
    return answer
