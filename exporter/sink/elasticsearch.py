"""Documents into a data stream: deliveries share a few senders, and every document ends as one of three things.

A document is *created*, *existing* (its id is there already: a replay) or *refused* (a dead letter).  What the output
cannot take now is sent again, in smaller requests if need be; what it will not take for good ends the delivery.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from time import monotonic

from elasticsearch import Elasticsearch

from exporter.config import Credentials, ElasticsearchOutput
from exporter.errors import Refused, SinkError, Stopped, Unavailable
from exporter.flow import Batch, Body, DeadLetters, Delivered, S3Object
from exporter.metrics import Metrics
from exporter.retry import OUTPUT, Attempt, failed, retrying
from exporter.sink.bulk import (
    Bulk,
    Settled,
    TooLarge,
    check_template,
    halves,
    looked_at,
    rows_of,
    too_large_alone,
    without,
)
from exporter.sink.pace import Pace, Room, Trip
from exporter.sink.presence import Look, Presence

OLDEST = (8, 17)
"""The oldest release that is known to take what is sent: require_data_stream is from 8.13, logsdb from 8.17."""

_TOLD_ATTEMPTS = 3
_LOOK_SECONDS = 0.1
_CLOSE_SECONDS = 5
_log = logging.getLogger(__name__)


def new_client(settings: ElasticsearchOutput, credentials: Credentials) -> Elasticsearch:
    """A client that always verifies certificates and never retries by itself; it connects at its first request."""
    where = {"cloud_id": settings.cloud_id} if settings.cloud_id else {"hosts": list(settings.hosts)}
    trust = {
        "ca_certs": str(settings.ca_certs) if settings.ca_certs else None,
        "ssl_assert_fingerprint": settings.certificate_fingerprint,
    }
    return Elasticsearch(
        **where,
        **{name: value for name, value in trust.items() if value},  # type: ignore[arg-type]
        api_key=credentials.api_key,
        basic_auth=credentials.basic,
        http_compress=settings.compress,
        request_timeout=settings.timeout.total_seconds(),
        connections_per_node=max(10, settings.requests_in_flight),
        max_retries=0,
        retry_on_status=(),
        retry_on_timeout=False,
    )


@dataclass(slots=True)
class _Delivery:
    """One object's bodies on their way; `changed` guards all of it."""

    source: S3Object
    sink: "ElasticsearchSink"
    changed: threading.Condition = field(default_factory=threading.Condition)
    pending: int = 0
    delivered: Delivered = field(default_factory=Delivered)
    error: Exception | None = None
    look: Look | None = None
    unsure: bool = False

    def missing(self, batch: Batch) -> Batch:
        there = self.look.rows(batch) if self.look else []
        self.sink.works()
        if not there:
            return batch
        with self.changed:
            self.delivered.existing += len(there)
        self.sink.pass_over(len(there))
        return batch.without(there)

    def send(self, body: Body) -> None:
        self._raise_error()
        self.sink.take(self, body)

    def finish(self) -> Delivered:
        with self.changed:
            while self.pending and self.error is None:
                if self.sink.stop.is_set():
                    self.error = Stopped(f"stopped while {self.pending} requests of {self.source} were under way")
                self.changed.wait(_LOOK_SECONDS)
        self._raise_error()
        return self.delivered

    def abandon(self) -> None:
        with self.changed:
            self.error = self.error or Stopped(f"{self.source} was given up")
            if self.pending:
                self.sink.presence.given_up(self.source)

    def _raise_error(self) -> None:
        if self.error is not None:
            raise self.error


@dataclass(slots=True)
class _Waiting:
    """What is still to be sent of a body; `unsure` whether documents of the last part are there already."""

    bodies: list[Body]
    unsure: bool


