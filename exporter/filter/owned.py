"""Columns of what the inventory says of owners.

The reporting interface's fills what the record lacks, and for ends that it does not know AWS's own services stand in.
Each function gives None where none of the records has the field.
"""

import json
from functools import lru_cache

import numpy as np
import polars as pl

from exporter.filter.columns import Coded, Column, Filled, Records, filled
from exporter.filter.conditions import Flags, are, flags_of
from exporter.filter.recorded import of_object, recorded

_ADDRESSES = {"source": "srcaddr", "destination": "dstaddr"}

CLOUD = (
    "account_id",
    "account_name",
    "availability_zone",
    "instance_id",
    "instance_name",
    "machine_type",
    "region",
    "service_name",
)
"""The owners' columns that `cloud.origin` and `cloud.target` have; AWS's service stands in where all of them lack."""


def owned(rows: str, name: str, records: Records) -> Column | None:
    """A column of the owners, of whom the column `rows` of the frame has the rows; an empty text is none."""
    if records.batch.owners is None or not records.has(rows):
        return None
    used, places = records.used(rows)
    values = records.batch.owners[name].gather(used)
    is_empty = are(values, "") if values.dtype == pl.String else None
    return Coded(values if is_empty is None or not is_empty.any() else values.set(pl.Series(is_empty), None), places)


def tag(end: str, key: str, records: Records) -> Column | None:
    """A tag of an end's owner."""
    if records.batch.owners is None or not records.has(f"{end}_owner"):
        return None
    used, places = records.used(f"{end}_owner")
    values = [_tag(text, key) for text in records.batch.owners["tags"].gather(used).to_list()]
    return Coded(pl.Series(values, dtype=pl.String), places)


@lru_cache(maxsize=65_536)
def _tag(tags: str | None, key: str) -> str | None:
    """The value of a key in the text of a JSON object of texts; few are at work, and these again and again."""
    found: str | None = json.loads(tags).get(key) if tags else None
    return found


def cloud(end: str, name: str, records: Records) -> Column | None:
    """What is known of an end's owner; of an end without one the AWS service behind its address, and its region."""
    own = owned(f"{end}_owner", name, records)
    service = _service(end, name, records) if name in ("service_name", "region") else None
    if own is None or service is None:
        return own or service
    return Filled(own, _has_cloud(f"{end}_owner", records), service)


def _has_cloud(rows: str, records: Records) -> Flags:
    known: Flags = np.logical_or.reduce([column.known() for name in CLOUD if (column := owned(rows, name, records))])
    return known


def _service(end: str, name: str, records: Records) -> Column | None:
    about = records.batch.about
    column = _ADDRESSES[end]
    if about is None or "aws_service" not in about.columns or not records.has(column):
        return None
    values = about["aws_service"]
    if name == "region":
        values = about["aws_region"].set(values.is_null(), None)
    return Coded(values, records.addresses(column))


def reported(name: str, owner: str, records: Records) -> Column | None:
    """A field of the record, else what is known of the reporting interface."""
    return filled(recorded(name, records), lambda: owned("reporter", owner, records))


def region(records: Records) -> Column | None:
    """The same for the region, else that of the object's key."""
    return filled(reported("region", "region", records), lambda: of_object("region", records))


def account(records: Records) -> Column | None:
    """The record's account, else that of the object's key."""
    return filled(recorded("account_id", records), lambda: of_object("account", records))


def of_instance(name: str, records: Records) -> Column | None:
    """What is known of the reporting interface's instance, where the record names no other one."""
    return _where_same(owned("reporter", name, records), "instance_id", None, records)


def account_name(records: Records) -> Column | None:
    """The name of the reporting interface's account, where the record, else the key, names no other one."""
    return _where_same(owned("reporter", "account_name", records), "account_id", records.batch.source.account, records)


def _where_same(column: Column | None, name: str, fallback: str | None, records: Records) -> Column | None:
    """The column for the records in which a field, `fallback` where it is null, is null or the reporter's own."""
    owners = records.batch.owners
    if not isinstance(column, Coded) or owners is None:
        return None
    used, places = records.used("reporter")
    said = records.frame[name] if records.has(name) else pl.Series([None], dtype=pl.String)
    if fallback:
        said = said.fill_null(fallback)
    theirs = owners[name].gather(used).extend_constant(None, 1).gather(places)
    same = flags_of(said.is_null() | (said == theirs))
    return Coded(column.values, np.where(same, column.codes, len(used)))
