"""One bulk request: sending it, and what the answer says of each of its documents."""

import json
import logging
import ssl
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from elasticsearch import ApiError, AuthorizationException, Elasticsearch, TransportError, UnsupportedProductError
from elasticsearch import ConnectionTimeout as TimedOut
from elasticsearch import SerializationError as Unreadable

from exporter.errors import ExporterError, Refused, SinkError, Unavailable
from exporter.flow import Body, DeadLetter
from exporter.metrics import Metrics

ANSWER_PARTS = "took,errors,items.*.status,items.*.error,items.*.failure_store"
"""What is asked for of an answer; index, id, version, shards and sequence numbers would be most of it."""

_CREATED = {"create": {"status": 201}}
"""The whole item of a document that was indexed, as `ANSWER_PARTS` leaves it."""

_LATER = {408, 425, 429}
_BUSY = {408, 429, 503, 504}
_REFUSAL_LIMIT = 500
"""Characters of a server's text that go into an error or a dead letter's reason."""

_ADVICE = {
    401: "the credentials are not accepted: look at output.elasticsearch.api_key, or username and password",
    403: "the credentials lack a privilege: create_doc and auto_configure on the data stream are needed; "
    "or its index takes no writes now",
    404: "there is no such data stream and no template to make it: run `vpcflow-exporter setup`",
}


_log = logging.getLogger(__name__)


class TooLarge(SinkError):
    """The server takes no request of this size; a smaller one may pass."""


@dataclass(slots=True)
class Settled:
    """What an answer settles: documents created and existing, letters for the refused, and what to send again."""

    created: int = 0
    existing: int = 0
    refused: list[DeadLetter] = field(default_factory=list)
    again: Body | None = None


@dataclass(frozen=True, slots=True)
class Bulk:
    """Sends bodies into one data stream."""

    client: Elasticsearch
    stream: str
    pipeline: str | None
    metrics: Metrics

    def send(self, body: Body) -> Settled:
        """One request.  Raises Unavailable, Refused or TooLarge where none of it was taken."""
        with counted(self.stream, self.metrics):
            answer = self.client.bulk(
                operations=body.data,  # type: ignore[arg-type]  # bytes go out as they are
                index=self.stream,
                pipeline=self.pipeline,
                require_data_stream=True,
                filter_path=ANSWER_PARTS,
            )
        return self._read(body, answer.body)

    def _read(self, body: Body, answer: object) -> Settled:
        """Raises Unavailable for what is no answer to this body: its ids make sending it again harmless."""
        items = answer.get("items", []) if isinstance(answer, dict) else None
        if not isinstance(items, list) or len(items) != body.count:
            got = f"{len(items)} items" if isinstance(items, list) else type(answer).__name__
            raise Unavailable(
                f"{self.stream}: {body.count} documents were sent and the answer holds {got}", arrived=True
            )
        created = items.count(_CREATED)
        return Settled(created) if created == body.count else self._sort(body, items)

    def _sort(self, body: Body, items: list[Any]) -> Settled:
        """The answer's exceptions, one by one; the body is split only for documents that are refused or sent again."""
        settled, refused, again = Settled(), {}, set()
        for position, item in enumerate(items):
            result = _result(self.stream, item)
            status = result["status"]
            if status == 409:  # noqa: PLR2004 Conflict: our own id is there already
                settled.existing += 1
            elif status < 300 and result.get("failure_store") != "used":  # noqa: PLR2004 - HTTP statuses, here and below
                settled.created += 1
            elif status in _LATER or status >= 500:  # noqa: PLR2004 - a server's fault
                again.add(position)
            elif status in _ADVICE or _is_the_streams_fault(result):
                raise Refused(_refusal(self.stream, status, _reason(result)))
            else:
                refused[position] = _reason(result)
        if refused or again:
            self._take_apart(body, refused, again, settled)
        return settled

    @staticmethod
    def _take_apart(body: Body, refused: Mapping[int, str], again: set[int], settled: Settled) -> None:
        """Fills in the letters and the body to send again."""
        pairs = list(body.items())
        settled.refused = [letter(body, *pairs[position], reason) for position, reason in refused.items()]
        if again:
            settled.again = _body_of(body, [pair for position, pair in enumerate(pairs) if position in again])


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Turns what the client raises into this program's errors."""
    try:
        yield
    except ApiError as error:
        raise of_answer(where, error) from error
    except TransportError as error:
        raise of_connection(where, error) from error


@contextmanager
def looked_at(where: str, what: str) -> Iterator[None]:
    """The same; where the credentials may not look, that is only logged."""
    with explained(where):
        try:
            yield
        except AuthorizationException as error:
            _log.warning("the credentials may not look at %s, which stays unchecked: %s", what, error)


def check_template(client: Elasticsearch, stream: str) -> None:
    """Raises Refused where there is no template to make the data stream by, Unavailable where nobody answers."""
    with looked_at(stream, f"the index template {stream}"):
        if not client.indices.exists_index_template(name=stream):
            raise Refused(f"the index template {stream} does not exist: run `vpcflow-exporter setup`")


