"""The bench's input: the same records in every form, generated once, kept in bench/out."""

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from exporter.commands.network_inventory import snapshot_of
from exporter.enrich.snapshot_file import VERSION, load, save
from exporter.flow import S3Object
from exporter.simulate.containers import FORMATS, Container, Format, Parquet, Text
from exporter.simulate.plan import plausible
from exporter.simulate.scene import Scene
from exporter.simulate.traffic import Order, frames
from exporter.simulate.writer import Layout, Writer

OUT = Path(__file__).parent / "out"
SEED = 7
INTERFACES = 2_000
START = datetime(2026, 1, 5, 12, tzinfo=UTC)
SECONDS = 300
LEVEL = 6

FIELDS = FORMATS["v5"]
"""Of the records in every form but the version 2 default."""


def _messages(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Log events as Firehose stores them: one JSON object a record, and no header."""
    next(lines)
    for line in lines:
        yield json.dumps({"message": line[:-1].decode()}).encode() + b"\n"


def _commas(lines: Iterator[bytes]) -> Iterator[bytes]:
    """CSV as Athena writes results: each value in quotes, nothing for none."""
    for line in lines:
        yield b",".join(b"" if word == b"-" else b'"%s"' % word for word in line.split()) + b"\n"


CONTAINERS: dict[str, Container] = {
    "v5": Text(Format.of(FIELDS), LEVEL),
    "v2": Text(Format.of(FORMATS["v2"]), LEVEL),
    "parquet": Parquet(Format.of(FIELDS), LEVEL),
}
"""Forms that AWS writes."""

REWRITTEN: dict[str, tuple[str, Callable[[Iterator[bytes]], Iterator[bytes]]]] = {
    "messages": (".json.gz", _messages),
    "commas": (".csv.gz", _commas),
}
"""Forms that others make of the v5 text: the key's end, and its lines anew."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One object as AWS or another would have written it, and the inventory of its network."""

    path: Path
    inventory: Path

    @property
    def source(self) -> S3Object:
        """As if it had been listed."""
        key = f"AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/01/05/{self.path.name}"
        return S3Object("bench-flow-logs", key, "0" * 32, self.path.stat().st_size, START, "123456789012", "us-east-1")


class _OneFile:
    """A place that puts everything into one file: gzip members one after the other are one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, key: str, data: bytes) -> None:
        del key
        with self._path.open("ab") as file:
            file.write(data)


def sample(records: int, form: str = "v5") -> Sample:
    """An object of `records` records in one of the forms; made anew only where it is not there."""
    OUT.mkdir(exist_ok=True)
    suffix = REWRITTEN[form][0] if form in REWRITTEN else CONTAINERS[form].suffix
    name = f"{records}.v2" if form == "v2" else str(records)
    made = Sample(OUT / f"{name}{suffix}", OUT / f"inventory.{VERSION}.json")
    if not made.inventory.exists():
        save(snapshot_of(plausible(SEED, size=INTERFACES), START), made.inventory)
    if not made.path.exists():
        begun = made.path.with_suffix(".begun")
        begun.unlink(missing_ok=True)
        if form in REWRITTEN:
            _rewrite(sample(records).path, begun, REWRITTEN[form][1])
        else:
            _generate(begun, CONTAINERS[form], records)
        begun.rename(made.path)
    load(made.inventory)
    return made


def _generate(path: Path, container: Container, records: int) -> None:
    network = plausible(SEED, size=INTERFACES)
    layout = Layout(network.account, network.region, "fl-0bench")
    writer = Writer(_OneFile(path), layout, container)
    first = int(START.timestamp())
    for frame in frames(Scene.of(network, SEED), Order(first, first + SECONDS, records, SEED)):
        writer.add(frame)
    writer.finish()


def _rewrite(text: Path, path: Path, anew: Callable[[Iterator[bytes]], Iterator[bytes]]) -> None:
    with gzip.open(text) as lines, gzip.open(path, "wb", LEVEL) as file:
        for line in anew(iter(lines)):
            file.write(line)
