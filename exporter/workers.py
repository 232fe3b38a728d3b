"""The one place where objects are given to threads: each object once at a time, whoever finds it."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore, Lock

from exporter.daemon import Stops
from exporter.errors import LedgerError, Stopped
from exporter.flow import S3Object
from exporter.ledger import Ledger, State
from exporter.metrics import Metrics

log = logging.getLogger(__name__)

IN_A_ROW = 100
"""Objects one after another that could not be done: it is not they, and each more would be fetched for nothing."""

_LOOK_SECONDS = 0.2


class Workers:
    """Takes `number` objects at a time, and holds as many again that wait.

    `take(source, again)` is the pipeline's: `again` where documents of the object may be out already.  A listing and
    a queue that find the same object get the same future.
    """

    def __init__(
        self,
        take: Callable[[S3Object, bool], State],
        *,
        ledger: Ledger,
        metrics: Metrics,
        stops: Stops,
        number: int,
    ) -> None:
        self._take = take
        self._ledger = ledger
        self._metrics = metrics
        self._stops = stops
        self._pool = ThreadPoolExecutor(number, thread_name_prefix="object")
        self._places = 2 * number
        self._room = BoundedSemaphore(self._places)
        self._held: dict[str, Future[State]] = {}
        self._unwritten: set[S3Object] = set()
        self._changing = Lock()

    @property
    def room(self) -> int:
        """How many objects more `submit` would take at this moment without a wait."""
        with self._changing:
            return self._places - len(self._held)

    @property
    def stopping(self) -> bool:
        """Whether nothing more is begun."""
        return self._stops.soon.is_set()

    def submit(self, source: S3Object, *, again: bool = False) -> Future[State]:
        """Hands an object to a thread; waits while there is no room.  Stopped where the program takes no more.

        The future tells the state that the ledger knows it in: UNDONE too where it failed or the program stopped, and
        what it was where nothing was to be done.  It raises nothing but LedgerError.
        """
        while True:
            if self.stopping:
                raise Stopped("stopped before an object was begun")
            with self._changing:
                if held := self._held.get(source.id_prefix):
                    return held
                begun = self._begun(source, again=again) if self._room.acquire(blocking=False) else None
            if begun:  # one that has ended already calls back at once, and needs the lock
                begun.add_done_callback(lambda _: self._over(source))
                return begun
            if self._room.acquire(timeout=_LOOK_SECONDS):  # only to wait: whoever comes first takes it
                self._room.release()

    def write_down(self) -> None:
        """Objects whose end the ledger could not take (a full disk) would be under way for ever: they are undone."""
        with self._changing:
            unwritten = list(self._unwritten)
        for source in unwritten:
            self._ledger.begin(source)
            self._ledger.release(source, "the ledger could not be written when it ended")
            with self._changing:
                self._unwritten.discard(source)

    def close(self) -> None:
        """Waits for the objects under way, which `stops.now` makes short, except for one that hangs: see `signals`."""
        self._pool.shutdown(cancel_futures=True)

    def _begun(self, source: S3Object, *, again: bool) -> Future[State]:
        """With `_changing` held and room taken."""
        try:
            future = self._pool.submit(self._one, source, again)
        except RuntimeError:  # the pool is closed, or there can be no thread
            self._room.release()
            if not self.stopping:
                raise
            raise Stopped("stopped before an object was begun") from None
        self._held[source.id_prefix] = future
        return future

    def _over(self, source: S3Object) -> None:
        with self._changing:
            self._held.pop(source.id_prefix, None)
        self._room.release()

    def _one(self, source: S3Object, again: bool) -> State:  # noqa: FBT001 - a thread pool passes it so
        """One object in a thread; raises nothing but LedgerError."""
        self._metrics.add("objects_in_flight")
        try:
            return self._taken(source, again=again)
        except LedgerError as error:
            with self._changing:
                self._unwritten.add(source)
            self._metrics.add("objects_total", outcome="undone")
            log.error("%s is undone, and taken again once the ledger can be written: %s", source, error)  # noqa: TRY400 - the text says it all
            raise
        finally:
            self._metrics.add("objects_in_flight", -1)

    def _taken(self, source: S3Object, *, again: bool) -> State:
        """What became of it; what somebody else dealt with since it was found is left as it is."""
        if self.stopping:
            log.info("%s is left for the next start", source)
            return State.UNDONE
        try:
            if not self._ledger.unknown([source]):
                return self._ledger.state(source) or State.UNDONE
            return self._take(source, again)
        except Stopped:
            log.info("%s is left for the next start", source)
            return State.UNDONE
        except LedgerError:
            raise
        except BaseException as error:  # polars' panics are no Exceptions
            log.exception("%s met a fault of this program; please report it", source)
            state = self._ledger.fail(source, f"a fault of this program: {error!r}")
            self._metrics.add("objects_total", outcome=state)
            return state
