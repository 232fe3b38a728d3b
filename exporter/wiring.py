"""Builds the clients and puts the stages together, by hand: what is what can be read from top to bottom."""

import logging
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config as BotoConfig
from botocore.exceptions import BotoCoreError
from elasticsearch import Elasticsearch

from exporter import __version__, pipeline
from exporter.config import Config, ElasticsearchOutput, S3Source
from exporter.daemon import Place, Poller, Stops, identity_of
from exporter.ecs.document import Encoder
from exporter.enrich.ec2 import Inventory
from exporter.enrich.ends import enrich
from exporter.errors import ConfigError, Fault, InventoryError
from exporter.fields import field_named
from exporter.flow import Batch, ByteStream, DeadLetters, S3Object, Sink
from exporter.ledger import NAME, Ledger
from exporter.metrics import Metrics
from exporter.read.reader import Reader
from exporter.sink.dead_letter import DeadLetterFile
from exporter.sink.elasticsearch import ElasticsearchSink, new_client
from exporter.sink.files import FilesSink
from exporter.source.formats import FlowLogFormats
from exporter.source.key_listing import KeyListing, Marker
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
    ledger: Ledger
    sink: Sink

    def poll(self) -> None:
        """One pass, but none before EC2 has answered once: a record that went out without names never gets them.

        Raises InventoryError where EC2 still does not answer.
        """
        if self.inventory is not None and self.inventory.current() is None and not self.inventory.refresh():
            raise InventoryError(
                "nothing is sent before EC2 has answered once, and it has not (the log says why); "
                "with enrich.ec2.enabled: false records go out without names"
            )
        self.poller.poll()

    def verify(self) -> None:
        """Looks whether the output can take documents: raises Refused or Unavailable."""
        if isinstance(self.sink, ElasticsearchSink):
            self.sink.verify()


@contextmanager
def program(config: Config, stops: Stops) -> Iterator[Program]:
    """Everything the daemon needs; files and connections are given back at the end.

    Raises ConfigError where AWS or the cluster cannot be reached as configured, LedgerError where the state folder is
    in use.
    """
    metrics, aws = Metrics(), session(config)
    clients = buckets(config, aws)
    with Ledger(config.state.folder / NAME) as ledger:
        dead_letters = DeadLetterFile(config.state.folder, metrics)
        inventory = inventory_of(config, aws, metrics, stops)
        sink = sink_of(config, dead_letters, metrics, stops)
        stages = pipeline.Stages(
            objects=_Objects(clients, metrics, stops),
            reader=Reader(
                formats=_formats(config, aws, metrics, stops),
                original=config.output.event_original,
                spool=config.state.folder,
            ),
            enrich=enricher(inventory, metrics),
            encoder=Encoder(config.output.namespace, config.output.request_bytes),
            sink=sink,
            dead_letters=dead_letters,
            ledger=ledger,
            metrics=metrics,
            abandon=stops.now,
        )
        poller = Poller(
            tuple(_place(clients[each.bucket], each, ledger, metrics, stops) for each in config.source.s3),
            partial(pipeline.take, stages=stages),
            ledger=ledger,
            metrics=metrics,
            stops=stops,
            workers=config.workers,
        )
        try:
            yield Program(poller, inventory, metrics, ledger, sink)
        finally:
            poller.close()
            sink.close()


def cluster(settings: ElasticsearchOutput) -> Elasticsearch:
    """A client for the configured cluster; ConfigError where its secrets or certificates cannot be read."""
    if settings.ca_certs:
        try:
            ssl.create_default_context(cafile=settings.ca_certs)  # the client itself looks at its first request
        except OSError as error:
            problem = f"expected PEM certificates; {settings.ca_certs} cannot be read as such: {error}"
            raise ConfigError((Fault("output.elasticsearch.ca_certs", problem),)) from error
    return new_client(settings, settings.credentials())


def session(config: Config) -> boto3.Session:
    """Credentials and region as boto3 finds them; one session, so that credentials are asked for and renewed once."""
    with _explained():
        return boto3.Session(profile_name=config.aws.profile, region_name=config.aws.region)


@contextmanager
def _explained() -> Iterator[None]:
    """What boto3 cannot start with: a profile or a file of its own that is not there or wrong, an odd endpoint."""
    try:
        yield
    except (BotoCoreError, ValueError) as error:
        raise ConfigError((Fault("aws", f"boto3 finds a fault in its own configuration: {error}"),)) from error


