"""The data stream of dead letters, read back: what each is, what became of it since, and which of them still stand."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from elasticsearch import ApiError, AuthorizationException, Elasticsearch, NotFoundError, TransportError

from exporter.errors import Refused, Unavailable
from exporter.sink.bulk import of_answer, of_connection
from exporter.sink.kept_letters import UNREADABLE, KeptForm, KeptLetter, letter_of
from exporter.sink.letter_stream import KEPT_AGAIN, REPLAYED, SUPERSEDED

_PAGE = 200
"""Letters that are held at a time: some 13 MB where each is as long as it may be, and 80 on the wire."""

_KEPT_FOR = "30m"
"""How long the server remembers where a reader is that does not come back."""

_ORDER = [{"vpcflow_exporter.letter.id": "asc"}, {"@timestamp": "asc"}, {"_shard_doc": "asc"}]
"""What is said of a letter stands beside it, and what is said of an object in front of all its letters."""

_PREFIX = 16

_log = logging.getLogger(__name__)


def read(client: Elasticsearch, stream: str, ids: Iterable[str] = ()) -> Iterator[KeptLetter]:
    """The letters of a data stream, each id once: as it was kept last; none where there is no stream yet.

    In the order of their ids, so that those of one object come together; only some of them are held.  `ids`, if any,
    are the only ones that are asked for.  What is added meanwhile is not seen.  A document that is no letter is
    skipped and logged.  Raises Refused and Unavailable.
    """
    before: tuple[str, datetime] | None = None
    for id_, documents in groupby(_documents(client, stream, ids), _id):
        history = _History()
        for document in documents:
            history.note(stream, document)
        if len(id_) == _PREFIX:
            before = (id_, history.before) if history.before else None
        elif letter := history.told():
            superseded = before is not None and id_.startswith(before[0]) and letter.time < before[1]
            yield replace(letter, superseded=superseded)


@dataclass(slots=True)
class _History:
    """All that is said under one id: a letter's, or an object's."""

    kept: dict[str, KeptLetter] = field(default_factory=dict)
    times: dict[str, datetime] = field(default_factory=dict)
    replayed: bool = False
    before: datetime | None = None

    def note(self, stream: str, document: Mapping[str, Any]) -> None:
        """Takes up a document."""
        try:
            self._note(document)
        except UNREADABLE:
            _log.warning("%s: the document with the id %.40s is no dead letter and is skipped", stream, _id(document))

    def _note(self, document: Mapping[str, Any]) -> None:
        said, action = document["vpcflow_exporter"]["letter"], document["event"].get("action")
        if action is None:
            letter = _letter(document, said)
            self._seen(said["version"], letter.time)
            self.kept[said["version"]] = letter
        elif action == KEPT_AGAIN:
            self._seen(said["version"], _time(document["@timestamp"]))
        elif action == SUPERSEDED:
            before = _time(said["before"])
            self.before = max(self.before or before, before)
        elif action == REPLAYED:
            self.replayed = True
        else:
            raise ValueError(action)

    def _seen(self, version: str, time: datetime) -> None:
        self.times[version] = max(time, self.times.get(version, time))

    def told(self) -> KeptLetter | None:
        """The letter as it was kept last, with what became of it; None where nothing but words about it are there."""
        if not self.kept:
            return None
        last = max(self.kept, key=self.times.__getitem__)
        return replace(self.kept[last], time=self.times[last], replayed=self.replayed)


def _letter(document: Mapping[str, Any], said: Mapping[str, Any]) -> KeptLetter:
    """A letter by its document, which says the same as an entry of the file; raises one of UNREADABLE for none."""
    s3, container = document["aws"]["s3"], said.get("container")
    names = said.get("names")
    entry = {
        **{name: said[name] for name in ("id", "kind", "exact", "text_bytes") if name in said},
        "@timestamp": document["@timestamp"],
        "object": {"bucket": s3["bucket"]["name"], "key": s3["object"]["key"], "etag": said["etag"]},
        "row": document["log"]["offset"],
        "reason": document["error"]["message"],
        "text": document["event"]["original"],
        "form": "here",
    }
    form = None if container is None else KeptForm("here", container, None if names is None else tuple(names))
    return letter_of(entry, form)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _id(document: Mapping[str, Any]) -> str:
    """Under what a document stands; what has no id is found under none."""
    try:
        return str(document["vpcflow_exporter"]["letter"]["id"])
    except UNREADABLE:
        return ""


def _documents(client: Elasticsearch, stream: str, ids: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    """Every document of the stream as it is now, in `_ORDER`, page by page."""
    wanted = sorted({part for each in ids for part in (each, each[:_PREFIX])})
    query = {"terms": {"vpcflow_exporter.letter.id": wanted}} if wanted else {"match_all": {}}
    with _explained(stream):
        point = _opened(client, stream)
    if point is None:
        return
    try:
        after = None
        while True:
            with _explained(stream):
                answer = client.search(
                    pit={"id": point, "keep_alive": _KEPT_FOR},
                    query=query,
                    sort=_ORDER,
                    size=_PAGE,
                    search_after=after,
                    track_total_hits=False,
                    allow_partial_search_results=False,
                    filter_path="pit_id,hits.hits._source,hits.hits.sort",
                )
            point, hits = answer["pit_id"], answer.get("hits", {}).get("hits", [])
            yield from (hit["_source"] for hit in hits)
            if len(hits) < _PAGE:
                return
            after = hits[-1]["sort"]
    finally:
        with suppress(ApiError, TransportError):  # the server forgets it by itself
            client.close_point_in_time(id=point)


def _opened(client: Elasticsearch, stream: str) -> str | None:
    """A view of the stream as it is now, with all that was said so far; None where there is no stream."""
    try:
        client.indices.refresh(index=stream)
    except NotFoundError:
        return None
    except AuthorizationException:
        _log.warning("%s: without the privilege `maintenance`, what was kept just now is not seen yet", stream)
    try:
        return str(client.open_point_in_time(index=stream, keep_alive=_KEPT_FOR)["id"])
    except NotFoundError:
        return None


@contextmanager
def _explained(stream: str) -> Iterator[None]:
    """Turns what the client raises into this program's errors."""
    try:
        yield
    except AuthorizationException as error:
        raise Refused(
            f"{stream}: the credentials may not read dead letters: the privilege `read` on the data stream is needed"
        ) from error
    except NotFoundError as error:
        raise Unavailable(
            f"{stream}: the server forgot where this reading stood, or the stream was deleted meanwhile: run it again, "
            "nothing is sent twice"
        ) from error
    except ApiError as error:
        raise of_answer(stream, error) from error
    except TransportError as error:
        raise of_connection(stream, error) from error
