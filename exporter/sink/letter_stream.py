"""Dead letters in a data stream of their own, for replicas that share a queue; `streamed_letters.py` reads them.

The stream is only ever added to.  A letter is a document, and so is each word about it (`event.action`): that it went
out after all (`replayed`), that it was kept once more as it stands (`kept again`), and that its object was read again,
whole, so that its letters from before are no longer true (`superseded`).  Each has an id by what it says, so that
saying it twice adds nothing.
"""

import hashlib
import json
import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from elasticsearch import Elasticsearch

from exporter.errors import Refused, Unavailable
from exporter.flow import Body, DeadLetter, S3Object
from exporter.metrics import Metrics
from exporter.retry import OUTPUT, Attempt, failed, retrying
from exporter.sink.bulk import Bulk, Settled, TooLarge, check_template, halves, too_large_alone
from exporter.sink.dead_letter import DeadLetterFile, entry_of, stamp

DATASET = "vpcflow_exporter.dead_letter"

ECS_VERSION = "9.4.0"

REPLAYED, SUPERSEDED, KEPT_AGAIN = "replayed", "superseded", "kept again"
"""What a document says of a letter, or of all letters of an object."""

CHUNK_BYTES = 1024 * 1024
"""Documents of a request; one that is larger goes alone."""

NAMES_LIMIT = 8 * 1024
"""Characters of the fields' names that are kept; AWS's fewer than a hundred take half of it."""

_log = logging.getLogger(__name__)


def stream_of(namespace: str) -> str:
    """The data stream's name."""
    return f"logs-{DATASET}-{namespace}"


@dataclass(frozen=True, slots=True)
class _Note:
    """A document on its way: its id and its JSON; `letter` where it is one, and no word about one."""

    id: str
    text: str
    letter: DeadLetter | None = None

    @property
    def pair(self) -> bytes:
        """Its action line and its own."""
        return f'{{"create":{{"_id":"{self.id}"}}}}\n{self.text}\n'.encode("ascii")