class _Objects:
    """Reads each object with its bucket's client (buckets may lie in several regions)."""

    def __init__(self, clients: "dict[str, S3Client]", metrics: Metrics, stops: Stops) -> None:
        self._readers = {bucket: S3Objects(client, metrics, stops.now) for bucket, client in clients.items()}

    def open(self, source: S3Object) -> AbstractContextManager[ByteStream]:
        return self._readers[source.bucket].open(source)


def _place(client: "S3Client", source: S3Source, ledger: Ledger, metrics: Metrics, stops: Stops) -> Place:
    start = None if source.start == "now" else source.start
    if source.layout == "aws":
        return Place(S3Listing(client, source, metrics, stops.soon), source.bucket, start, source.lookback)
    identity = identity_of(source.source_id, start)
    marker = Marker(partial(ledger.marker, identity), partial(ledger.move_marker, identity))
    rising = marker if source.layout == "ordered" else None
    return Place(KeyListing(client, source, metrics, stops.soon, rising), source.bucket, start, source.lookback)


def _formats(config: Config, aws: boto3.Session, metrics: Metrics, stops: Stops) -> FlowLogFormats:
    """What tells how files without a header are written; fields of the configuration that nobody knows are logged."""
    source = config.source
    given = [(f"source.s3[{index}].format", each.format or ()) for index, each in enumerate(source.s3)]
    given += [(f"source.flow_logs[{index}].format", each.format) for index, each in enumerate(source.flow_logs)]
    for path, names in given:
        if unknown := [name for name in names if field_named(name) is None]:
            log.warning("%s: no known fields; their values go to aws.vpcflow.extra: %s", path, ", ".join(unknown))
    regions = _known_regions(config, aws) if source.describe_flow_logs else frozenset[str]()
    return FlowLogFormats(source, partial(_ec2, config, aws), regions=regions, metrics=metrics, stop=stops.now)


def _known_regions(config: Config, aws: boto3.Session) -> frozenset[str]:
    """The regions of the configuration, and those that boto3 knows in the same partitions: no other one is ever called.

    A key's region is what somebody wrote, and a request carries a token of this partition's.
    """
    named = {*config.enrich.ec2.regions, *(each.region for each in config.source.s3), aws.region_name, _here(aws)}
    regions = frozenset(filter(None, named))
    return regions.union(*(aws.get_available_regions("ec2", each) for each in map(_partition(aws), regions)))


def _partition(aws: boto3.Session) -> Callable[[str], str]:
    """The partition of a region; of one that boto3 cannot place, the usual one."""

    def of(region: str) -> str:
        try:
            return aws.get_partition_for_region(region)
        except BotoCoreError:
            return "aws"

    return of


def buckets(config: Config, aws: boto3.Session) -> "dict[str, S3Client]":
    """Each bucket's client, one a region.

    A bucket lies in one region: where one of its entries names that, it holds for the others too.
    """
    named = {each.bucket: each.region for each in config.source.s3 if each.region}
    regions = {each.bucket: named.get(each.bucket) or _here(aws) for each in config.source.s3}
    with _explained():
        clients = {region: _s3(config, aws, region) for region in dict.fromkeys(regions.values())}
    return {bucket: clients[region] for bucket, region in regions.items()}


def _here(aws: boto3.Session) -> str:
    return aws.region_name or _FALLBACK_REGION


def _s3(config: Config, aws: boto3.Session, region: str) -> "S3Client":
    return aws.client("s3", region, endpoint_url=config.aws.endpoint_url, config=_calls(config))


def _ec2(config: Config, aws: boto3.Session, region: str) -> "EC2Client":
    return aws.client("ec2", region, endpoint_url=config.aws.endpoint_url, config=_calls(config))


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


def inventory_of(config: Config, aws: boto3.Session, metrics: Metrics, stops: Stops) -> Inventory | None:
    """What asks EC2, where the configuration wants that; ConfigError where no region is known."""
    settings = config.enrich.ec2
    if not settings.enabled:
        return None
    regions = settings.regions or tuple(dict.fromkeys(each.region or aws.region_name for each in config.source.s3))
    with _explained():
        clients = {region: _ec2(config, aws, region) for region in regions if region}
    if not clients:
        raise ConfigError((Fault("enrich.ec2.regions", "no region is known: name some here, or set aws.region"),))
    return Inventory(clients, tag_keys=settings.tags, stop=stops.soon, metrics=metrics)


def enricher(inventory: Inventory | None, metrics: Metrics) -> Callable[[Batch], Batch]:
    """The stage that adds both ends' names to a batch, by the inventory's newest snapshot."""
    return lambda batch: enrich(batch, inventory.current() if inventory else None, metrics)


def sink_of(config: Config, dead_letters: DeadLetters, metrics: Metrics, stops: Stops) -> Sink:
    """The configured output."""
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
