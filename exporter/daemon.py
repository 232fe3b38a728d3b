"""The loop: jobs by the clock, signals, and an end in time."""

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from queue import Empty, SimpleQueue
from threading import Event, Thread

import schedule

from exporter.errors import ExporterError, Stopped

log = logging.getLogger(__name__)

LAST_SECONDS = 2.0
"""To tidy up once the grace time is over; what hangs even then does not hold the process."""


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
