"""The loop: passes over the sources and refreshes of the inventory by the clock, signals, and a drain at the end."""

import logging
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from threading import BoundedSemaphore, Event, Thread
from types import FrameType
from typing import Protocol

import schedule

from exporter.errors import ExporterError, LedgerError, Stopped
from exporter.flow import S3Object
from exporter.ledger import Ledger
from exporter.metrics import Metrics

log = logging.getLogger(__name__)


class Listing(Protocol):
    """Finds objects in one source."""

    source_id: str

    def new_objects(
        self, first: date, last: date, start: datetime, unknown: Callable[..., list[S3Object]]
    ) -> Iterator[S3Object]:
        """Those of the days `first` to `last`, not older than `start`, that `unknown` leaves over."""
        ...  # pragma: no cover


@dataclass(frozen=True, slots=True)
class Place:
    """A source as the daemon walks it: from which time on (None: from its first pass on), and how far back."""

    listing: Listing
    bucket: str
    start: datetime | None
    lookback: timedelta


@dataclass(frozen=True, slots=True)
class Job:
    """Something done every so often, and usually at once too, in a thread of its own."""

    name: str
    every: timedelta
    run: Callable[[], object]
    at_once: bool = True


@dataclass(slots=True)
class Stops:
    """How the program ends: `soon` takes no more objects and ends every wait, `now` ends objects between two pieces."""

    soon: Event = field(default_factory=Event)
    now: Event = field(default_factory=Event)

    def on_signal(self, number: int, _: FrameType | None = None) -> None:
        """The first signal asks for a drain, the second one ends it."""
        (self.now if self.soon.is_set() else self.soon).set()
        self.soon.set()
        log.info("%s: stopping", signal.Signals(number).name)


@contextmanager
def signals(stops: Stops) -> Iterator[None]:
    """SIGTERM and SIGINT go to `stops` meanwhile; only the main thread may call it."""
    before = {number: signal.signal(number, stops.on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Poller:
    """Takes what is new in all places, `workers` objects at a time."""

    def __init__(  # noqa: PLR0913 - what it works with is passed in
        self,
        places: tuple[Place, ...],
        take: Callable[[S3Object], object],
        *,
        ledger: Ledger,
        metrics: Metrics,
        stops: Stops,
        workers: int,
    ) -> None:
        self._places = places
        self._take = take
        self._ledger = ledger
        self._metrics = metrics
        self._stops = stops
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="object")
        self._room = BoundedSemaphore(2 * workers)

    def poll(self) -> None:
        """One pass over every place; a place that cannot be listed does not stop the others."""
        for place in self._places:
            try:
                self._walk(place, datetime.now(UTC))
            except Stopped:
                return
            except ExporterError as error:
                self._metrics.add("polls_total", outcome="failed")
                log.error("%s could not be listed whole: %s", place.listing.source_id, error)  # noqa: TRY400
            else:
                self._metrics.add("polls_total", outcome="ok")

    def close(self) -> None:
        """Waits for the objects under way."""
        self._pool.shutdown(cancel_futures=True)

    def _walk(self, place: Place, now: datetime) -> None:
        """A whole pass: only after it may days be forgotten."""
        identity, ledger = place.listing.source_id, self._ledger
        start = place.start or ledger.first_seen(identity, now)
        first = ledger.floor(identity) or start.date()
        under_way: set[Future[None]] = set()
        try:
            for source in place.listing.new_objects(first, now.date(), start, ledger.unknown):
                under_way = self._settled(under_way) | {self._submit(source)}
        finally:
            wait(under_way)
            self._settled(under_way)
        if self._stops.soon.is_set():
            raise Stopped("stopped during a pass")
        ledger.raise_floor(identity, max(start.date(), (now - place.lookback).date()))
        floors = [ledger.floor(each.listing.source_id) for each in self._places if each.bucket == place.bucket]
        known = [floor for floor in floors if floor is not None]
        if len(known) == len(floors):
            ledger.prune(place.bucket, min(known))

    def _settled(self, futures: set[Future[None]]) -> set[Future[None]]:
        """Those still under way; raises what one of the others met."""
        ended = {future for future in futures if future.done()}
        for future in ended:
            future.result()
        return futures - ended

    def _submit(self, source: S3Object) -> Future[None]:
        """Hands an object to a worker; waits while there are two for each of them."""
        while not self._room.acquire(timeout=0.2):
            self._check()
        future = self._pool.submit(self._one, source)
        future.add_done_callback(lambda _: self._room.release())
        return future

    def _check(self) -> None:
        if self._stops.soon.is_set():
            raise Stopped("stopped before an object was begun")

    def _one(self, source: S3Object) -> None:
        """One object in a worker."""
        self._metrics.add("objects_in_flight")
        try:
            self._check()
            self._take(source)
        except Stopped:
            log.info("%s is left for the next start", source)
        except LedgerError:
            raise
        except Exception as error:
            log.exception("%s met a fault of this program; please report it", source)
            self._metrics.add("objects_total", outcome=self._ledger.fail(source, f"a fault of this program: {error!r}"))
        finally:
            self._metrics.add("objects_in_flight", -1)


def repeat(jobs: tuple[Job, ...], stops: Stops, grace: timedelta) -> bool:
    """Runs the jobs until `stops.soon`, then waits `grace` for them to end; whether they all did."""
    threads = [Thread(target=_keep, args=(job, stops), name=job.name, daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    while not stops.soon.wait(1):
        pass
    deadline = datetime.now(UTC) + grace
    for thread in threads:
        while thread.is_alive() and datetime.now(UTC) < deadline and not stops.now.is_set():
            thread.join(0.2)
    stops.now.set()
    for thread in threads:
        thread.join(1)
    return not any(thread.is_alive() for thread in threads)


def _keep(job: Job, stops: Stops) -> None:
    """One job by the clock; what it raises is logged, and it comes again."""
    scheduler = schedule.Scheduler()
    scheduler.every(job.every.total_seconds()).seconds.do(_run, job)  # type: ignore[arg-type]
    if job.at_once:
        _run(job)
    while not stops.soon.is_set():
        scheduler.run_pending()
        stops.soon.wait(min(1.0, max(0.05, scheduler.idle_seconds or 0)))


def _run(job: Job) -> None:
    try:
        job.run()
    except Stopped:
        pass
    except ExporterError:
        log.exception("%s failed; it comes again in %s", job.name, job.every)
    except Exception:
        log.exception("%s met a fault of this program; please report it", job.name)
