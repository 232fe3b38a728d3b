"""What a flow is estimated to cost: the kind of charge by cost_rules.py, and US dollars by a table of prices."""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import replace
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from exporter.config import Cost
from exporter.enrich.cost_facts import facts
from exporter.enrich.cost_rules import KINDS, NOTHING, kinds
from exporter.enrich.cost_tables import NOBODY, OwnerTable, owner_table
from exporter.flow import Batch

GIGABYTE = 1 << 30
"""Bytes for which AWS names a price; see docs/cost.md."""


class Costs:
    """Gives each record that is charged its kind and its price; any thread may call."""

    def __init__(self, settings: Cost) -> None:
        rows = defaultdict(list)
        for row in sorted(settings.prices, key=lambda row: row.date):
            rows[row.region].append((row.date, [getattr(row, kind) for kind in KINDS]))
        self._prices: dict[str, list[tuple[date, list[float]]]] = dict(rows)
        self._table: tuple[pl.DataFrame, OwnerTable] | None = None

    def __call__(self, batch: Batch) -> Batch:
        """The batch with `cost_kind` (String, one of KINDS) and `cost_usd` (Float64, US dollars, never negative).

        Both are null where a record costs nothing, is not the one that pays, or no price is known for the payer's
        region.  Of several rows of prices for a region that one counts which was the newest on the object's day, or
        else the oldest.
        """
        known = facts(batch, self._owners(batch))
        kind = kinds(known.seen)
        usd = known.size / GIGABYTE * self._prices_at(batch.source.time.date(), known.regions)[known.region, kind]
        usd[(kind == NOTHING) | (known.size <= 0)] = np.nan
        kind[np.isnan(usd)] = NOTHING
        names = pl.Series(KINDS).gather(pl.Series(kind).cast(pl.UInt32, strict=False)).alias("cost_kind")
        return replace(batch, frame=batch.frame.with_columns(names, pl.Series("cost_usd", usd, nan_to_null=True)))

    def _owners(self, batch: Batch) -> OwnerTable:
        """The table of the batch's owners; the last one made is kept, for many batches have the same."""
        if batch.owners is None:
            return NOBODY
        kept = self._table
        if kept is None or kept[0] is not batch.owners:
            kept = self._table = batch.owners, owner_table(batch.owners)
        return kept[1]

    def _prices_at(self, day: date, regions: tuple[str, ...]) -> npt.NDArray[np.float64]:
        """Prices on a day, by region's number and kind; not a number where there is none, as in the last row."""
        prices = np.full((len(regions) + 1, len(KINDS)), np.nan)
        for number, name in enumerate(regions):
            if rows := self._prices.get(name):
                prices[number] = rows[max(bisect_right(rows, day, key=lambda row: row[0]) - 1, 0)][1]
        return prices
