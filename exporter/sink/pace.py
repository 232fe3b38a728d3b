"""How much may be under way to an output: bytes that wait or travel, requests at once, and how large they are."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from exporter.errors import Stopped
from exporter.metrics import Metrics

_LOOK_SECONDS = 0.1
"""How soon a wait sees that the program stops: an Event cannot end a Condition's wait."""

_log = logging.getLogger(__name__)


class Room:
    """A bound on the bytes that are held, asked for anew by each wait; something larger still passes, alone."""

    def __init__(self, size: Callable[[], int], stop: threading.Event, metrics: Metrics) -> None:
        self._size = size
        self._stop = stop
        self._metrics = metrics
        self._held = 0
        self._changed = threading.Condition()

    def enter(self, size: int) -> None:
        """Waits for room for `size` bytes.  Raises Stopped where the program stops meanwhile."""
        with self._changed:
            while self._held and self._held + size > self._size():
                if self._stop.is_set():
                    raise Stopped("stopped while waiting for the output to take what it has")
                self._changed.wait(_LOOK_SECONDS)
            self._hold(size)

    def leave(self, size: int) -> None:
        """Gives `size` bytes back."""
        with self._changed:
            self._hold(-size)
            self._changed.notify_all()

    def _hold(self, more: int) -> None:
        self._held += more
        self._metrics.set("output_bytes_held", self._held)


@dataclass(slots=True)
class _Run:
    """The first `size` requests after those of the run before: what they took together, once all were taken."""

    size: int
    begun: int = 0
    taken: int = 0
    seconds: float = 0.0
    bytes: int = 0
    all_went: bool = False


@dataclass(slots=True)
class Trip:
    """One request: its bytes, when it began by the pace's clock, its run, and once it ended the seconds it took."""

    bytes: int
    began: float
    run: _Run
    seconds: float = 0.0


