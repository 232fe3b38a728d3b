"""Objects and request bodies for the tests of the sinks."""

from datetime import UTC, datetime
from threading import Event
from typing import Self

from elasticsearch import Elasticsearch

from exporter.flow import Body, DeadLetter, S3Object
from exporter.metrics import Metrics
from exporter.sink.elasticsearch import ElasticsearchSink

SOURCE = S3Object(
    bucket="flow-logs",
    key="AWSLogs/123456789012/vpcflowlogs/eu-west-1/2026/11/21/"
    "123456789012_vpcflowlogs_eu-west-1_fl-0123456789abcdef0_20261121T1000Z_0a1b2c3d.log.gz",
    etag="9b2cf535f27731c974343645a3985328",
    size=1000,
    time=datetime(2026, 11, 21, 10, 0, tzinfo=UTC),
    account="123456789012",
    region="eu-west-1",
)

GOOD = '{"@timestamp":"2026-11-21T10:00:00.000Z","source":{"ip":"10.0.0.1"},"network":{"bytes":40}}'


def body(*documents: str, source: S3Object = SOURCE, first_row: int = 1) -> Body:
    """The documents with an action line each, rows counted from `first_row`."""
    lines = (
        f'{{"create":{{"_id":"{source.id_prefix}{row:08x}"}}}}\n{document}\n'
        for row, document in enumerate(documents, first_row)
    )
    return Body(source, "".join(lines).encode(), len(documents))


class Kept:
    """Dead letters in memory."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []

    def keep(self, letters: list[DeadLetter]) -> None:
        """Implements flow.DeadLetters."""
        self.letters += letters

    def supersede(self, source: S3Object, before: datetime) -> None:
        """Implements flow.DeadLetters, for sinks, which never do that."""
        raise AssertionError(f"{source} before {before}")


class Rig:
    """A sink with everything that it needs, and what it counted and kept.

    `now` is the sink's clock: when a test begins, requests of an earlier process would have ended just now.
    """

    def __init__(  # noqa: PLR0913 one argument an option, each with a name
        self,
        url: str,
        *,
        namespace: str = "tests",
        pipeline: str | None = "_none",
        requests_in_flight: int = 2,
        min_requests_in_flight: int = 1,
        request_bytes: int = 5 * 1024 * 1024,
        timeout: float = 30,
        basic_auth: tuple[str, str] | None = None,
        api_key: str | None = None,
        kept: Kept | None = None,
    ) -> None:
        self.stop = Event()
        self.metrics = Metrics()
        self.kept = kept or Kept()
        self.now = 0.0
        self.client = Elasticsearch(
            url,
            max_retries=0,
            retry_on_status=(),
            request_timeout=timeout,
            basic_auth=basic_auth,
            api_key=api_key,
        )
        self.sink = ElasticsearchSink(
            self.client,
            namespace=namespace,
            pipeline=pipeline,
            requests_in_flight=requests_in_flight,
            min_requests_in_flight=min_requests_in_flight,
            request_bytes=request_bytes,
            timeout=timeout,
            dead_letters=self.kept,
            metrics=self.metrics,
            stop=self.stop,
            clock=lambda: self.now,
        )
        self.now = timeout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.sink.close()

    def requests(self) -> dict[str, float]:
        """Requests by status, as counted."""
        return self._counted("vpcflow_requests_total", "status")

    def documents(self) -> dict[str, float]:
        """Documents by outcome, as counted."""
        return self._counted("vpcflow_documents_total", "outcome")

    def retries(self) -> float:
        """Requests and parts of requests sent again, as counted."""
        return self.metrics.value("retries_total", policy="output")

    def _counted(self, name: str, label: str) -> dict[str, float]:
        samples = (sample for family in self.metrics.registry.collect() for sample in family.samples)
        return {sample.labels[label]: sample.value for sample in samples if sample.name == name}
