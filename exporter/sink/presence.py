"""Which documents of an object are in the data stream already: asked before an interrupted object is sent again.

A backing index knows its own ids only: after a roll-over `create` would add once more what lies in an older one.  So
the stream is refreshed and asked whether it has anything of the object; if so, each batch's ids are looked up, and
what is there is not sent.  Asking by id tells the versions of an overwritten object apart, needs no memory that grows
with the object, and is cheaper than `create` even where that would do.  On 9.4.3, 200,000 documents of one object
among 800,000, on two busy cores: sending all again 6.2 s, besides making them; counting ids 0.7 s; naming the rows
2 to 3 s; paging through hits by log.offset 12 s.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event, Lock
from time import monotonic
from typing import Any, TypeVar

from elasticsearch import ApiError, Elasticsearch

from exporter.errors import Refused, SinkError, Stopped, Unavailable
from exporter.flow import Batch, S3Object
from exporter.metrics import Metrics
from exporter.retry import OUTPUT, Attempt, retrying
from exporter.sink.bulk import TooLarge, counted

FEWEST = 500
"""Ids that any way to the server should let pass: some 14 kB."""

IDS = 10_000
"""Ids a request: index.max_result_window as it is by default; a server takes no more."""

INDICES = 20
"""So many backing indices are named in a request, whose path may have 4 KB; where it is more, the stream is asked."""

REFRESHED = 5.0
"""Seconds for which a refresh is enough where nothing of the object can have been sent just now: a back-fill looks for
object after object, and each refresh costs the server a segment."""

PATIENCE = 120.0
"""Seconds until the answer of some shards counts though others gave none: a node that restarts is back by then."""

_INDICES = {"indices": {"terms": {"field": "_index", "size": INDICES + 1}}}
_ROWS = {"rows": {"composite": {"size": IDS, "sources": [{"row": {"terms": {"field": "log.offset"}}}]}}}
_PARTS = "_shards,hits.total,aggregations"
_NOT_FOUND, _FORBIDDEN = 404, 403

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Patience:
    """How long some shards have given no answer."""

    since: float | None = None

    def lasts(self, now: float) -> bool:
        """Shards give no answer; whether they may still come back."""
        self.since = now if self.since is None else self.since
        return now < self.since + PATIENCE

    def over(self) -> None:
        """All of them have answered."""
        self.since = None


class Presence:
    """Looks for documents in the data stream `stream`; needs `read` and `maintenance` on it.

    `timeout` is a request's, in seconds: what a process that died, or a delivery that was given up, had sent may be
    at work for so long, and nothing is looked for before it is over.  `on_retry` is told of repeated requests.
    """

    def __init__(  # noqa: PLR0913 what it works with, each by its name
        self,
        client: Elasticsearch,
        stream: str,
        *,
        timeout: float,
        metrics: Metrics,
        stop: Event,
        on_retry: Callable[[Attempt], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.stream = stream
        self.metrics = metrics
        self.clock = clock
        self._client = client
        self._timeout = timeout
        self._stop = stop
        self._on_retry = on_retry
        self._over = clock() + timeout
        self._refreshed = -math.inf
        self._patience = _Patience()
        self._given_up: dict[str, float] = {}
        self._told: set[str] = set()
        self._lock = Lock()

    def look(self, source: S3Object, *, at_work: bool) -> "Look | None":
        """What can tell which documents of an object are there; None where none is, or where nobody may ask.

        `at_work` says that a process before this one may have sent some of it just before it died.  Raises Stopped.
        """
        self._outlast(source, self._over if at_work else self.clock())
        look = Look(self, source)
        look.begin(fresh=at_work)
        return look if look.indices else None

    def arrived(self, source: S3Object, rows: list[int]) -> list[int]:
        """Which of these rows are there, though nobody heard so: asked before a request is sent once more.

        None where that cannot be asked.  Raises Unavailable.
        """
        look = Look(self, source)
        try:
            self.refresh(0)
            return [row for start in range(0, len(rows), IDS) for row in look.there(rows[start : start + IDS])]
        except (Refused, TooLarge) as error:
            if _status(error) != _NOT_FOUND:
                look.give_up(error)
            return []

    def given_up(self, source: S3Object) -> None:
        """A request with documents of the object may be travelling yet."""
        now = self.clock()
        with self._lock:
            self._given_up = {name: over for name, over in self._given_up.items() if over > now}
            self._given_up[source.id_prefix] = now + self._timeout

    def holds(self, bucket: str, prefix: str) -> bool | None:
        """Whether there is any document of objects below a prefix; None where that cannot be asked, which is logged.

        Raises Unavailable where there is no answer.
        """
        below = [{"prefix": {"aws.s3.object.key": prefix}}] if prefix else []
        query = {"bool": {"filter": [{"term": {"aws.s3.bucket.name": bucket}}, *below]}}
        try:
            answer = self.search([self.stream], query, terminate_after=1, track_total_hits=1)
        except Refused as error:
            if _status(error) == _NOT_FOUND:
                return False
            self.tell("holds", f"whether {self.stream} has documents of s3://{bucket}/{prefix} stays unknown: {error}")
            return None
        found = bool(read(answer, "hits", "total", "value"))
        return True if found else None if read(answer, "_shards", "failed") else False

    def refresh(self, enough: float) -> None:
        """Makes everything visible to a search that was indexed so far, or until `enough` seconds ago."""
        now = self.clock()
        if now - self._refreshed < enough:
            return
        with counted(self.stream, self.metrics):
            answer = self._client.indices.refresh(index=self.stream, ignore_unavailable=True).body
        if not (failed := read(answer, "_shards", "failed")):
            self._refreshed = now
            self._patience.over()
        elif self._patience.lasts(now):
            raise Unavailable(f"{self.stream}: {failed} shards gave no answer")

    def search(self, indices: Sequence[str], query: dict[str, Any], **more: Any) -> object:  # noqa: ANN401 of the API
        """The answer to a search without hits.  Raises Unavailable, Refused and TooLarge."""
        where = indices if len(indices) <= INDICES else [self.stream]
        with counted(self.stream, self.metrics):
            answer = self._client.search(
                index=list(where),
                size=0,
                query=query,
                allow_partial_search_results=True,
                filter_path=_PARTS,
                **more,
            )
        return answer.body

    def retried(self, ask: Callable[..., T], *arguments: object) -> T:
        """As often as the output's policy says.  Raises Stopped, and at once what will not pass."""
        return retrying(OUTPUT, self._stop, self._on_retry)(ask, *arguments)

    def tell(self, what: str, text: str) -> None:
        """Logs a thing once in this process."""
        with self._lock:
            told = what in self._told
            self._told.add(what)
        if not told:
            _log.warning("%s", text)

    def _outlast(self, source: S3Object, over: float) -> None:
        with self._lock:
            over = max(over, self._given_up.pop(source.id_prefix, over))
        left = over - self.clock()
        if left > 0:
            _log.info("%s is sent again in %.0f s, when no earlier request can be at work any more", source, left)
            if self._stop.wait(left):
                raise Stopped(f"stopped while waiting to send {source} again")


