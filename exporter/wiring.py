"""Builds the clients and puts the stages together, by hand: what is what can be read from top to bottom."""

import logging
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from elasticsearch import Elasticsearch

from exporter import ledger_guest, pipeline
from exporter.clients import Clients, Role, S3Clients
from exporter.config import Config, ElasticsearchOutput, S3Source, SqsSource
from exporter.consumer import Consumer
from exporter.daemon import Stops
from exporter.ecs.document import Encoder
from exporter.enrich.accounts import Accounts
from exporter.enrich.budget import Budget
from exporter.enrich.calls import Calls
from exporter.enrich.ec2 import Inventory
from exporter.enrich.ends import enrich, latest
from exporter.enrich.history_store import Rows, StoredHistory
from exporter.enrich.oddities import Oddities
from exporter.enrich.owners import Owners
from exporter.enrich.reporters import Reporters
from exporter.enrichment import Enrichment, Fresh, Outside, Step, enrichment_of, hosts_of
from exporter.errors import ConfigError, Fault, InventoryError, SinkError
from exporter.fields import field_named
from exporter.flow import Batch, ByteStream, DeadLetters, S3Object, Sink
from exporter.health import FEEDS, INVENTORY, OUTPUT, Health
from exporter.ledger import NAME, Ledger, State
from exporter.ledger_ownership import Ownership
from exporter.metrics import Metrics
from exporter.poller import Place, Poller, identity_of
from exporter.read.reader import Reader
from exporter.sink.dead_letter import DeadLetterFile
from exporter.sink.elasticsearch import ElasticsearchSink, new_client
from exporter.sink.files import FilesSink
from exporter.sink.letter_stream import LetterStream
from exporter.source.formats import FlowLogFormats
from exporter.source.key_listing import KeyListing, Marker
from exporter.source.notified import NotifiedObjects
from exporter.source.past_days import EVERY, PastDays
from exporter.source.s3 import S3Listing, S3Objects
from exporter.source.sqs import Queue
from exporter.workers import Workers

log = logging.getLogger(__name__)

SHORTEST_GAP = timedelta(minutes=15)
"""A pause between two answers of EC2 that tells nothing of what both show, however often it is asked."""

LONGEST_KEPT = timedelta(days=14)
"""SQS's bound: no message is older."""


@dataclass(frozen=True, slots=True)
class Program:
    """The whole program, put together and not started."""

    workers: Workers
    poller: Poller
    consumers: tuple[Consumer, ...]
    inventory: Inventory | None
    enrichment: Enrichment
    reporters: Reporters
    metrics: Metrics
    health: Health
    ledger: Ledger
    sink: Sink
    dead_letters: DeadLetterFile | LetterStream
    buckets: frozenset[str] | None

    def prepare(self) -> None:
        """Reads what enrichment needs from outside: raises ConfigError with what cannot be had, and has no copy."""
        self.enrichment.start()
        self.ledger.report(FEEDS, self.enrichment.faults)

    def freshen(self, one: Fresh) -> None:
        """Sees that something that enrichment needs is fresh; what cannot be read is told."""
        self.enrichment.refresh(one, partial(self.ledger.report, FEEDS))

    def poll(self, *, wait: bool = True) -> None:
        """One pass, but none before EC2 has answered once; InventoryError where it still does not."""
        self.name_ends()
        self.poller.poll(wait=wait)

    def name_ends(self) -> None:
        """Sees that there is an inventory: a record that went out without names never gets them.

        Raises InventoryError where EC2 does not answer.
        """
        if self.inventory is not None and self.inventory.current() is None:
            self.refresh()
            if self.inventory.current() is None:
                raise InventoryError(
                    "nothing is sent before EC2 has answered once, and it has not (the log says why); "
                    "with enrich.ec2.enabled: false records go out without names"
                )

    def refresh(self) -> None:
        """Asks EC2 again; what does not answer is told."""
        if self.inventory is not None:
            self.inventory.refresh()
            faults = self.inventory.faults
            self.health.tell(INVENTORY, "; ".join(faults.values()) or None)
            self.ledger.report(INVENTORY, faults)

    def verify(self) -> None:
        """Looks whether the output can take documents: raises Refused or Unavailable."""
        if isinstance(self.sink, ElasticsearchSink):
            try:
                self.sink.verify()
                if isinstance(self.dead_letters, LetterStream):
                    self.dead_letters.verify()
            except SinkError as error:
                self.health.tell(OUTPUT, str(error))
                raise
        self.health.tell(OUTPUT, None)

    def recover(self) -> None:
        """Looks whether the ledger was lost, before the first pass: raises Refused or Unavailable."""
        if isinstance(self.sink, ElasticsearchSink):
            self.poller.recover(self.sink.holds, datetime.now(UTC))

    def consume(self, consumer: Consumer) -> None:
        """Takes a queue's messages until the program stops, but none before EC2 has answered once."""
        self.name_ends()
        consumer.run()

    def tidy(self) -> list[Future[State]]:
        """What no pass over a bucket does: see to the objects that only messages name.

        Those that are undone are taken, whether or not their message comes again, and returned; what is done is
        forgotten once no queue can bring it again.
        """
        self.workers.write_down()
        self.reporters.keep()
        taken = list[Future[State]]()
        for bucket in self.ledger.buckets() - self.poller.buckets:
            if self.buckets is None or bucket in self.buckets:
                for source in self.ledger.waiting(bucket):
                    self.name_ends()
                    taken.append(self.workers.submit(source, again=True))
            self.ledger.prune_ended(bucket, datetime.now(UTC) - LONGEST_KEPT)
        return taken


