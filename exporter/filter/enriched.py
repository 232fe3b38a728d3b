"""Columns of what enrichment adds by the addresses, by who began, and by lists of threats and prices.

Each function gives None where none of the records has the field.
"""

import json
from collections.abc import Callable
from functools import partial

import numpy as np
import polars as pl

from exporter.filter.columns import Coded, Column, Filled, Make, Nothing, Plain, Records, without_nulls
from exporter.filter.conditions import flags_of, known_of
from exporter.flow import CLIENT_RULES, ENDS, REPORTING

END_COLUMNS = {"source": ("srcaddr", "srcport"), "destination": ("dstaddr", "dstport")}
"""Each end, and the columns with its address and its port."""


def about(end: str, name: str, records: Records) -> Column | None:
    """What is known of an end by its address alone."""
    table, column = records.batch.about, END_COLUMNS[end][0]
    if table is None or name not in table.columns or not records.has(column):
        return None
    return Coded(table[name], records.addresses(column))


def member(end: str, name: str, path: str, records: Records) -> Column | None:
    """The value at a dotted path of an object that is known of an end by its address; whole numbers as such."""
    found = about(end, name, records)
    if not isinstance(found, Coded) or not isinstance(found.values, pl.Series):
        return None
    distinct = found.values.unique().drop_nulls()
    inside = distinct.str.json_path_match(f"$.{path}")
    kind = pl.Int64 if path == "number" else pl.String
    values = found.values.replace_strict(distinct, inside.cast(kind), default=None, return_dtype=kind)
    return Coded(values, found.codes)


def flow_locality(records: Records) -> Column | None:
    """Of both ends together."""
    table, columns = records.batch.about, [END_COLUMNS[end][0] for end in ENDS]
    if table is None or "locality" not in table.columns or not records.has(*columns):
        return None
    locality = pl.col("locality")
    code = (locality == "internal").cast(pl.UInt8) + 2 * (locality == "external").cast(pl.UInt8)
    place = np.append(table.select(code.fill_null(0)).to_series().to_numpy(), np.uint8(0))
    source, destination = (place[records.addresses(column)] for column in columns)
    return Coded(_FLOW_LOCALITIES, 3 * source + destination)


_FLOW_LOCALITIES = pl.Series(
    [None, None, None, None, "internal", "external", None, "external", "external"], dtype=pl.String
)
"""By three times the source's locality and the destination's: 0 unknown, 1 internal, 2 external."""


def of_client(place: int, part: int, kind: Callable[[str, Records], Column | None], records: Records) -> Column | None:
    """The address (part 0) or the port (part 1) of the client, where `place` is 0, or of the server, where it is 1."""
    names = [END_COLUMNS[end][part] for end in ENDS]
    if not records.has("client", *names):
        return None
    first, second = (kind(name, records) for name in (names if place == 0 else reversed(names)))
    if first is None or second is None:
        return None
    return _known_only(Filled(first, flags_of(records.frame["client"] == 0), second), records)


def _known_only(column: Column, records: Records) -> Column:
    """Only where it is known who the client is."""
    known = known_of(records.frame["client"])
    return column if known.all() else Filled(column, known, Nothing(records.height))


def traffic(place: int, name: str, records: Records) -> Column | None:
    """What the record counts, where its source is the client, for `place` 0, or the server, for 1."""
    if not records.has("client", name):
        return None
    return Plain(records.frame[name].set((records.frame["client"] != place).fill_null(value=True), None))


def named(column: str, names: tuple[str | list[str], ...], records: Records) -> Column | None:
    """A column of places in `names`."""
    if not records.has(column):
        return None
    return Coded(pl.Series(names), without_nulls(records.frame[column], len(names)))


reporter: Make = partial(named, "reporting", tuple(list(ENDS) if name == "only" else [name] for name in REPORTING))
client_rule: Make = partial(named, "client_rule", CLIENT_RULES)


def usd(records: Records) -> Column | None:
    """Rounded as it is in documents."""
    return Plain(records.frame["cost_usd"].round(12)) if records.has("cost_usd") else None


def feeds(records: Records) -> Column | None:
    """The names in a JSON array; most records have none."""
    if not records.has("threat_feeds"):
        return None
    texts = records.frame["threat_feeds"]
    distinct = texts.unique().drop_nulls()
    places = texts.replace_strict(distinct, np.arange(len(distinct)), default=len(distinct), return_dtype=pl.UInt32)
    lists = [json.loads(text) for text in distinct.to_list()]
    return Coded(pl.Series(lists, dtype=pl.List(pl.String)), places.to_numpy())