@dataclass(slots=True)
class Look:
    """The documents of one object that were there when it was begun again; `indices` hold them."""

    presence: Presence
    source: S3Object
    patience: _Patience = field(default_factory=_Patience)
    indices: tuple[str, ...] = ()
    unknown: bool = False

    def begin(self, *, fresh: bool) -> None:
        """Finds the indices with documents of the object's key, of whichever version, and counts what was found.

        Where it need not be `fresh`, a refresh a moment ago is enough.
        """
        try:
            self.presence.retried(self._find, fresh)
        except (Refused, TooLarge) as error:
            self.give_up(error)
        else:
            self.presence.metrics.add("looks_total", found="some" if self.indices else "none")

    def rows(self, batch: Batch) -> list[int]:
        """The rows of a batch whose documents are there.  Raises Stopped."""
        rows: list[int] = batch.frame["row"].to_list()
        there = list[int]()
        for start in range(0, len(rows), IDS):
            if self.indices:
                try:
                    there += self.presence.retried(self.there, rows[start : start + IDS])
                except (Refused, TooLarge) as error:
                    self.give_up(error)
        return there

    def _find(self, fresh: bool = True) -> None:  # noqa: FBT001, FBT002 - called by the retry, by position
        source = self.source
        query = {
            "bool": {
                "filter": [{"term": {"aws.s3.bucket.name": source.bucket}}, {"term": {"aws.s3.object.key": source.key}}]
            }
        }
        self.presence.refresh(0 if fresh else REFRESHED)
        self.indices = ()
        try:
            answer = self._search(query, aggs=_INDICES)
        except Refused as error:
            if _status(error) == _NOT_FOUND:
                return
            if not _is_closed(error):
                raise
            self._miss("closed", "a backing index is closed")
            answer = self._search(query, aggs=_INDICES, ignore_unavailable=True)
        self.indices = tuple(bucket["key"] for bucket in read(answer, "aggregations", "indices", "buckets"))

    def there(self, rows: list[int]) -> list[int]:
        """Which of at most `IDS` rows are there; in parts, where a proxy finds a request with so many ids too large."""
        try:
            return self._there(rows)
        except TooLarge:
            if len(rows) <= FEWEST:
                raise
            middle = len(rows) // 2
            return self.there(rows[:middle]) + self.there(rows[middle:])

    def _there(self, rows: list[int]) -> list[int]:
        """The same in one request or two: by counting where that is enough, else one by one."""
        query = {"ids": {"values": [f"{self.source.id_prefix}{row:08x}" for row in rows]}}
        try:
            if len(self.indices) == 1:  # within an index no id is counted twice
                count = read(self._search(query, track_total_hits=True), "hits", "total", "value")
                if count in {0, len(rows)}:
                    return rows if count else []
            buckets = read(self._search(query, aggs=_ROWS), "aggregations", "rows", "buckets")
        except Refused as error:
            if not self.indices or (_status(error) != _NOT_FOUND and not _is_closed(error)):
                raise
            self._find()
            raise Unavailable(f"{self.presence.stream}: an index that was to be asked is closed or gone") from error
        return [read(bucket, "key", "row") for bucket in buckets]

    def _search(self, query: dict[str, Any], **more: Any) -> object:  # noqa: ANN401 of the API
        """A search, whole; or what can be had of it once patience has ended."""
        presence = self.presence
        answer = presence.search(self.indices or [presence.stream], query, **more)
        if not (failed := read(answer, "_shards", "failed")):
            self.patience.over()
        elif self.patience.lasts(presence.clock()):
            raise Unavailable(f"{presence.stream}: {failed} shards gave no answer to a search")
        else:
            self._miss("shards", f"{failed} shards give no answer")
        return answer

    def give_up(self, error: SinkError) -> None:
        """Nothing more is asked of this object: from here on `create` alone keeps documents from being there twice."""
        self.indices = ()
        if _status(error) == _FORBIDDEN:
            self._miss("privileges", "the credentials lack read or maintenance on it (docs/permissions.md)")
        else:
            self._miss(str(_status(error)), str(error))

    def _miss(self, what: str, why: str) -> None:
        """Counts once an object, tells once a process."""
        if not self.unknown:
            self.unknown = True
            self.presence.metrics.add("looks_total", found="unknown")
        self.presence.tell(
            what,
            f"{self.presence.stream} cannot be asked for all documents of {self.source}, which is sent again: {why}; "
            "documents that lie in an index from before the last roll-over may be there twice",
        )


def read(answer: object, *path: str) -> Any:  # noqa: ANN401 of the API
    """What stands in an answer.  Raises Unavailable where it is no answer to a search."""
    for name in path:
        if not isinstance(answer, dict) or name not in answer:
            raise Unavailable(f"the answer to a search has no {'.'.join(path)}")
        answer = answer[name]
    return answer


def _status(error: SinkError) -> int:
    """The HTTP status that an error was made of; 413 has an error of its own."""
    cause = error.__cause__
    return cause.meta.status if isinstance(cause, ApiError) else 0


def _is_closed(error: Refused) -> bool:
    cause = error.__cause__
    return isinstance(cause, ApiError) and cause.error == "index_closed_exception"
