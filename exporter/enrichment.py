"""What is added to records, put together: the steps in order, and what is kept fresh for them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event, Lock
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from exporter.config import Config, Enrich, ThreatFeed
from exporter.enrich.clients import with_clients
from exporter.enrich.cost import Costs
from exporter.enrich.reporters import Reporters
from exporter.errors import ConfigError, Fault
from exporter.filter.own_traffic import OwnTraffic
from exporter.filter.rules import Filter
from exporter.flow import Batch
from exporter.lists.aws_ranges import LIMIT as RANGES_LIMIT
from exporter.lists.aws_ranges import AwsRanges, read_ranges
from exporter.lists.feeds import Feed, Parsed, Secret
from exporter.lists.fetching import Place
from exporter.lists.indicator_index import Indicators
from exporter.lists.indicators import read_indicators
from exporter.lists.places import Places
from exporter.lists.threats import Threats
from exporter.metrics import Metrics

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")

Step = Callable[[Batch], Batch]
"""Adds something to a batch."""

Faults = dict[str, str]

LIST_LIMIT = 2 * 1024**3
"""Bytes of a threat list; a STIX bundle of a million indicators has one."""

PLACES_EVERY = timedelta(minutes=1)
"""How often the files of databases are looked at; that costs a look at a folder."""

NAMES_EVERY = timedelta(minutes=5)
"""How often the cluster's names are resolved again."""


EARLY = 5.0
"""Seconds by which something may be read before its time: a schedule is not exact."""

LATEST = timedelta(minutes=5)
"""After this long at most it is looked whether something is due, and tried again what failed."""


@dataclass(frozen=True, slots=True)
class Fresh:
    """One thing that is kept fresh.

    `start` reads it first and `refresh` again; both give back what of it cannot be read, by name, with why.
    """

    name: str
    every: timedelta
    start: Callable[[], Faults]
    refresh: Callable[[], Faults]

    @property
    def looked_at(self) -> timedelta:
        """How often it is looked whether it is due."""
        return min(self.every, LATEST)


@dataclass(slots=True)
class Enrichment:
    """All steps, one after the other; what they need from outside is there once `start` has returned."""

    steps: tuple[Step, ...]
    filter: Filter
    fresh: tuple[Fresh, ...]
    _due: dict[str, float] = field(default_factory=dict)
    _faults: dict[str, Faults] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def __call__(self, batch: Batch) -> Batch:
        """The batch with everything that is configured; number and order of its records stay."""
        for step in self.steps:
            batch = step(batch)
        return batch

    def start(self) -> None:
        """The first reading of everything.

        ConfigError with the fault of each thing that cannot be had, and of which there is no last good copy.
        """
        faults: list[Fault] = []
        for each in self.fresh:
            try:
                self._faults[each.name] = each.start()
                self._due[each.name] = monotonic() + each.every.total_seconds() - EARLY
            except ConfigError as error:
                faults += error.faults
        if faults:
            raise ConfigError(tuple(faults))

    def refresh(self, one: Fresh, tell: Callable[[Faults], object]) -> None:
        """Sees that one thing is fresh, if it is time for it; `tell` hears all that cannot be read now, by name.

        What could not be read the last time is tried again at once.
        """
        now = monotonic()
        if not self._faults.get(one.name) and now < self._due.get(one.name, 0):
            return
        faults = one.refresh()
        with self._lock:
            self._due[one.name] = now + one.every.total_seconds() - EARLY
            self._faults[one.name] = faults
            tell(self.faults)

    @property
    def faults(self) -> Faults:
        """What could not be read when it was read last, by name, with why; what was read before stays in use."""
        return {name: why for told in self._faults.values() for name, why in told.items()}


@dataclass(frozen=True, slots=True)
class Outside:
    """How what is named in the configuration is fetched.

    `s3` gives the client that reads a bucket; `folder` is for last good copies; `hosts` are the cluster's, each with
    its port.
    """

    s3: "Callable[[str], S3Client]"
    folder: Path
    stop: Event
    hosts: tuple[tuple[str, int], ...] = ()


def hosts_of(config: Config) -> tuple[tuple[str, int], ...]:
    """The addresses of the configured cluster, each a name or an address with its port; none where there is none."""
    cluster = config.output.elasticsearch
    return cluster.addresses if cluster else ()


