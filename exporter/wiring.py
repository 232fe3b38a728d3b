"""Builds the clients and puts the stages together, by hand: what is what can be read from top to bottom."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config as BotoConfig
from elasticsearch import Elasticsearch

from exporter import __version__, pipeline
from exporter.config import Config, ElasticsearchOutput, S3Source
from exporter.daemon import Place, Poller, Stops
from exporter.ecs.document import Encoder
from exporter.enrich.ec2 import Inventory
from exporter.enrich.ends import enrich
from exporter.flow import Batch, ByteStream, DeadLetters, S3Object, Sink
from exporter.ledger import Ledger
from exporter.metrics import Metrics
from exporter.read.text import TextReader
from exporter.sink.dead_letter import DeadLetterFile
from exporter.sink.elasticsearch import ElasticsearchSink, new_client
from exporter.sink.files import FilesSink
from exporter.source.s3 import S3Listing, S3Objects

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

_FALLBACK_REGION = "us-east-1"
_CONNECT_SECONDS, _READ_SECONDS = 10, 60


@dataclass(frozen=True, slots=True)
class Program:
    """The whole program, put together and not started."""

    poller: Poller
    inventory: Inventory | None
    metrics: Metrics
    sink: Sink

    def verify(self) -> None:
        """Looks whether the output can take documents: raises Refused or Unavailable."""
        if isinstance(self.sink, ElasticsearchSink):
            self.sink.verify()


@contextmanager
def program(config: Config, stops: Stops) -> Iterator[Program]:
    """Everything the daemon needs; files and connections are given back at the end.

    Raises LedgerError where the state folder is in use.
    """
    metrics = Metrics()
    with Ledger(config.state.folder / "ledger.sqlite3") as ledger:
        dead_letters = DeadLetterFile(config.state.folder, metrics)
        inventory = _inventory(config, metrics, stops)
        sink = _sink(config, dead_letters, metrics, stops)
        objects = _Objects({each.bucket: _s3(config, each) for each in config.source.s3}, metrics, stops)
        stages = pipeline.Stages(
            objects=objects,
            reader=TextReader(original=config.output.event_original),
            enrich=_enricher(inventory, metrics),
            encoder=Encoder(config.output.namespace, config.output.request_bytes),
            sink=sink,
            dead_letters=dead_letters,
            ledger=ledger,
            metrics=metrics,
            abandon=stops.now,
        )
        poller = Poller(
            tuple(_place(config, each, metrics, stops) for each in config.source.s3),
            partial(pipeline.take, stages=stages),
            ledger=ledger,
            metrics=metrics,
            stops=stops,
            workers=config.workers,
        )
        try:
            yield Program(poller, inventory, metrics, sink)
        finally:
            poller.close()
            sink.close()


def cluster(settings: ElasticsearchOutput) -> Elasticsearch:
    """A client for the configured cluster."""
    return new_client(settings, settings.credentials())


def session(config: Config) -> boto3.Session:
    """Credentials as boto3 finds them."""
    return boto3.Session(profile_name=config.aws.profile, region_name=config.aws.region)


class _Objects:
    """Reads each object with its bucket's client (buckets may lie in several regions)."""

    def __init__(self, clients: "dict[str, S3Client]", metrics: Metrics, stops: Stops) -> None:
        self._readers = {bucket: S3Objects(client, metrics, stops.now) for bucket, client in clients.items()}

    def open(self, source: S3Object) -> AbstractContextManager[ByteStream]:
        return self._readers[source.bucket].open(source)


def _place(config: Config, source: S3Source, metrics: Metrics, stops: Stops) -> Place:
    listing = S3Listing(_s3(config, source), source, metrics, stops.soon)
    start = None if source.start == "now" else source.start
    return Place(listing, source.bucket, start, source.lookback)


def _s3(config: Config, source: S3Source) -> "S3Client":
    region = source.region or config.aws.region or _FALLBACK_REGION
    return session(config).client("s3", region, endpoint_url=config.aws.endpoint_url, config=_calls(config))


def _ec2(config: Config, region: str) -> "EC2Client":
    return session(config).client("ec2", region, endpoint_url=config.aws.endpoint_url, config=_calls(config))


def _calls(config: Config) -> BotoConfig:
    """One attempt a call, for retry.py repeats them; path-style addresses where an endpoint of one's own is named."""
    return BotoConfig(
        retries={"total_max_attempts": 1},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        max_pool_connections=max(10, 2 * config.workers),
        user_agent_extra=f"vpcflow-exporter/{__version__}",
        s3={"addressing_style": "path" if config.aws.endpoint_url else "auto"},
    )


def _inventory(config: Config, metrics: Metrics, stops: Stops) -> Inventory | None:
    settings = config.enrich.ec2
    if not settings.enabled:
        return None
    here = config.aws.region or session(config).region_name
    regions = settings.regions or tuple(dict.fromkeys(each.region or here for each in config.source.s3))
    clients = {region: _ec2(config, region) for region in regions if region}
    if not clients:
        log.warning("no region is known to ask for the inventory: name some in enrich.ec2.regions, or set aws.region")
        return None
    return Inventory(clients, tag_keys=settings.tags, stop=stops.soon, metrics=metrics)


def _enricher(inventory: Inventory | None, metrics: Metrics) -> Callable[[Batch], Batch]:
    return lambda batch: enrich(batch, inventory.current() if inventory else None, metrics)


def _sink(config: Config, dead_letters: DeadLetters, metrics: Metrics, stops: Stops) -> Sink:
    output = config.output
    if output.files:
        return FilesSink(output.files.folder, metrics)
    assert output.elasticsearch is not None  # noqa: S101 - the configuration has exactly one output
    return ElasticsearchSink(
        cluster(output.elasticsearch),
        namespace=output.namespace,
        pipeline=output.elasticsearch.pipeline,
        requests_in_flight=output.elasticsearch.requests_in_flight,
        request_bytes=output.request_bytes,
        dead_letters=dead_letters,
        metrics=metrics,
        stop=stops.now,
    )
