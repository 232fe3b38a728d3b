"""Objects in a bucket that does not follow AWS's layout: which are new tells LastModified, not the key.

Every key below the prefix is listed at each pass, a page at a time: one request for 1,000 keys, however old they are.
Where keys rise with time a marker makes that short: nothing at or before it can be new any more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from itertools import takewhile
from threading import Event
from typing import TYPE_CHECKING

from exporter.config import S3Source
from exporter.flow import S3Object
from exporter.metrics import Metrics
from exporter.source.keys import is_file, parse_key
from exporter.source.pages import Pages, Unknown

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Marker:
    """Where the listing of rising keys begins: behind `key()`, None for the first one; `move` remembers another."""

    key: Callable[[], str | None]
    move: Callable[[str], object]


class KeyListing:
    """Finds what is new in one bucket below one prefix, whatever the keys look like.

    With a `marker` it begins behind that, and moves it after each whole listing: to the greatest key such that it and
    all keys before it were last modified before what is still looked for.  A key that is stored later and stands
    before the marker is therefore not found: it would be older, by its key, than the look-back.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - clients, settings and services are passed in
        self,
        client: S3Client,
        settings: S3Source,
        metrics: Metrics,
        stop: Event,
        marker: Marker | None = None,
        page_size: int = 1000,
    ) -> None:
        self._bucket = settings.bucket
        self._prefix = settings.root
        self._pages = Pages(client, settings.bucket, metrics, stop, page_size)
        self._marker = marker
        self.source_id = settings.source_id
        """Under which the ledger remembers this source: another layout is another source."""

    def new_objects(
        self,
        first: date,
        last: date,  # noqa: ARG002 - every listing is asked like this
        start: datetime,
        unknown: Unknown,
        behind: Mapping[str, date] | None = None,  # noqa: ARG002 - as above
    ) -> Iterator[S3Object]:
        """What `unknown` leaves of the objects last modified on the day `first` (UTC) or later, and not before `start`.

        Page by page, and within a page (at most 1,000) by time, which is LastModified; what was modified after `last`
        comes too.  Folder markers, empty objects and CloudWatch Logs' trials are left out.  A failure is retried by
        policy and then raised as SourceError where it stands; Stopped where the program stops.
        """
        since = max(datetime.combine(first, time(), UTC), start)
        after = self._marker.key() if self._marker else None
        passed, passing, seen = after, True, False
        for page in self._pages.below(self._prefix, after=after or ""):
            items = [item for item in page.get("Contents", ()) if is_file(item["Key"])]
            seen = seen or bool(items)
            if passing:
                old = list(takewhile(lambda item: item["LastModified"] < since, items))
                passed, passing = (old[-1]["Key"] if old else passed), len(old) == len(items)
            yield from unknown(self._objects(items, since))
        if not seen and after is None:
            log.warning("there are no objects below %s; is that the bucket and the prefix?", self.source_id)
        if self._marker and passed is not None and passed != after:
            self._marker.move(passed)

    def _objects(self, items: Iterable[ObjectTypeDef], since: datetime) -> list[S3Object]:
        """Those of a page that are not older than `since` and not empty, by time."""
        found = (
            replace(
                parse_key(self._bucket, item["Key"], item["ETag"], item["Size"], item["LastModified"]),
                time=item["LastModified"].astimezone(UTC),
            )
            for item in items
            if item["Size"] and item["LastModified"] >= since
        )
        return sorted(found, key=lambda item: item.time)
