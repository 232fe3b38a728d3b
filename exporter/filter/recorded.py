"""Columns of what the record and its object say, made the same as in documents.

Each function gives None where none of the records has the field.
"""

from functools import partial

import numpy as np
import polars as pl

from exporter.fields import BY_COLUMN, FIELDS, Kind
from exporter.filter.columns import Coded, Column, Make, Plain, Records, Several, constant
from exporter.filter.conditions import are, known_of
from exporter.protocols import PROTOCOLS, tcp_flags

ADDRESS_COLUMNS = tuple(field.column for field in FIELDS if field.kind is Kind.ADDRESS)

_STATUS_ONLY = ("NODATA", "SKIPDATA")
_VERDICTS = (["connection", "allowed"], ["connection", "denied"])
_OUTCOMES = ("success", "failure")
_LONGEST = (2**63 - 1) // 1000
"""Microseconds of the longest duration that is a `long` of nanoseconds."""


def recorded(name: str, records: Records) -> Column | None:
    """A field as the record has it; what is a number there and a keyword in the document is made text."""
    if not records.has(name):
        return None
    kind = BY_COLUMN[name].kind if name in BY_COLUMN else Kind.KEYWORD
    if kind is Kind.ADDRESS:
        return Coded(records.batch.addresses.text, records.addresses(name))
    if kind in (Kind.OCTET, Kind.CODE):
        numbers, places = records.used(name)
        return Coded(numbers.cast(pl.String), places)
    return Plain(records.frame[name])


def address(name: str, records: Records) -> Column | None:
    """An address, to be compared as one."""
    return Coded(records.batch.addresses, records.addresses(name)) if records.has(name) else None


def related(records: Records) -> Column | None:
    """All addresses of a record."""
    there = [column for name in ADDRESS_COLUMNS if (column := address(name, records))]
    return Several(tuple(there)) if there else None


def network_type(records: Records) -> Column | None:
    """By the first of the record's addresses."""
    there = [name for name in ADDRESS_COLUMNS if records.has(name)]
    if not there:
        return None
    nothing = len(records.batch.addresses.text)
    first = records.addresses(there[0])
    for name in there[1:]:
        first = np.where(first == nothing, records.addresses(name), first)
    is_ipv6 = np.append(records.batch.addresses.family == 6, np.uint8(2))  # noqa: PLR2004 - IPv6
    return Coded(pl.Series(["ipv4", "ipv6"]), is_ipv6[first])


def transport(records: Records) -> Column | None:
    """The protocol's name."""
    if not records.has("protocol"):
        return None
    numbers, places = records.used("protocol")
    return Coded(pl.Series([PROTOCOLS.get(number) for number in numbers.to_list()], dtype=pl.String), places)


def flag_names(records: Records) -> Column | None:
    """The names of the TCP flags."""
    if not records.has("tcp_flags"):
        return None
    masks, places = records.used("tcp_flags")
    return Coded(pl.Series([tcp_flags(mask) for mask in masks.to_list()], dtype=pl.List(pl.String)), places)


def duration(records: Records) -> Column | None:
    """Nanoseconds from start to end."""
    if not records.has("start", "end"):
        return None
    length = records.frame.select((pl.col("end") - pl.col("start")).dt.total_microseconds()).to_series()
    return Plain(length.set(~length.is_between(0, _LONGEST), None) * 1000)


def _verdict(table: pl.Series, records: Records) -> Column | None:
    """By the action of what is neither NODATA nor SKIPDATA."""
    if not records.has("action"):
        return None
    action = records.frame["action"]
    code = np.full(records.height, len(table), dtype=np.uint8)
    for place, name in enumerate(("ACCEPT", "REJECT")):
        code[are(action, name)] = place
    for status in _STATUS_ONLY if records.has("log_status") else ():
        code[are(records.frame["log_status"], status)] = len(table)
    return Coded(table, code)


outcome: Make = partial(_verdict, pl.Series(_OUTCOMES, dtype=pl.String))
event_type: Make = partial(_verdict, pl.Series(_VERDICTS, dtype=pl.List(pl.String)))


def orchestrator(records: Records) -> Column | None:
    """`ecs`, where the record names a cluster."""
    names = [name for name in ("ecs_cluster_arn", "ecs_cluster_name") if records.has(name)]
    if not names:
        return None
    known = np.logical_or.reduce([known_of(records.frame[name]) for name in names])
    return Coded(pl.Series(["ecs"]), np.where(known, 0, 1))


def of_object(part: str, records: Records) -> Column | None:
    """The same for all records: where they were read, and the account and the region of the key."""
    source = records.batch.source
    there = {
        "bucket": source.bucket,
        "key": source.key if source.bucket else None,
        "path": None if source.bucket else source.key,
        "account": source.account,
        "region": source.region,
    }
    text = there[part]
    return constant(text and text.encode("utf-8", "replace").decode(), records.height)
