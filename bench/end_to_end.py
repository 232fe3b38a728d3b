"""`python -m bench end-to-end`: from S3 (moto) to Elasticsearch on this machine, by the daemon as a process of its own.

The daemon has an inventory and has made its first pass when the objects are put; the clock stops when the last is done.
Processor time is that of the daemon's process alone, user and system, and what the server says of its own.  All of them
and the S3 share this machine: the rates are what is left, and the server's time tells what the bound is.
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from elasticsearch import Elasticsearch
from rich.console import Console
from rich.table import Table

from exporter.simulate.aws import build
from exporter.simulate.network import Network
from exporter.simulate.plan import plausible
from tests.delivery.daemon import Daemon, total
from tests.delivery.objects import INTERFACES, REGION, stored
from tests.delivery.stream import compare
from tests.delivery.world import Settings, World, world
from tests.services.aws import Aws, aws
from tests.services.elasticsearch import Cluster, cluster

SEED = 7
OBJECTS = (1, 16)
"""The same records in so many objects: what an object costs by itself is the difference."""

SETTINGS = Settings(request_bytes="5MiB", requests_in_flight=4, timeout="60s", inventory=True)
SECONDS = 900
"""That the daemon may take."""

STALE_SECONDS = 1.1
"""How long to wait before asking for the server's time: it gives the same answer for a second."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run: seconds of the clock, of the daemon's processor and of the server's, and bytes of memory at most."""

    objects: int
    records: int
    seconds: float
    daemon: float
    server: float
    memory: int


def main(console: Console, records: int) -> None:
    """Runs the cases one after the other, and shows them."""
    with cluster() as running, aws() as services, tempfile.TemporaryDirectory() as folder:
        network = build(services.client("ec2", REGION), plausible(SEED, size=INTERFACES))
        made = [
            _measured(services, running, Path(folder) / str(count), network, count, records // count)
            for count in OBJECTS
        ]
    _shown(console, made)


def _measured(  # noqa: PLR0913, PLR0917 - what it works with is passed in
    services: Aws, running: Cluster, folder: Path, network: Network, objects: int, records: int
) -> Figures:
    folder.mkdir()
    stored(records, SEED, network)  # made before the clock runs
    with world(services, running, folder, SETTINGS) as made, made.daemon() as daemon:
        made.bucket.network = network
        daemon.wait(lambda: _has_looked(daemon), SECONDS, "the first pass")
        own, server, began = daemon.cpu(), _server(made.search), time.perf_counter()
        made.bucket.put(objects, records, SEED)
        made.wait_for_all(daemon, SECONDS)
        seconds, own = time.perf_counter() - began, daemon.cpu() - own
        figures = Figures(objects, objects * records, seconds, own, _server(made.search) - server, daemon.memory()[1])
        daemon.terminate()
        _checked(made)
    return figures


def _has_looked(daemon: Daemon) -> bool:
    return total(daemon.metrics(), "vpcflow_polls_total", outcome="ok") > 0


def _checked(made: World) -> None:
    verdict = compare(made.search, made.stream, made.bucket.expected)
    if not verdict.exact:
        raise AssertionError(str(verdict))


def _server(client: Elasticsearch) -> float:
    """Seconds of processor time that the server has had."""
    time.sleep(STALE_SECONDS)
    nodes = client.nodes.stats(metric="process")["nodes"].values()
    return float(sum(node["process"]["cpu"]["total_in_millis"] for node in nodes)) / 1000


def _shown(console: Console, made: list[Figures]) -> None:
    table = Table("end to end", box=None, pad_edge=False, padding=(0, 2))
    for head in ("records a second", "daemon CPU s a million", "server CPU s a million", "daemon/server", "peak MB"):
        table.add_column(head, justify="right")
    for each in made:
        table.add_row(
            f"{each.records:,} records in {each.objects} object{'s' * (each.objects > 1)}",
            f"{each.records / each.seconds:,.0f}",
            f"{each.daemon / each.records * 1e6:.2f}",
            f"{each.server / each.records * 1e6:.1f}",
            f"{each.daemon / each.server:.0%}",
            f"{each.memory / 1e6:,.0f}",
        )
    console.print(table)