@contextmanager
def counted(where: str, metrics: Metrics) -> Iterator[None]:
    """Counts a request and turns what the client raises into this program's errors."""
    try:
        yield
    except ApiError as error:
        metrics.add("requests_total", status=str(error.meta.status))
        raise of_answer(where, error) from error
    except TransportError as error:
        metrics.add("requests_total", status=_failure(error))
        raise of_connection(where, error) from error
    metrics.add("requests_total", status="200")


def letter(body: Body, action: bytes, document: bytes, reason: str) -> DeadLetter:
    """The dead letter of one document of `body`."""
    return DeadLetter(body.source, _row(action), reason, document.decode("utf-8", "replace"))


def too_large_alone(body: Body, error: TooLarge) -> Settled:
    """A single document that the server is too small for has no other way than into a dead letter."""
    (pair,) = body.items()
    return Settled(refused=[letter(body, *pair, f"413: {error}")])


def _row(action: bytes) -> int:
    return int(json.loads(action)["create"]["_id"][-8:], 16)


def rows_of(body: Body) -> list[int]:
    """The row of each document of `body`, in order: the id's last 8 hex digits."""
    return [_row(action) for action, _ in body.items()]


def without(body: Body, rows: Collection[int]) -> Body | None:
    """What is left of `body` without the documents of these rows; None where nothing is."""
    pairs = [pair for pair in body.items() if _row(pair[0]) not in rows]
    return _body_of(body, pairs) if pairs else None


def halves(body: Body) -> tuple[Body, Body]:
    """`body` as two of about the same number of documents (it has at least two)."""
    pairs = list(body.items())
    middle = len(pairs) // 2
    return _body_of(body, pairs[:middle]), _body_of(body, pairs[middle:])


def of_answer(where: str, error: ApiError) -> ExporterError:
    """This program's error for a request that was answered with an HTTP status."""
    status = error.meta.status
    if isinstance(error, UnsupportedProductError):
        return Refused(f"{where}: what answers is not Elasticsearch; look at output.elasticsearch.hosts")
    if status == 413:  # noqa: PLR2004 Content Too Large
        return TooLarge(f"{where}: a request was too large for the server (http.max_content_length) or a proxy")
    if status in _LATER or status >= 500:  # noqa: PLR2004 - a server's fault
        text = f"{where}: HTTP status {status}: {_cut(str(error))}"
        return Unavailable(text, busy=status in _BUSY, arrived=status != 429)  # noqa: PLR2004 Too Many Requests
    return Refused(_refusal(where, status, _cut(str(error))))


def of_connection(where: str, error: TransportError) -> ExporterError:
    """This program's error for a request without an answer, or with one that cannot be read."""
    if _failure(error) == "certificate":
        return Refused(
            f"{where}: the server's certificate is not trusted ({_cut(str(error.message))}): look at "
            "output.elasticsearch.ca_certs and certificate_fingerprint"
        )
    failure = _failure(error)
    return Unavailable(f"{where}: {failure}: {_cut(str(error.message))}", busy=failure == "timeout", arrived=True)


def _failure(error: TransportError) -> str:
    """The kind of failure, as the metrics name it."""
    if isinstance(error, TimedOut):
        return "timeout"
    if isinstance(error, Unreadable):
        return "unreadable"
    return "certificate" if any(_distrusts(cause) for cause in _causes(error)) else "connection"


def _distrusts(cause: BaseException) -> bool:
    return isinstance(cause, ssl.SSLCertVerificationError) or "Fingerprints did not match" in str(cause)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and what it came from: the client raises from urllib3's, which holds the socket's in its args."""
    yield error
    for cause in (error.__cause__, *error.args):
        if isinstance(cause, BaseException):
            yield from _causes(cause)


def _result(where: str, item: object) -> dict[str, Any]:
    """One item's result.  Raises Unavailable where it has none."""
    result = item.get("create") if isinstance(item, dict) else None
    if not isinstance(result, dict) or not isinstance(result.get("status"), int):
        raise Unavailable(f"{where}: an item of the answer has no status: {_cut(repr(item))}", arrived=True)
    return result


def _reason(result: Mapping[str, Any]) -> str:
    """TYPE: REASON, with the cause below it where the server names one."""
    error = result.get("error")
    if not isinstance(error, dict):
        return "failure_store: the document went to the data stream's failure store, where the reason stands"
    cause = error.get("caused_by")
    below = f" ({cause.get('reason')})" if isinstance(cause, dict) else ""
    return _cut(f"{error.get('type')}: {error.get('reason')}{below}")


def _is_the_streams_fault(result: Mapping[str, Any]) -> bool:
    """Whether a 400 tells of the stream, so that every document would share it: a closed index, a missing pipeline."""
    error = result.get("error")
    told = error if isinstance(error, dict) else {}
    return told.get("type") == "index_closed_exception" or str(told.get("reason")).startswith("pipeline with id")


def _refusal(where: str, status: int, reason: str) -> str:
    advice = _ADVICE.get(status, "this will not pass by itself: look at the data stream and output.elasticsearch")
    return f"{where}: refused with status {status}: {reason}: {advice}"


def _body_of(body: Body, pairs: list[tuple[bytes, bytes]]) -> Body:
    return Body(body.source, b"".join(b"%b\n%b\n" % pair for pair in pairs), len(pairs))


def _cut(text: str) -> str:
    return text if len(text) <= _REFUSAL_LIMIT else text[:_REFUSAL_LIMIT] + "…"
