"""`make measure-index`: what a document costs in each index mode, on disk and in the server's time.

The program makes the documents from an object of `make bench`; then every case gets an index of its own with the
mappings and settings under mappings/elasticsearch, one shard, no replicas.  Bytes are those of one merged segment and
come out the same again within a percent.  Rates and CPU are the best of some rounds, taken in turns so that a busy
minute does not fall on one case alone; they share the machine with this process and tell large differences only.
"""

import argparse
import json
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from elasticsearch import BadRequestError, Elasticsearch
from rich.console import Console
from rich.table import Table

from bench.cases import REQUEST_BYTES
from bench.traffic import sample
from exporter.ecs.document import Encoder
from exporter.enrich.ends import enrich
from exporter.enrich.snapshot_file import load
from exporter.flow import Body
from exporter.install.templates import mappings_root, settings_template
from exporter.metrics import Metrics
from exporter.read.reader import Reader
from tests.services.elasticsearch import cluster

DOCUMENTS = 100_000
ROUNDS = 2
MINUTES = 15
SENDERS = 4

TIMEOUT = 120
"""Seconds a request may take, the merge too: an index of this size is merged in a few."""


CPU_SECONDS = 1.1
"""How long to wait before asking for the CPU time: a server gives the same answer for a second."""


@dataclass(frozen=True, slots=True)
class Case:
    """One way to store the documents; `ours` is the sort order of settings.json, else the mode's own."""

    mode: Literal["standard", "logsdb"]
    ours: bool
    source: Literal["stored", "synthetic"]

    @property
    def order(self) -> str:
        """What the index is sorted by; logsdb's own order is host.name and time, of which a flow has the time alone."""
        if self.ours:
            return "interface"
        return "time" if self.mode == "logsdb" else "-"

    def __str__(self) -> str:
        return f"{self.mode}, sorted by {self.order}, {self.source} source"

    def settings(self) -> dict[str, Any]:
        """The program's own index settings, with what the case varies."""
        index: dict[str, Any] = settings_template(None, self.mode, 1, 0)["template"]["settings"]["index"]
        if not self.ours:
            del index["sort"]
        index["mapping"]["source"] = {"mode": self.source}
        index["store"] = {"stats_refresh_interval": "0s"}  # else sizes may be those of ten seconds ago
        return {"index": index}


CASES: tuple[Case, ...] = (
    Case("standard", ours=False, source="stored"),
    Case("standard", ours=True, source="stored"),
    Case("logsdb", ours=False, source="stored"),
    Case("logsdb", ours=True, source="stored"),
    Case("standard", ours=False, source="synthetic"),
    Case("standard", ours=True, source="synthetic"),
    Case("logsdb", ours=False, source="synthetic"),
    Case("logsdb", ours=True, source="synthetic"),
)
"""In the order of the table; the first one is what the others are compared with."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One document's share: bytes on disk, seconds, the server's CPU seconds, and those with the merge on top."""

    bytes: float
    seconds: float
    cpu: float
    cpu_merged: float

    def best(self, other: "Figures") -> "Figures":
        """The smaller of each."""
        return Figures(
            min(self.bytes, other.bytes),
            min(self.seconds, other.seconds),
            min(self.cpu, other.cpu),
            min(self.cpu_merged, other.cpu_merged),
        )


class NotTaken(Exception):
    """The server does not store documents the way a case says."""


def main() -> None:
    """Runs all cases and prints the table; ends after the time given with what there is by then."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=DOCUMENTS, help="documents an index, held in memory meanwhile")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="runs of each case, of which the best counts")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="no further case begins after so many")
    options = parser.parse_args()
    deadline = time.monotonic() + 60 * options.minutes
    console = Console(highlight=False, soft_wrap=True)
    console.print("making the documents …")
    bodies = documents(options.documents)
    console.print(_size(bodies))
    console.print("starting Elasticsearch …")
    with cluster() as running:
        client = Elasticsearch(
            running.url, basic_auth=running.basic_auth, max_retries=0, request_timeout=TIMEOUT, connections_per_node=10
        )
        with client:
            best = _rounds(console, client, bodies, options.rounds, deadline)
    if not best:
        return
    console.print(f"\nElasticsearch {'.'.join(map(str, running.version))}; best of {options.rounds} rounds")
    _table(console, best)


def documents(count: int) -> list[Body]:
    """Requests with `count` documents: one object's records, both ends enriched, as the program sends them."""
    made, metrics = sample(count), Metrics()
    snapshot, encoder = load(made.inventory), Encoder("exporter", REQUEST_BYTES)
    with made.path.open("rb") as stream:
        return [
            body
            for piece in Reader().read(stream, made.source)
            for body in encoder.encode(enrich(piece.batch, snapshot, metrics))
        ]


def _size(bodies: list[Body]) -> str:
    count, size = _count(bodies), sum(len(body.data) for body in bodies)
    return f"{count:,} documents, {size / count:,.0f} bytes each with the action line, in {len(bodies)} requests"


