"""The loop: passes over the sources and refreshes of the inventory by the clock, signals, and an end in time."""

import logging
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from queue import Empty, SimpleQueue
from threading import BoundedSemaphore, Event, Thread
from typing import Protocol

import schedule

from exporter.errors import ExporterError, LedgerError, Stopped
from exporter.flow import S3Object
from exporter.ledger import Ledger
from exporter.metrics import Metrics

log = logging.getLogger(__name__)

LAST_SECONDS = 2.0
"""To tidy up once the grace time is over; what hangs even then does not hold the process."""

SPAN = timedelta(minutes=5)
"""What a file's records reach beyond the time of its key: the one before `start` holds records after it."""

_A_MOMENT, _A_SECOND = timedelta(microseconds=2), timedelta(seconds=1)


class Listing(Protocol):
    """Finds objects in one source."""

    source_id: str

    def new_objects(
        self, first: date, last: date, start: datetime, unknown: Callable[..., list[S3Object]]
    ) -> Iterator[S3Object]:
        """Those of the days `first` to `last`, not older than `start`, that `unknown` leaves over."""
        ...  # pragma: no cover


def identity_of(source_id: str, start: datetime | None) -> str:
    """A place's: another `start` is another place, or an earlier one had no effect."""
    return source_id if start is None else f"{source_id} from {start.isoformat()}"


@dataclass(frozen=True, slots=True)
class Place:
    """A source as the daemon walks it: from which time on (None: from its first pass on), and how far back."""

    listing: Listing
    bucket: str
    start: datetime | None
    lookback: timedelta

    @property
    def identity(self) -> str:
        """Under which the ledger remembers it."""
        return identity_of(self.listing.source_id, self.start)


@dataclass(frozen=True, slots=True)
class Job:
    """Something done every so often, and usually at once too, in a thread of its own."""

    name: str
    every: timedelta
    run: Callable[[], object]
    at_once: bool = True


@dataclass(slots=True)
class Stops:
    """How the program ends: `soon` takes no more objects and ends the looking for them, `now` ends every wait."""

    soon: Event = field(default_factory=Event)
    now: Event = field(default_factory=Event)


@contextmanager
def signals(stops: Stops, grace: timedelta, leave: Callable[[], object]) -> Iterator[None]:
    """SIGTERM and SIGINT end the block: it has `grace` to finish what is under way, and `LAST_SECONDS` to tidy up.

    A second signal ends the grace time.  A block that hangs even then is left: `leave` is called, from another thread,
    and should not return.  Only the main thread may call it.
    """
    asked: SimpleQueue[str] = SimpleQueue()

    def on_signal(number: int, _: object) -> None:
        asked.put(signal.Signals(number).name)  # a handler may interrupt the holder of any lock: no Event here, no log

    watcher = Thread(target=_watch, args=(asked, stops, grace.total_seconds(), leave), name="stop", daemon=True)
    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    watcher.start()
    try:
        yield
    finally:
        asked.put(_ENDED)
        watcher.join()
        for number, handler in before.items():
            signal.signal(number, handler)


_ENDED, _TIME_OVER = "ended", "the grace time is over"


def _watch(asked: SimpleQueue[str], stops: Stops, grace: float, leave: Callable[[], object]) -> None:
    """Waits for the first signal, then for the grace time or a second one, then for the end."""
    first = asked.get()
    if first == _ENDED:
        return
    log.info("%s: stopping; what is under way has %.0f s to end", first, grace)
    stops.soon.set()
    second = _next(asked, grace)
    if second == _ENDED:
        return
    log.warning("%s: what is under way is left for the next start", second)
    stops.now.set()
    if _next(asked, LAST_SECONDS) != _ENDED:
        leave()


def _next(asked: SimpleQueue[str], seconds: float) -> str:
    try:
        return asked.get(timeout=seconds)
    except Empty:
        return _TIME_OVER


