"""Records as the objects that AWS would write: one for each five minutes, under AWS's keys."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from exporter.simulate.containers import Container
from exporter.simulate.windows import SLOT

LARGEST_OBJECT = 75_000_000
"""Bytes of a stored object at which AWS begins a further one."""

_BLOCK_ROWS = 20_000

_LINE = 400
"""Bytes that a line of the longest format stays under, for the size of blocks."""


class Place(Protocol):
    """Where objects go."""

    def put(self, key: str, data: bytes) -> None:
        """Stores an object under its key, over one that is there."""
        ...  # pragma: no cover


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of this machine: keys become paths below it."""

    path: Path

    def put(self, key: str, data: bytes) -> None:
        """Writes the file and the folders above it; an OSError where that fails."""
        target = self.path / key
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of S3, through a boto3 client."""

    client: Any
    name: str

    def put(self, key: str, data: bytes) -> None:
        """One PutObject; botocore's errors pass through."""
        self.client.put_object(Bucket=self.name, Key=key, Body=data)


@dataclass(frozen=True, slots=True)
class Layout:
    """How AWS names objects: `prefix` without a slash at its end, `flow_log` is fl-… ."""

    account: str
    region: str
    flow_log: str
    prefix: str = ""
    hive: bool = False
    hourly: bool = False

    def key(self, slot: int, digest: str, suffix: str) -> str:
        """The key of an object of the five minutes from `slot`, seconds since 1970."""
        time = datetime.fromtimestamp(slot, UTC)
        name = f"{self.account}_vpcflowlogs_{self.region}_{self.flow_log}_{time:%Y%m%dT%H%MZ}_{digest}{suffix}"
        folders = self._hive(time) if self.hive else self._plain(time)
        return "/".join(filter(None, (self.prefix, "AWSLogs", *folders, name)))

    def _plain(self, time: datetime) -> tuple[str, ...]:
        hour = (f"{time:%H}",) if self.hourly else ()
        return (self.account, "vpcflowlogs", self.region, f"{time:%Y}", f"{time:%m}", f"{time:%d}", *hour)

    def _hive(self, time: datetime) -> tuple[str, ...]:
        who = (f"aws-account-id={self.account}", "aws-service=vpcflowlogs", f"aws-region={self.region}")
        hour = (f"hour={time:%H}",) if self.hourly else ()
        return (*who, f"year={time:%Y}", f"month={time:%m}", f"day={time:%d}", *hour)


@dataclass(slots=True)
class Written:
    """What was written: `bytes` as stored."""

    objects: int = 0
    records: int = 0
    bytes: int = 0


class Writer:
    """Takes frames of records in order of time, writes an object for each five minutes, and more of large ones.

    An object is stored when the next begins, the last by `finish`.
    """

    def __init__(self, place: Place, layout: Layout, container: Container, largest: int = LARGEST_OBJECT) -> None:
        self.written = Written()
        self._place, self._layout, self._container, self._largest = place, layout, container, largest
        self._rows = max(1, min(_BLOCK_ROWS, largest // (8 * _LINE)))
        self._slot: int | None = None
        self._object = container.begin()

    def add(self, records: pl.DataFrame) -> None:
        """Takes records whose ends are in rising order, and none before the five minutes begun."""
        for slot, part in _by_slot(records):
            if slot != self._slot:
                self.finish()
                self._slot = slot
            for block in part.iter_slices(self._rows):
                self._append(self._container.block(block), block.height)

    def finish(self) -> Written:
        """Stores what was begun, and says what was written in all."""
        if self._slot is not None and self._object.records:
            data = self._object.finish()
            digest = hashlib.sha256(data).hexdigest()[:8]
            self._place.put(self._layout.key(self._slot, digest, self._container.suffix), data)
            self.written.objects += 1
            self.written.records += self._object.records
            self.written.bytes += len(data)
        self._object = self._container.begin()
        return self.written

    def _append(self, block: bytes, records: int) -> None:
        """Adds to the object begun, or to a new one where it might become too large."""
        if self._object.records and self._object.size + len(block) > self._largest:
            self.finish()
        self._object.append(block, records)


def _by_slot(records: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
    """The records of each five minutes by their end."""
    slots = records.select(slot=pl.col("end") // SLOT * SLOT)["slot"]
    first = 0
    for slot, count in slots.rle().struct.unnest().select("value", "len").iter_rows():
        yield slot, records.slice(first, count)
        first += count
