"""A history in a store of plain rows, and back: columns become tuples, what is nested becomes JSON."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import polars as pl

from exporter.enrich.history import TABLES, Changes, History
from exporter.enrich.inventory import OWNERS

Row = tuple[Any, ...]

CHUNK = 20_000
"""Rows that stand in memory as Python objects at a time."""

_NESTED: dict[str, dict[str, Any]] = {
    "scope": {name: TABLES["scope"][name] for name in ("networks", "links")},
    "workload": {"owner": pl.Struct(OWNERS)},
}
"""The columns that are stored as the text of their JSON."""


class Rows(Protocol):
    """Where rows of the four tables are kept, by number."""

    def still(self) -> AbstractContextManager[object]:
        """Within it all rows are those of one moment."""
        ...  # pragma: no cover

    def rows(self, table: str) -> Iterator[Row]:
        """All rows of a table, in the order of their numbers."""
        ...  # pragma: no cover

    def remember(self, rows: Mapping[str, Iterable[Row]], gone: Mapping[str, Iterable[int]]) -> None:
        """Puts rows in the place of those of their number, and deletes others: all of it or nothing."""
        ...  # pragma: no cover


@dataclass(frozen=True, slots=True)
class StoredHistory:
    """A history's store."""

    tables: Rows

    def load(self, assume: int = 0) -> History:
        """What was written so far."""
        with self.tables.still():
            return History(**{name: _table(name, self.tables.rows(name)) for name in TABLES}, assume=assume)

    def write(self, changes: Changes) -> None:
        """Writes changes, all of them or none."""
        if changes.rows or changes.gone:
            rows = {name: _rows(name, table) for name, table in changes.rows.items()}
            self.tables.remember(rows, {name: numbers.to_list() for name, numbers in changes.gone.items()})


def _rows(name: str, table: pl.DataFrame) -> Iterator[Row]:
    for part in table.iter_slices(CHUNK):
        yield from _flat(name, part).iter_rows()


def _flat(name: str, table: pl.DataFrame) -> pl.DataFrame:
    if name == "workload":
        table = table.select(pl.exclude(*OWNERS), owner=pl.struct(*OWNERS))
    for column, kind in _NESTED.get(name, {}).items():
        table = table.with_columns(_json(column, kind))
    return table


def _json(column: str, kind: pl.DataType) -> pl.Expr:
    """A nested column as text; polars writes JSON of structs only, so a list becomes the one member of such."""
    if isinstance(kind, pl.Struct):
        return pl.col(column).struct.json_encode()
    return pl.struct(list=column).struct.json_encode().alias(column)


def _table(name: str, rows: Iterator[Row]) -> pl.DataFrame:
    """The rows as a table, some at a time."""
    nested = _NESTED.get(name, {})
    schema = {column: kind for column, kind in TABLES[name].items() if column not in OWNERS or name != "workload"}
    schema |= dict.fromkeys(nested, pl.String)
    parts = [pl.DataFrame(schema=TABLES[name])]
    while chunk := list(islice(rows, CHUNK)):
        part = pl.DataFrame(chunk, schema=schema, orient="row")
        for column, kind in nested.items():
            whole = kind if isinstance(kind, pl.Struct) else pl.Struct({"list": kind})
            part = part.with_columns(pl.col(column).str.json_decode(whole))
            if whole is not kind:
                part = part.with_columns(pl.col(column).struct.field("list").alias(column))
        if name == "workload":
            part = part.unnest("owner")
        parts.append(part.select(*TABLES[name]))
    return pl.concat(parts)