def leave(status: int) -> None:
    """Ends the process at once; what hangs is not marked done, and the next start takes it up."""
    log.warning("something hangs and is not waited for any longer")
    os._exit(status)


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
        self._unwritten: set[S3Object] = set()

    def poll(self) -> None:
        """One pass over every place; a place where something fails does not stop the others."""
        given = dict[str, set[str]]()
        for place in self._places:
            try:
                self._walk(place, datetime.now(UTC), given)
            except Stopped:
                return
            except ExporterError as error:
                self._metrics.add("polls_total", outcome="failed")
                log.error("the pass over %s is not whole: %s", place.listing.source_id, error)  # noqa: TRY400 - the text says it all
            except Exception:
                self._metrics.add("polls_total", outcome="failed")
                log.exception("%s met a fault of this program; please report it", place.listing.source_id)
            else:
                self._metrics.add("polls_total", outcome="ok")

    def close(self) -> None:
        """Waits for the objects under way, which `stops.now` makes short, except for one that hangs: see `signals`."""
        self._pool.shutdown(cancel_futures=True)

    def _walk(self, place: Place, now: datetime, given: dict[str, set[str]]) -> None:
        """A whole pass: only after it may days be forgotten; for `given` see `_found`."""
        identity, ledger = place.identity, self._ledger
        self._write_down()
        start = (place.start or self._first_seen(identity, now)) - SPAN + _A_SECOND
        first = ledger.floor(identity) or start.date()
        under_way: set[Future[None]] = set()
        try:
            for source in self._found(place, (first, now.date()), start, given):
                under_way = self._settled(under_way) | {self._submit(source)}
        finally:
            wait(under_way)
            self._settled(under_way)
        if self._stops.soon.is_set():
            raise Stopped("stopped during a pass")
        ledger.raise_floor(identity, max(start.date(), (now - place.lookback).date()))
        floors = [ledger.floor(each.identity) for each in self._places if each.bucket == place.bucket]
        known = [floor for floor in floors if floor is not None]
        if len(known) == len(floors):
            ledger.prune(place.bucket, min(known))

    def _found(
        self, place: Place, days: tuple[date, date], start: datetime, given: dict[str, set[str]]
    ) -> Iterator[S3Object]:
        """What the ledger knows to be undone in the bucket, as no listing need find it again, then what is listed.

        `given` are the ids of the former, by bucket, which are taken once in a pass, whatever becomes of them.
        """
        if place.bucket not in given:
            given[place.bucket] = set()
            for source in self._ledger.waiting(place.bucket):
                given[place.bucket].add(source.id_prefix)
                yield source
        taken = given[place.bucket]
        yield from place.listing.new_objects(
            *days, start, lambda page: [each for each in self._ledger.unknown(page) if each.id_prefix not in taken]
        )

    def _first_seen(self, identity: str, now: datetime) -> datetime:
        """From when on a source without a `start` is taken."""
        start = self._ledger.first_seen(identity, now)
        if abs(start - now) < _A_MOMENT:
            log.info("%s is new here: what comes from now on is taken; `start` takes older objects too", identity)
        return start

    def _write_down(self) -> None:
        """Objects whose end the ledger could not take (a full disk) would be under way for ever: they are undone."""
        for source in list(self._unwritten):
            self._ledger.begin(source)
            self._ledger.release(source, "the ledger could not be written when it ended")
            self._unwritten.discard(source)

    def _settled(self, futures: set[Future[None]]) -> set[Future[None]]:
        """Those still under way; raises what one of the others met."""
        ended = {future for future in futures if future.done()}
        for future in ended:
            future.result()
        return futures - ended

    def _submit(self, source: S3Object) -> Future[None]:
        """Hands an object to a worker; waits while there are two for each of them."""
        self._check()
        while not self._room.acquire(timeout=0.2):
            self._check()
        future = self._pool.submit(self._one, source)
        future.add_done_callback(lambda _: self._room.release())
        return future

    def _check(self) -> None:
        if self._stops.soon.is_set():
            raise Stopped("stopped before an object was begun")

    def _one(self, source: S3Object) -> None:
        """One object in a worker; raises nothing but LedgerError."""
        self._metrics.add("objects_in_flight")
        try:
            self._taken(source)
        except LedgerError as error:
            self._unwritten.add(source)
            self._metrics.add("objects_total", outcome="undone")
            log.error("%s is undone, and taken again once the ledger can be written: %s", source, error)  # noqa: TRY400 - the text says it all
            raise
        finally:
            self._metrics.add("objects_in_flight", -1)

    def _taken(self, source: S3Object) -> None:
        try:
            self._check()
            self._take(source)
        except Stopped:
            log.info("%s is left for the next start", source)
        except LedgerError:
            raise
        except BaseException as error:  # polars' panics are no Exceptions
            log.exception("%s met a fault of this program; please report it", source)
            self._metrics.add("objects_total", outcome=self._ledger.fail(source, f"a fault of this program: {error!r}"))


def repeat(jobs: tuple[Job, ...], stops: Stops) -> None:
    """Runs the jobs until `stops.soon`; returns when each has ended."""
    threads = [Thread(target=_keep, args=(job, stops), name=job.name, daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(1)


def _keep(job: Job, stops: Stops) -> None:
    """One job by the clock; what it raises is logged, and it comes again."""
    scheduler, every = schedule.Scheduler(), job.every.total_seconds()
    scheduler.every(every).seconds.do(attempt, job)  # type: ignore[arg-type]
    if job.at_once and not stops.soon.is_set():
        attempt(job)
    while not stops.soon.is_set():
        scheduler.run_pending()
        idle = scheduler.idle_seconds or 0
        if idle > every:  # schedule goes by local time, which was set back: where summer time ends, by an hour
            scheduler.run_all()
        stops.soon.wait(min(1.0, max(0.05, idle)))


def attempt(job: Job) -> None:
    """Runs a job once; what it raises is logged, for it comes again."""
    try:
        job.run()
    except Stopped:
        log.info("%s was stopped", job.name)
    except ExporterError as error:
        log.error("%s failed, and comes again in %s: %s", job.name, job.every, error)  # noqa: TRY400 - the text says it all
    except BaseException:  # polars' panics are no Exceptions, and would end the thread in silence
        log.exception("%s met a fault of this program; please report it", job.name)
