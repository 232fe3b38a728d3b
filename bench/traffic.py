"""The bench's input: generated once, kept in bench/out."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from exporter.commands.network_inventory import snapshot_of
from exporter.enrich.snapshot_file import load, save
from exporter.flow import S3Object
from exporter.simulate.plan import plausible
from exporter.simulate.scene import Scene
from exporter.simulate.traffic import Order, frames
from exporter.simulate.writer import FORMATS, Format, Layout, Writer

OUT = Path(__file__).parent / "out"
SEED = 7
INTERFACES = 2_000
START = datetime(2026, 1, 5, 12, tzinfo=UTC)
SECONDS = 300
LEVEL = 6


@dataclass(frozen=True, slots=True)
class Sample:
    """One object as AWS would have written it, and the inventory of its network."""

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


def sample(records: int) -> Sample:
    """An object of `records` 29-field v5 records; made anew only where it is not there."""
    OUT.mkdir(exist_ok=True)
    made = Sample(OUT / f"{records}.log.gz", OUT / "inventory.json")
    network = plausible(SEED, size=INTERFACES)
    if not made.inventory.exists():
        save(snapshot_of(network, START), made.inventory)
    if not made.path.exists():
        begun = made.path.with_suffix(".begun")
        begun.unlink(missing_ok=True)
        form = Format.of(FORMATS["v5"])
        layout = Layout(network.account, network.region, form.flow_log, "", False, False)  # noqa: FBT003
        writer = Writer(_OneFile(begun), layout, form, LEVEL)
        first = int(START.timestamp())
        for frame in frames(Scene.of(network, SEED), Order(first, first + SECONDS, records, SEED)):
            writer.add(frame)
        writer.finish()
        begun.rename(made.path)
    load(made.inventory)
    return made
