"""A history to one snapshot, and a snapshot of a file into a history."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl

from exporter.addresses import Integers, Keys, halves, joined
from exporter.enrich.history import FILE, FOREIGN, OF_FILE, Changes, History, pairs_in
from exporter.enrich.index import Index, Kind
from exporter.enrich.inventory import ADDRESSES, OWNERS, Snapshot
from exporter.enrich.remembered import KINDS, text_of
from exporter.errors import InventoryError


@dataclass(frozen=True, slots=True)
class Addition:
    """What a file adds to a history: the name of its scope, the rows, and of how many interfaces only the addresses."""

    name: str
    changes: Changes
    bare: int


def newest(history: History) -> Snapshot:
    """What the newest answer of each account and region shows, sure or not; InventoryError where there is none.

    `taken` is when the first of them was asked; by `answered` all had answered.
    """
    scopes = history.scope.filter(~OF_FILE)
    if not scopes.height:
        raise InventoryError("no account and region has answered yet: `run` and `once` ask; imports need --at TIME")
    live = pl.col("last").is_null() & pl.col("scope").is_in(scopes["number"].implode())
    holding = history.holding.filter(live)
    workload = (
        history.workload.filter(live)
        .join(scopes.select(scope="number", name="name"), on="scope", how="left", maintain_order="left")
        .with_columns(foreign=FOREIGN)
        .sort("interface", "foreign", "name")
        .unique("interface", keep="first", maintain_order=True)
    )
    rows = workload.select("interface").with_row_index("owner")
    held = holding.join(rows, on="interface", how="inner", maintain_order="left").join(
        history.interface.select(interface="number", vpc_id="vpc"), on="interface", how="left", maintain_order="left"
    )
    seen = [int(table["first"].max()) for table in (holding, workload) if table.height]  # type: ignore[arg-type]  # Int64
    return Snapshot(
        owners=workload.select(*OWNERS),
        addresses=_addresses(held),
        networks=pairs_in(scopes["networks"]),
        taken=_moment(min(scopes["taken"].to_list())),
        links=pairs_in(scopes["links"]),
        answered=_moment(max([*scopes["taken"].to_list(), *seen])),
    )


def surely(history: History, moment: datetime) -> Snapshot:
    """Who surely had what at a moment; an interface of which no address is sure then is not in it."""
    view, second = history.view(), int(moment.timestamp())
    index, held = view.index, view.index.held
    there = np.flatnonzero((held.since[:-1] <= second) & (second <= held.until[:-1]) & (held.value[:-1] >= 0))
    interface = held.value[there]
    keys, bits = _slots(index, held.keys[held.place[there]])
    high, low = halves(keys)
    found = pl.DataFrame({"row": interface, "high": high, "low": low, "bits": bits.astype(np.uint8)})
    numbers = pl.DataFrame({"interface": view.numbers, "vpc_id": history.interface["vpc"]}).with_row_index("row")
    kinds = history.holding.group_by("interface", "high", "low", "bits").agg(pl.col("kind").min())
    distinct = np.unique(interface)
    owners = pl.DataFrame({"row": distinct}).with_row_index("owner")
    held_then = (
        found.join(numbers.cast({"row": pl.Int64}), on="row", how="left", maintain_order="left")
        .join(kinds, on=["interface", "high", "low", "bits"], how="left", maintain_order="left")
        .join(owners, on="row", how="left", maintain_order="left")
        .with_columns(pl.col("kind").fill_null(Kind.OWN.code))
    )
    times = np.full(len(distinct), second)
    return Snapshot(
        owners=view.owners[index.rows(distinct, times, times)].select(*OWNERS),
        addresses=_addresses(held_then),
        networks=view.networks,
        taken=_moment(second),
        links=pairs_in(history.scope["links"]),
    )


def addition(history: History, snapshot: Snapshot, mark: str, earliest: datetime, now: datetime) -> Addition | None:
    """What a file's snapshot adds, as a scope of its own; None where that is in the history already.

    `mark` tells it from other files of the same second.  What stands behind an interface is left out where the file
    tells neither when it was attached nor that it is fixed: that would be sure for no time, and would end in the
    history what EC2 told before.  InventoryError where it is of before `earliest`, or of later than `now`.
    """
    taken = f"{snapshot.taken:%Y-%m-%dT%H:%M:%SZ}"
    if snapshot.taken > now:
        raise InventoryError(f"it was taken at {taken}, which is yet to come: is its clock, or this one, wrong?")
    if snapshot.taken < earliest:
        raise InventoryError(
            f"it was taken at {taken}, and what ended before {earliest:%Y-%m-%dT%H:%M:%SZ} is forgotten at once: "
            "see enrich.ec2.remember"
        )
    name = f"{FILE}{taken} {mark}"
    if history.scope.filter(name=name).height:
        return None
    _, changes = history.after(name, snapshot, 0)
    workload = changes.rows.pop("workload", history.workload.clear())
    lasting = pl.col("fixed").fill_null(value=False) & pl.col("instance_id").is_null()
    proven = workload.filter(pl.col("attached").is_not_null() | lasting)
    if proven.height:
        changes.put("workload", proven)
    return Addition(name, changes, workload.height - proven.height)


def _addresses(held: pl.DataFrame) -> pl.DataFrame:
    """Columns as inventory.ADDRESSES, of rows with halves, bits and the code of the kind."""
    raw = joined(held["high"].to_numpy(), held["low"].to_numpy()).tobytes()
    texts = [text_of(raw[16 * row : 16 * row + 16], bits) for row, bits in enumerate(held["bits"].to_list())]
    table = held.with_columns(
        address=pl.Series(texts, dtype=pl.String), kind=pl.col("kind").replace_strict(KINDS, return_dtype=pl.String)
    )
    order = pl.col("kind") != Kind.PRIMARY.value
    typed = (pl.col(name).cast(kind) for name, kind in ADDRESSES.items())
    return table.sort("owner", order, "high", "low", "bits").select(*typed).unique(maintain_order=True)


def _slots(index: Index, places: Integers) -> tuple[Keys, Integers]:
    """The key and the bits of what the places are of."""
    keys = np.concatenate([table for _, table, _ in index.tables])
    bits = np.concatenate([np.full(len(table), each) for each, table, _ in index.tables])
    slot = np.searchsorted(index.place_key(np.arange(len(keys)), 0), places, side="right") - 1
    return keys[slot], bits[slot]


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