@dataclass(frozen=True, slots=True)
class _Common:
    """What nearly every part works with."""

    config: Config
    aws: Clients
    ledger: Ledger
    metrics: Metrics
    health: Health
    stops: Stops


@contextmanager
def program(config: Config, stops: Stops, ledger_name: str = NAME) -> Iterator[Program]:
    """Everything the daemon needs, and a back-fill with a ledger of its own; all is given back at the end.

    Raises ConfigError where AWS or the cluster cannot be reached as configured, LedgerError where the state folder is
    in use.
    """
    metrics, health, aws = Metrics(), Health(), Clients(config)
    with Ledger(config.state.folder / ledger_name) as ledger:
        ledger.keep_troubles((INVENTORY, FEEDS, *config.source.ids))
        common = _Common(config, aws, ledger, metrics, health, stops)
        rows = ledger if ledger_name == NAME else Ownership(config.state.folder / NAME)
        inventory = inventory_of(config, aws, rows, metrics, stops)
        dead_letters = letters_of(config, metrics, stops)
        sink = sink_of(config, dead_letters, metrics, stops, partial(health.tell, OUTPUT))
        others = [] if ledger_name == NAME else ledger_guest.reporters(config.state.folder / NAME)
        reporters = Reporters([*others, *ledger.reporters()], ledger.keep_reporters)
        copies = config.state.folder / ("feeds" if ledger_name == NAME else "backfill-feeds")
        enrichment = _enrichment(common, inventory, reporters, copies)
        stages = _stages(common, enrichment, sink, dead_letters)
        workers = Workers(
            lambda source, again: pipeline.take(source, stages, again=again),
            ledger=ledger,
            metrics=metrics,
            stops=stops,
            number=config.workers,
        )
        places = [_place(each, common) for each in config.source.s3]
        told = LONGEST_KEPT if config.source.sqs else timedelta()
        poller = Poller(places, workers, ledger=ledger, metrics=metrics, health=health, told=told)
        consumers = tuple(_consumer(each, workers, common) for each in config.source.sqs)
        try:
            yield Program(
                workers=workers,
                poller=poller,
                consumers=consumers,
                inventory=inventory,
                enrichment=enrichment,
                reporters=reporters,
                metrics=metrics,
                health=health,
                ledger=ledger,
                sink=sink,
                dead_letters=dead_letters,
                buckets=config.source.buckets,
            )
        finally:
            poller.close()
            workers.close()
            reporters.keep()
            sink.close()
            if isinstance(dead_letters, LetterStream):
                dead_letters.close()


