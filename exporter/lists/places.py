"""Where external addresses are, and whose networks they are in, by the databases that are named."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import time

import numpy as np
import polars as pl

from exporter.addresses import Integers
from exporter.errors import ConfigError, Fault, FeedError
from exporter.flow import EXTERNAL, Addresses, Batch
from exporter.lists.layouts import KEYS, texts_of
from exporter.lists.mmdb import NONE, Database, opened, signature
from exporter.metrics import Metrics

log = logging.getLogger(__name__)

MOST_TEXTS = 100_000
"""Records of a database whose texts are kept, some 50 MB for cities; then it begins anew."""

LOOKED_AT = 10_000
"""First records of a database of which one has to hold something of use."""

Texts = tuple[str | None, str | None]
"""The objects below `geo` and `as`."""


@dataclass(slots=True)
class _InUse:
    """A database in use, the texts of its records by their numbers, and the first damage that was met in it.

    Any thread may add a text: what two threads find for a number is the same.
    """

    database: Database
    texts: dict[int, Texts] = field(default_factory=dict)
    damage: str | None = None

    def columns(self, addresses: Addresses, rows: Integers) -> tuple[pl.Series, pl.Series, str | None]:
        """`geo` and `as` of each address, null but for `rows`; and what was wrong with a record, if one is damaged."""
        numbers = np.full(len(addresses.family), NONE, dtype=np.int64)
        numbers[rows] = self.database.numbers(addresses, rows)
        distinct, first, place = np.unique(numbers, return_index=True, return_inverse=True)
        found: list[Texts] = []
        damage = None
        for number, row in zip(distinct.tolist(), first.tolist(), strict=True):
            texts = self.texts.get(number)
            if texts is None:
                try:
                    texts = self._read(number)
                except FeedError as error:
                    texts, damage = (None, None), f"its record for {addresses.text[row]} is {error}"
            found.append(texts)
        geo, network = (pl.Series([texts[which] for texts in found], dtype=pl.String).gather(place) for which in (0, 1))
        return geo, network, damage

    def _read(self, number: int) -> Texts:
        texts = (None, None) if number == NONE else texts_of(self.database.record(number))
        if len(self.texts) >= MOST_TEXTS:
            self.texts.clear()
        self.texts[number] = texts
        return texts


@dataclass(slots=True)
class _File:
    """A database's file, the name under which it is counted, what of it is in use, and why it failed last."""

    path: Path
    name: str
    in_use: _InUse | None = None
    failed: str | None = None


class Places:
    """Adds what MMDB databases say of external addresses; of several the first that says something counts.

    `spool` is the folder for private copies of the files, which have no names there; None: the system's for temporary
    files.  Any number of threads may call; `refresh` is for one.
    """

    def __init__(self, databases: Sequence[Path], metrics: Metrics, spool: Path | None = None) -> None:
        self._metrics = metrics
        self._spool = spool
        names = Counter(path.name for path in databases)
        self._files = [_File(path, path.name if names[path.name] == 1 else str(path)) for path in databases]

    def open(self) -> None:
        """Opens all databases; ConfigError with a fault for each that cannot be used."""
        for file in self._files:
            self._load(file)
        faults = [
            Fault(f"enrich.geoip.databases[{place}]", file.failed)
            for place, file in enumerate(self._files)
            if file.failed
        ]
        if faults:
            raise ConfigError(tuple(faults))

    def refresh(self) -> dict[str, str]:
        """Opens databases whose file has changed; by name, what is wrong now.

        A database stays in use until its file is one that can be used.
        """
        for file in self._files:
            before = file.failed
            self._load(file)
            if file.failed and file.failed != before:
                log.warning("the database %s cannot be renewed, what was read stays in use: %s", file.name, file.failed)
            elif before and not file.failed:
                log.info("the database %s can be read again", file.name)
        wrong = {file.name: file.failed or (file.in_use.damage if file.in_use else None) for file in self._files}
        return {name: why for name, why in wrong.items() if why}

    def __call__(self, batch: Batch) -> Batch:
        """The batch with `geo` and `as` (String, JSON objects of ECS) of its external addresses; null for others."""
        if batch.about is None:
            return batch
        rows = np.flatnonzero((batch.about["locality"] == EXTERNAL).fill_null(value=False).to_numpy())
        geo, network = (pl.Series([None], dtype=pl.String).new_from_index(0, batch.about.height) for _ in range(2))
        for file in self._files:
            if in_use := file.in_use:
                more_geo, more_network, damage = in_use.columns(batch.addresses, rows)
                geo, network = _filled(geo, more_geo), _filled(network, more_network)
                if damage:
                    self._damaged(file, in_use, damage)
        return batch.with_about(geo.alias("geo"), network.alias("as"))

    def _load(self, file: _File) -> None:
        """Opens a file that is not the one in use; counted."""
        outcome = "unchanged"
        try:
            if file.in_use is None or signature(file.path) != file.in_use.database.signature:
                file.in_use = _InUse(_useful(file.path, self._spool))
                outcome = "changed"
            file.failed = None
            self._metrics.set("feed_time_seconds", time(), feed=file.name)
        except FeedError as error:
            file.failed = str(error)
            outcome = "failed"
        self._metrics.add("feed_reads_total", feed=file.name, outcome=outcome)

    def _damaged(self, file: _File, in_use: _InUse, damage: str) -> None:
        """Counts damage each time that it is met, and tells it once for each state of a file."""
        self._metrics.add("feed_reads_total", feed=file.name, outcome="failed")
        if in_use.damage is None:
            in_use.damage = damage
            log.warning("the database %s is damaged, it says nothing of some addresses: %s", file.name, damage)


def _useful(path: Path, spool: Path | None) -> Database:
    """The database in a file; FeedError where it cannot be opened, or holds nothing of use."""
    database = opened(path, spool, KEYS)
    try:
        for number in islice(database.first_numbers(), LOOKED_AT):
            if texts_of(database.record(number)) != (None, None):
                return database
    except FeedError as error:
        raise FeedError(f"{path}: one of its records is {error}") from error
    raise FeedError(
        f"{path}: a database of type {database.kind!r:.60} holds no places and no autonomous systems in a known layout "
        f"among its first {LOOKED_AT:,} records; expected one such as GeoLite2-City or GeoLite2-ASN"
    )


def _filled(column: pl.Series, more: pl.Series) -> pl.Series:
    """The column, its gaps filled."""
    return column.zip_with(column.is_not_null(), more)
