"""A large inventory over time: 100,000 interfaces, 500,000 addresses, a million intervals of ownership.

The bench's own network is a small part of it; the other interfaces lie in VPCs of their own, of which some have the
same ranges, and their secondary addresses pass from one to the next between snapshots.
"""

import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from bench.traffic import START, Sample
from exporter.enrich.history import History, View
from exporter.enrich.history_store import StoredHistory
from exporter.enrich.index import Kind
from exporter.enrich.inventory import ADDRESSES, OWNERS, Snapshot, pairs_of
from exporter.enrich.oddities import Oddities
from exporter.enrich.owners import Owners
from exporter.enrich.snapshot_file import load
from exporter.ledger import Ledger
from exporter.metrics import Metrics

INTERFACES, EACH, VPCS, RANGES = 98_000, 5, 490, 400
PASSING = 2
"""Snapshots, after the first, at which five of eight secondary addresses have passed to another interface."""

GAP, REMEMBER = timedelta(hours=2), timedelta(days=30)


def others(turn: int) -> Snapshot:
    """The interfaces besides the bench's own; `turn` says how far their secondary addresses have come."""
    number = pl.int_range(INTERFACES, eager=True)
    text = pl.DataFrame({"number": number}).select(
        interface_id=pl.format("eni-{}", "number"),
        vpc_id=pl.format("vpc-{}", pl.col("number") % VPCS),
        instance_id=pl.format("i-{}", "number"),
        instance_name=pl.format("worker-{}", pl.col("number") % 500),
        account_id=pl.lit("123456789012"),
        region=pl.lit("us-east-1"),
        subnet_id=pl.format("subnet-{}", pl.col("number") % 2000),
        service_name=pl.lit("ec2"),
        resource_type=pl.lit("instance"),
        attached=pl.lit(int(START.timestamp()) - 86_400, dtype=pl.Int64),
        fixed=pl.lit(value=True),
    )
    place = pl.DataFrame({"at": pl.int_range(INTERFACES * EACH, eager=True)}).with_columns(
        owner=pl.col("at") // EACH, which=pl.col("at") % EACH
    )
    steps = pl.when((pl.col("which") > 0) & (pl.col("at") % 8 < 5)).then(min(turn, PASSING)).otherwise(0)  # noqa: PLR2004
    block = pl.col("owner") % VPCS % RANGES
    low = (pl.col("owner") // VPCS) * EACH + pl.col("which") + 1
    addresses = place.select(
        vpc_id=pl.format("vpc-{}", pl.col("owner") % VPCS),
        address=pl.format("10.{}.{}.{}", block // 64, block % 64 * 4 + low // 255, low % 255),
        owner=((pl.col("owner") + VPCS * steps) % INTERFACES).cast(pl.UInt32),
        kind=pl.when(pl.col("which") == 0).then(pl.lit(Kind.PRIMARY.value)).otherwise(pl.lit(Kind.OWN.value)),
    )
    owners = pl.concat([pl.DataFrame(schema=OWNERS), text], how="diagonal")
    ranges = [f"10.{vpc % RANGES // 64}.{vpc % RANGES % 64 * 4}.0/22" for vpc in range(VPCS)]
    networks = tuple((f"vpc-{vpc}", text) for vpc, text in enumerate(ranges))
    return Snapshot(owners, addresses, networks, START)


def merge(snapshots: Sequence[Snapshot]) -> Snapshot:
    """Snapshots (at least one) of regions or accounts as one; the first row of an interface counts."""
    owners = pl.concat([snapshot.owners for snapshot in snapshots])
    owners = owners.unique("interface_id", keep="first", maintain_order=True)
    rows = owners.select("interface_id").with_row_index("owner")
    addresses = pl.concat([_by_interface(snapshot) for snapshot in snapshots])
    addresses = addresses.join(rows, on="interface_id", how="left", maintain_order="left").select(*ADDRESSES)
    return Snapshot(
        owners=owners,
        addresses=addresses.unique(maintain_order=True),
        networks=pairs_of(pair for snapshot in snapshots for pair in snapshot.networks),
        taken=min(snapshot.taken for snapshot in snapshots),
        links=pairs_of(pair for snapshot in snapshots for pair in snapshot.links),
    )


def _by_interface(snapshot: Snapshot) -> pl.DataFrame:
    """The snapshot's addresses with the interface's id in place of its row."""
    ids = snapshot.owners["interface_id"].gather(snapshot.addresses["owner"])
    return snapshot.addresses.drop("owner").with_columns(interface_id=ids)


@dataclass(frozen=True, slots=True)
class Made:
    """What came of it: seconds each, bytes of memory that the process holds after all of it, and of the ledger."""

    view: View
    intervals: int
    first: float
    unchanged: float
    passing: float
    loading: float
    memory: int
    ledger: int


def made(sample: Sample) -> Made:
    """Snapshots of the whole network, two of each state, the last one after the sample's records.

    Then the ledger is read again, as at a start.
    """
    own = load(sample.inventory)
    steps = [(turn, 20 * (turn - PASSING - 1) + 5 * half) for turn in range(PASSING + 1) for half in range(2)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite3"
        with Ledger(path) as ledger:
            owners = _owners(StoredHistory(ledger))
            seconds = [_add(owners, own, *step) for step in [*steps, (PASSING, 20), (PASSING, 25)]]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        del owners
        began = time.process_time()
        with Ledger(path) as ledger:
            history = StoredHistory(ledger).load()
            view = history.view()
        loading = time.process_time() - began
        size = path.stat().st_size
    return Made(view, history.holding.height, seconds[0], seconds[-1], seconds[2], loading, peak, size)


def _owners(store: StoredHistory) -> Owners:
    metrics = Metrics()
    history, oddities = History.empty(), Oddities(metrics)
    return Owners(history, store.write, gap=GAP, remember=REMEMBER, metrics=metrics, oddities=oddities)


def _add(owners: Owners, own: Snapshot, turn: int, minutes: int) -> float:
    """CPU seconds of folding in one snapshot, without making it."""
    taken = START + timedelta(minutes=minutes)
    whole = replace(merge([own, others(turn)]), taken=taken, answered=taken + timedelta(seconds=5))
    began = time.process_time()
    owners.add({"123456789012 us-east-1": whole}, taken)
    return time.process_time() - began


def main(console: Console, sample: Sample) -> None:
    """Measures and shows."""
    figures = made(sample)
    table = Table("ownership over time", box=None, pad_edge=False, padding=(0, 2))
    table.add_column("", justify="right")
    index = figures.view.index
    for what, value in (
        ("interfaces", f"{len(index.interfaces):,}"),
        ("addresses", f"{len(index.lone) - 1:,}"),
        ("intervals", f"{figures.intervals:,}"),
        ("first snapshot", f"{figures.first:.1f} CPU s"),
        ("a snapshot in which addresses have passed on", f"{figures.passing:.1f} CPU s"),
        ("a snapshot in which nothing has changed", f"{figures.unchanged:.1f} CPU s"),
        ("reading all of it from the ledger", f"{figures.loading:.1f} CPU s"),
        ("the ledger", f"{figures.ledger / 1e6:,.0f} MB"),
        ("memory at most", f"{figures.memory / 1e6:,.0f} MB"),
    ):
        table.add_row(what, value)
    console.print(table)
