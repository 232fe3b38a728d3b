"""Passes over the sources that are listed: what is new goes to the workers, and what lasts as trouble is told."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Protocol

from exporter.errors import ExporterError, Incomplete, SourceError, Stopped, faults_of
from exporter.flow import S3Object
from exporter.health import Health
from exporter.ledger import Ledger, State
from exporter.metrics import Metrics
from exporter.workers import IN_A_ROW, Workers

log = logging.getLogger(__name__)

SPAN = timedelta(minutes=5)
"""What a file's records reach beyond the time of its key: the one before `start` holds records after it."""

SIDE_BY_SIDE = 8
"""Buckets that are walked at once: one that answers slowly, or not, holds up no other."""

_A_MOMENT, _A_SECOND = timedelta(microseconds=2), timedelta(seconds=1)


class Listing(Protocol):
    """Finds objects in one source."""

    source_id: str

    def new_objects(
        self,
        first: date,
        last: date,
        start: datetime,
        unknown: Callable[..., list[S3Object]],
        behind: Mapping[str, date],
    ) -> Iterator[S3Object]:
        """Those of the days `first` to `last`, not older than `start`, that `unknown` leaves over.

        In folders that are `behind`, from those days on.  Raises Incomplete at the end, by folder, for those that could
        not be looked at.
        """
        ...  # pragma: no cover


def identity_of(source_id: str, start: datetime | None) -> str:
    """A place's: another `start` is another place, or an earlier one had no effect."""
    return source_id if start is None else f"{source_id} from {start.isoformat()}"


def first_time(start: datetime) -> datetime:
    """The time of the oldest file that can hold records of `start` or later."""
    return start - SPAN + _A_SECOND


@dataclass(frozen=True, slots=True)
class Place:
    """A source as it is walked: what its keys begin with, from which time on (None: its first pass), how far back."""

    listing: Listing
    bucket: str
    prefix: str
    start: datetime | None
    lookback: timedelta

    @property
    def identity(self) -> str:
        """Under which the ledger remembers it."""
        return identity_of(self.listing.source_id, self.start)