def _enrichment(common: _Common, inventory: Inventory | None, reporters: Reporters, folder: Path) -> Enrichment:
    config = common.config
    outside = Outside(common.aws.s3.own, folder, common.stops.soon, hosts_of(config))
    ends = ends_step(inventory, common.metrics, config.enrich.internal_networks)
    return enrichment_of(config, ends, reporters, outside, common.metrics)


def _stages(common: _Common, enrichment: Enrichment, sink: Sink, dead_letters: DeadLetters) -> pipeline.Stages:
    config, metrics, stops = common.config, common.metrics, common.stops
    return pipeline.Stages(
        objects=_Objects(common.aws.s3, metrics, stops),
        reader=Reader(
            formats=_formats(config, common.aws, metrics, stops),
            original=config.output.event_original,
            spool=config.state.folder,
        ),
        enrich=enrichment,
        filter=enrichment.filter.apply,
        encoder=Encoder(config.output.namespace, config.output.request_bytes),
        sink=sink,
        dead_letters=dead_letters,
        ledger=common.ledger,
        metrics=metrics,
        abandon=stops.now,
    )


def letters_of(config: Config, metrics: Metrics, stops: Stops) -> DeadLetterFile | LetterStream:
    """Where dead letters are kept."""
    file, output = DeadLetterFile(config.state.folder, metrics), config.output
    if not (config.streams_letters and output.elasticsearch):
        return file
    client = cluster(output.elasticsearch)
    return LetterStream(client, namespace=output.namespace, fallback=file, metrics=metrics, stop=stops.now)


def cluster(settings: ElasticsearchOutput) -> Elasticsearch:
    """A client for the configured cluster; ConfigError where its secrets or certificates cannot be read."""
    if settings.ca_certs:
        try:
            ssl.create_default_context(cafile=settings.ca_certs)  # the client itself looks at its first request
        except OSError as error:
            problem = f"expected PEM certificates; {settings.ca_certs} cannot be read as such: {error}"
            raise ConfigError((Fault("output.elasticsearch.ca_certs", problem),)) from error
    return new_client(settings, settings.credentials())


class _Objects:
    """Reads each object with its bucket's client: buckets may lie in several regions and accounts."""

    def __init__(self, clients: S3Clients, metrics: Metrics, stops: Stops) -> None:
        self._clients = clients
        self._metrics = metrics
        self._stops = stops

    def open(self, source: S3Object) -> AbstractContextManager[ByteStream]:
        return S3Objects(self._clients.of(source.bucket), self._metrics, self._stops.now).open(source)


def _consumer(settings: SqsSource, workers: Workers, common: _Common) -> Consumer:
    """What takes a queue's messages; how the queue answers goes to readiness, and to `status` by the ledger."""
    name, s3, stops = settings.source_id, common.aws.s3, common.stops

    output = common.config.output.elasticsearch
    outlast = output.timeout if output else timedelta()
    if settings.visibility * 2 / 3 < outlast:  # what is left of it, at least, when a replica dies
        log.warning(
            "%s: visibility should be at least one and a half times output.elasticsearch.timeout: another replica may "
            "take up an object while a request of one that died is at work",
            name,
        )

    def tell(why: str | None) -> None:
        common.health.tell(name, why)
        common.ledger.report(name, {} if why is None else {name: why})

    return Consumer(
        Queue(common.aws.sqs(settings), settings, common.metrics, stops.soon),
        NotifiedObjects(lambda bucket, region: s3.of(bucket, region, settings), common.metrics, stops.soon),
        workers,
        metrics=common.metrics,
        stops=stops,
        tell=tell,
        outlast=int(outlast.total_seconds()),
    )


def _place(source: S3Source, common: _Common) -> Place:
    client, metrics, stop = common.aws.s3.of(source.bucket), common.metrics, common.stops.soon
    start = None if source.start == "now" else source.start
    if source.layout == "aws":
        listing = S3Listing(client, source, metrics, stop, past=PastDays(EVERY, source.lookback))
        return Place(listing, source.bucket, source.root, start, source.lookback)
    identity = identity_of(source.source_id, start)
    marker = Marker(partial(common.ledger.marker, identity), partial(common.ledger.move_marker, identity))
    keys = KeyListing(client, source, metrics, stop, marker if source.layout == "ordered" else None)
    return Place(keys, source.bucket, source.root, start, source.lookback)