class Pace:
    """Requests at once, between two bounds, and bytes a request: up slowly, down at once.

    It judges by runs: requests that began one after the other, as many as may go at once and at least `CALM`.  A
    run's cost is its seconds for each of its bytes, where a request counts `FIXED` bytes more than it has; `_usual`
    is the cost where nothing waits.  A run that cost more than `SLOW` times that stood in a queue of our own making:
    so many fewer go as make it `SLOW` times, half at least.  After any other run one more may go, if all that could
    did.  `_usual` follows the cost, up and down, only where no queue is ours: at the lower bound, and in a run at
    `PROBE_SHARE` of the requests after every `MANY` others.  Elsewhere it would creep up with the queue; the least
    that was ever seen would be luck.  But a cost that is many times less is taken at its word.

    A 429, a 503 or no answer in time halves the requests; at the lower bound the size of each, down to `SMALLEST`, and
    runs that go well double the size first.  As many as met it go again only after `MANY` runs without trouble.  What
    began before the last step down tells nothing new and is not looked at.  `bytes` is None where a request may have
    any size.
    """

    CALM = 8
    FIXED = 256 * 1024
    SLOW = 1.5
    MANY = 16
    PROBE_SHARE = 0.6
    SMALLEST = 64 * 1024

    def __init__(  # noqa: PLR0913 one argument a bound, each with a name
        self,
        *,
        least: int,
        most: int,
        request_bytes: int,
        stop: threading.Event,
        metrics: Metrics,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.requests = self._least = least
        self.bytes: int | None = None
        self._most = most
        self._whole_bytes = request_bytes
        self._ceiling: int | None = None
        self._stop = stop
        self._metrics = metrics
        self._clock = clock
        self._usual: float | None = None
        self._run = _Run(self.CALM)
        self._runs = 0
        self._lowered = clock()
        self._after_probe: int | None = None
        self._edge = most + 1
        self._calm = self.MANY
        self._told = False
        self._running = 0
        self._changed = threading.Condition()
        metrics.set("requests_in_flight_limit", least)

    def begin(self, size: int) -> Trip:
        """Waits until a request of `size` bytes may go.  Raises Stopped where the program stops meanwhile."""
        with self._changed:
            while self._running >= self.requests:
                if self._stop.is_set():
                    raise Stopped("stopped while waiting for other requests to the output")
                self._changed.wait(_LOOK_SECONDS)
            self._running += 1
            if self._run.begun == self._run.size:
                self._run = self._new_run()
            self._run.begun += 1
            self._run.all_went |= self._running == self.requests
            return Trip(size, self._clock(), self._run)

    def end(self, trip: Trip) -> None:
        """The request is no longer under way, however it went; once for each that began."""
        with self._changed:
            trip.seconds = self._clock() - trip.began
            self._running -= 1
            self._changed.notify_all()

    def allows(self, size: int) -> bool:
        """Whether a request of `size` bytes may go whole."""
        with self._changed:
            return self.bytes is None or size <= self.bytes

    def too_large(self, size: int) -> None:
        """The output takes no request of `size` bytes: none of more than half of it goes, until long after.

        But `SMALLEST` may always: below that it is the document that is too large.
        """
        with self._changed:
            self._ceiling = max(self.SMALLEST, min(self._ceiling or size, size // 2))
            self.bytes = min(self.bytes or size, self._ceiling)

    def slower(self, trip: Trip) -> None:
        """The output had too much, or gave no answer in time."""
        with self._changed:
            if trip.began < self._lowered:
                return
            if self.requests == self._least:
                halved = max(self.SMALLEST, (self.bytes or self._whole_bytes) // 2)
                self.bytes = min(halved, self._ceiling or halved)
            elif self._calm:
                self._edge = self.requests
            self._lower(self.requests // 2, trouble=True)

    def taken(self, trip: Trip) -> None:
        """The output took the request, which has ended."""
        with self._changed:
            if trip.began < self._lowered:
                return
            run = trip.run
            run.taken += 1
            run.seconds += trip.seconds
            run.bytes += trip.bytes + self.FIXED
            if run.taken == run.size:
                self._judge(run.seconds / run.bytes, all_went=run.all_went)

    def _judge(self, cost: float, *, all_went: bool) -> None:
        """One step after a run."""
        slow = self.SLOW * self._learn(cost)
        self._runs += 1
        self._calm += 1
        if self._calm == self.MANY:
            self._edge = self._most + 1
        if (
            self._ceiling and self._calm % self.MANY == 0
        ):  # it may have been a proxy's for a moment; if not, it comes again
            self._ceiling = self._ceiling * 2 if self._ceiling * 2 < self._whole_bytes else None
        if self._after_probe is not None:
            self._allow(self._after_probe)
            self._after_probe = None
        elif self.bytes != self._ceiling:
            doubled = (self.bytes or self._whole_bytes) * 2
            self.bytes = self._ceiling if doubled >= (self._ceiling or self._whole_bytes) else doubled
            self._allow(self.requests)
        elif cost > slow:
            fitting = min(self.requests - 1, int(self.requests * slow / cost))
            self._lower(max(self.requests // 2, fitting), trouble=cost > 2 * slow)
        elif self._runs > self.MANY and self.requests > self._least:
            back, self._runs = self.requests, 0
            self._lower(int(self.requests * self.PROBE_SHARE + 0.5), trouble=False)
            self._after_probe = back
        elif all_went and self.requests + 1 < self._edge:
            self._allow(self.requests + 1)
        if self._told and self._calm >= self.MANY and self.bytes == self._ceiling:
            self._told = False
            _log.info("the output keeps up again: requests at once are up to %d", self.requests)

    def _learn(self, cost: float) -> float:
        """The usual cost, with what a run tells of it."""
        if self._usual is None:
            self._usual = cost
        probed = self._after_probe is not None or self.requests == self._least
        if probed or cost * 2 * self.SLOW < self._usual:
            self._usual = (self._usual + cost) / 2
        return self._usual

    def _lower(self, requests: int, *, trouble: bool) -> None:
        """Fewer at once; trouble is more than the give and take around the best."""
        if trouble:
            self._calm = 0
            if not self._told:
                self._told = True
                _log.warning(
                    "the output is slow, has too much or gives no answer: requests at once were up to %d, and are "
                    "fewer or smaller until it keeps up again",
                    self.requests,
                )
        self._allow(requests)
        self._lowered, self._run, self._after_probe = self._clock(), self._new_run(), None

    def _allow(self, requests: int) -> None:
        """So many at once, within the bounds."""
        self.requests = max(self._least, min(self._most, requests))
        self._metrics.set("requests_in_flight_limit", self.requests)
        self._changed.notify_all()

    def _new_run(self) -> _Run:
        return _Run(max(self.CALM, self.requests))
