"""Flow-log objects of a known number of records, quick to make, and the ids that their documents must have."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import polars as pl

from exporter.identity import id_prefix
from exporter.simulate.containers import FORMATS, GZIP, Format
from exporter.simulate.network import Network
from exporter.simulate.plan import plausible
from exporter.simulate.scene import Scene
from exporter.simulate.traffic import Order, frames
from exporter.simulate.writer import Layout

ACCOUNT, REGION = "123456789012", "eu-west-1"
INTERFACES = 200
SLOT = timedelta(minutes=5)

AGE = timedelta(hours=2)
"""How old the newest object is; the others go back from there, `SLOTS` at most, and then begin again."""

SLOTS = 144

FORMAT = Format.of(FORMATS["v5"])


@cache
def stored(records: int, seed: int, network: Network | None = None) -> bytes:
    """An object's bytes: a header line, and so many records of `network`, or of a plausible one."""
    network = network or plausible(seed, size=INTERFACES)
    first = int(datetime(2026, 1, 5, 12, tzinfo=UTC).timestamp())
    order = Order(first, first + 300, records + records // 10 + 1000, seed)
    made = pl.concat(frames(Scene.of(network, seed), order), how="diagonal").head(records)
    if made.height < records:
        raise ValueError(f"{made.height} records came out, {records} were wanted")
    gzip = zlib.compressobj(1, zlib.DEFLATED, GZIP)
    return gzip.compress(FORMAT.header + FORMAT.lines(made)) + gzip.flush()


@dataclass(slots=True)
class Bucket:
    """A bucket, and what was put there: records by the first 16 characters of the ids of their documents."""

    client: Any
    name: str
    newest: datetime = field(default_factory=lambda: datetime.now(UTC) - AGE)
    expected: dict[str, int] = field(default_factory=dict)
    network: Network | None = None

    def put(self, count: int, records: int, seed: int) -> None:
        """So many objects more, of `records` each; the same bytes under several keys are several objects."""
        layout, data = Layout(ACCOUNT, REGION, FORMAT.flow_log), stored(records, seed, self.network)
        newest = int(self.newest.timestamp()) // 300 * 300
        for number in range(len(self.expected), len(self.expected) + count):
            key = layout.key(newest - number % SLOTS * 300, f"{number:08x}", ".log.gz")
            etag = self.client.put_object(Bucket=self.name, Key=key, Body=data)["ETag"].strip('"')
            self.expected[id_prefix(self.name, key, etag)] = records

    @property
    def records(self) -> int:
        """Of all objects."""
        return sum(self.expected.values())