def _count(bodies: list[Body]) -> int:
    return sum(body.count for body in bodies)


def _rounds(
    console: Console, client: Elasticsearch, bodies: list[Body], rounds: int, deadline: float
) -> dict[Case, Figures]:
    best: dict[Case, Figures] = {}
    refused: set[Case] = set()
    console.print(f"warming up: {CASES[0]} …")
    measure(client, CASES[0], bodies)
    for turn, case in ((turn, case) for turn in range(1, rounds + 1) for case in CASES):
        if case in refused:
            continue
        if time.monotonic() > deadline:
            console.print(f"the time is up before round {turn}, {case}")
            break
        try:
            figures = measure(client, case, bodies)
        except NotTaken as error:
            refused.add(case)
            console.print(f"left out: {case}: {error}")
        else:
            best[case] = best[case].best(figures) if case in best else figures
            console.print(
                f"round {turn} of {rounds}: {case}: {figures.bytes:.1f} bytes, {1 / figures.seconds:,.0f} a s"
            )
    return best


def measure(client: Elasticsearch, case: Case, bodies: list[Body]) -> Figures:
    """One case in an index of its own, which goes afterwards.  Raises NotTaken where the server has no such index."""
    count = _count(bodies)
    with _index(client, case) as index:
        cpu, began = _cpu(client), time.perf_counter()
        _send(client, index, bodies)
        client.indices.refresh(index=index)
        seconds, indexed = time.perf_counter() - began, _cpu(client)
        size = _merged(client, index, count)
        return Figures(size / count, seconds / count, (indexed - cpu) / count, (_cpu(client) - cpu) / count)


@contextmanager
def _index(client: Elasticsearch, case: Case) -> Iterator[str]:
    index = f"vpcflow-exporter-measures-{secrets.token_hex(4)}"
    mappings = json.loads((mappings_root() / "elasticsearch" / "mappings.json").read_text("utf-8"))
    try:
        client.indices.create(index=index, settings=case.settings(), mappings=mappings["template"]["mappings"])
    except BadRequestError as error:
        raise NotTaken(f"the server takes no such index: {error}") from error
    try:
        # Without the licence for it a server takes the wish for a synthetic source, and stores the source all the same.
        found = client.indices.get_settings(index=index, flat_settings=True)[index]["settings"]
        if found.get("index.mapping.source.mode") != case.source:
            raise NotTaken(f"the server made it {found.get('index.mapping.source.mode')}")
        yield index
    finally:
        client.indices.delete(index=index)


def _send(client: Elasticsearch, index: str, bodies: list[Body]) -> None:
    def send(body: Body) -> None:
        answer = client.bulk(operations=body.data, index=index, filter_path="errors,items.*.error")  # type: ignore[arg-type]
        if answer["errors"]:
            raise RuntimeError(f"{index} refused documents: {str(answer['items'])[:500]}")

    with ThreadPoolExecutor(SENDERS) as senders:
        list(senders.map(send, bodies))


def _merged(client: Elasticsearch, index: str, count: int) -> int:
    """The index's bytes as one segment.

    The flush comes first: what recovery may still need is dropped by a merge only once it is safe on disk.
    """
    client.indices.flush(index=index, force=True)
    client.indices.forcemerge(index=index, max_num_segments=1, flush=True)
    client.indices.refresh(index=index)
    client.indices.flush(index=index, force=True)
    stats = client.indices.stats(index=index, metric="store,segments,docs")["_all"]["primaries"]
    if (stats["segments"]["count"], stats["docs"]["count"]) != (1, count):
        raise RuntimeError(f"{index} should hold {count} documents in one segment and holds {stats}")
    return int(stats["store"]["size_in_bytes"])


def _cpu(client: Elasticsearch) -> float:
    """CPU seconds of the server's processes so far."""
    time.sleep(CPU_SECONDS)
    nodes = client.nodes.stats(metric="process")["nodes"].values()
    return float(sum(node["process"]["cpu"]["total_in_millis"] for node in nodes)) / 1000


def _table(console: Console, best: dict[Case, Figures]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for head in ("mode", "sorted by", "source"):
        table.add_column(head, no_wrap=True)
    for head in ("bytes", "ratio", "docs/s", "ratio", "CPU µs", "merged"):
        table.add_column(head, justify="right", no_wrap=True)
    first = next(iter(best.values()))
    for case, each in best.items():
        table.add_row(
            case.mode,
            case.order,
            case.source,
            f"{each.bytes:.0f}",
            f"{each.bytes / first.bytes:.2f}",
            f"{1 / each.seconds:,.0f}",
            f"{first.seconds / each.seconds:.2f}",
            f"{each.cpu * 1e6:.0f}",
            f"{each.cpu_merged * 1e6:.0f}",
        )
    console.print(table, soft_wrap=False)
    console.print("within an interface the newest comes first, as in the order of time")
    console.print("bytes and CPU are a document's; `merged` is the CPU with the merge to one segment on top")


if __name__ == "__main__":
    main()