class LetterStream:
    """Implements flow.DeadLetters: adds to the data stream of `namespace`, from any thread and any machine.

    What the output cannot take now is sent again by retry.OUTPUT; Stopped is raised where `stop` is set meanwhile.  A
    letter that the stream refuses by itself goes to `fallback`, a file, and the error is logged.  Every method is
    durable when it returns.  Raises Refused where the stream takes nothing at all: the object then stays undone, and
    comes with its letters again.
    """

    def __init__(
        self,
        client: Elasticsearch,
        *,
        namespace: str,
        fallback: DeadLetterFile,
        metrics: Metrics,
        stop: threading.Event,
    ) -> None:
        self.stream = stream_of(namespace)
        self._client = client
        self._namespace = namespace
        self._fallback = fallback
        self._metrics = metrics
        self._stop = stop
        self._bulk = Bulk(client, self.stream, "_none", metrics)

    def verify(self) -> None:
        """Looks, before anything is sent, whether there is a template to make the stream by.

        Raises Refused where there is none, Unavailable where nobody answers; not being allowed to look is only logged.
        """
        check_template(self._client, self.stream)

    def close(self) -> None:
        """Gives back the connections."""
        self._client.close()

    def keep(self, letters: list[DeadLetter]) -> None:
        """Adds letters; one that stands there already is not added, but said to have been kept again."""
        now, refused = stamp(datetime.now(UTC)), list[DeadLetter]()
        for chunk in _chunks(self._letter(each, now) for each in letters):
            settled = self._send(chunk)
            reasons = {each.text: each.reason for each in settled.refused}
            lost = [note.letter for note in chunk if note.letter and note.text in reasons]
            if lost:
                _log.error(
                    "%s refused %d dead letters, which are kept in %s: %s",
                    self.stream, len(lost), self._fallback.path, settled.refused[0].reason,
                )  # fmt: skip
            refused += lost
            self._metrics.add("dead_letters_total", len(chunk) - len(lost))
            if settled.existing:
                self._say(self._word(note.id[:24], KEPT_AGAIN, now, version=note.id[24:]) for note in chunk)
        self._fallback.keep(refused)

    def mark_replayed(self, ids: Sequence[str]) -> None:
        """Notes that the letters with these ids went out."""
        now = stamp(datetime.now(UTC))
        self._say(self._word(each, REPLAYED, now) for each in ids)

    def supersede(self, source: S3Object, before: datetime) -> None:
        """Notes that this version of the object was read again, whole: its letters kept before then are not true."""
        self._say([self._word(source.id_prefix, SUPERSEDED, stamp(datetime.now(UTC)), before=stamp(before))])
        if self._fallback.path.exists():
            self._fallback.supersede(source, before)

    def _letter(self, kept: DeadLetter, now: str) -> _Note:
        entry = entry_of(kept, now)
        said = {
            "kind": entry["kind"],
            "etag": entry["object"]["etag"],
            "exact": kept.exact,
            **({"text_bytes": entry["text_bytes"]} if "text_bytes" in entry else {}),
            **_form(kept),
        }
        version = _short(entry["reason"], entry["text"], said)
        document = {
            **self._frame(now, "pipeline_error"),
            "error": {"message": entry["reason"]},
            "aws": {"s3": {"bucket": {"name": kept.source.bucket}, "object": {"key": kept.source.key}}},
            "log": {"offset": kept.row},
            "vpcflow_exporter": {"letter": {"id": entry["id"], "version": version, **said}},
        }
        document["event"]["original"] = entry["text"]
        return _Note(entry["id"] + version, json.dumps(document), kept)

    def _word(self, id_: str, action: str, now: str, **more: str) -> _Note:
        """What is said of a letter, or of an object by the first 16 characters of its letters' ids."""
        document = {**self._frame(now, "event"), "vpcflow_exporter": {"letter": {"id": id_, **more}}}
        document["event"]["action"] = action
        # Only that it was kept again is said more than once: at that time.
        return _Note(id_ + _short(action, more, now if action == KEPT_AGAIN else ""), json.dumps(document))

    def _frame(self, now: str, kind: str) -> dict[str, Any]:
        """What all documents have."""
        return {
            "@timestamp": now,
            "data_stream": {"type": "logs", "dataset": DATASET, "namespace": self._namespace},
            "ecs": {"version": ECS_VERSION},
            "event": {"kind": kind, "dataset": DATASET},
        }

    def _say(self, words: Iterable[_Note]) -> None:
        """Raises Refused where the stream does not take one of them."""
        for chunk in _chunks(words):
            if refused := self._send(chunk).refused:
                raise Refused(f"{self.stream}: what became of dead letters was refused: {refused[0].reason}")

    def _send(self, chunk: Sequence[_Note]) -> Settled:
        """Until each document is created, existing or refused."""
        nobody = S3Object("", self.stream, "", 0, datetime.now(UTC))  # a request may hold letters of many objects
        waiting = [Body(nobody, b"".join(note.pair for note in chunk), len(chunk))]
        total = Settled()
        while waiting:
            retrying(OUTPUT, self._stop, self._on_retry)(self._step, waiting, total)
        return total

    def _step(self, waiting: list[Body], total: Settled) -> None:
        """One request for the last of `waiting`, which then holds what is still to be sent of it."""
        body = waiting[-1]
        try:
            settled = self._bulk.send(body)
        except TooLarge as error:
            if body.count > 1:
                waiting[-1:] = halves(body)
                return
            settled = too_large_alone(body, error)
        waiting.pop()
        total.created += settled.created
        total.existing += settled.existing
        total.refused += settled.refused
        if settled.again is not None:
            waiting.append(settled.again)
            raise Unavailable(f"{self.stream}: {settled.again.count} of {body.count} documents were not taken")

    def _on_retry(self, state: Attempt) -> None:
        self._metrics.add("retries_total", policy=OUTPUT.name)
        error, wait = failed(state)
        _log.warning("dead letters: attempt %d failed, the next in %.1f s: %s", state.attempt_number, wait, error)


def _form(kept: DeadLetter) -> dict[str, Any]:
    """How a line was read; without the names of its fields where these are too long."""
    if kept.form is None:
        return {}
    names = kept.form.names
    short = sum(map(len, names)) <= NAMES_LIMIT
    return {"container": kept.form.container, **({"names": names} if short else {})}


def _short(*parts: object) -> str:
    """16 hex digits that stand for what is said."""
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()[:16]


def _chunks(notes: Iterable[_Note]) -> Iterator[list[_Note]]:
    """Documents for a request each."""
    chunk, size = list[_Note](), 0
    for note in notes:
        length = len(note.pair)
        if chunk and size + length > CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(note)
        size += length
    if chunk:
        yield chunk