class Poller:
    """Takes what is new in all places; those of one bucket one after another, buckets side by side.

    What is done is remembered as long as it may be listed, and for `told` at least: so long a message may name it.
    """

    def __init__(  # noqa: PLR0913 - what it works with is passed in
        self,
        places: Sequence[Place],
        workers: Workers,
        *,
        ledger: Ledger,
        metrics: Metrics,
        health: Health,
        told: timedelta = timedelta(),
    ) -> None:
        self._told = told
        self._threads = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="listing")
        self._walking: dict[str, Future[None]] = {}
        by_bucket = groupby(sorted(places, key=lambda place: place.bucket), key=lambda place: place.bucket)
        self._buckets = [tuple(group) for _, group in by_bucket]
        self._workers = workers
        self._ledger = ledger
        self._metrics = metrics
        self._health = health

    @property
    def buckets(self) -> frozenset[str]:
        """The buckets that are walked."""
        return frozenset(places[0].bucket for places in self._buckets)

    def poll(self, *, wait: bool = True) -> None:
        """One pass over every place; a place where something fails does not stop the others.

        Without a `wait` it only begins passes, over the buckets whose last one has ended: days of back-log in one, or
        a bucket that does not answer, hold up no other.
        """
        for places in self._buckets:
            walking = self._walking.get(places[0].bucket)
            if walking is None or walking.done():
                self._walking[places[0].bucket] = self._threads.submit(self._walk_bucket, places)
        if wait:
            for walking in self._walking.values():
                walking.result()

    def close(self) -> None:
        """Waits for the passes under way, which a stop makes short."""
        self._threads.shutdown(cancel_futures=True)

    def recover(self, holds: Callable[[str, str], bool | None], now: datetime) -> None:
        """Before the first pass: a ledger that has never heard of any source, while documents are out, was lost.

        `holds` looks for documents of a bucket below a prefix.  A source that has some goes on from its look-back then
        instead of from now, so that nothing is missing.  In any case its objects are compared with what is out, so that
        nothing is there twice.  Raises what `holds` does.
        """
        new = [place for places in self._buckets for place in places if not self._ledger.knows(place.identity)]
        out = [place for place in new if holds(place.bucket, place.prefix)]
        lost = not self._ledger.knows_any()
        if out:
            self._ledger.doubt(now)
        for place in out:
            if not lost:
                log.info("documents of %s are out already: older objects are compared with them", place.identity)
                continue
            back = place.start or self._ledger.first_seen(place.identity, now - place.lookback)
            log.warning(
                "%s is new to the ledger, but documents of it are out: the ledger was lost, or is another one. "
                "Its objects since %s are taken, each after a look which of its documents are there",
                *(place.listing.source_id, f"{back:%Y-%m-%d %H:%M} UTC"),
            )

    def _walk_bucket(self, places: tuple[Place, ...]) -> None:
        """A pass over the places of one bucket."""
        given = dict[str, set[str]]()
        for place in places:
            try:
                self._walk(place, datetime.now(UTC), given, places)
            except Stopped:
                return
            except ExporterError as error:
                self._tell(place, error)
                log.error("the pass over %s is not whole: %s", place.listing.source_id, error)  # noqa: TRY400 - the text says it all
            except Exception as error:
                self._tell(place, error)
                log.exception("%s met a fault of this program; please report it", place.listing.source_id)
            else:
                self._tell(place, None)

    def _tell(self, place: Place, error: Exception | None) -> None:
        """How a pass went: to the metrics, to whoever asks for readiness, and to `status` by the ledger."""
        name = place.listing.source_id
        self._metrics.add("polls_total", outcome="failed" if error else "ok")
        faults = {} if error is None else faults_of(name, error)
        works = error is None or (isinstance(error, Incomplete) and place.prefix not in faults)
        self._health.tell(name, None if works else str(error) or repr(error))
        try:
            self._ledger.report(name, faults)
        except ExporterError as unwritten:
            log.warning("how the pass over %s went cannot be written down: %s", name, unwritten)

    def _walk(self, place: Place, now: datetime, given: dict[str, set[str]], bucket: tuple[Place, ...]) -> None:
        """A whole pass: only after it may days be forgotten; for `given` see `_found`."""
        identity, ledger = place.identity, self._ledger
        self._workers.write_down()
        start = first_time(self._start(place, now))
        first, behind = ledger.floor(identity) or start.date(), ledger.behind(identity)
        denied = self._give(self._found(place, (first, now.date()), start, behind, given))
        if self._workers.stopping:
            raise Stopped("stopped during a pass")
        left = {folder: _earliest(folder, behind, first) for folder in denied.faults} if denied else {}
        if left or behind:
            ledger.leave_behind(identity, left)
        ledger.raise_floor(identity, max(start.date(), (now - place.lookback).date()))
        self._forget(bucket)
        if denied:
            raise denied

    def _give(self, found: Iterator[S3Object]) -> Incomplete | None:
        """All that is found to the workers, and waits for it; what of it could not be looked at."""
        under_way: set[Future[State]] = set()
        undone = 0
        try:
            for source in found:
                ended = {future for future in under_way if future.done()}
                for future in ended:
                    undone = undone + 1 if future.result() is State.UNDONE else 0
                if undone >= IN_A_ROW:
                    raise SourceError(f"{undone} objects one after another ended undone; the rest is for a later pass")
                # What a queue may name too may have been done by another replica.
                under_way = (under_way - ended) | {self._workers.submit(source, again=bool(self._told))}
        except Incomplete as error:
            return error
        finally:
            wait(under_way)
            for future in under_way:
                future.result()
        return None

    def _forget(self, bucket: tuple[Place, ...]) -> None:
        """What is done, and lies before all days that any of the bucket's places may still list."""
        floors = [self._ledger.floor(each.identity) for each in bucket]
        behind = [day for each in bucket for day in self._ledger.behind(each.identity).values()]
        known = [floor for floor in floors if floor is not None]
        if len(known) == len(floors):
            self._ledger.prune(bucket[0].bucket, min(known + behind), self._told)

    def _found(
        self,
        place: Place,
        days: tuple[date, date],
        start: datetime,
        behind: Mapping[str, date],
        given: dict[str, set[str]],
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

        def unknown(page: Sequence[S3Object]) -> list[S3Object]:
            return [each for each in self._ledger.unknown(page) if each.id_prefix not in taken]

        yield from place.listing.new_objects(*days, start, unknown, behind)

    def _start(self, place: Place, now: datetime) -> datetime:
        """From when on a source is taken."""
        seen = self._ledger.first_seen(place.identity, now)
        if place.start is None and abs(seen - now) < _A_MOMENT:
            log.info(
                "%s is new here: what comes from now on is taken; `start` takes older objects too",
                place.listing.source_id,
            )
        return place.start or seen


def _earliest(folder: str, behind: Mapping[str, date], first: date) -> date:
    """The day from which on a folder has still to be looked at: it, one above it or below it may be behind already."""
    return min([first, *(day for each, day in behind.items() if each.startswith(folder) or folder.startswith(each))])
