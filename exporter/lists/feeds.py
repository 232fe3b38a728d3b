"""What is kept fresh: something in a file, in S3 or at an address, parsed, and what it was when it was last good.

A feed is read at start, and again whenever somebody says so.  What cannot be had or used then leaves what was read
before in use; where the start itself meets it, that is the last good copy on disk.

    bounded.py    work that may hang
    web.py        an address
    unpacking.py  gzip undone
    fetching.py   any place to a file of our own
    last_good.py  the copy on disk
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from exporter import retry
from exporter.errors import ConfigError, Fault, FeedError
from exporter.lists.fetching import LIMITS, Fetched, Fetcher, Place
from exporter.lists.last_good import Copy, LastGood
from exporter.lists.web import Limits, Passing
from exporter.metrics import Metrics

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)
T = TypeVar("T")

HASTE = 10.0
"""Seconds that a start gives to what it has a copy of."""

_EXAMPLES = 3


class Secret(Protocol):
    """A text that does not show itself, as pydantic's SecretStr."""

    def get_secret_value(self) -> str:
        """The text."""
        ...  # pragma: no cover


@dataclass(frozen=True, slots=True)
class Parsed(Generic[T]):
    """What a file holds: its value, how many entries that has, and how many could not be used, with some `examples`."""

    value: T
    entries: int
    skipped: int = 0
    examples: tuple[str, ...] = ()