def _formats(config: Config, aws: Clients, metrics: Metrics, stops: Stops) -> FlowLogFormats:
    """What tells how files without a header are written; fields of the configuration that nobody knows are logged."""
    source = config.source
    given = [(f"source.s3[{index}].format", each.format or ()) for index, each in enumerate(source.s3)]
    given += [(f"source.sqs[{index}].format", each.format or ()) for index, each in enumerate(source.sqs)]
    given += [(f"source.flow_logs[{index}].format", each.format) for index, each in enumerate(source.flow_logs)]
    for path, names in given:
        if unknown := [name for name in names if field_named(name) is None]:
            log.warning("%s: no known fields; their values go to aws.vpcflow.extra: %s", path, ", ".join(unknown))
    regions = aws.known_regions() if source.describe_flow_logs else frozenset[str]()
    return FlowLogFormats(source, aws.ec2, regions=regions, metrics=metrics, stop=stops.now)


def inventory_of(config: Config, aws: Clients, rows: Rows, metrics: Metrics, stops: Stops) -> Inventory | None:
    """What asks EC2 and remembers in `rows` who owned what, where the configuration wants that.

    ConfigError where no region is known, LedgerError where what is remembered cannot be read.
    """
    settings = config.enrich.ec2
    if not settings.enabled:
        return None
    regions = settings.regions or aws.source_regions()
    if not regions:
        raise ConfigError((Fault("enrich.ec2.regions", "no region is known: name some here, or set aws.region"),))
    calls = Calls(budget=Budget(settings.calls_per_second), stop=stops.soon, metrics=metrics)
    oddities, lister = Oddities(metrics), Role(settings.organization.role_arn, settings.organization.external_id)
    accounts = Accounts(
        settings, calls=calls, sts=aws.sts, organizations=partial(aws.organizations, lister), partition=aws.partition
    )
    store = StoredHistory(rows)
    owners = Owners(
        store.load(int(settings.assume_unchanged.total_seconds())),
        store.write,
        gap=max(SHORTEST_GAP, 3 * settings.refresh_every),
        remember=settings.remember,
        metrics=metrics,
        oddities=oddities,
    )
    return Inventory(
        accounts.known,
        regions,
        lambda account, region: aws.ec2(region, Role(account.role_arn, account.external_id)),
        owners=owners,
        calls=calls,
        tag_keys=settings.tags,
        oddities=oddities,
        metrics=metrics,
        refresh_every=settings.refresh_every,
    )


def ends_step(inventory: Inventory | None, metrics: Metrics, internal: tuple[str, ...] = ()) -> Step:
    """The step that adds both ends' names to a batch, by what is known of the time of its flows."""

    def enriched(batch: Batch) -> Batch:
        if inventory is None:
            return enrich(batch, None, metrics, internal)
        if (moment := latest(batch.frame)) is not None:
            inventory.reach(moment)
        return enrich(batch, inventory.current(), metrics, internal)

    return enriched


def sink_of(
    config: Config,
    dead_letters: DeadLetters,
    metrics: Metrics,
    stops: Stops,
    tell: Callable[[str | None], object] = lambda _: None,
) -> Sink:
    """The configured output; `tell` hears why it takes nothing, or None where it does."""
    output = config.output
    if output.files:
        return FilesSink(output.files.folder, metrics)
    assert output.elasticsearch is not None  # noqa: S101 - the configuration has exactly one output
    return ElasticsearchSink(
        cluster(output.elasticsearch),
        namespace=output.namespace,
        pipeline=output.elasticsearch.pipeline,
        requests_in_flight=output.elasticsearch.requests_in_flight,
        min_requests_in_flight=output.elasticsearch.min_requests_in_flight,
        request_bytes=output.request_bytes,
        timeout=output.elasticsearch.timeout.total_seconds(),
        dead_letters=dead_letters,
        metrics=metrics,
        stop=stops.now,
        tell=tell,
    )