def enrichment_of(config: Config, ends: Step, reporters: Reporters, outside: Outside, metrics: Metrics) -> Enrichment:
    """The enrichment and the filter that the configuration wants; `ends` names both ends, and comes first.

    ConfigError with the faults of the filter's rules, also on fields that documents have only with what is off.
    """
    settings, steps, fresh = config.enrich, [ends], list[Fresh]()
    if settings.geoip.databases:
        places = Places(settings.geoip.databases, metrics, outside.folder)
        steps.append(places)
        fresh.append(Fresh("places", PLACES_EVERY, _opened(places, outside.folder), places.refresh))
    if (location := settings.aws_ranges.location) is not None:
        ranges = _feed(
            "AWS ranges", location, read_ranges, "enrich.aws_ranges.location", RANGES_LIMIT, outside, metrics
        )
        steps.append(AwsRanges(ranges))
        fresh.append(_kept_fresh(ranges, settings.aws_ranges.refresh_every))
    lists = list(_lists(settings.threats.feeds, outside, metrics))
    if lists:
        steps.append(Threats(lists, metrics))
        fresh += [_kept_fresh(each, of.refresh_every) for each, of in zip(lists, settings.threats.feeds, strict=True)]
    if settings.client_server:
        steps.append(partial(with_clients, metrics=metrics))
    if settings.reporter:
        steps.append(reporters)
    if settings.cost.prices:
        steps.append(Costs(settings.cost))
    own = OwnTraffic(outside.hosts, config.filter.own_addresses) if config.filter.own_traffic == "drop" else None
    if own is not None:
        fresh.append(Fresh("own traffic", NAMES_EVERY, own.refresh, own.refresh))
    kept = Filter.of(config.filter, own)
    if faults := tuple(_idle(config)):
        raise ConfigError(faults)
    return Enrichment(tuple(steps), kept, tuple(fresh))


_COME_WITH: tuple[tuple[tuple[str, ...], Callable[[Enrich], object], str], ...] = (
    (
        ("source.geo.", "destination.geo.", "source.as.", "destination.as."),
        lambda enrich: enrich.geoip.databases,
        "enrich.geoip.databases",
    ),
    (("threat.",), lambda enrich: enrich.threats.feeds, "enrich.threats.feeds"),
    (("aws.vpcflow.cost.",), lambda enrich: enrich.cost.prices, "enrich.cost.prices"),
    (
        ("client.", "server.", "network.protocol", "aws.vpcflow.client_rule"),
        lambda enrich: enrich.client_server,
        "enrich.client_server",
    ),
    (("aws.vpcflow.reporter",), lambda enrich: enrich.reporter, "enrich.reporter"),
)
"""Fields that documents have only with a part of enrichment: how they begin, whether it is on, and its option."""


def _idle(config: Config) -> Iterator[Fault]:
    """Conditions of the filter's rules on fields that no document will have."""
    for place, rule in enumerate(config.filter.rules):
        for section, conditions in (("where", rule.where), ("unless", rule.unless or {})):
            for path in conditions:
                for beginnings, is_on, option in _COME_WITH:
                    if path.startswith(beginnings) and not is_on(config.enrich):
                        problem = f"documents have it only with {option}, which is off"
                        yield Fault(f"filter.rules[{place}].{section}.{path}", problem)


def _opened(places: Places, folder: Path) -> Callable[[], Faults]:
    def start() -> Faults:
        try:
            folder.mkdir(parents=True, exist_ok=True)  # for its private copies
        except OSError as error:
            raise ConfigError((Fault("state.folder", f"{folder} cannot be made: {error.strerror}"),)) from error
        places.open()
        return {}

    return start


def _lists(feeds: Sequence[ThreatFeed], outside: Outside, metrics: Metrics) -> Iterator[Feed[Indicators]]:
    for number, each in enumerate(feeds):
        parse, option = partial(read_indicators, settings=each), f"enrich.threats.feeds[{number}].location"
        yield _feed(each.name, each.location, parse, option, LIST_LIMIT, outside, metrics, each.authorization)


def _feed(  # noqa: PLR0913, PLR0917  as the feed that it makes
    name: str,
    location: Place,
    parse: Callable[[Path], Parsed[T]],
    option: str,
    limit: int,
    outside: Outside,
    metrics: Metrics,
    authorization: Secret | None = None,
) -> Feed[T]:
    return Feed(
        name,
        location,
        parse,
        folder=outside.folder,
        s3=outside.s3,
        metrics=metrics,
        stop=outside.stop,
        option=option,
        limit=limit,
        authorization=authorization,
    )


def _kept_fresh(feed: Feed[T], every: timedelta) -> Fresh:
    def told(read: Callable[[], str | None]) -> Callable[[], Faults]:
        return lambda: {feed.name: fault} if (fault := read()) else {}

    return Fresh(feed.name, every, told(feed.start), told(feed.refresh))