class ElasticsearchSink:
    """Implements flow.Sink for the data stream logs-aws.vpcflow-NAMESPACE.

    `requests_in_flight` senders share the deliveries, and as many of them send at once as the pace lets go now, from
    `min_requests_in_flight` on.  Requests of `request_bytes` are held, waiting or travelling, two more than go now:
    so (requests_in_flight + 2) * request_bytes at most, twice that while the server has to have them in parts, and
    two copies more in the client of each that travels.  The queue holds no others; before it, each worker of the
    pipeline has one body in its hands and one piece of its object in columns, for an encoder makes a body only once
    the last one was taken.  A delivery that met an error raises it from `send` and `finish` at once and drops what it
    has not sent; a request that is travelling then ends by itself, which does no harm, for ids make a replay safe.
    When `stop` is set, every wait ends with Stopped.  `timeout` is the client's for a request, in seconds.  `tell`
    hears why nothing goes out, from the third attempt in a row on, or None once something does.
    """

    def __init__(  # noqa: PLR0913 one argument an option, each with a name
        self,
        client: Elasticsearch,
        *,
        namespace: str,
        pipeline: str | None,
        requests_in_flight: int,
        request_bytes: int,
        min_requests_in_flight: int = 1,
        timeout: float,
        dead_letters: DeadLetters,
        metrics: Metrics,
        stop: threading.Event,
        clock: Callable[[], float] = monotonic,
        tell: Callable[[str | None], object] = lambda _: None,
    ) -> None:
        self.stop = stop
        self._tell = tell
        self._failing = False
        self.stream = f"logs-aws.vpcflow-{namespace}"
        self._client = client
        self._pipeline = pipeline
        self._bulk = Bulk(client, self.stream, pipeline, metrics)
        self.presence = Presence(
            client,
            self.stream,
            timeout=timeout,
            metrics=metrics,
            stop=stop,
            on_retry=self._on_retry,
            clock=clock,
        )
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._pace = Pace(
            least=min_requests_in_flight,
            most=requests_in_flight,
            request_bytes=request_bytes,
            stop=stop,
            metrics=metrics,
        )
        self._room = Room(lambda: (self._pace.requests + 2) * request_bytes, stop, metrics)
        self._queue: SimpleQueue[tuple[_Delivery, Body] | None] = SimpleQueue()
        # Daemon threads: a server that hangs must not keep the program from ending within its grace time.
        self._senders = [
            threading.Thread(target=self._run, name=f"sender-{number}", daemon=True)
            for number in range(requests_in_flight)
        ]
        self._starting = threading.Lock()

    def verify(self) -> None:
        """Looks, before anything is sent, whether the output can take documents.

        Raises Refused where it is too old, not set up or does not let us in, Unavailable where it does not answer.
        What the credentials may not look at is logged and left to the first request.
        """
        with looked_at(self.stream, "the server's version"):
            version = self._client.info()["version"]
            if version.get("build_flavor") != "serverless" and _numbers(version["number"]) < OLDEST:
                oldest = ".".join(map(str, OLDEST))
                raise Refused(f"Elasticsearch {version['number']} is too old: {oldest} or newer is needed")
        check_template(self._client, self.stream)
        if self._pipeline not in {None, "_none"}:
            with looked_at(self.stream, "the ingest pipeline"):
                if not self._client.options(ignore_status=404).ingest.get_pipeline(id=self._pipeline, summary=True):
                    raise Refused(f"output.elasticsearch.pipeline: there is no ingest pipeline {self._pipeline}")

    def open(self, source: S3Object, *, again: bool = False, at_work: bool = False, unsure: bool = False) -> _Delivery:
        """A delivery for one object, which knows what is there `again`; the first one starts the senders."""
        look = self.presence.look(source, at_work=at_work) if again else None
        with self._starting:
            for sender in self._senders:
                if sender.ident is None:
                    sender.start()
        return _Delivery(source, self, look=look, unsure=unsure)

    def holds(self, bucket: str, prefix: str) -> bool | None:
        """Whether the data stream has any document of objects below a prefix; None where that cannot be asked.

        Raises Unavailable where there is no answer.
        """
        return self.presence.holds(bucket, prefix)

    def close(self) -> None:
        """Ends the senders and the connections; waits a little for what is travelling unless the program stops."""
        for _ in self._senders:
            self._queue.put(None)
        for sender in self._senders:
            if sender.ident is not None:
                sender.join(timeout=0 if self.stop.is_set() else _CLOSE_SECONDS)
        self._client.close()

    def pass_over(self, documents: int) -> None:
        """Counts documents that are not sent, for they are there."""
        self._metrics.add("documents_total", documents, outcome="existing")

    def take(self, delivery: _Delivery, body: Body) -> None:
        """A delivery's way to the senders; waits for room."""
        self._room.enter(len(body.data))
        with delivery.changed:
            delivery.pending += 1
        self._queue.put((delivery, body))

    def _run(self) -> None:
        """A sender's life; what one body met is kept for its delivery to raise."""
        while (task := self._queue.get()) is not None:
            delivery, body = task
            try:
                delivered, error = self._deliver(delivery, body), None
            except Exception as met:  # noqa: BLE001 send and finish raise it
                delivered, error = Delivered(), met
                if isinstance(met, SinkError):
                    self._fails(met)
            self._room.leave(len(body.data))
            with delivery.changed:
                delivery.pending -= 1
                delivery.delivered.add(delivered)
                delivery.error = delivery.error or error
                delivery.changed.notify_all()

    def _deliver(self, delivery: _Delivery, body: Body) -> Delivered:
        """Sends `body`, in parts where it must be, until each document is created, existing or refused."""
        total = Delivered(bytes=len(body.data))
        waiting = _Waiting([body], unsure=delivery.unsure)
        while waiting.bodies and delivery.error is None:
            total.add(retrying(OUTPUT, self.stop, self._on_retry)(self._step, delivery, waiting))
        if not waiting.bodies:
            self._metrics.add("document_bytes_total", len(body.data))
        return total

    def _step(self, delivery: _Delivery, waiting: "_Waiting") -> Delivered:
        """One request for the last of `waiting`, which then holds what is still to be sent of it.

        Raises Unavailable where nothing was settled, for the retry policy to wait.
        """
        if delivery.error is not None:
            return Delivered()
        if waiting.unsure:
            return self._pass_over_what_arrived(waiting)
        self._cut_to_pace(waiting.bodies)
        body = waiting.bodies[-1]
        trip = self._pace.begin(len(body.data))
        try:
            if delivery.error is not None:  # whoever takes the object up counts on it that nothing more goes out
                return Delivered()
            settled = self._bulk.send(body)
        except TooLarge as error:
            self._pace.too_large(len(body.data))
            if body.count > 1:
                waiting.bodies[-1:] = halves(body)
                return Delivered()
            settled = too_large_alone(body, error)
        except Unavailable as error:
            waiting.unsure = error.arrived
            if error.busy:  # a connection that breaks says nothing of the server's load
                self._pace.slower(trip)
            raise
        finally:
            self._pace.end(trip)
        # A letter that cannot be kept raises: the body stays, and sending it again does no harm.
        delivered = self._count(settled)
        waiting.bodies.pop()
        self._follow(settled, waiting.bodies, body.count, trip)
        return delivered

    def _pass_over_what_arrived(self, waiting: "_Waiting") -> Delivered:
        """Takes the documents that are there out of the last of `waiting`: the stream may have rolled over since."""
        body = waiting.bodies[-1]
        there = set(self.presence.arrived(body.source, rows_of(body)))
        left = without(body, there) if there else body
        waiting.bodies[-1:] = [left] if left else []
        waiting.unsure = False
        if there:
            self.pass_over(len(there))
        return Delivered(existing=len(there))

    def _follow(self, settled: Settled, waiting: list[Body], count: int, trip: Trip) -> None:
        """Keeps to the output's pace, and what it sent back for later."""
        if settled.again is None:
            self._pace.taken(trip)
            return
        self._pace.slower(trip)
        waiting.append(settled.again)
        if settled.again.count == count:
            raise Unavailable(f"{self.stream}: none of {count} documents was taken (429 or 5xx each)")
        self._metrics.add("retries_total", policy=OUTPUT.name)
        if self.stop.wait(OUTPUT.first_wait):
            raise Stopped("stopped while waiting to send the rest of a request again")

    def _cut_to_pace(self, waiting: list[Body]) -> None:
        while waiting[-1].count > 1 and not self._pace.allows(len(waiting[-1].data)):
            waiting += halves(waiting.pop())

    def _count(self, settled: Settled) -> Delivered:
        """Makes the refused durable, then counts."""
        self.works()
        if settled.refused:
            self._dead_letters.keep(settled.refused)
        delivered = Delivered(settled.created, settled.existing, len(settled.refused))
        for outcome in ("created", "existing", "refused"):
            if count := getattr(delivered, outcome):
                self._metrics.add("documents_total", count, outcome=outcome)
        return delivered

    def works(self) -> None:
        """The output has answered."""
        if self._failing:
            self._failing = False
            self._tell(None)

    def _on_retry(self, state: Attempt) -> None:
        self._metrics.add("retries_total", policy=OUTPUT.name)
        error, wait = failed(state)
        _log.warning("attempt %d failed, the next in %.1f s: %s", state.attempt_number, wait, error)
        if state.attempt_number >= _TOLD_ATTEMPTS:
            self._fails(error)

    def _fails(self, error: BaseException | None) -> None:
        self._failing = True
        self._tell(str(error))


def _numbers(version: str) -> tuple[int, ...]:
    """9.4.3 as (9, 4)."""
    return tuple(int(part) for part in version.split(".")[:2])