class Feed(Generic[T]):
    """One thing that is kept fresh.

    `parse` gets a file of our own with the content, unpacked, whose name tells nothing; it raises FeedError where that
    is not what it should be.  A list without entries is never taken for good.  `folder` is for the copies of all feeds,
    each in a folder below it by its `name`; `s3` gives a bucket's client; `authorization` is a header's value, for an
    address; `option` is the location's path in the configuration; `limit` is in bytes, unpacked or not.

    Any thread may take `current`; readings wait for each other.
    """

    def __init__(  # noqa: PLR0913 - clients, settings and services are passed in
        self,
        name: str,
        location: Place,
        parse: Callable[[Path], Parsed[T]],
        *,
        folder: Path,
        s3: Callable[[str], S3Client] | None,
        metrics: Metrics,
        stop: Event,
        option: str,
        limit: int,
        authorization: Secret | str | None = None,
        limits: Limits = LIMITS,
        policy: retry.Policy = retry.FEED,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        """By which it is told of, in metrics and in documents."""
        self._location = location
        self._parse = parse
        self._last_good = LastGood(folder / name, location.text)
        plain = (
            authorization
            if authorization is None or isinstance(authorization, str)
            else authorization.get_secret_value()
        )
        hasty = replace(limits, read=min(limits.read, HASTE), total=min(limits.total, HASTE))
        self._fetcher, self._hasty_fetcher = (
            Fetcher(location, s3=s3, authorization=plain, limit=limit, stop=stop, limits=each)
            for each in (limits, hasty)
        )
        self._metrics = metrics
        self._stop = stop
        self._option = option
        self._policy = replace(policy, on=(Passing,))  # nothing else gets better by itself at once
        self._clock = clock
        self._lock = Lock()
        self._in_use: tuple[T, Copy] | None = None
        self._fault: str | None = None

    @property
    def current(self) -> T:
        """What is in use, from a reading that went well or from the last good copy."""
        if self._in_use is None:
            raise RuntimeError(f"the feed {self.name} is used before it was started")
        return self._in_use[0]

    @property
    def fault(self) -> str | None:
        """Why the last reading failed; None where it went well."""
        return self._fault

    def start(self) -> str | None:
        """The first reading.  Where that fails, the last good copy is used and the reason returned, else None.

        ConfigError where there is no copy either, Stopped where the program stops meanwhile.  With a copy it is tried
        once, for HASTE at most, so that a start waits for nobody.
        """
        with self._lock:
            self._take_copy()
            try:
                if self._in_use is None:
                    self._read(self._policy, self._fetcher)
                else:
                    self._read(replace(self._policy, on=()), self._hasty_fetcher)
            except FeedError as error:
                if self._in_use is None:
                    problem = f"{self._told(error)}; there is no copy of an earlier reading to start with"
                    raise ConfigError((Fault(self._option, problem),)) from None
                self._failed(error)
            return self._fault

    def refresh(self) -> str | None:
        """Reads again: None where all is well, else the reason, and what is in use stays in use.

        It may take as long as the limits of time say.  Stopped where the program stops meanwhile.
        """
        with self._lock:
            try:
                self._read(self._policy, self._fetcher)
            except FeedError as error:
                self._failed(error)
            return self._fault

    def _take_copy(self) -> None:
        """The last good copy, where there is one that is still good."""
        try:
            copy = self._last_good.read()
            if copy is not None:
                self._take(self._parsed(copy.path), copy)
        except FeedError as error:
            log.warning("%s: the last good copy cannot be used, it is fetched anew: %s", self.name, error)

    def _read(self, policy: retry.Policy, fetcher: Fetcher) -> None:
        """One reading, with what it changes; FeedError where it fails, and then nothing has changed."""
        known = self._in_use if self._in_use and self._in_use[1].path.exists() else None  # else it is to be kept again
        fetched = retry.retrying(policy, self._stop, self._note)(
            fetcher.fetch, self._last_good.folder, known[1].mark if known else {}
        )
        now = self._clock()
        if known is not None and (fetched is None or fetched.sha256 == known[1].sha256):
            self._same(known, fetched, now)
        elif fetched is not None:
            self._other(fetched, now)
        if self._fault is not None:
            log.info("%s: it is well again", self.name)
        self._fault = None

    def _same(self, known: tuple[T, Copy], fetched: Fetched | None, now: float) -> None:
        value, copy = known
        mark = copy.mark
        if fetched is not None:
            mark = fetched.mark
            _remove(fetched.path)
        copy = replace(copy, mark=mark, time=now)
        self._last_good.note(copy)
        self._in_use = value, copy
        self._metrics.set("feed_time_seconds", now, feed=self.name)
        self._metrics.add("feed_reads_total", feed=self.name, outcome="unchanged")

    def _other(self, fetched: Fetched, now: float) -> None:
        try:
            parsed = self._parsed(fetched.path)
            copy = self._last_good.keep(Copy(fetched.path, fetched.sha256, fetched.mark, now))
        except BaseException:
            _remove(fetched.path)
            raise
        self._take(parsed, copy)
        self._metrics.add("feed_reads_total", feed=self.name, outcome="changed")
        log.info("%s: %d entries are read from %s", self.name, parsed.entries, self._location)
        if parsed.skipped:
            such = "; ".join(f"{each:.200}" for each in parsed.examples[:_EXAMPLES]) or "none is shown"
            log.warning("%s: %d more entries cannot be used, such as: %s", self.name, parsed.skipped, such)

    def _take(self, parsed: Parsed[T], copy: Copy) -> None:
        self._in_use = parsed.value, copy
        self._metrics.set("feed_entries", parsed.entries, feed=self.name)
        self._metrics.set("feed_skipped", parsed.skipped, feed=self.name)
        self._metrics.set("feed_time_seconds", copy.time, feed=self.name)

    def _parsed(self, path: Path) -> Parsed[T]:
        """What a file holds; FeedError for whatever is wrong with it.

        Its text does not name the file: that name is another one each time, and a fault is told once.
        """
        try:
            parsed = self._parse(path)
        except FeedError as error:
            raise FeedError(str(error).replace(f"{path}: ", "").replace(str(path), "it")) from error
        except Exception as error:  # whatever somebody else's list holds, what was good before stays in use
            raise FeedError(f"it cannot be read: {type(error).__name__}: {error}".replace(str(path), "it")) from error
        if not parsed.entries:
            skipped = f", and {parsed.skipped:,} that cannot be used" if parsed.skipped else ""
            raise FeedError(f"it has no entries{skipped}; expected one at least")
        return parsed

    def _failed(self, error: FeedError) -> None:
        """Counts a failed reading; says so once, until the reason is another one."""
        told = self._told(error)
        if told != self._fault:
            log.warning("%s: %s; %s", self.name, told, self._goes_on())
        self._fault = told
        self._metrics.add("feed_reads_total", feed=self.name, outcome="failed")

    def _goes_on(self) -> str:
        if self._in_use is None:
            return "there is none in use"
        read = datetime.fromtimestamp(self._in_use[1].time, UTC)
        return f"the last good one stays in use, of {read.isoformat(timespec='seconds')}"

    def _told(self, error: FeedError) -> str:
        return f"{self._location}: {error}"

    def _note(self, _: retry.Attempt) -> None:
        self._metrics.add("retries_total", policy=self._policy.name)


def _remove(path: Path) -> None:
    """What stays is removed with the next copy."""
    with suppress(OSError):
        path.unlink()
