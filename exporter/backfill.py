"""A range of time sent once more, or for the first time: every object of it to the workers, and how far that is.

The listing runs at most as far ahead as the workers have room, so memory does not depend on the range.  How much there
is in all a second listing tells meanwhile, which only adds up: ten million keys are ten thousand requests, some half an
hour in which the work would stand still; beside days of work they are nothing.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import partial
from threading import Event, Lock, Thread

from exporter.errors import ExporterError, Incomplete, SourceError, Stopped, faults_of
from exporter.flow import S3Object
from exporter.ledger import Ledger, State
from exporter.workers import IN_A_ROW, Workers

log = logging.getLogger(__name__)

SHOWN = 20
"""Objects that are named at the end, of those left undone."""

RECORDS_A_BYTE = 1 / 75
"""Of an object as stored, where no ledger tells: AWS closes a file at 75 MB, and it has over a million records then."""

RECORDS_A_SECOND = 5_000
"""Where no back-fill of the last hour tells: what a small Elasticsearch takes, see docs/measurements.md."""

Unknown = Callable[[Sequence[S3Object]], Sequence[S3Object]]
"""Which of a page's objects still have to be done; the ledger's `unknown`."""

Walk = Callable[[Unknown], Iterator[S3Object]]
"""The chosen objects of a source: of each page what is passed in leaves over."""


@dataclass(frozen=True, slots=True)
class Part:
    """One source of the range: its name, its walk, and the same walk for adding up, which logs no folder."""

    name: str
    walk: Walk
    count: Walk


@dataclass(frozen=True, slots=True)
class Amount:
    """Some objects and their bytes as stored."""

    objects: int = 0
    bytes: int = 0

    def plus(self, *sources: S3Object) -> "Amount":
        """This and these."""
        return Amount(self.objects + len(sources), self.bytes + sum(source.size for source in sources))


@dataclass(slots=True)
class Progress:
    """How far it is: of `found` in all (`counted`: that is the whole range) so much is `earlier` and `ended`.

    `earlier` are those that the ledger knew as done, or as nothing to be tried again; `ended` those of this run, by
    `states`.  `left` are the first of those that ended undone or failed, `faults` says what was not gone through whole.
    """

    found: Amount = field(default_factory=Amount)
    counted: bool = False
    earlier: Amount = field(default_factory=Amount)
    ended: Amount = field(default_factory=Amount)
    states: Counter[State] = field(default_factory=Counter)
    left: list[S3Object] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def undone(self) -> int:
        """How many objects of this run have to be tried again."""
        return self.states[State.UNDONE] + self.states[State.FAILED]


def count(parts: Sequence[Part], progress: Progress, stop: Callable[[], bool], unknown: Unknown = list) -> None:
    """Adds up what there is, and what of it is known; what may not be listed goes into `faults`.

    Stopped where `stop` says so, which is asked at each page.
    """

    def add(page: Sequence[S3Object]) -> list[S3Object]:
        if stop():
            raise Stopped("stopped before all was counted")
        progress.found = progress.found.plus(*page)
        progress.earlier = progress.earlier.plus(*without(page, unknown(page)))
        return []

    for part in parts:
        try:
            for _ in part.count(add):
                pass
        except Stopped:
            raise
        except SourceError as error:
            progress.faults |= faults_of(part.name, error)
    progress.counted = True


def without(page: Sequence[S3Object], some: Sequence[S3Object]) -> list[S3Object]:
    """A page's objects but for some."""
    ids = {source.id_prefix for source in some}
    return [source for source in page if source.id_prefix not in ids]


class Backfill:
    """Sends all chosen objects of some sources that the ledger does not know as done."""

    def __init__(self, parts: Sequence[Part], workers: Workers, ledger: Ledger) -> None:
        self._parts = parts
        self._workers = workers
        self._ledger = ledger
        self._changing = Lock()
        self._over = Event()
        self._in_a_row = 0
        self._broken: BaseException | None = None
        self.progress = Progress()

    def run(self, tell: Callable[[], object], every: float) -> Progress:
        """Returns when every object has ended, or the program stops; `tell` is called every so many seconds.

        An object that fails, or a folder that may not be listed, stops no other.  LedgerError where the ledger cannot
        be written.
        """
        beside = [
            Thread(target=self._count, name="count", daemon=True),
            Thread(target=self._tell, args=(tell, every), name="progress", daemon=True),
        ]
        for thread in beside:
            thread.start()
        try:
            for part in self._parts:
                if not self._walk(part):
                    break
        finally:
            self._over.set()
            for thread in beside:
                thread.join()
        return self.progress

    def _walk(self, part: Part) -> bool:
        """One source; whether to go on with the next."""
        under_way: set[Future[State]] = set()
        try:
            for source in part.walk(self._to_do):
                future = self._workers.submit(source, again=True)
                if future not in under_way:
                    future.add_done_callback(partial(self._ended, source))
                under_way = {each for each in under_way if not each.done()} | {future}
                self._check()
        except Stopped:
            return False
        except SourceError as error:
            faults = faults_of(part.name, error)
            if not isinstance(error, Incomplete):
                log.error("%s was not gone through whole: %s", part.name, error)  # noqa: TRY400 - the text says it all
        else:
            faults = {}
        finally:
            wait(under_way)
        if self._broken is not None:
            raise self._broken
        self.progress.faults |= faults
        self._ledger.report(part.name, faults)
        return self._in_a_row < IN_A_ROW

    def _check(self) -> None:
        """Raises what a worker met that it cannot answer for itself, or that many met one after another."""
        if self._broken is not None:
            raise self._broken
        if self._in_a_row >= IN_A_ROW:
            raise SourceError(f"{IN_A_ROW} objects in a row could not be done, and nothing more was begun")

    def _to_do(self, page: Sequence[S3Object]) -> list[S3Object]:
        left = self._ledger.unknown(page)
        self.progress.earlier = self.progress.earlier.plus(*without(page, left))
        return left

    def _ended(self, source: S3Object, future: Future[State]) -> None:
        """In a worker's thread; what is cancelled was not begun, for the program stops."""
        if future.cancelled():
            return
        error = future.exception()
        state = State.UNDONE if error else future.result()
        undone = state in {State.UNDONE, State.FAILED}
        with self._changing:
            self._broken = self._broken or error
            self.progress.ended = self.progress.ended.plus(source)
            self.progress.states[state] += 1
            self._in_a_row = self._in_a_row + 1 if undone else 0
            if undone and len(self.progress.left) < SHOWN:
                self.progress.left.append(source)

    def _count(self) -> None:
        aside = Progress()
        try:
            self._count_into(aside)
        except Stopped:
            return
        except Exception as error:
            log.warning(
                "how much there is in all cannot be told: %s", error, exc_info=not isinstance(error, ExporterError)
            )

    def _count_into(self, aside: Progress) -> None:
        """Shows what was counted so far; faults are told by the walk itself."""

        def stop() -> bool:
            self.progress.found = aside.found
            return self._over.is_set() or self._workers.stopping

        count(self._parts, aside, stop)
        self.progress.found, self.progress.counted = aside.found, True

    def _tell(self, tell: Callable[[], object], every: float) -> None:
        while not self._over.wait(every):
            tell()
